"""The Helm chart, made of the base: a template is a file of the base in which a few blocks give way to values.

The defaults of the values are what stands in the base, so that a chart without values installs the same.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from deploy.rendering.sources import BASE, DEPLOY, NOTE

CHART = DEPLOY / "chart"
TEMPLATES = CHART / "templates"
MONITORING = DEPLOY / "overlays" / "monitoring"

_RELEASE = "{{ .Release.Namespace }}"
_SUFFIX = '{{ include "serin.suffix" . }}'
_SCOPED = "{{ if .Values.namespace }}Role{{ else }}ClusterRole{{ end }}"


def files(base: Mapping[Path, str], resource: str) -> dict[Path, str]:
    """Path to content of the whole chart; `base` are the files of the base with theirs."""
    values = _values(yaml.safe_load(base[BASE / "controller" / "deployment.yaml"]))
    sources = {**base, **{path: path.read_text() for path in sorted(MONITORING.glob("service*.yaml"))}}
    templates = {TEMPLATES / path.name: _TEMPLATES[path.name](text) for path, text in sources.items() if _goes_in(path)}
    return {
        CHART / "Chart.yaml": _about(),
        CHART / "values.yaml": NOTE + _VALUES.format(**{name: _inline(value) for name, value in values.items()}),
        CHART / "values.schema.json": json.dumps(_values_schema(values), indent=2) + "\n",
        CHART / "crds" / f"{yaml.safe_load(resource)['metadata']['name']}.yaml": resource,
        TEMPLATES / "_names.tpl": _NAMES,
        **{path: NOTE + content for path, content in templates.items()},
    }


def _goes_in(path: Path) -> bool:
    """All but the namespace, which is Helm's to make, and the resource, which has a folder of its own."""
    return path.parent.name != "crd" and path.name != "namespace.yaml"


def _about() -> str:
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]
    version = project["version"]
    told = f"name: serin\ndescription: {project['description']}\nversion: {version}\nappVersion: {version}\n"
    return f"{NOTE}apiVersion: v2\ntype: application\n{told}"


def _values(deployment: Mapping[str, Any]) -> dict[str, Any]:
    """What the base says where the chart has a value."""
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    environment = {variable["name"]: variable.get("value") for variable in container["env"]}
    egress = yaml.safe_load((BASE / "controller" / "network.yaml").read_text())["spec"]["egress"]
    return {
        "replicas": deployment["spec"]["replicas"],
        "image": container["image"],
        "prometheus": environment["SERIN_PROMETHEUS"],
        "resources": container["resources"],
        "ports": [port["port"] for port in egress[-1]["ports"]],
        "interval": yaml.safe_load((MONITORING / "service-monitor.yaml").read_text())["spec"]["endpoints"][0][
            "interval"
        ],
    }


def _inline(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


_VALUES = """\

# How many Pods. One of them acts, the others take over when it is gone.
replicas: {replicas}

image: {image}

prometheus:
  # The Prometheus that has Istio's counters. Its credentials come from the Secret serin-prometheus.
  url: {prometheus}

# Serve the experiments of this namespace only, without any right in the others; empty for all namespaces.
namespace: ""

# Serve the experiments with these labels only, for example team=a; empty for all.
selector: ""

# Further options of "serin controller", for example ["--scrape-interval=30", "--log-level=debug"].
options: []

settings:
  # The ConfigMaps of metrics and notifiers in the namespace iter8; false for a second controller in a cluster.
  create: true

resources: {resources}

networkPolicy:
  enabled: true
  # TCP ports that the controller may reach besides 53: the API server's, Prometheus'.
  ports: {ports}

serviceMonitor:
  # For a Prometheus that the Prometheus Operator runs.
  enabled: false
  interval: {interval}
"""


def _values_schema(values: Mapping[str, str]) -> dict[str, Any]:
    """A JSON schema of the values: a misspelled one is refused and not ignored."""
    whole = yaml.safe_load(_VALUES.format(**{name: _inline(value) for name, value in values.items()}))
    schema = _schema_of(whole)
    schema["properties"]["resources"] = {"type": "object"}
    schema["properties"]["global"] = {"type": "object"}
    return {"$schema": "https://json-schema.org/draft-07/schema#", **schema}


def _schema_of(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        fields = {name: _schema_of(inner) for name, inner in value.items()}
        return {"type": "object", "additionalProperties": False, "properties": fields}
    if isinstance(value, list):
        return {"type": "array", "items": _schema_of(value[0] if value else "")}
    return {"type": {bool: "boolean", int: "integer", str: "string"}[type(value)]}


_NAMES = """\
{{- /* Generated by scripts/deploy; do not edit. */ -}}
{{- /* What is not in the release's namespace has it in its name, unless it is the installation in iter8. */ -}}
{{- define "serin.suffix" -}}
{{- if ne .Release.Namespace "iter8" }}-{{ .Release.Namespace }}{{ end -}}
{{- end -}}
"""


def replaced(text: str, prefix: str, new: str) -> str:
    """The text with another block in the place of the only line that begins so and of what is indented below it."""
    lines = text.splitlines()
    (start,) = (i for i, line in enumerate(lines) if line.startswith(prefix))
    indent = len(lines[start]) - len(lines[start].lstrip())
    end = start + 1
    while end < len(lines) and len(lines[end]) - len(lines[end].lstrip()) > indent:
        end += 1
    return "\n".join([*lines[:start], *new.splitlines(), *lines[end:]]) + "\n"


def _everywhere(text: str) -> str:
    """Objects of the controller's own namespace."""
    return text.removeprefix(NOTE).replace("namespace: iter8\n", f"namespace: {_RELEASE}\n")


def _only_if(value: str, text: str) -> str:
    return f"{{{{- if {value} }}}}\n{text}{{{{- end }}}}\n"


def _settings(text: str) -> str:
    """What there is once in a cluster."""
    return _only_if(".Values.settings.create", text.removeprefix(NOTE))


def _settings_binding(text: str) -> str:
    own = text.replace("    namespace: iter8\n", f"    namespace: {_RELEASE}\n")
    return own.replace("metadata:\n  name: serin-settings\n", f"metadata:\n  name: serin-settings{_SUFFIX}\n")


def _experiments_role(text: str) -> str:
    """A role of the whole cluster, or of the one namespace that is served."""
    name = f"  name: serin-controller{_SUFFIX}\n"
    where = "  {{- with .Values.namespace }}\n  namespace: {{ . }}\n  {{- end }}\n"
    text = _everywhere(text).replace("kind: ClusterRole\n", f"kind: {_SCOPED}\n")
    text = text.replace("kind: ClusterRoleBinding\n", f"kind: {_SCOPED}Binding\n")
    text = text.replace("metadata:\n  name: serin-controller\n", f"metadata:\n{name}{where}")
    return text.replace("\n  name: serin-controller\n", f"\n{name}")


def _deployment(text: str) -> str:
    text = _everywhere(text)
    for prefix, new in _DEPLOYMENT.items():
        text = replaced(text, prefix, new)
    return text


_DEPLOYMENT = {
    "  replicas:": "  replicas: {{ .Values.replicas }}",
    "          image:": "          image: {{ .Values.image | quote }}",
    "              value:": "              value: {{ .Values.prometheus.url | quote }}",
    "          resources:": "          resources: {{- toYaml .Values.resources | nindent 12 }}",
    "          args:": """\
          args:
            - controller
            {{- with .Values.namespace }}
            - {{ printf "--namespace=%s" . | quote }}
            {{- end }}
            {{- with .Values.selector }}
            - {{ printf "--selector=%s" . | quote }}
            {{- end }}
            {{- range .Values.options }}
            - {{ . | quote }}
            {{- end }}""",
}


def _network(text: str) -> str:
    ports = "{{- range .Values.networkPolicy.ports }}\n        - {protocol: TCP, port: {{ . }}}\n        {{- end }}\n"
    rules = _everywhere(text).split("    - ports:\n")
    return _only_if(".Values.networkPolicy.enabled", "    - ports:\n".join([*rules[:-1], f"        {ports}"]))


def _disruption(text: str) -> str:
    return _only_if("gt (int .Values.replicas) 1", _everywhere(text))


def _monitoring(text: str) -> str:
    return _only_if(".Values.serviceMonitor.enabled", _everywhere(text))


def _service_monitor(text: str) -> str:
    return replaced(_monitoring(text), "      interval:", "      interval: {{ .Values.serviceMonitor.interval }}")


_TEMPLATES: Mapping[str, Callable[[str], str]] = {
    "metrics.yaml": _settings,
    "notifiers.yaml": _settings,
    "role.yaml": _settings,
    "account.yaml": _everywhere,
    "settings-binding.yaml": _settings_binding,
    "experiments-role.yaml": _experiments_role,
    "lease-role.yaml": _everywhere,
    "deployment.yaml": _deployment,
    "disruption.yaml": _disruption,
    "network.yaml": _network,
    "service.yaml": _monitoring,
    "service-monitor.yaml": _service_monitor,
}
"""What becomes of each file, by its name; one that is not here has no template, and the rendering says so."""
