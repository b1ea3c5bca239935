"""Desired VirtualServices and DestinationRules, as pure functions of what is there and what is wanted.

A user's VirtualService keeps every route, match, retry and timeout it has; only the destinations of the routes that
lead to the service are ours while an experiment runs. What they were is kept in an annotation for the way back.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from serin.control.routing.remembered import ORIGINAL_ANNOTATION, recalled, remember
from serin.control.routing.router import Routing, RoutingRulesError, Split
from serin.core.model import BASELINE
from serin.ports import DESTINATION_RULE, VIRTUAL_SERVICE, Object

ROUTER_LABEL = "iter8-tools/router"
ROLE_LABEL = "iter8-tools/role"
EXPERIMENT_LABEL = "iter8-tools/experiment"
INIT_LABEL = "iter8-tools/init"
STABLE, PROGRESSING = "stable", "progressing"

EXPERIMENT_ROUTE = "iter8-experiment"
BASE_ROUTE = "iter8-base"
PREVIOUS_PREFIX = "iter8-previous-"
_OURS = "ours"
"""The key of the indices of the routes that the experiment splits, among what the VirtualService remembers."""


def rules_name(router_id: str) -> str:
    """The name of rules that an experiment creates: `<router id>.iter8router`, unless the id says so already."""
    return router_id if router_id.endswith(".iter8router") else f"{router_id}.iter8router"


def role(obj: Object) -> str:
    """The role label; empty when there is none."""
    return str(_labels(obj).get(ROLE_LABEL, ""))


def owner(obj: Object) -> str:
    """`<name>.<namespace>` of the experiment that holds the rules; empty when none does."""
    return str(_labels(obj).get(EXPERIMENT_LABEL, ""))


def created_by_experiment(obj: Object) -> bool:
    """Whether an experiment made these rules (and may delete them again)."""
    return INIT_LABEL in _labels(obj)


def progressing_virtual_service(
    existing: Object | None, routing: Routing, split: Split, rule: Object | None = None
) -> Object:
    """The VirtualService while the experiment runs: every route to its versions split over them.

    rule   the DestinationRule beside it; it tells which of the user's subsets are about other pods
    """
    if existing is None:
        virtual_service = _new(VIRTUAL_SERVICE.api_version, "VirtualService", routing)
        virtual_service["spec"] = {"http": []}
        original: dict[str, Any] = {"http": []}
    else:
        virtual_service = copy.deepcopy(existing)
        original = _original(existing)
        if original.get("http") and _OURS not in original:
            original[_OURS] = _routes_to_versions(original["http"], routing, rule)
    spec = virtual_service.setdefault("spec", {})
    spec["hosts"] = _hosts(original.get("hosts", ()), routing)
    spec["gateways"] = _gateways(original.get("gateways", ()), routing) or ["mesh"]
    spec["http"] = _split_routes(original, routing, split)
    metadata = virtual_service["metadata"]
    metadata.setdefault("labels", {}).update({ROLE_LABEL: PROGRESSING, EXPERIMENT_LABEL: routing.experiment})
    if existing is not None and not created_by_experiment(existing):
        remember(virtual_service, original, _stable(rule))
    return virtual_service


def released_virtual_service(existing: Object, routing: Routing, split: Split, names: Mapping[str, str]) -> Object:
    """The stable VirtualService with the final split; hosts, gateways and all other routes as the user had them.

    names   version id -> subset to route it by (see `released_subset_names`)
    """
    virtual_service = copy.deepcopy(existing)
    spec = virtual_service["spec"]
    original = _original(existing)
    final = _destinations(routing, {v: w for v, w in split.items() if w > 0}, names)
    if created_by_experiment(existing) or not original.get("http"):
        spec["http"] = [{"route": final}]
    else:
        ours = _routes_of_ours(original, routing)
        spec["http"] = [
            {**route, "route": _finally(final, route, routing)} if index in ours else route
            for index, route in enumerate(original["http"])
        ]
        for key in ("hosts", "gateways"):
            if key in original:
                spec[key] = original[key]
            else:
                spec.pop(key, None)
    _mark_stable(virtual_service)
    return virtual_service


def progressing_destination_rule(
    existing: Object | None, routing: Routing, keep: Iterable[str], virtual_service: Object | None = None
) -> Object:
    """The DestinationRule with a subset a version; of others those in `keep` and all that are not an experiment's.

    virtual_service   the user's beside it, to be remembered
    """
    if existing is None:
        rule = _new(DESTINATION_RULE.api_version, "DestinationRule", routing)
        rule["spec"] = {"host": routing.destinations[0].host}
    else:
        rule = copy.deepcopy(existing)
    ours = _version_subsets(rule, routing)
    kept = [s for s in subsets(rule) if s["name"] not in ours and (s["name"] in set(keep) or not _is_ours(s["name"]))]
    rule.setdefault("spec", {})["subsets"] = [*kept, *ours.values()]
    labels = rule["metadata"].setdefault("labels", {})
    labels.update({ROLE_LABEL: PROGRESSING, EXPERIMENT_LABEL: routing.experiment})
    if virtual_service is not None and not created_by_experiment(rule) and not owner(virtual_service):
        remember(rule, {}, virtual_service)
    return rule


def released_destination_rule(existing: Object, virtual_service: Object) -> Object:
    """The stable DestinationRule: our subsets that the VirtualService no longer names are gone."""
    rule = copy.deepcopy(existing)
    used = set(subsets_in_use(virtual_service))
    rule["spec"]["subsets"] = [s for s in subsets(rule) if s["name"] in used or not _is_ours(s["name"])]
    _mark_stable(rule)
    return rule


def released_subset_names(rule: Object | None, routing: Routing) -> dict[str, str]:
    """Version id -> the subset that stands for it after the end: the user's own where it selects the same pods."""
    own = {frozenset(s.get("labels", {}).items()): s["name"] for s in subsets(rule) if not _is_ours(s["name"])}
    return {d.version: own.get(frozenset(d.labels), d.subset) for d in routing.destinations if d.subset}


def subsets(rule: Object | None) -> list[dict[str, Any]]:
    """The subsets of a DestinationRule."""
    return list((rule or {}).get("spec", {}).get("subsets") or ())


def subsets_in_use(virtual_service: Object) -> list[str]:
    """The subset names that any route of the VirtualService names."""
    named = (destination.get("subset") for destination in all_destinations(virtual_service))
    return list(dict.fromkeys(name for name in named if name))


def all_destinations(virtual_service: Object) -> list[dict[str, Any]]:
    """Where any route of HTTP sends or mirrors to; the very mappings, not copies."""
    found: list[dict[str, Any]] = []
    for route in virtual_service.get("spec", {}).get("http") or ():
        entries = [*(route.get("route") or ()), *(route.get("mirrors") or ())]
        found += [entry["destination"] for entry in entries if "destination" in entry]
        found += [route["mirror"]] if "mirror" in route else []
    return found


def _split_routes(original: Mapping[str, Any], routing: Routing, split: Split) -> list[dict[str, Any]]:
    if not original.get("http"):
        return _for_one_route({}, routing, split, 0)
    routes: list[dict[str, Any]] = []
    ours = _routes_of_ours(original, routing)
    for index, route in enumerate(original["http"]):
        routes += _for_one_route(route, routing, split, ours.index(index)) if index in ours else [route]
    return routes


def _routes_of_ours(original: Mapping[str, Any], routing: Routing) -> list[int]:
    """The indices of the user's routes that the experiment splits."""
    found: list[int] = original.get(_OURS) or [
        index for index, route in enumerate(original["http"]) if _leads_to_service(route, routing)
    ]
    return found


def _routes_to_versions(http: list[dict[str, Any]], routing: Routing, rule: Object | None) -> list[int]:
    """The indices of the routes to a version. Raises RoutingRulesError where there is none, or one cannot be divided.

    A route to a subset of other pods is none of the experiment's, unless there is no other: then the stable rules are
    those of an older version, and the release brings them up to date.
    """
    to_service = [index for index, route in enumerate(http) if _leads_to_service(route, routing)]
    if not to_service:
        raise RoutingRulesError(
            f"no route of the VirtualService leads to {routing.destinations[0].host}; "
            f"add one, or remove the label {ROUTER_LABEL} so that the experiment creates its own rules"
        )
    selects = {s["name"]: s.get("labels", {}) for s in subsets(rule)}
    versions = [dict(destination.labels) for destination in routing.destinations]

    def leads_to_a_version(entry: Mapping[str, Any]) -> bool:
        labels = selects.get(entry["destination"].get("subset", ""))
        return labels is None or any(labels.items() <= version.items() for version in versions)

    ours = [i for i in to_service if any(map(leads_to_a_version, http[i]["route"]))] or to_service
    for entry in (entry for index in ours for entry in http[index]["route"]):
        host = entry.get("destination", {}).get("host")
        if host not in routing.service_hosts and entry.get("weight", 100):
            raise RoutingRulesError(
                f"a route of the VirtualService sends to {routing.destinations[0].host} and to {host} as well; "
                "an experiment cannot divide what is shared with another service; give that one a route of its own"
            )
    return ours


def _for_one_route(route: dict[str, Any], routing: Routing, split: Split, index: int) -> list[dict[str, Any]]:
    suffix = f"-{index}" if index else ""
    experiment = {**route, "name": EXPERIMENT_ROUTE + suffix}
    experiment["route"] = _as_the_user(_destinations(routing, split), route)
    if not routing.match:
        return [experiment]
    base = {**route, "name": BASE_ROUTE + suffix}
    base["route"] = _as_the_user(_destinations(routing, {BASELINE: 100}), route)
    experiment["match"] = [_both(theirs, ours) for theirs in (route.get("match") or [{}]) for ours in routing.match]
    return [experiment, base]


def _both(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """One match clause that holds when both do."""
    merged: dict[str, Any] = dict(theirs)
    for key, value in ours.items():
        if key == "name" or key not in merged or merged[key] == value:
            merged[key] = value
        elif isinstance(value, Mapping) and key in ("headers", "withoutHeaders", "queryParams", "sourceLabels"):
            clash = [k for k in value if k in merged[key] and merged[key][k] != value[k]]
            if clash:
                raise RoutingRulesError(f"the match of the route and of the experiment both ask for {key} '{clash[0]}'")
            merged[key] = {**merged[key], **value}
        else:
            raise RoutingRulesError(f"the match of the route and of the experiment both ask for '{key}'; keep one")
    return merged


def _destinations(routing: Routing, split: Split, names: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    entries = []
    for destination in routing.destinations:
        if destination.version not in split:
            continue
        target: dict[str, Any] = {"host": destination.host}
        subset = (names or {}).get(destination.version, destination.subset)
        if subset:
            target["subset"] = subset
        if destination.port is not None:
            target["port"] = {"number": destination.port}
        entries.append({"destination": target, "weight": split[destination.version]})
    return entries


def _as_the_user(entries: list[dict[str, Any]], route: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the user's route says of a destination besides which one: its port where we name none, its headers."""
    theirs = list(route.get("route") or ())
    ports = [{"port": e["destination"]["port"]} for e in theirs if "port" in e.get("destination", {})]
    port = ports[0] if ports else {}
    beside = {name: value for name, value in (theirs[0] if theirs else {}).items() if name not in _WHICH}
    return [{**beside, **e, "destination": {**port, **e["destination"]}} for e in entries]


def _finally(final: list[dict[str, Any]], route: Mapping[str, Any], routing: Routing) -> list[dict[str, Any]]:
    """The destinations after the end: the user's very own words where they say the same."""
    entries, theirs = _as_the_user(final, route), list(route["route"])
    if len(entries) == len(theirs) == 1:
        ours, own = entries[0]["destination"], theirs[0]["destination"]
        same_host = own["host"] in routing.service_hosts and own["host"].split(".")[0] == ours["host"].split(".")[0]
        if same_host and {**own, "host": ""} == {**ours, "host": ""}:
            return theirs
    return entries


_WHICH = ("destination", "weight")


def _leads_to_service(route: Mapping[str, Any], routing: Routing) -> bool:
    return any(e.get("destination", {}).get("host") in routing.service_hosts for e in route.get("route") or ())


def _original(existing: Object) -> dict[str, Any]:
    """What the user had: from the annotation while an experiment runs, else the spec itself."""
    if created_by_experiment(existing):
        return {"http": []}
    if kept := recalled(existing):
        return kept
    spec = existing.get("spec", {})
    return {key: copy.deepcopy(spec[key]) for key in ("hosts", "gateways", "http") if key in spec}


def _new(api_version: str, kind: str, routing: Routing) -> Object:
    labels = {ROUTER_LABEL: routing.router_id, INIT_LABEL: "True"}
    metadata = {"name": rules_name(routing.router_id), "namespace": routing.namespace, "labels": labels}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def _stable(obj: Object | None) -> Object | None:
    """A copy without a mark of an experiment."""
    if obj is None:
        return None
    changed = copy.deepcopy(obj)
    _mark_stable(changed)
    return changed


def _mark_stable(obj: Object) -> None:
    labels = obj["metadata"].setdefault("labels", {})
    labels[ROLE_LABEL] = STABLE
    labels.pop(EXPERIMENT_LABEL, None)
    labels.pop(INIT_LABEL, None)
    annotations = obj["metadata"].get("annotations", {})
    annotations.pop(ORIGINAL_ANNOTATION, None)
    if not annotations:
        obj["metadata"].pop("annotations", None)


def _version_subsets(rule: Object, routing: Routing) -> dict[str, dict[str, Any]]:
    """A subset a version, with what it is now beside its labels (a traffic policy).

    A version that is gone keeps the subset that it had: one without labels would select every pod of the service.
    """
    present = {s["name"]: s for s in subsets(rule)}
    found: dict[str, dict[str, Any]] = {}
    for destination in routing.destinations:
        if not destination.subset:
            continue
        if destination.labels:
            before = present.get(destination.subset, {})
            found[destination.subset] = {**before, "name": destination.subset, "labels": dict(destination.labels)}
        elif destination.subset in present:
            found[destination.subset] = present[destination.subset]
    return found


def _is_ours(subset: str) -> bool:
    return subset == "iter8-baseline" or subset.startswith(("iter8-candidate-", PREVIOUS_PREFIX))


def _labels(obj: Object) -> Mapping[str, Any]:
    labels: Mapping[str, Any] = obj.get("metadata", {}).get("labels") or {}
    return labels


def _hosts(present: Iterable[str], routing: Routing) -> list[str]:
    """The user's hosts, then ours that are not there in another spelling."""
    hosts = list(present)
    for host in routing.hosts:
        spellings = routing.service_hosts if host in routing.service_hosts else {host}
        if spellings.isdisjoint(hosts):
            hosts.append(host)
    return hosts


def _gateways(present: Iterable[str], routing: Routing) -> list[str]:
    """The user's gateways, then ours that are not there with or without their namespace."""
    gateways = list(present)
    known = {gateway.removeprefix(f"{routing.namespace}/") for gateway in gateways}
    return gateways + [g for g in routing.gateways if g.removeprefix(f"{routing.namespace}/") not in known]
