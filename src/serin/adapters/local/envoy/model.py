"""The routing model: what the objects mean, before it is put into Envoy's words. Plain values, compared with ==."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from serin.adapters.local.envoy.workloads import Cluster
from serin.ports import Object

Spec = Mapping[str, Any]
"""A part of an Istio object, as the user wrote it."""

MESH = "mesh"
PRIVILEGED = 1024
PRIVILEGED_SHIFT = 8000


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the proxy listens. `mesh_port` None: there is no listener for traffic without a gateway."""

    gateway_port: int = 8080
    gateway_host: str = "127.0.0.1"
    mesh_port: int | None = 15001
    mesh_host: str = "127.0.0.1"

    def listens_on(self, port: int) -> int:
        """Where a Gateway's port listens here: 80 on the gateway port, other privileged ones 8000 higher."""
        if port == 80:
            return self.gateway_port
        return port + PRIVILEGED_SHIFT if port < PRIVILEGED else port


@dataclass(frozen=True, slots=True)
class World:
    """All objects that routing depends on, in any order."""

    services: Sequence[Object] = ()
    pods: Sequence[Object] = ()
    gateways: Sequence[Object] = ()
    virtual_services: Sequence[Object] = ()
    destination_rules: Sequence[Object] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """One way of a split. `headers` are the destination's own header operations."""

    cluster: str
    workload: str
    weight: int
    headers: Spec = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Mirror:
    """A copy of the requests, for a share of them (0 to 100 percent)."""

    cluster: str
    percent: float


@dataclass(frozen=True, slots=True)
class Route:
    """One match (or everything) and what is done with it. Without targets: a redirect, a fixed answer, or 503."""

    match: Spec
    http: Spec
    targets: tuple[Target, ...] = ()
    mirrors: tuple[Mirror, ...] = ()

    @property
    def catches_all(self) -> bool:
        """Whether no later route of the same host can be reached."""
        return not any(self.match.get(key) for key in CONDITIONS)


CONDITIONS = ("uri", "scheme", "method", "authority", "headers", "withoutHeaders", "queryParams")
"""The fields of an HTTPMatchRequest that are looked at for each request; `port` and `gateways` are known before."""


@dataclass(frozen=True, slots=True)
class Host:
    """The routes of one or more host names, in order."""

    domains: tuple[str, ...]
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class Listener:
    """An address that the proxy listens on, and its hosts, by name."""

    name: str
    address: str
    port: int
    hosts: tuple[Host, ...]


@dataclass(frozen=True, slots=True)
class Routing:
    """Everything the proxy shall do. `warnings` say what the objects ask for and cannot be had, for people."""

    listeners: tuple[Listener, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def offered(self) -> frozenset[str]:
        """The addresses that requests are sent to: of the pods behind any way of any route."""
        routes = [route for listener in self.listeners for host in listener.hosts for route in host.routes]
        named = {way.cluster for route in routes for way in route.targets}
        named |= {copy.cluster for route in routes for copy in route.mirrors}
        return frozenset(
            each.address for cluster in self.clusters if cluster.name in named for each in cluster.endpoints
        )


def identity(obj: Object) -> tuple[str, str]:
    """(namespace, name) of an object."""
    meta = obj["metadata"]
    return meta.get("namespace", "default"), meta["name"]


def age(obj: Object) -> tuple[str, str, str]:
    """The order in which Istio takes objects that compete: the older first."""
    return (obj["metadata"].get("creationTimestamp") or "", *identity(obj))


def spec_of(obj: Object) -> Spec:
    """The object's spec, empty when there is none."""
    spec = obj.get("spec")
    return spec if isinstance(spec, Mapping) else {}
