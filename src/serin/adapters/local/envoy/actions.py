"""What an HTTP route does with a request, in Envoy's words: split, rewrite, redirect, retry, mirror, fault, CORS."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import Any

from serin.adapters.local.envoy.matches import route_match, string_match
from serin.adapters.local.envoy.model import Route, Spec, Target

Json = dict[str, Any]

TYPE = "type.googleapis.com/envoy."
VERSION_HEADER = "x-serin-version"
"""Response header of ours: the workload that a request was routed to, also when the gateway answered 503 for it."""

RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled,reset-before-request"
ATTEMPTS = 2
"""Istio's retries when a route says nothing: only what cannot have reached the application, on another pod if any."""

REDIRECTS = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def seconds(duration: str) -> float:
    """A Go duration (`1m30s`, `250ms`) in seconds. Raises ValueError on anything else."""
    parts = re.findall(r"(\d+(?:\.\d*)?|\.\d+)(h|ms|us|µs|ns|m|s)", duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise ValueError(f"{duration!r} is no duration")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def proto_duration(duration: str) -> str:
    """A Go duration as protobuf's JSON has it."""
    return f"{seconds(duration):.9f}".rstrip("0").rstrip(".") + "s"


def envoy_route(route: Route) -> Json:
    """The Envoy route of one of ours."""
    http, result = route.http, {"match": route_match(route.match)}
    if http.get("name"):
        result["name"] = http["name"]
    if http.get("redirect"):
        result["redirect"] = _redirect(http["redirect"])
    elif http.get("directResponse"):
        result["direct_response"] = _direct_response(http["directResponse"])
    elif route.targets:
        result["route"] = _forward(route)
    else:
        result["direct_response"] = {"status": 503, "body": {"inline_string": "no destination"}}
    result |= _headers(http.get("headers") or {})
    filters = {}
    if http.get("fault"):
        filters["envoy.filters.http.fault"] = _fault(http["fault"])
    if http.get("corsPolicy"):
        filters["envoy.filters.http.cors"] = _cors(http["corsPolicy"])
    if filters:
        result["typed_per_filter_config"] = filters
    return result


def _forward(route: Route) -> Json:
    http = route.http
    action: Json = {
        "weighted_clusters": {"clusters": [_way(target) for target in route.targets]},
        "timeout": proto_duration(http["timeout"]) if http.get("timeout") else "0s",
        "retry_policy": _retries(http.get("retries")),
    }
    if action["retry_policy"] is None:
        del action["retry_policy"]
    rewrite = http.get("rewrite") or {}
    if rewrite.get("uriRegexRewrite"):
        pattern = rewrite["uriRegexRewrite"]
        action["regex_rewrite"] = {"pattern": {"regex": pattern["match"]}, "substitution": pattern["rewrite"]}
    elif rewrite.get("uri"):
        action["prefix_rewrite"] = rewrite["uri"]
    host = rewrite.get("authority") or _host(http.get("headers") or {})
    if host:
        action["host_rewrite_literal"] = host
    if route.mirrors:
        action["request_mirror_policies"] = [
            {"cluster": m.cluster, "runtime_fraction": {"default_value": _fraction(m.percent)}} for m in route.mirrors
        ]
    return action


def _way(target: Target) -> Json:
    way: Json = {"name": target.cluster, "weight": target.weight}
    operations = _headers(target.headers)
    own = _header(VERSION_HEADER, target.workload, "OVERWRITE_IF_EXISTS_OR_ADD")
    operations["response_headers_to_add"] = [*operations.get("response_headers_to_add", ()), own]
    if _host(target.headers):
        way["host_rewrite_literal"] = _host(target.headers)
    return way | operations


def _retries(wanted: Spec | None) -> Json | None:
    if wanted is None:
        wanted = {}
    attempts = wanted.get("attempts", ATTEMPTS)
    if attempts <= 0:
        return None
    conditions = [word.strip() for word in (wanted.get("retryOn") or RETRY_ON).split(",") if word.strip()]
    codes = [int(word) for word in conditions if word.isdigit()]
    names = [word for word in conditions if not word.isdigit()]
    if codes and "retriable-status-codes" not in names:
        names.append("retriable-status-codes")
    policy: Json = {"retry_on": ",".join(names), "num_retries": attempts, "host_selection_retry_max_attempts": "5"}
    if codes:
        policy["retriable_status_codes"] = codes
    if wanted.get("retryIgnorePreviousHosts", True):
        predicate = {"@type": TYPE + "extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"}
        policy["retry_host_predicate"] = [
            {"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": predicate}
        ]
    if wanted.get("perTryTimeout"):
        policy["per_try_timeout"] = proto_duration(wanted["perTryTimeout"])
    if wanted.get("backoff"):
        policy["retry_back_off"] = {"base_interval": proto_duration(wanted["backoff"])}
    return policy


def _redirect(wanted: Spec) -> Json:
    result: Json = {"response_code": REDIRECTS.get(wanted.get("redirectCode", 301), "MOVED_PERMANENTLY")}
    for ours, envoys in (("uri", "path_redirect"), ("authority", "host_redirect"), ("scheme", "scheme_redirect")):
        if wanted.get(ours):
            result[envoys] = wanted[ours]
    if wanted.get("port"):
        result["port_redirect"] = wanted["port"]
    return result


def _direct_response(wanted: Spec) -> Json:
    result: Json = {"status": wanted.get("status", 200)}
    body = wanted.get("body") or {}
    if body.get("string") is not None:
        result["body"] = {"inline_string": body["string"]}
    elif body.get("bytes"):
        result["body"] = {"inline_bytes": base64.b64encode(base64.b64decode(body["bytes"])).decode()}
    return result


def _host(headers: Spec) -> str | None:
    """A `Host` that the request headers' `set` asks for: Envoy rewrites it, it cannot be set like others."""
    wanted = (headers.get("request") or {}).get("set") or {}
    return next((value for name, value in wanted.items() if name.lower() in ("host", ":authority")), None)


def _headers(wanted: Spec) -> Json:
    """Istio's header operations of a route or a destination."""
    result: Json = {}
    for side in ("request", "response"):
        operations = wanted.get(side) or {}
        add = [
            _header(name, value, action)
            for key, action in (("set", "OVERWRITE_IF_EXISTS_OR_ADD"), ("add", "APPEND_IF_EXISTS_OR_ADD"))
            for name, value in sorted((operations.get(key) or {}).items())
            if name.lower() not in ("host", ":authority")
        ]
        if add:
            result[f"{side}_headers_to_add"] = add
        if operations.get("remove"):
            result[f"{side}_headers_to_remove"] = sorted(operations["remove"])
    return result


def _header(name: str, value: object, action: str) -> Json:
    """Values are taken literally: a percent sign starts no command of Envoy."""
    return {"header": {"key": name, "value": str(value).replace("%", "%%")}, "append_action": action}


def _fraction(percent: float) -> Json:
    return {"numerator": round(min(max(percent, 0.0), 100.0) * 10_000), "denominator": "MILLION"}


def _share(wanted: Spec) -> Json:
    """The share of a fault: `percentage.value`, or the older whole `percent`; all requests when it is not said."""
    new = wanted.get("percentage")
    return _fraction(float(new.get("value", 0.0) if new is not None else wanted.get("percent", 100.0)))


def _fault(wanted: Spec) -> Json:
    result: Json = {"@type": TYPE + "extensions.filters.http.fault.v3.HTTPFault"}
    delay, abort = wanted.get("delay") or {}, wanted.get("abort") or {}
    if delay.get("fixedDelay"):
        result["delay"] = {"fixed_delay": proto_duration(delay["fixedDelay"]), "percentage": _share(delay)}
    if abort.get("httpStatus"):
        result["abort"] = {"http_status": abort["httpStatus"], "percentage": _share(abort)}
    return result


def _cors(wanted: Spec) -> Json:
    origins: Iterable[Spec | str] = wanted.get("allowOrigins") or wanted.get("allowOrigin") or ()
    matches = [string_match(origin) or {"prefix": ""} for origin in origins]
    matches = [{"safe_regex": {"regex": ".*"}} if m in ({"exact": "*"}, {"prefix": ""}) else m for m in matches]
    result: Json = {
        "@type": TYPE + "extensions.filters.http.cors.v3.CorsPolicy",
        "allow_origin_string_match": matches,
    }
    for ours, envoys in (
        ("allowMethods", "allow_methods"),
        ("allowHeaders", "allow_headers"),
        ("exposeHeaders", "expose_headers"),
    ):
        if wanted.get(ours):
            result[envoys] = ",".join(wanted[ours])
    if wanted.get("maxAge"):
        result["max_age"] = f"{seconds(wanted['maxAge']):.0f}"
    if wanted.get("allowCredentials") is not None:
        result["allow_credentials"] = wanted["allowCredentials"]
    return result
