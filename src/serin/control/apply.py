"""`apply`: make an object as its manifest says, without undoing what others have set on it.

A three-way merge like kubectl's, with kubectl's own annotation: what the last manifest had and this one has not is
removed, what this one has is set, all else stays as it is. A routing rule that an experiment adjusts differs in one
point: what the manifest says as before stays as it is too, since the split on it is the experiment's work. Mappings
are merged, lists are replaced whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from serin.api.places import Problem
from serin.control import semantics
from serin.control.routing.istio_rules import ROUTER_LABEL
from serin.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from serin.ports import DESTINATION_RULE, VIRTUAL_SERVICE, Object, Objects

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

_TRIES = 5
_NOT_A_MANIFESTS = ("uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "managedFields")
_ABSENT = object()


class Did(StrEnum):
    """What applying a manifest did, in kubectl's words."""

    CREATED = "created"
    CONFIGURED = "configured"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Applied:
    """An object after its manifest was applied (as it would be, on a dry run), and what is doubtful about that."""

    object: Object
    outcome: Did
    warnings: Sequence[Problem] = ()


async def apply(objects: Objects, manifest: Object, *, dry_run: bool = False) -> Applied:
    """Create or change the object. Raises InvalidInput, and Conflict when it is being deleted or never stands still."""
    place = semantics.key_of(manifest)
    for _ in range(_TRIES):
        try:
            live = await objects.get(*place)
        except NotFound:
            wanted = to_create(manifest)
            if dry_run:
                return Applied(semantics.fresh(wanted, uid="", now=0.0), Did.CREATED)
            try:
                return Applied(await objects.create(wanted), Did.CREATED)
            except AlreadyExists:
                continue
        if "deletionTimestamp" in live["metadata"]:
            raise Conflict(
                f"{place} is being deleted; wait until it is gone ('serin wait --for=delete'), then apply again"
            )
        outcome = semantics.replaced(live, to_replace(live, manifest))
        if outcome.change is None:
            return Applied(live, Did.UNCHANGED)
        if dry_run:
            return Applied(outcome.object, Did.CONFIGURED)
        try:
            return Applied(await objects.replace(to_replace(live, manifest)), Did.CONFIGURED)
        except (Conflict, NotFound):
            continue
    raise Conflict(f"{place} is being changed by somebody else all the time; try again in a moment")


def to_create(manifest: Object) -> Object:
    """The object that a manifest makes where there is none."""
    return _annotated(_without_nulls(_said(manifest)), manifest)


def to_replace(live: Object, manifest: Object) -> Object:
    """What the manifest makes of `live`, conditional on its resourceVersion."""
    labels = live["metadata"].get("labels") or {}
    adjusted = ROUTER_LABEL in labels and semantics.kind_of(live) in (VIRTUAL_SERVICE, DESTINATION_RULE)
    merged = three_way(_last_applied(live), live, _said(manifest), keep_adjusted=adjusted)
    return _annotated(merged, manifest)


def three_way(last: Mapping[str, Any], live: Mapping[str, Any], wanted: Object, *, keep_adjusted: bool) -> Object:
    """`live` with what has changed from `last` to `wanted`, and with all of `wanted` unless `keep_adjusted`."""
    result = {name: value for name, value in live.items() if name in wanted or name not in last}
    for name, value in wanted.items():
        before, now = last.get(name, _ABSENT), live.get(name, _ABSENT)
        if isinstance(value, dict) and (isinstance(now, dict) or now is _ABSENT):
            known = before if isinstance(before, dict) else {}
            if now is _ABSENT and keep_adjusted and value == before:
                continue
            result[name] = three_way(known, now if isinstance(now, dict) else {}, value, keep_adjusted=keep_adjusted)
        elif value is None:
            result.pop(name, None)
        elif not (keep_adjusted and value == before):
            result[name] = value
    return result


def _said(manifest: Object) -> Object:
    """What counts of a manifest: not its status, not what only the store can give."""
    said = semantics.copy(manifest)
    kind = semantics.kind_of(manifest)
    if kind.has_status:
        said.pop("status", None)
    metadata = {name: value for name, value in said["metadata"].items() if name not in _NOT_A_MANIFESTS}
    annotations = metadata.get("annotations") or {}
    if not isinstance(annotations, dict):
        raise InvalidInput(f"{semantics.key_of(manifest)}: metadata.annotations maps names to texts")
    if LAST_APPLIED in annotations:
        metadata["annotations"] = {name: text for name, text in annotations.items() if name != LAST_APPLIED}
    said["metadata"] = metadata
    return said


def _annotated(obj: Object, manifest: Object) -> Object:
    said = json.dumps(_said(manifest), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    metadata = obj["metadata"]
    annotations = {**(metadata.get("annotations") or {}), LAST_APPLIED: said + "\n"}
    return {**obj, "metadata": {**metadata, "annotations": annotations}}


def _last_applied(live: Object) -> Object:
    text = (live["metadata"].get("annotations") or {}).get(LAST_APPLIED)
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}  # not ours to repair: then nothing is removed, as for an object that was never applied
    return found if isinstance(found, dict) else {}


def _without_nulls(value: Any) -> Any:
    return semantics.merged({}, value)
