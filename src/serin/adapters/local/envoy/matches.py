"""Istio's HTTPMatchRequest in Envoy's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serin.adapters.local.envoy.model import Spec

Json = dict[str, Any]


def string_match(wanted: Spec | str) -> Json | None:
    """A StringMatch (`exact`, `prefix` or `regex`, anchored), or None for an empty one: anything that is there."""
    if isinstance(wanted, str):
        return {"exact": wanted}
    for kind in ("exact", "prefix"):
        if wanted.get(kind) is not None:
            return {kind: wanted[kind]} if wanted[kind] != "" or kind == "exact" else None
    if wanted.get("regex"):
        return {"safe_regex": {"regex": wanted["regex"]}}
    return None


def route_match(match: Spec) -> Json:
    """The Envoy RouteMatch of one match; everything for an empty one."""
    result = _path(match.get("uri") or {}, ignore_case=bool(match.get("ignoreUriCase")))
    headers = [
        _header(f":{field}", match[field])
        for field in ("method", "scheme", "authority")
        if match.get(field) is not None
    ]
    headers += [_header(name, wanted) for name, wanted in sorted((match.get("headers") or {}).items())]
    headers += [
        _header(name, wanted, absent=True) for name, wanted in sorted((match.get("withoutHeaders") or {}).items())
    ]
    if headers:
        result["headers"] = headers
    parameters = [_parameter(name, wanted) for name, wanted in sorted((match.get("queryParams") or {}).items())]
    if parameters:
        result["query_parameters"] = parameters
    return result


def _path(uri: Spec, *, ignore_case: bool) -> Json:
    wanted = string_match(uri) or {"prefix": "/"}
    if "safe_regex" in wanted:
        return wanted
    result: Json = {"path": wanted["exact"]} if "exact" in wanted else {"prefix": wanted["prefix"]}
    if ignore_case:
        result["case_sensitive"] = False
    return result


def _header(name: str, wanted: Spec | str, *, absent: bool = False) -> Json:
    matcher = string_match(wanted or {})
    result: Json = {"name": name.lower()}
    if matcher is None:
        return {**result, "present_match": not absent}
    result["string_match"] = matcher
    if absent:
        result |= {"invert_match": True, "treat_missing_header_as_empty": True}
    return result


def _parameter(name: str, wanted: Spec | str) -> Json:
    matcher = string_match(wanted or {}) if isinstance(wanted, Mapping) or wanted else None
    return {"name": name, "string_match": matcher} if matcher else {"name": name, "present_match": True}
