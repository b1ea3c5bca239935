"""Subsets in use whose names an experiment needs for other pods get other names first. Pure functions."""

from __future__ import annotations

import copy
from collections.abc import Mapping

from serin.control.routing.istio_rules import PREVIOUS_PREFIX, all_destinations, subsets, subsets_in_use
from serin.control.routing.router import Routing
from serin.ports import Object


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
    for destination in all_destinations(changed):
        if destination.get("subset") in renames:
            destination["subset"] = renames[destination["subset"]]
    return changed
