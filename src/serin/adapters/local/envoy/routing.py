"""From objects to the routing model: a pure function with Istio's semantics.

A Gateway's HTTP servers become listeners. On a gateway every VirtualService bound to it adds its routes to the hosts
that it shares with the server, the older VirtualService first. The mesh listener is for traffic without a gateway: it
goes by the names of the Services, a VirtualService bound to `mesh` taking the place of a Service's own route.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from serin.adapters.local.envoy.destinations import Destinations, split
from serin.adapters.local.envoy.hosts import full_name, internal_names, narrower, service_host, service_of
from serin.adapters.local.envoy.model import (
    MESH,
    Host,
    Listener,
    Mirror,
    Route,
    Routing,
    Settings,
    Spec,
    World,
    age,
    identity,
    spec_of,
)
from serin.adapters.local.envoy.workloads import service_port
from serin.ports import Object

_ANYTHING: tuple[Spec, ...] = ({},)
HTTP = ("HTTP", "HTTP2", "GRPC", "GRPC-WEB")


@dataclass(frozen=True, slots=True)
class Server:
    """One server of a Gateway: `gateway` is `namespace/name`, `hosts` pairs of (namespace or None for all, pattern)."""

    gateway: str
    port: int
    hosts: tuple[tuple[str | None, str], ...]


def route(world: World, settings: Settings, destinations: Destinations | None = None) -> Routing:
    """The routing model of a world. The same world in any order gives the same model.

    destinations  those of an earlier call whose Services, Pods and DestinationRules were the same: only saves time
    """
    if destinations is None:
        destinations = Destinations(world)
    rules = sorted(world.virtual_services, key=age)
    listeners = _gateway_listeners(world.gateways, rules, destinations, settings)
    if settings.mesh_port is not None:
        hosts = _mesh_hosts(rules, destinations)
        listeners.append(Listener(MESH, settings.mesh_host, settings.mesh_port, hosts))
    destinations.prepare()
    return Routing(
        listeners=tuple(sorted(listeners, key=lambda listener: listener.name)),
        clusters=tuple(destinations.clusters[name] for name in sorted(destinations.clusters)),
        warnings=tuple(sorted(destinations.warnings)),
    )


def servers(gateway: Object) -> list[Server]:
    """The plain HTTP servers of a Gateway; others are named by `unacted`."""
    namespace, name = identity(gateway)
    found = []
    for server in spec_of(gateway).get("servers") or ():
        port = server.get("port") or {}
        if str(port.get("protocol", "")).upper() in HTTP and port.get("number"):
            hosts = tuple(_server_host(str(host), namespace) for host in server.get("hosts") or ())
            found.append(Server(f"{namespace}/{name}", port["number"], hosts))
    return found


def _server_host(host: str, namespace: str) -> tuple[str | None, str]:
    where, slash, pattern = host.partition("/")
    if not slash:
        return None, host.lower()
    return {"*": None, ".": namespace}.get(where, where), pattern.lower()


def bound_to(virtual_service: Object) -> frozenset[str]:
    """The gateways of a VirtualService as `namespace/name`, and `mesh`."""
    namespace, _ = identity(virtual_service)
    return _gateway_names(spec_of(virtual_service).get("gateways") or (MESH,), namespace)


def _gateway_names(names: Iterable[str], namespace: str) -> frozenset[str]:
    return frozenset(name if name == MESH or "/" in name else f"{namespace}/{name}" for name in names)


def _gateway_listeners(
    gateways: Sequence[Object], rules: Sequence[Object], destinations: Destinations, settings: Settings
) -> list[Listener]:
    by_port: dict[int, list[Server]] = {settings.gateway_port: []}  # held from the start, so that nobody else takes it
    for server in (s for gateway in sorted(gateways, key=age) for s in servers(gateway)):
        by_port.setdefault(settings.listens_on(server.port), []).append(server)
    bound = [(rule, bound_to(rule)) for rule in rules]
    return [
        Listener(f"gateway-{port}", settings.gateway_host, port, _gateway_hosts(by_port[port], bound, destinations))
        for port in sorted(by_port)
    ]


def _gateway_hosts(
    shared: Sequence[Server], rules: Sequence[tuple[Object, frozenset[str]]], destinations: Destinations
) -> tuple[Host, ...]:
    """The hosts of all servers that share a port: every rule's routes on every host that it has in common with one."""
    routes: dict[str, list[Route]] = {}
    for rule, gateways in rules:
        namespace, _ = identity(rule)
        met: dict[str, list[Server]] = {}
        for server in (s for s in shared if s.gateway in gateways):
            for host in spec_of(rule).get("hosts") or ():
                for where, pattern in server.hosts:
                    common = narrower(pattern, full_name(str(host), namespace))
                    if common and where in (None, namespace):
                        met.setdefault(common, []).append(server)
        for domain, by in met.items():
            new = _routes(rule, destinations, {s.gateway for s in by}, {s.port for s in by})
            routes.setdefault(domain, []).extend(new)
    return tuple(Host((domain,), _catch_all_last(routes[domain])) for domain in sorted(routes))


def _mesh_hosts(rules: Sequence[Object], destinations: Destinations) -> tuple[Host, ...]:
    """A host for every Service and port, and for every other name of a rule bound to `mesh`; the oldest rule counts."""
    owners: dict[str, Object] = {}
    for rule in (r for r in rules if MESH in bound_to(r)):
        for host in spec_of(rule).get("hosts") or ():
            name = full_name(str(host), identity(rule)[0])
            named = service_of(name, "")
            known = named and (named[1], named[0]) in destinations.services
            owners.setdefault(service_host(*named) if named and known else name, rule)
    hosts: dict[str, Host] = {}
    namespaces: dict[str, set[str]] = {}
    for namespace, name in destinations.services:
        namespaces.setdefault(name, set()).add(namespace)
    for (namespace, name), service in sorted(destinations.services.items()):
        full = service_host(name, namespace)
        owner = owners.pop(full, None)
        alone = len(namespaces[name]) == 1 or namespace == "default"
        names = internal_names(name, namespace, alone=alone)
        default = service_port(service, None)
        for port in spec_of(service).get("ports") or ():
            number = port["port"]
            routes = (
                _routes(owner, destinations, {MESH}, {number}, number)
                if owner
                else _plain(full, number, namespace, destinations)
            )
            domains = [f"{n}:{number}" for n in names]
            if port is default:
                domains = [*names, *(f"{n}:*" for n in names)]
            hosts[domains[0]] = Host(tuple(domains), tuple(routes))
    for name, rule in owners.items():
        domains = [name] if name.startswith("*") else [name, f"{name}:*"]
        hosts[name] = Host(tuple(domains), tuple(_routes(rule, destinations, {MESH}, set())))
    return tuple(hosts[key] for key in sorted(hosts))


def _plain(host: str, port: int, namespace: str, destinations: Destinations) -> list[Route]:
    """What a Service does that no rule speaks of: all its ready pods, equally."""
    key = (host, port)
    if key not in destinations.routes:
        clusters = destinations.find({"host": host, "port": {"number": port}}, namespace, f"Service {host}")
        destinations.routes[key] = {}, [Route({}, {}, split([(100, clusters, {})]))]
    return destinations.routes[key][1]


def _routes(
    rule: Object, destinations: Destinations, gateways: set[str], ports: set[int], mesh_port: int | None = None
) -> list[Route]:
    key = (identity(rule), frozenset(gateways), frozenset(ports), mesh_port)
    known = destinations.routes.get(key)
    if known is None or known[0] is not rule:
        known = destinations.routes[key] = rule, _new_routes(rule, destinations, gateways, ports, mesh_port)
    return known[1]


def _new_routes(
    rule: Object, destinations: Destinations, gateways: set[str], ports: set[int], mesh_port: int | None
) -> list[Route]:
    """A VirtualService's routes as they hold for requests by these gateways and ports, up to one that catches all."""
    namespace, name = identity(rule)
    place = f"VirtualService {namespace}/{name}"
    routes = []
    for http in spec_of(rule).get("http") or ():
        matches = [m for m in http.get("match") or _ANYTHING if _holds(m, namespace, gateways, ports)]
        if not matches:
            continue
        ways = http.get("route") or ()
        targets = split(
            (
                100 if len(ways) == 1 else way.get("weight", 0),
                destinations.find(way.get("destination") or {}, namespace, place, mesh_port),
                way.get("headers") or {},
            )
            for way in ways
        )
        mirrors = tuple(_mirrors(http, destinations, namespace, place, mesh_port))
        for match in matches:
            routes.append(Route(match, http, targets, mirrors))
            if routes[-1].catches_all:
                return routes
    return routes


def _holds(match: Spec, namespace: str, gateways: set[str], ports: set[int]) -> bool:
    """Whether what is known before any request (gateway, port, who asks) lets a match hold at all."""
    if match.get("sourceLabels") or match.get("sourceNamespace"):
        return False
    if match.get("gateways") and not _gateway_names(match["gateways"], namespace) & gateways:
        return False
    return not match.get("port") or match["port"] in ports


def _mirrors(http: Spec, destinations: Destinations, namespace: str, place: str, port: int | None) -> Iterable[Mirror]:
    """Copies of requests: a destination of several workloads is copied to each by its ready pods' share."""
    single = [{"destination": http["mirror"], "percentage": _mirror_percentage(http)}] if http.get("mirror") else []
    for mirror in (*single, *(http.get("mirrors") or ())):
        clusters = destinations.find(mirror.get("destination") or {}, namespace, place, port)
        percent = float((mirror.get("percentage") or {}).get("value", 100.0))
        targets = split([(100, clusters, {})])
        whole = sum(target.weight for target in targets)
        yield from (Mirror(target.cluster, percent * target.weight / whole) for target in targets)


def _mirror_percentage(http: Spec) -> Spec:
    old = http.get("mirrorPercent", http.get("mirror_percent", 100))
    return http.get("mirrorPercentage") or {"value": old}


def _catch_all_last(routes: Sequence[Route]) -> tuple[Route, ...]:
    """Routes without a condition behind all others, as Istio puts them; otherwise in their order."""
    return tuple(sorted(routes, key=lambda found: found.catches_all))
