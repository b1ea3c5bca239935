"""Objects that the lab's own tests apply: a service with versions, and its way in."""

from __future__ import annotations

from typing import Any

import yaml

Manifest = dict[str, Any]
PORT = 8501
_ISTIO = "networking.istio.io/v1"


def deployment(version: str, *args: str, replicas: int = 1, probe: str | None = "/ready") -> Manifest:
    """A version of the service `model`; `args` are those of `tests/survival/answer.py`."""
    labels = {"app": "model", "version": version}
    container: Manifest = {
        "name": "model",
        "image": "lab/answer",
        "args": list(args),
        "ports": [{"containerPort": PORT}],
    }
    if probe:
        container["readinessProbe"] = {"httpGet": {"path": probe, "port": PORT}, "periodSeconds": 1}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"model-{version}", "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def service() -> Manifest:
    """The service of all versions."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "model"},
        "spec": {"selector": {"app": "model"}, "ports": [{"name": "http", "port": PORT}]},
    }


def way_in(host: str) -> Manifest:
    """The gateway's door for this host."""
    server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": [host]}
    return {
        "apiVersion": _ISTIO,
        "kind": "Gateway",
        "metadata": {"name": "door"},
        "spec": {"selector": {"istio": "ingressgateway"}, "servers": [server]},
    }


def subsets(*versions: str) -> Manifest:
    """A DestinationRule with one subset a version."""
    return {
        "apiVersion": _ISTIO,
        "kind": "DestinationRule",
        "metadata": {"name": "model"},
        "spec": {"host": "model", "subsets": [{"name": each, "labels": {"version": each}} for each in versions]},
    }


def routes(host: str, **weights: int) -> Manifest:
    """A VirtualService with these weights by version."""
    return {
        "apiVersion": _ISTIO,
        "kind": "VirtualService",
        "metadata": {"name": "model"},
        "spec": {
            "hosts": [host],
            "gateways": ["door"],
            "http": [
                {
                    "route": [
                        {"destination": {"host": "model", "subset": version}, "weight": weight}
                        for version, weight in weights.items()
                    ]
                }
            ],
        },
    }


def stream(*manifests: Manifest) -> str:
    """As kubectl reads them."""
    return yaml.safe_dump_all(manifests)
