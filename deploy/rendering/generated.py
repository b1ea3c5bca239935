"""Every generated file with its content. Nothing here reads what it generates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from deploy.rendering import chart
from deploy.rendering.sources import DEPLOY, NOTE, base_files, joined

from serin.api.v1alpha2 import schema
from serin.metrics.definitions import CONFIG_MAP, COUNTERS_KEY, RATIOS_KEY, built_in

ROOT = DEPLOY.parent
CRD = DEPLOY / "crd" / f"{schema.NAME}.yaml"
METRICS = DEPLOY / "base" / "settings" / "metrics.yaml"
INSTALL = DEPLOY / "install.yaml"
_NO_WRAP = 10_000


def files() -> Mapping[Path, str]:
    """Path to content, each as it is to be committed."""
    resource, metrics = f"{NOTE}{_dump(schema.custom_resource_definition())}", f"{NOTE}{_dump(metrics_config_map())}"
    written = {CRD: resource, METRICS: metrics}
    base = {path: written.get(path) or path.read_text() for path in base_files()}
    return {**written, INSTALL: joined(base.values()), **chart.files(base, resource)}


def metrics_config_map() -> dict[str, Any]:
    """The ConfigMap of the metrics out of the box: what the engine takes where there is none."""
    spec = built_in().to_spec()
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": CONFIG_MAP, "namespace": "iter8", "labels": {"app.kubernetes.io/part-of": "serin"}},
        "data": {
            COUNTERS_KEY: _Text(_dump(spec["counter_metrics"], _NO_WRAP)),
            RATIOS_KEY: _Text(_dump(spec["ratio_metrics"], _NO_WRAP)),
        },
    }


class _Text(str):
    """A text that is written as a block, line by line."""


class _Dumper(yaml.SafeDumper):
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Lists are indented, as everywhere in these files."""
        del indentless
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        """No anchors: the same value is written again."""
        del data
        return True


_Dumper.add_representer(_Text, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|"))


def _dump(value: Any, width: int = 120) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=width, allow_unicode=True)
