"""Who comes in: nothing invalid enters the store from outside, by whichever way. The home's own parts need no pass."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from serin.api import check
from serin.api.places import Problem, Source
from serin.control import semantics
from serin.errors import Conflict
from serin.ports import Event, Kind, Object, Objects

_TRIES = 5


def refuse_wrong(obj: Object) -> None:
    """Raise InvalidInput with everything that is wrong with an object from outside."""
    if found := check.problems(obj):
        raise Source(str(semantics.key_of(obj))).refusal(found)


def admit(manifest: Object) -> Sequence[Problem]:
    """What a person should know about a manifest. Raises InvalidInput with everything that is wrong with it."""
    refuse_wrong(manifest)
    return check.warnings(manifest)


class AdmittedObjects:
    """The port `Objects`, with every write checked first."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """As `Objects.get`."""
        return await self._objects.get(kind, namespace, name)

    async def list(
        self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> list[Object]:
        """As `Objects.list`."""
        return await self._objects.list(kind, namespace, labels)

    def watch(self, *kinds: Kind, namespace: str | None = None) -> AsyncIterator[Event]:
        """As `Objects.watch`."""
        return self._objects.watch(*kinds, namespace=namespace)

    async def create(self, obj: Object) -> Object:
        """As `Objects.create`."""
        refuse_wrong(obj)
        return await self._objects.create(obj)

    async def replace(self, obj: Object) -> Object:
        """As `Objects.replace`."""
        refuse_wrong(obj)
        return await self._objects.replace(obj)

    async def patch(self, kind: Kind, namespace: str, name: str, patch: Object, *, status: bool = False) -> Object:
        """As `Objects.patch`; what comes out of it is checked."""
        if status:
            return await self._objects.patch(kind, namespace, name, patch, status=True)
        metadata = patch.get("metadata")
        for tries_left in reversed(range(_TRIES)):
            current = await self._objects.get(kind, namespace, name)
            outcome = semantics.patched(current, patch, status=False)
            if outcome.change is None:
                return current
            refuse_wrong(outcome.object)
            checked = {"resourceVersion": current["metadata"]["resourceVersion"]}
            pinned = {**(metadata if isinstance(metadata, dict) else {}), **checked}
            try:
                return await self._objects.patch(kind, namespace, name, {**patch, "metadata": pinned})
            except Conflict:
                if not tries_left:
                    raise
        raise AssertionError("unreachable")

    async def delete(self, kind: Kind, namespace: str, name: str) -> None:
        """As `Objects.delete`."""
        await self._objects.delete(kind, namespace, name)
