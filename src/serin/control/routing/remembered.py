"""What a user's pair of rules was when an experiment took it, kept on both of its objects.

Each of the two remembers the other: whoever deletes one of them by mistake gets it back under its own name, with all
that was the user's, and not a rule of our making.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from serin.ports import Object

ORIGINAL_ANNOTATION = "serin.dev/original"

OTHER = "other"
"""The key of the other rule among what an object remembers."""

_OF_THE_STORE = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields")


def recalled(obj: Object) -> dict[str, Any] | None:
    """What the object remembers; None when it carries nothing of ours."""
    kept = (obj["metadata"].get("annotations") or {}).get(ORIGINAL_ANNOTATION)
    found: dict[str, Any] | None = json.loads(kept) if kept else None
    return found


def remember(obj: Object, what: dict[str, Any], other: Object | None) -> None:
    """Keep `what`, and the other rule as it is now unless one is kept already."""
    before = recalled(obj) or {}
    if OTHER in before:
        what = {**what, OTHER: before[OTHER]}
    elif other is not None:
        what = {**what, OTHER: _as_manifest(other)}
    annotations = obj["metadata"].get("annotations") or {}
    obj["metadata"]["annotations"] = {**annotations, ORIGINAL_ANNOTATION: json.dumps(what, sort_keys=True)}


def other(obj: Object | None) -> Object | None:
    """The rule beside this one as it was, ready to be created again; None when it is not known."""
    if obj is None:
        return None
    found: Object | None = (recalled(obj) or {}).get(OTHER)
    return copy.deepcopy(found)


def _as_manifest(obj: Object) -> Object:
    manifest = copy.deepcopy({name: value for name, value in obj.items() if name != "status"})
    metadata = {name: value for name, value in manifest["metadata"].items() if name not in _OF_THE_STORE}
    annotations = {k: v for k, v in (metadata.pop("annotations", None) or {}).items() if k != ORIGINAL_ANNOTATION}
    manifest["metadata"] = {**metadata, "annotations": annotations} if annotations else metadata
    return manifest
