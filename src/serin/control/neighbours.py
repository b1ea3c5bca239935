"""Other experiments: two on one service would move each other's traffic."""

from __future__ import annotations

from collections.abc import Iterable

from serin.api.v1alpha2 import conditions
from serin.api.v1alpha2.conditions import Phase, Type
from serin.control.experiments import Record
from serin.errors import NotFound
from serin.ports import EXPERIMENT, Object, Objects


async def in_the_way(objects: Objects, record: Record, beside: Iterable[tuple[str, str]]) -> str | None:
    """Which running experiment has the service or a version of this one, in a sentence; None when none has.

    beside   namespace and name of all experiments that name a service or a version of the same name; others are not
             looked at, since with thousands of experiments that is what would cost most at a start
    """
    mine = _claims(record.object)
    for namespace, name in sorted(beside):
        try:
            other = await objects.get(EXPERIMENT, namespace, name)
        except NotFound:
            continue
        if other["metadata"]["uid"] == record.object["metadata"]["uid"] or not _holds_routes(other):
            continue
        if shared := mine & _claims(other):
            return f"{sorted(shared)[0]} is in use by experiment {name}.{namespace}; waiting for its end"
    return None


def _holds_routes(other: Object) -> bool:
    status = other.get("status") or {}
    running = status.get("phase") != Phase.COMPLETED
    return running and conditions.is_true(status.get("conditions") or [], Type.ROUTING_RULES_READY)


def _claims(obj: Object) -> frozenset[str]:
    """The service and the versions that an experiment moves traffic for."""
    service = (obj.get("spec") or {}).get("service") or {}
    namespace = service.get("namespace") or obj["metadata"]["namespace"]
    names = [("service", service.get("name")), ("version", service.get("baseline"))]
    names += [("version", candidate) for candidate in service.get("candidates") or ()]
    return frozenset(f"{word} {name} in namespace {namespace}" for word, name in names if name)
