"""What Kubernetes makes of a write, as pure functions: the rules that every store of objects here shares.

A store keeps bytes, counts resource versions and tells its watchers. What an object looks like after a write, whether
the write is refused and whether it changes anything is decided here, without clock, ids or I/O.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from serin.api import names
from serin.api.times import stamp
from serin.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from serin.ports import KINDS, Change, Kind, Object

LARGEST = 1_500_000
"""Bytes of JSON that one object may have: what Kubernetes' own store takes."""

_OWNED_BY_STORE = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
)
_NEVER_KEPT = ("managedFields", "selfLink")


class Key(NamedTuple):
    """Where an object is kept; `namespace` is empty for kinds without one."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        place = f" in namespace '{self.namespace}'" if self.namespace else ""
        return f"{self.kind.name} '{self.name}'{place}"

    def not_found(self) -> NotFound:
        """The error for an object that is not there."""
        scope = f" -n {self.namespace}" if self.namespace else ""
        listing = f"'serin get {self.kind.plural}{scope}' lists those that are"
        return NotFound(f"there is no {self}; {listing}")

    def already_exists(self) -> AlreadyExists:
        """The error for an object that is there already."""
        return AlreadyExists(f"{self} exists already; use 'serin apply' to change it, or delete it first")

    def conflict(self) -> Conflict:
        """The error for a write that rests on an older state."""
        return Conflict(f"{self} was changed by somebody else since it was read; read it again and repeat")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a write does. `change` is None when it changes nothing; `object` still has the old resourceVersion."""

    change: Change | None
    object: Object


def kind_of(obj: Object) -> Kind:
    """The kind that an object's `apiVersion` and `kind` name, in any version understood. Raises InvalidInput."""
    group, _, version = str(obj.get("apiVersion", "")).rpartition("/")
    name = obj.get("kind")
    for kind in KINDS:
        if kind.name == name and kind.group == group and version in kind.versions:
            return kind
    known = ", ".join(sorted(f"{kind.name} ({kind.api_version})" for kind in KINDS))
    raise InvalidInput(f"kind {name!r} of apiVersion {obj.get('apiVersion')!r} is unknown here; known are {known}")


def key(kind: Kind, namespace: str, name: str) -> Key:
    """The key of an object; a kind without namespaces ignores the one given, an empty one means `default`."""
    return Key(kind, (namespace or "default") if kind.namespaced else "", name)


def key_of(obj: Object) -> Key:
    """The key of an object. Raises InvalidInput when it has none."""
    kind = kind_of(obj)
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict):
        raise InvalidInput(f"a {kind.name} has no metadata; give it at least 'metadata: {{name: ...}}'")
    name, namespace = metadata.get("name"), metadata.get("namespace") or "default"
    for field, value, rule in (("name", name, names.dns_subdomain), ("namespace", namespace, names.dns_label)):
        if not isinstance(value, str):
            raise InvalidInput(f"a {kind.name}'s metadata.{field} must be a text, not {value!r}")
        try:
            rule(value)
        except ValueError as error:
            raise InvalidInput(f"a {kind.name}'s metadata.{field} {error}") from None
    return key(kind, str(namespace), str(name))


def encode(obj: Object) -> str:
    """The JSON text that is stored, fields in the order given. Raises InvalidInput for what JSON cannot hold."""
    try:
        text = json.dumps(obj, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{_describe(obj)} holds a value that JSON cannot: {error}") from None
    if size > LARGEST:
        raise InvalidInput(f"{_describe(obj)} has {size:,} bytes; an object may have {LARGEST:,}")
    return text


def copy(obj: Object) -> Object:
    """A copy that shares nothing. Raises InvalidInput for what JSON cannot hold."""
    return json.loads(encode(obj))  # type: ignore[no-any-return]


def fresh(obj: Object, *, uid: str, now: float) -> Object:
    """A new object as it is first stored, without resourceVersion. `status` is dropped, as the API server does."""
    place = key_of(obj)
    new = copy(obj)
    metadata = _checked_metadata(place, new)
    named: Object = {"name": place.name}
    if place.namespace:
        named["namespace"] = place.namespace
    given = {k: v for k, v in metadata.items() if k not in _OWNED_BY_STORE and k not in _NEVER_KEPT}
    new["metadata"] = {**named, **_without_nulls(given), "uid": uid, "creationTimestamp": stamp(now)}
    if place.kind.has_status:
        new["metadata"]["generation"] = 1
        new.pop("status", None)
    return new


def replaced(current: Object, obj: Object) -> Outcome:
    """`obj` in the place of `current`, which keeps its status. Raises Conflict, InvalidInput."""
    place = key_of(current)
    new = copy(obj)
    _refuse_stale(place, current, new["metadata"])
    if place.kind.has_status:
        new.pop("status", None)
        if "status" in current:
            new["status"] = current["status"]
    return _settle(place, current, new)


def patched(current: Object, patch: Object, *, status: bool) -> Outcome:
    """`current` after a JSON merge patch of its status, or of all but its status. Raises Conflict, InvalidInput."""
    place = key_of(current)
    change = copy(patch)
    metadata = change.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise InvalidInput(f"{place}: a patch's metadata is a mapping, not {metadata!r}")
    _refuse_stale(place, current, metadata)
    if status:
        if not place.kind.has_status:
            raise InvalidInput(f"{place}: a {place.kind.name} has no status")
        change = {"status": change["status"]} if "status" in change else {}
    elif place.kind.has_status:
        change.pop("status", None)
    return _settle(place, current, merged(current, change))


def deleted(current: Object, now: float) -> Outcome:
    """`current` gone, or marked as being deleted while it has finalizers."""
    metadata = current["metadata"]
    if not metadata.get("finalizers"):
        return Outcome(Change.DELETED, current)
    if "deletionTimestamp" in metadata:
        return Outcome(None, current)
    return Outcome(Change.MODIFIED, {**current, "metadata": {**metadata, "deletionTimestamp": stamp(now)}})


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386: mappings merge, null removes, all else replaces. Neither argument is changed."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def selected(obj: Object, labels: Mapping[str, str] | None) -> bool:
    """Whether the object has all of `labels`."""
    own = obj["metadata"].get("labels") or {}
    return all(own.get(name) == value for name, value in (labels or {}).items())


def _settle(place: Key, current: Object, new: Object) -> Outcome:
    """Put what the store owns back in its place, and see what has changed."""
    if key_of(new) != place:
        raise InvalidInput(f"{place}: kind, name and namespace cannot be changed; create another and delete this one")
    before, after = current["metadata"], _checked_metadata(place, new)
    owned = {name: before[name] for name in _OWNED_BY_STORE if name in before}
    given = {k: v for k, v in after.items() if k not in _OWNED_BY_STORE and k not in _NEVER_KEPT}
    new["metadata"] = {**owned, **_without_nulls(given)}
    added = set(given.get("finalizers") or ()) - set(before.get("finalizers") or ())
    if added and "deletionTimestamp" in before:
        raise InvalidInput(f"{place} is being deleted; no finalizer can be added to it any more")
    if _canonical(new) == _canonical(current):
        return Outcome(None, current)
    if "generation" in before and _canonical(new.get("spec")) != _canonical(current.get("spec")):
        new["metadata"]["generation"] = before["generation"] + 1
    if "deletionTimestamp" in before and not given.get("finalizers"):
        return Outcome(Change.DELETED, new)
    return Outcome(Change.MODIFIED, new)


def _refuse_stale(place: Key, current: Object, metadata: Mapping[str, Any]) -> None:
    for name in ("resourceVersion", "uid"):
        wanted = metadata.get(name)
        if wanted and wanted != current["metadata"][name]:
            raise place.conflict()


def _checked_metadata(place: Key, obj: Object) -> Object:
    metadata: Object = obj["metadata"]
    for field in ("labels", "annotations"):
        pairs = metadata.get(field) or {}
        if not isinstance(pairs, dict) or not all(isinstance(value, str) for value in pairs.values()):
            raise InvalidInput(f"{place}: metadata.{field} maps names to texts; write each value in quotes")
    finalizers = metadata.get("finalizers") or []
    if not isinstance(finalizers, list) or not all(isinstance(value, str) for value in finalizers):
        raise InvalidInput(f"{place}: metadata.finalizers is a list of texts, not {finalizers!r}")
    return metadata


def _without_nulls(metadata: Object) -> Object:
    return {name: value for name, value in metadata.items() if value is not None and value != {} and value != []}


def _canonical(value: Any) -> str:
    # Not `==`: Python holds 1, 1.0 and True to be equal, a manifest does not.
    return json.dumps(value, sort_keys=True)


def _describe(obj: Object) -> str:
    metadata = obj.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return f"{obj.get('kind') or 'the patch'}{f' {name!r}' if name else ''}"
