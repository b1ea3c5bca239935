"""Watches every version of every rule, Deployment and experiment, and says what must never be so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.cluster.engines import History

Object = dict[str, Any]
Place = tuple[str, str, str]

KINDS = ("virtualservices", "destinationrules", "deployments", "experiments")


class Watcher(History):
    """`History` of all that the traffic depends on, in the order of the store."""

    kinds = KINDS

    def oddities(self, *namespaces: str) -> list[str]:
        """What was wrong at any moment in these namespaces; in others things may be deleted in any order.

        - weights of a route that do not add up to 100,
        - a route that names a subset which no DestinationRule has,
        - weight that an experiment gives to a version without ready Pods (what becomes of it later is its own doing),
        - weight that an experiment's route gives to a version that is not there, or has no part in it.
        """
        now: dict[Place, Object] = {}
        found: list[str] = []
        for version, change, obj in sorted(self._seen, key=lambda each: each[0]):
            place = (obj["metadata"]["namespace"], obj["kind"], obj["metadata"]["name"])
            if place[0] not in namespaces:
                continue
            before = now.pop(place, None)
            if change == "DELETED":
                continue
            now[place] = obj
            if obj["kind"] == "VirtualService":
                wrong = _wrong(obj, before, now)
            elif obj["kind"] == "DestinationRule":
                wrong = (each for rules in _of(now, place[0], "VirtualService") for each in _wrong(rules, rules, now))
            else:
                continue
            found += [f"{place[0]} at {version}: {each}" for each in wrong]
        return found

    def weights(self, namespace: str, subset: str) -> list[int]:
        """Every weight that the first route has ever given to a subset, in order, repetitions left out."""
        found: list[int] = []
        for _, change, obj in sorted(self._seen, key=lambda each: each[0]):
            if change == "DELETED" or obj["kind"] != "VirtualService" or obj["metadata"]["namespace"] != namespace:
                continue
            for each in obj["spec"]["http"][0]["route"]:
                weight = each.get("weight", 100)
                if each["destination"].get("subset") == subset and found[-1:] != [weight]:
                    found.append(weight)
        return found

    def rules(self) -> list[Object]:
        """Every version of every VirtualService and DestinationRule."""
        return [obj for _, change, obj in self._seen if change != "DELETED" and obj["kind"] in _RULES]


_RULES = ("VirtualService", "DestinationRule")
_OURS = "iter8-"


def _wrong(rules: Object, before: Object | None, now: Mapping[Place, Object]) -> Iterator[str]:
    namespace = rules["metadata"]["namespace"]
    subsets = {
        each["name"]: each.get("labels") or {}
        for rule in _of(now, namespace, "DestinationRule")
        for each in rule["spec"].get("subsets") or ()
    }
    part = _takes_part(rules, now)
    divided = _shares(rules, _OURS)
    had = _shares(before) if before else {}
    for route in rules["spec"]["http"]:
        entries = route.get("route") or ()
        if len(entries) > 1 and sum(each.get("weight", 0) for each in entries) != 100:
            yield f"weights {[each.get('weight') for each in entries]}"
    for subset, weight in _shares(rules).items():
        if not subsets.get(subset):
            yield f"a route names subset {subset}, there are {sorted(subsets)}"
            continue
        if not weight:
            continue
        selected = [each for each in _of(now, namespace, "Deployment") if _selects(subsets[subset], each)]
        names = {each["metadata"]["name"] for each in selected}
        if part is not None and divided.get(subset) and not names <= part:
            yield f"{subset} has {weight}% and selects {sorted(names)}; the experiment is about {sorted(part)}"
        if weight > had.get(subset, 0) and (_owner(rules) or (before and _owner(before))):
            if not selected:
                yield f"{subset} is given {weight}% and selects nobody"
            elif not any((each.get("status") or {}).get("readyReplicas") for each in selected):
                yield f"{sorted(names)} is given {weight}% and is not ready"


def _shares(rules: Object, name: str = "") -> dict[str, int]:
    """Subset -> the largest weight that any route gives it, of those whose names begin so."""
    shares: dict[str, int] = {}
    for route in rules["spec"]["http"]:
        if not route.get("name", "").startswith(name):
            continue
        for each in route.get("route") or ():
            if subset := each["destination"].get("subset"):
                shares[subset] = max(shares.get(subset, 0), each.get("weight", 100))
    return shares


def _owner(rules: Object) -> str:
    """The name of the experiment that holds these rules, empty when nobody does."""
    return str((rules["metadata"].get("labels") or {}).get("iter8-tools/experiment", "")).rpartition(".")[0]


def _takes_part(rules: Object, now: Mapping[Place, Object]) -> set[str] | None:
    """The versions of the experiment that holds these rules; None when nobody does."""
    holder = now.get((rules["metadata"]["namespace"], "Experiment", _owner(rules)))
    if holder is None:
        return None
    service = holder["spec"]["service"]
    return {service["baseline"], *service["candidates"]}


def _selects(labels: Mapping[str, str], deployment: Object) -> bool:
    return labels.items() <= (deployment["spec"]["template"]["metadata"].get("labels") or {}).items()


def _of(now: Mapping[Place, Object], namespace: str, kind: str) -> list[Object]:
    return [obj for (space, is_kind, _), obj in now.items() if (space, is_kind) == (namespace, kind)]
