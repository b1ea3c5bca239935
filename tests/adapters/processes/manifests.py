"""Deployments and Pods as the tests write them."""

from __future__ import annotations

from typing import Any

from serin.adapters.local.processes import pods
from serin.api.times import stamp
from serin.ports import Object

NOW = 1_700_000_000.0


def deployment(name: str = "web", *, replicas: int = 1, container: Object | None = None, **spec: Any) -> Object:
    """A Deployment of one container. `container` is laid over a plain one, `spec` over the rest."""
    plain = {"name": "main", "image": "web:v1", "ports": [{"containerPort": 8501, "name": "http"}]}
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{**plain, **(container or {})}], **spec.pop("pod", {})},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}", "generation": 1},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template, **spec},
    }


def pod(owner: Object, suffix: str, *, ready: bool = False, since: float = NOW, leaving: bool = False) -> Object:
    """A Pod of the Deployment's present template, as the store and the runner would leave it."""
    made = pods.new_pod(owner, suffix)
    made["metadata"] |= {"uid": f"uid-{made['metadata']['name']}", "creationTimestamp": stamp(since)}
    if leaving:
        made["metadata"]["deletionTimestamp"] = stamp(since)
    condition = {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": stamp(since)}
    made["status"] = {"conditions": [condition], "containerStatuses": [{"restartCount": 0}]}
    return made


def ready(made: Object) -> Object:
    """The same Pod, ready."""
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": stamp(NOW)}
    return {**made, "status": {**made["status"], "conditions": [condition]}}
