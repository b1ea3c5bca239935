"""Desired VirtualServices and DestinationRules, as pure functions of what is there and what is wanted.

A user's VirtualService keeps every route, match, retry and timeout it has; only the destinations of the routes that
lead to the service are ours while an experiment runs. What they were is kept in an annotation for the way back.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from typing import Any

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
ORIGINAL_ANNOTATION = "serin.dev/original"


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


def progressing_virtual_service(existing: Object | None, routing: Routing, split: Split) -> Object:
    """The VirtualService while the experiment runs: every route to the service split over its versions."""
    if existing is None:
        virtual_service = _new(VIRTUAL_SERVICE.api_version, "VirtualService", routing)
        virtual_service["spec"] = {"http": []}
        original: dict[str, Any] = {"http": []}
    else:
        virtual_service = copy.deepcopy(existing)
        original = _original(existing)
    spec = virtual_service.setdefault("spec", {})
    spec["hosts"] = _hosts(original.get("hosts", ()), routing)
    spec["gateways"] = _gateways(original.get("gateways", ()), routing) or ["mesh"]
    spec["http"] = _split_routes(original.get("http") or [{}], routing, split)
    metadata = virtual_service["metadata"]
    metadata.setdefault("labels", {}).update({ROLE_LABEL: PROGRESSING, EXPERIMENT_LABEL: routing.experiment})
    if existing is not None and not created_by_experiment(existing):
        metadata.setdefault("annotations", {})[ORIGINAL_ANNOTATION] = json.dumps(original, sort_keys=True)
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
        spec["http"] = [
            {**route, "route": _with_port(final, route)} if _leads_to_service(route, routing) else route
            for route in original["http"]
        ]
        for key in ("hosts", "gateways"):
            if key in original:
                spec[key] = original[key]
            else:
                spec.pop(key, None)
    _mark_stable(virtual_service)
    return virtual_service


def progressing_destination_rule(existing: Object | None, routing: Routing, keep: Iterable[str]) -> Object:
    """The DestinationRule with a subset a version; of others those in `keep` and all that are not an experiment's."""
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
    found: dict[str, None] = {}
    for route in virtual_service.get("spec", {}).get("http") or ():
        for entry in [*(route.get("route") or ()), *([{"destination": route["mirror"]}] if "mirror" in route else ())]:
            name = entry.get("destination", {}).get("subset")
            if name:
                found[name] = None
    return list(found)


def colliding_subsets(rule: Object | None, virtual_service: Object, routing: Routing) -> dict[str, str]:
    """Subsets in use whose names this experiment needs for other pods -> the name they get meanwhile.

    Rules that an earlier experiment left route to `iter8-candidate-0`, its winner; changing what that subset selects
    would hand all traffic to the new candidate.
    """
    wanted = {d.subset: dict(d.labels) for d in routing.destinations if d.subset and d.labels}
    present = {s["name"]: s.get("labels", {}) for s in subsets(rule)}
    used = subsets_in_use(virtual_service)
    return {n: PREVIOUS_PREFIX + n for n in used if n in wanted and n in present and present[n] != wanted[n]}


def with_copied_subsets(rule: Object, renames: Mapping[str, str]) -> Object:
    """The DestinationRule with a copy of each renamed subset under its new name; nothing else changes."""
    changed = copy.deepcopy(rule)
    present = {s["name"]: s for s in subsets(rule)}
    copies = [{**present[old], "name": new} for old, new in renames.items() if new not in present]
    changed["spec"]["subsets"] = [*subsets(rule), *copies]
    return changed


def with_renamed_subsets(virtual_service: Object, renames: Mapping[str, str]) -> Object:
    """The VirtualService routing by the new names; nothing else changes."""
    changed = copy.deepcopy(virtual_service)
    for route in changed.get("spec", {}).get("http") or ():
        for entry in [*(route.get("route") or ()), *([{"destination": route["mirror"]}] if "mirror" in route else ())]:
            destination = entry.get("destination", {})
            if destination.get("subset") in renames:
                destination["subset"] = renames[destination["subset"]]
    return changed


def _split_routes(originals: list[dict[str, Any]], routing: Routing, split: Split) -> list[dict[str, Any]]:
    if originals == [{}]:
        return _for_one_route({}, routing, split, 0)
    if not any(_leads_to_service(route, routing) for route in originals):
        raise RoutingRulesError(
            f"no route of the VirtualService leads to {routing.destinations[0].host}; "
            f"add one, or remove the label {ROUTER_LABEL} so that the experiment creates its own rules"
        )
    routes: list[dict[str, Any]] = []
    ours = 0
    for route in originals:
        if _leads_to_service(route, routing):
            routes += _for_one_route(route, routing, split, ours)
            ours += 1
        else:
            routes.append(route)
    return routes


def _for_one_route(route: dict[str, Any], routing: Routing, split: Split, index: int) -> list[dict[str, Any]]:
    suffix = f"-{index}" if index else ""
    experiment = {**route, "name": EXPERIMENT_ROUTE + suffix}
    experiment["route"] = _with_port(_destinations(routing, split), route)
    if not routing.match:
        return [experiment]
    base = {**route, "name": BASE_ROUTE + suffix}
    base["route"] = _with_port(_destinations(routing, {BASELINE: 100}), route)
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


def _with_port(entries: list[dict[str, Any]], route: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The port that the user's route names, where the experiment names none."""
    ports = [e["destination"]["port"] for e in route.get("route") or () if "port" in e.get("destination", {})]
    if not ports:
        return entries
    return [{**e, "destination": {"port": ports[0], **e["destination"]}} for e in entries]


def _leads_to_service(route: Mapping[str, Any], routing: Routing) -> bool:
    return any(e.get("destination", {}).get("host") in routing.service_hosts for e in route.get("route") or ())


def _original(existing: Object) -> dict[str, Any]:
    """What the user had: from the annotation while an experiment runs, else the spec itself."""
    if created_by_experiment(existing):
        return {"http": []}
    kept = existing.get("metadata", {}).get("annotations", {}).get(ORIGINAL_ANNOTATION)
    if kept:
        loaded: dict[str, Any] = json.loads(kept)
        return loaded
    spec = existing.get("spec", {})
    return {key: copy.deepcopy(spec[key]) for key in ("hosts", "gateways", "http") if key in spec}


def _new(api_version: str, kind: str, routing: Routing) -> Object:
    labels = {ROUTER_LABEL: routing.router_id, INIT_LABEL: "True"}
    metadata = {"name": rules_name(routing.router_id), "namespace": routing.namespace, "labels": labels}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


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
