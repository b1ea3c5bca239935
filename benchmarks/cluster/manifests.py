"""The objects of an experiment that runs: two versions, their Service, the Experiment itself.

Of five experiments four hold their weights (`uniform`: half and half, for good) and one moves them (`progressive`, by
the least that the API knows). Both kinds have namespaces of their own, by which requests are told apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from serin.ports import Object

HELD, MOVING = "held", "moving"
INTERVAL = 30.0
TEAMS = 20
"""Namespaces; every fifth is one of experiments that move."""

VERSIONS = ("v1", "v2")
_TRAFFIC: Mapping[str, Object] = {
    HELD: {"strategy": "uniform", "maxIncrement": 100},
    MOVING: {"strategy": "progressive", "maxIncrement": 2},
}
_LIMITS = (("iter8_mean_latency", 100), ("iter8_error_rate", 0.05))


@dataclass(frozen=True, slots=True)
class Place:
    """Where the experiment with this number is, and what it is called."""

    number: int

    @property
    def group(self) -> str:
        return MOVING if self.number % 5 == 0 else HELD

    @property
    def namespace(self) -> str:
        return f"{self.group}-{self.number % TEAMS}"

    @property
    def name(self) -> str:
        return f"shop-{self.number}"

    @property
    def versions(self) -> tuple[str, str]:
        return f"{self.name}-v1", f"{self.name}-v2"


def namespaces() -> list[str]:
    return sorted({Place(number).namespace for number in range(TEAMS)})


def group_of(namespace: str) -> str:
    """The kind of experiments that live there; empty for any other namespace."""
    group = namespace.partition("-")[0]
    return group if group in _TRAFFIC else ""


def service(place: Place) -> Object:
    return _object(place, "v1", "Service", place.name, {"selector": {"app": place.name}, "ports": [{"port": 8501}]})


def deployments(place: Place) -> Iterator[Object]:
    for version in VERSIONS:
        labels = {"app": place.name, "version": version}
        container = {"name": "shop", "image": "lab/pause", "ports": [{"containerPort": 8501}]}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
        spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
        yield _object(place, "apps/v1", "Deployment", f"{place.name}-{version}", spec)


def ready() -> Object:
    """What the Deployment controller says of a Deployment of two Pods that is well."""
    conditions = [
        {
            "type": "Available",
            "status": "True",
            "reason": "MinimumReplicasAvailable",
            "message": "minimum availability",
        },
        {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable", "message": "has progressed"},
    ]
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 2)
    return {"status": {"observedGeneration": 1, "conditions": conditions, **counts}}


def experiment(place: Place) -> Object:
    baseline, candidate = place.versions
    spec = {
        "service": {"name": place.name, "baseline": baseline, "candidates": [candidate]},
        "criteria": [{"metric": name, "threshold": {"type": "absolute", "value": value}} for name, value in _LIMITS],
        "duration": {"interval": f"{INTERVAL:.0f}s", "maxIterations": 1000},
        "trafficControl": _TRAFFIC[place.group],
    }
    return _object(place, "iter8.tools/v1alpha2", "Experiment", place.name, spec)


def _object(place: Place, api: str, kind: str, name: str, spec: Object) -> Object:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": place.namespace}, "spec": spec}
