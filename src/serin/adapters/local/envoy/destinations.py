"""From an Istio destination (host, subset, port) to clusters, and from destinations with weights to a split."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence

from serin.adapters.local.envoy.hosts import covers, full_name, service_host, service_of
from serin.adapters.local.envoy.model import Route, Spec, Target, World, age, identity, spec_of
from serin.adapters.local.envoy.workloads import Backends, Cluster, clusters_of, nowhere, service_port
from serin.ports import Object

POLICIES = ("connectionPool", "loadBalancer", "outlierDetection")
FINE = 10_000
"""What a weight of 1 is divided into when a destination is spread over several workloads."""


class Destinations:
    """Finds the clusters of destinations in a world, and remembers what it gave.

    It may serve several calls of `route` while Services, Pods and DestinationRules stay the same objects: then only
    the VirtualServices that changed are worked out again.
    """

    def __init__(self, world: World) -> None:
        self.services: dict[tuple[str, str], Object] = {identity(s): s for s in world.services}
        self.clusters: dict[str, Cluster] = {}
        self.routes: dict[Hashable, tuple[Object, list[Route]]] = {}
        self.warnings: set[str] = set()
        self._found: dict[tuple[object, ...], tuple[Cluster, ...]] = {}
        self._made: dict[tuple[object, ...], tuple[Cluster, ...]] = {}
        self._backends = Backends(world.pods)
        self._rules = sorted(world.destination_rules, key=age)
        self._exact: dict[str, list[Object]] = {}
        self._wild: list[tuple[str, Object]] = []
        for rule in self._rules:
            host = full_name(str(spec_of(rule).get("host", "")), identity(rule)[0])
            if "*" in host:
                self._wild.append((host, rule))
            else:
                self._exact.setdefault(self._canonical(host), []).append(rule)
        self._wild.sort(key=lambda item: -len(item[0]))

    def find(self, destination: Spec, namespace: str, place: str, arrived_at: int | None = None) -> tuple[Cluster, ...]:
        """The clusters of a destination of a rule in `namespace`; one that answers 503 when there is no such thing.

        place       names the rule in warnings
        arrived_at  the service port that requests came for: taken when the destination names none and has several
        """
        host, name = str(destination.get("host", "")), destination.get("subset")
        number = (destination.get("port") or {}).get("number")
        key = (host, name, number, namespace, arrived_at)
        if key not in self._found:
            self._found[key] = self._find(host, name, number, namespace, place, arrived_at)
        return self._found[key]

    def _find(
        self, host: str, name: str | None, number: int | None, namespace: str, place: str, arrived_at: int | None
    ) -> tuple[Cluster, ...]:
        named = service_of(host, namespace)
        if named is None or (named[1], named[0]) not in self.services:
            self.warnings.add(f"{place}: there is no Service behind the destination host {host!r}; it is answered 503")
            service, where = named or (host, namespace)
            return self._remember((nowhere(where, service, number),))
        service_object = self.services[named[1], named[0]]
        port = service_port(service_object, number)
        if number is None and arrived_at is not None:
            port = service_port(service_object, arrived_at) or port
        if port is None:
            self.warnings.add(f"{place}: the Service {named[0]} has no port {number}; it is answered 503")
            return self._remember((nowhere(named[1], named[0], number),))
        subset = self._subset(named, name) if name else {}
        if subset is None:
            self.warnings.add(f"{place}: no DestinationRule of {host!r} has a subset {name!r}; it is answered 503")
            return self._remember((nowhere(named[1], named[0], number),))
        policy = self._policy(named, subset)
        labels = subset.get("labels") or {}
        same = (named, port["port"], tuple(sorted(labels.items())), policy)
        if same not in self._made:
            self._made[same] = self._remember(clusters_of(service_object, port, self._backends, labels, policy))
        return self._made[same]

    def prepare(self) -> None:
        """Find the clusters of every subset and every port that a route may name next, so that they are warm."""
        for (namespace, name), service in self.services.items():
            subsets = [s for rule in self._rules_of((name, namespace)) for s in spec_of(rule).get("subsets") or ()]
            for port in spec_of(service).get("ports") or ():
                for subset in subsets:
                    target = {"host": f"{name}.{namespace}.svc", "subset": subset.get("name"), "port": _number(port)}
                    self.find(target, namespace, f"Service {namespace}/{name}")

    def _remember(self, clusters: tuple[Cluster, ...]) -> tuple[Cluster, ...]:
        self.clusters.update((cluster.name, cluster) for cluster in clusters)
        return clusters

    def _canonical(self, host: str) -> str:
        named = service_of(host, "")
        return service_host(*named) if named and (named[1], named[0]) in self.services else host

    def _rules_of(self, named: tuple[str, str]) -> list[Object]:
        """The DestinationRules of (service, namespace): those of its own namespace first, then by age."""
        host = service_host(*named)
        rules = self._exact.get(host) or [rule for pattern, rule in self._wild if covers(pattern, host)][:1]
        return sorted(rules, key=lambda rule: identity(rule)[0] != named[1])

    def _subset(self, named: tuple[str, str], name: str) -> Spec | None:
        subsets = (s for rule in self._rules_of(named) for s in spec_of(rule).get("subsets") or ())
        return next((s for s in subsets if s.get("name") == name), None)

    def _policy(self, named: tuple[str, str], subset: Spec) -> str:
        """Canonical JSON of the traffic policy acted on: the rule's, the subset's fields laid over it."""
        rules = self._rules_of(named)
        merged = {
            **(spec_of(rules[0]).get("trafficPolicy") or {} if rules else {}),
            **(subset.get("trafficPolicy") or {}),
        }
        return json.dumps({key: merged[key] for key in POLICIES if merged.get(key)}, sort_keys=True)


def _number(port: Spec) -> Spec:
    return {"number": port.get("port")}


def apportion(total: int, shares: Sequence[int]) -> list[int]:
    """`total` in whole parts proportional to `shares` (not all 0), by largest remainder; they add up to `total`."""
    whole = sum(shares)
    parts = [total * share // whole for share in shares]
    rest = sorted(range(len(shares)), key=lambda i: (-(total * shares[i] % whole), i))
    for i in rest[: total - sum(parts)]:
        parts[i] += 1
    return parts


def split(ways: Iterable[tuple[int, tuple[Cluster, ...], Mapping[str, object]]]) -> tuple[Target, ...]:
    """The targets of (weight, clusters, headers): a destination of several workloads is split by their ready pods.

    Weights stay as written while every destination is served by one workload, else all are `FINE` times as large.
    A destination without a ready pod keeps its weight: its requests are answered 503, as Istio does. Weight 0 is
    left out.
    """
    served = []
    for weight, clusters, headers in ways:
        ready = tuple(c for c in clusters if c.endpoints)
        served.append((weight, [(c, max(len(c.endpoints), 1)) for c in ready or clusters], headers))
    scale = 1 if all(len(clusters) == 1 for _, clusters, _ in served) else FINE
    return tuple(
        Target(cluster.name, cluster.workload, part, headers)
        for weight, clusters, headers in served
        for (cluster, _), part in zip(clusters, apportion(weight * scale, [n for _, n in clusters]), strict=True)
        if part
    )
