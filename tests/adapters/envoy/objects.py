"""Kubernetes-shaped objects for the tests of the gateway, as short as they can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from serin.ports import Object

ISTIO = "networking.istio.io/v1beta1"
PORT = 8501


def service(name: str = "shop", namespace: str = "default", ports: Sequence[Mapping[str, Any]] = ()) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": name}, "ports": list(ports) or [{"port": PORT}]},
    }


def pod(
    name: str,
    address: str,
    *,
    workload: str,
    app: str = "shop",
    version: str = "v1",
    ready: bool = True,
    leaving: bool = False,
    namespace: str = "default",
    ports: Mapping[str, int] | None = None,
) -> Object:
    named = [{"name": key, "containerPort": value} for key, value in (ports or {}).items()]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"app": app, "version": version},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": workload, "uid": "1"}],
            **({"deletionTimestamp": "2026-01-01T00:00:00Z"} if leaving else {}),
        },
        "spec": {"containers": [{"name": "model", "image": "model", "ports": named}]},
        "status": {
            "phase": "Running",
            "podIP": address,
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def gateway(name: str = "gw", hosts: Sequence[str] = ("*",), port: int = 80, protocol: str = "HTTP") -> Object:
    return {
        "apiVersion": ISTIO,
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "selector": {"istio": "ingressgateway"},
            "servers": [{"port": {"number": port, "name": "http", "protocol": protocol}, "hosts": list(hosts)}],
        },
    }


def destination(subset: str | None = None, weight: int | None = None, host: str = "shop") -> dict[str, Any]:
    found: dict[str, Any] = {"destination": {"host": host}}
    if subset:
        found["destination"]["subset"] = subset
    if weight is not None:
        found["weight"] = weight
    return found


def virtual_service(
    *http: Mapping[str, Any],
    name: str = "shop",
    hosts: Sequence[str] = ("shop.com",),
    gateways: Sequence[str] = ("gw", "mesh"),
) -> Object:
    return {
        "apiVersion": ISTIO,
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"hosts": list(hosts), "gateways": list(gateways), "http": [dict(one) for one in http]},
    }


def split(first: int, second: int, **more: Any) -> dict[str, Any]:
    """An HTTP route with two weights on the subsets `one` and `two`."""
    return {"route": [destination("one", first), destination("two", second)], **more}


def destination_rule(**more: Any) -> Object:
    subsets = [{"name": "one", "labels": {"version": "v1"}}, {"name": "two", "labels": {"version": "v2"}}]
    return {
        "apiVersion": ISTIO,
        "kind": "DestinationRule",
        "metadata": {"name": "shop", "namespace": "default"},
        "spec": {"host": "shop", "subsets": subsets, **more},
    }


def article(first: int = 80, second: int = 20) -> tuple[Object, ...]:
    """Service, Gateway, DestinationRule and VirtualService of two versions."""
    return service(), gateway(), destination_rule(), virtual_service(split(first, second))
