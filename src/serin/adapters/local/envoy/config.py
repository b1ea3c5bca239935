"""The routing model in Envoy's v3 JSON: the bootstrap, and each resource of LDS, RDS and CDS. Pure.

Endpoints stand in their clusters. A file for each cluster (EDS) would cost an inotify instance each, of which a user
has 128 on an ordinary Linux; Envoy aborts on the next one. A changed cluster replaces the old one, whose connections
finish what is under way.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serin.adapters.local.envoy.actions import TYPE, envoy_route, proto_duration
from serin.adapters.local.envoy.model import Host, Listener, Routing
from serin.adapters.local.envoy.telemetry import access_logs, stats_config, upstream_log
from serin.adapters.local.envoy.workloads import Cluster, Endpoint

Json = dict[str, Any]

UNLIMITED = 4294967295
CONNECT_TIMEOUT = "10s"
IDLE_TIMEOUT = "1s"
"""An unused connection to a pod is closed by us, before any server's own keep-alive time (2 s and more) closes it under
a request that is just being sent: such a request could be saved by no retry that is safe for every method."""

_SIMPLE = {
    "ROUND_ROBIN": "ROUND_ROBIN",
    "LEAST_REQUEST": "LEAST_REQUEST",
    "LEAST_CONN": "LEAST_REQUEST",
    "RANDOM": "RANDOM",
}


def bootstrap(folder: Path, admin_socket: str, worker_socket: str) -> Json:
    """What Envoy starts with: where the files are, and its two unix sockets, never a port.

    On the admin socket its main thread answers, on the worker's the thread that carries the traffic.
    """
    return {
        "admin": {"address": _own(admin_socket)},
        "static_resources": {"listeners": [_worker_listener(worker_socket)]},
        "dynamic_resources": {"lds_config": _watched(folder / "lds.json"), "cds_config": _watched(folder / "cds.json")},
        "node": {"cluster": "serin", "id": "serin"},
        "stats_config": stats_config(),
        "stats_flush_interval": "1s",
    }


def envoy_cluster(cluster: Cluster) -> Json:
    """One cluster: least requests, no panic (nothing is sent to an ejected pod), no limits, as in Istio."""
    policy = json.loads(cluster.policy)
    pool, tcp = policy.get("connectionPool", {}).get("http", {}), policy.get("connectionPool", {}).get("tcp", {})
    limits = {
        "max_connections": tcp.get("maxConnections", UNLIMITED),
        "max_pending_requests": pool.get("http1MaxPendingRequests", UNLIMITED),
        "max_requests": pool.get("http2MaxRequests", UNLIMITED),
        "max_retries": pool.get("maxRetries", UNLIMITED),
    }
    options: Json = {
        "@type": TYPE + "extensions.upstreams.http.v3.HttpProtocolOptions",
        "common_http_protocol_options": {
            "idle_timeout": proto_duration(pool["idleTimeout"]) if pool.get("idleTimeout") else IDLE_TIMEOUT,
            **({"max_requests_per_connection": n} if (n := pool.get("maxRequestsPerConnection")) else {}),
        },
        "explicit_http_config": {"http2_protocol_options" if cluster.http2 else "http_protocol_options": {}},
    }
    result: Json = {
        "@type": TYPE + "config.cluster.v3.Cluster",
        "name": cluster.name,
        "alt_stat_name": cluster.stat_name,
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": cluster.name,
            "endpoints": [{"lb_endpoints": [_endpoint(e) for e in cluster.endpoints]}] if cluster.endpoints else [],
        },
        "lb_policy": _SIMPLE.get(policy.get("loadBalancer", {}).get("simple", ""), "LEAST_REQUEST"),
        "connect_timeout": proto_duration(tcp["connectTimeout"]) if tcp.get("connectTimeout") else CONNECT_TIMEOUT,
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "circuit_breakers": {"thresholds": [limits]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
    }
    if policy.get("outlierDetection"):
        result["outlier_detection"] = _outliers(policy["outlierDetection"])
    return result


def _outliers(wanted: Mapping[str, Any]) -> Json:
    result: Json = {
        "enforcing_success_rate": 0,
        "enforcing_consecutive_5xx": 0,
        "enforcing_consecutive_gateway_failure": 0,
    }
    five, gateway = wanted.get("consecutive5xxErrors"), wanted.get("consecutiveGatewayErrors")
    if five is None and gateway is None:
        five = wanted.get("consecutiveErrors", 5)
    if five:
        result |= {"consecutive_5xx": five, "enforcing_consecutive_5xx": 100}
    if gateway:
        result |= {"consecutive_gateway_failure": gateway, "enforcing_consecutive_gateway_failure": 100}
    for ours, envoys in (("interval", "interval"), ("baseEjectionTime", "base_ejection_time")):
        if wanted.get(ours):
            result[envoys] = proto_duration(wanted[ours])
    if wanted.get("maxEjectionPercent") is not None:
        result["max_ejection_percent"] = wanted["maxEjectionPercent"]
    return result


def _endpoint(endpoint: Endpoint) -> Json:
    return {"endpoint": {"address": _address(endpoint.address, endpoint.port)}}


def envoy_listener(listener: Listener, folder: Path) -> Json:
    """A listener of fixed form: its routes are in a file of their own, so that it is never replaced under load."""
    manager = {
        "@type": TYPE + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": listener.name,
        "rds": {"route_config_name": listener.name, "config_source": _watched(folder / f"rds/{listener.name}.json")},
        "access_log": access_logs(),
        "http_filters": [
            _filter("envoy.filters.http.cors", "extensions.filters.http.cors.v3.Cors"),
            _filter("envoy.filters.http.fault", "extensions.filters.http.fault.v3.HTTPFault"),
            _filter("envoy.filters.http.router", "extensions.filters.http.router.v3.Router", **upstream_log()),
        ],
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "use_remote_address": True,
        "normalize_path": True,
        "stream_idle_timeout": "0s",
        "http_protocol_options": {"accept_http_10": True},
    }
    return {
        "@type": TYPE + "config.listener.v3.Listener",
        "name": listener.name,
        "address": _address(listener.address, listener.port),
        "enable_reuse_port": False,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def route_configuration(listener: Listener) -> Json:
    """The hosts and routes of a listener."""
    result: Json = {
        "@type": TYPE + "config.route.v3.RouteConfiguration",
        "name": listener.name,
        "virtual_hosts": [virtual_host(host) for host in listener.hosts],
        "validate_clusters": False,
    }
    if listener.name.startswith("gateway-"):
        result["ignore_port_in_host_matching"] = True
    return result


def virtual_host(host: Host) -> Json:
    """One host with its routes; its name is its first domain, so it is unique in the listener."""
    routes = [envoy_route(route) for route in host.routes]
    return {"name": host.domains[0], "domains": list(host.domains), "routes": routes}


def _worker_listener(path: str) -> Json:
    """A listener that says a word to who connects, and closes."""
    answer = {"@type": TYPE + "extensions.filters.network.direct_response.v3.Config"}
    word = {"response": {"inline_string": "here"}}
    filters = [{"name": "envoy.filters.network.direct_response", "typed_config": answer | word}]
    return {"name": "worker", "address": _own(path), "filter_chains": [{"filters": filters}]}


def _own(path: str) -> Json:
    """A unix socket for its owner alone."""
    return {"pipe": {"path": path, "mode": 0o600}}


def _filter(name: str, kind: str, **more: object) -> Json:
    return {"name": name, "typed_config": {"@type": TYPE + kind, **more}}


def _address(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}


def _watched(path: Path) -> Json:
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}


def digest(text: str) -> str:
    """A short, stable name for a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def static(routing: Routing) -> Json:
    """The same configuration in one piece, for `envoy --mode validate`."""
    listeners = []
    for listener in routing.listeners:
        whole = envoy_listener(listener, Path("/"))
        manager = whole["filter_chains"][0]["filters"][0]["typed_config"]
        del manager["rds"]
        manager["route_config"] = _plain(route_configuration(listener))
        listeners.append(_plain(whole))
    clusters = [_plain(envoy_cluster(cluster)) for cluster in routing.clusters]
    return {"static_resources": {"listeners": listeners, "clusters": clusters}, "stats_config": stats_config()}


def _plain(resource: Json) -> Json:
    """A resource where its type is known from its place."""
    return {key: value for key, value in resource.items() if key != "@type"}
