"""The objects of the stage: a service `answer`, its versions, the way in from outside, and experiments on it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from serin.ports import Object

HOST = "answer.com"
NAMESPACE = "default"
ROUTER = "answer.iter8router"

ERRORS = {"metric": "iter8_error_rate", "threshold": {"type": "absolute", "value": 0.2}}
"""A limit that a version without errors keeps, provable within seconds where errors count as independent."""


def images_file(folder: Path) -> Path:
    """Which command stands for the image of every version."""
    path = folder / "images.yaml"
    entrypoint = [sys.executable, "-S", str(Path(__file__).with_name("answer.py"))]
    path.write_text(yaml.safe_dump({"images": {"answer:*": {"entrypoint": entrypoint}}}))
    return path


def deployment(version: str, *args: str, replicas: int = 1, grace: int = 10) -> Object:
    """`answer-VERSION`, with the arguments of `answer.py`."""
    labels = {"app": "answer", "version": version}
    container = {
        "name": "answer",
        "image": "answer:1",
        "args": list(args),
        "ports": [{"containerPort": 8501}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8501}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"answer-{version}", "namespace": NAMESPACE},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": grace},
            },
        },
    }


def service() -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "answer", "namespace": NAMESPACE},
        "spec": {"selector": {"app": "answer"}, "ports": [{"name": "http", "port": 8501}]},
    }


def way_in() -> list[Object]:
    """The gateway, and the stable rules that an experiment adopts."""
    istio = "networking.istio.io/v1beta1"
    labels = {"iter8-tools/router": ROUTER, "iter8-tools/role": "stable"}
    server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": [HOST]}
    gateway = {
        "apiVersion": istio,
        "kind": "Gateway",
        "metadata": {"name": "answer", "namespace": NAMESPACE},
        "spec": {"selector": {"istio": "ingressgateway"}, "servers": [server]},
    }
    rule = {
        "apiVersion": istio,
        "kind": "DestinationRule",
        "metadata": {"name": "answer", "namespace": NAMESPACE, "labels": dict(labels)},
        "spec": {
            "host": "answer",
            "subsets": [{"name": "iter8-stable", "labels": {"app": "answer", "version": "v1"}}],
        },
    }
    return [gateway, rule, virtual_service({"iter8-stable": 100})]


def virtual_service(split: dict[str, int]) -> Object:
    """The stable VirtualService, by subset and percent."""
    entries = [
        {"destination": {"host": "answer", "subset": name, "port": {"number": 8501}}, "weight": weight}
        for name, weight in split.items()
    ]
    return {
        "apiVersion": "networking.istio.io/v1beta1",
        "kind": "VirtualService",
        "metadata": {
            "name": "answer",
            "namespace": NAMESPACE,
            "labels": {"iter8-tools/router": ROUTER, "iter8-tools/role": "stable"},
        },
        "spec": {"hosts": [HOST], "gateways": ["answer"], "http": [{"route": entries}]},
    }


def stage(*args: str, replicas: int = 1) -> list[Object]:
    """Everything but the candidate and the experiment; `args` are the baseline's."""
    return [service(), deployment("v1", *args, replicas=replicas), *way_in()]


def experiment(
    name: str = "rollout",
    *,
    candidates: tuple[str, ...] = ("v2",),
    interval: str = "2s",
    iterations: int = 4,
    criteria: tuple[Object, ...] = (ERRORS,),
    analysis: dict[str, Any] | None = None,
    cleanup: bool = False,
) -> Object:
    """An experiment in a hurry. Errors count as independent, so that a proof takes seconds and not a minute."""
    return {
        "apiVersion": "iter8.tools/v1alpha2",
        "kind": "Experiment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "service": {
                "name": "answer",
                "baseline": "answer-v1",
                "candidates": [f"answer-{candidate}" for candidate in candidates],
            },
            "networking": {"id": ROUTER, "hosts": [{"name": HOST, "gateway": "answer"}]},
            "criteria": list(criteria),
            "duration": {"interval": interval, "maxIterations": iterations},
            "trafficControl": {"maxIncrement": 30},
            "analysis": {"mode": "independent", **(analysis or {})},
            "cleanup": cleanup,
        },
    }
