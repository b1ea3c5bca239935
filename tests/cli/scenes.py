"""The article's objects as a home holds them, at the moments that the tests look at."""

from __future__ import annotations

from typing import Any

from serin.ports import Object

NAME = "fashionmnist-v2-rollout"
METRICS = {
    "counter_metrics": [{"name": "iter8_request_count", "query_template": "…"}],
    "ratio_metrics": [
        {
            "name": "iter8_mean_latency",
            "numerator": "iter8_total_latency",
            "denominator": "iter8_request_count",
            "preferred_direction": "lower",
            "units": "ms",
        }
    ],
}


def obj(kind: str, name: str, api_version: str = "v1", namespace: str = "default", **rest: Any) -> Object:
    metadata = {"name": name, "namespace": namespace, **rest.pop("metadata", {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}


def experiment(**status: Any) -> Object:
    spec = {
        "service": {
            "name": "fashionmnist",
            "baseline": "fashionmnist-v1",
            "candidates": ["fashionmnist-v2"],
        },
        "networking": {
            "id": "fashionmnist.iter8router",
            "hosts": [{"name": "fashionmnist.com", "gateway": "fashionmnist-gateway"}],
        },
        "criteria": [{"metric": "iter8_mean_latency", "threshold": {"type": "absolute", "value": 100}}],
        "duration": {"interval": "15s", "maxIterations": 12},
        "metrics": METRICS,
    }
    found = obj("Experiment", NAME, "iter8.tools/v1alpha2", spec=spec)
    return {**found, "status": status} if status else found


def seen(phase: str, message: str, **more: Any) -> dict[str, Any]:
    return {
        "experimentType": "Canary",
        "effectiveHosts": ["fashionmnist", "fashionmnist.com"],
        "phase": phase,
        "message": message,
        **more,
    }


def winner(found: bool, name: str, confidence: float | None = None) -> dict[str, Any]:
    return {
        "name": name,
        "current_best_version": "candidate-0" if name.endswith("2") else "baseline",
        "winning_version_found": found,
        "probability_of_winning_for_best_version": confidence,
    }


def assessed(weight: int, found: bool, name: str, confidence: float | None = None) -> dict[str, Any]:
    def version(id_: str, called: str, share: int, requests: int, value: float, **more: Any) -> dict[str, Any]:
        criterion = {
            "id": "0",
            "metric_id": "iter8_mean_latency",
            "statistics": {"value": value, "ratio_statistics": {}},
            "anytime_interval": {"lower": value * 0.9, "upper": value * 1.1},
        }
        criterion.update(more.pop("criterion", {}))
        return {
            "id": id_,
            "name": called,
            "weight": share,
            "request_count": requests,
            "win_probability": more.pop("win", None),
            "criterion_assessments": [criterion],
            **more,
        }

    evidence = {
        "threshold_assessment": {"threshold_breached": False, "probability_of_satisfying_threshold": 0.99},
        "evidence_for": {"nats": 3.69, "needed": 4.60517, "chance": "1 in 40"},
        "evidence_against": {"nats": 0.0, "needed": 2.99573, "chance": "1 in 1"},
        "missing": "3 of 4 blocks seen",
        "eta_seconds": 12,
    }
    return {
        "baseline": version("baseline", "fashionmnist-v1", 100 - weight, 1204, 3.94, win=0.12),
        "candidates": [
            version("candidate-0", "fashionmnist-v2", weight, 310, 4.1, win=0.88, rollback=False, criterion=evidence)
        ],
        "winner": winner(found, name, confidence),
    }


def deployment(name: str, ready: int = 1, wanted: int = 1) -> Object:
    labels = {"app": "fashionmnist", "version": name[-2:]}
    container = {"name": "serving", "image": f"example/{name}:1"}
    return obj(
        "Deployment",
        name,
        "apps/v1",
        metadata={"labels": labels},
        spec={
            "replicas": wanted,
            "selector": {"matchLabels": labels},
            "template": {"spec": {"containers": [container]}},
        },
        status={"readyReplicas": ready, "updatedReplicas": wanted, "availableReplicas": ready},
    )


def pod(name: str, version: str = "v1", ready: bool = True, owner: str = "", **status: Any) -> Object:
    container: dict[str, Any] = {"name": "serving", "ready": ready, "restartCount": 0, **status.pop("container", {})}
    metadata: dict[str, Any] = {"labels": {"app": "fashionmnist", "version": version}}
    if owner:
        metadata["ownerReferences"] = [{"kind": "Deployment", "name": "of-this-uid", "uid": owner}]
    return obj(
        "Pod",
        name,
        metadata=metadata,
        spec={"containers": [{"name": "serving"}]},
        status={"phase": "Running", "podIP": "127.9.9.1", "containerStatuses": [container], **status},
    )


def event(name: str, about: tuple[str, str], message: str, *, at: str, type_: str = "Normal", count: int = 1) -> Object:
    return obj(
        "Event",
        name,
        involvedObject={"kind": about[0], "name": about[1], "namespace": "default"},
        reason="IterationUpdate",
        type=type_,
        message=message,
        count=count,
        lastTimestamp=at,
    )


def virtual_service() -> Object:
    host = "fashionmnist.default.svc.cluster.local"
    destinations = [
        {"destination": {"host": host, "subset": "iter8-baseline"}, "weight": 80},
        {"destination": {"host": host, "subset": "iter8-candidate-0"}, "weight": 20},
    ]
    return obj(
        "VirtualService",
        "fashionmnist",
        "networking.istio.io/v1beta1",
        metadata={"labels": {"iter8-tools/router": "fashionmnist.iter8router", "iter8-tools/role": "progressing"}},
        spec={
            "hosts": ["fashionmnist.com", host],
            "gateways": ["fashionmnist-gateway", "mesh"],
            "http": [{"name": "iter8-experiment", "route": destinations}],
        },
    )


def destination_rule() -> Object:
    subsets = [
        {"name": "iter8-baseline", "labels": {"app": "fashionmnist", "version": "v1"}},
        {"name": "iter8-candidate-0", "labels": {"app": "fashionmnist", "version": "v2"}},
    ]
    return obj(
        "DestinationRule",
        "fashionmnist",
        "networking.istio.io/v1beta1",
        metadata={"labels": {"iter8-tools/router": "fashionmnist.iter8router", "iter8-tools/role": "progressing"}},
        spec={"host": "fashionmnist", "subsets": subsets},
    )
