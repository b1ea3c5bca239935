"""What the discovery of Kubernetes would find for role `pod`, in a file: Debian builds Prometheus without it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from serin.ports import Object

_META = "__meta_kubernetes_pod"
_SCRAPE = "prometheus.io/scrape"

Group = dict[str, Any]


def group(pod: Object) -> Group | None:
    """A Pod's targets, one a port, and their labels before relabelling; None without an address or an annotation."""
    meta, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    annotations, address = meta.get("annotations") or {}, status.get("podIP")
    if _SCRAPE not in annotations or not address:
        return None
    ports = [port["containerPort"] for each in spec.get("containers") or () for port in each.get("ports") or ()]
    labels = {
        "__meta_kubernetes_namespace": meta["namespace"],
        f"{_META}_name": meta["name"],
        f"{_META}_uid": meta["uid"],
        f"{_META}_ip": address,
        f"{_META}_phase": status.get("phase", ""),
        f"{_META}_node_name": spec.get("nodeName", ""),
        **_each(f"{_META}_label", meta.get("labels") or {}),
        **_each(f"{_META}_annotation", annotations),
    }
    return {"targets": [f"{address}:{port}" for port in ports] or [address], "labels": labels}


def _each(prefix: str, given: dict[str, str]) -> dict[str, str]:
    return {f"{prefix}_{re.sub(r'[^a-zA-Z0-9_]', '_', name)}": value for name, value in given.items()}


class Targets:
    """The file, for `file_sd_configs`: written anew whenever something in it changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, Group] = {}
        self._write()

    def saw(self, kind: str, pod: Object) -> None:
        """Take in a change as `Cluster.pods` tells it."""
        before = dict(self._found)
        if kind == "LISTED":
            self._found = {uid: each for uid, each in self._found.items() if uid in pod["uids"]}
        else:
            self._found.pop(uid := pod["metadata"]["uid"], None)
            if kind == "MODIFIED" and (found := group(pod)):
                self._found[uid] = found
        if self._found != before:
            self._write()

    def _write(self) -> None:
        """All at once: Prometheus reads it whenever it is there anew."""
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(list(self._found.values())))
        partial.rename(self._path)
