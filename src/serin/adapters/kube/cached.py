"""The port `Objects` for the controller: kinds that are kept are read from memory, writes go to the API server.

A write's answer is known here at once, so that a reader sees what it has written. A write that is refused because
somebody was faster brings the present state with it, so that the next attempt rests on it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from serin.adapters.kube.objects import KubeObjects, first_of
from serin.adapters.kube.reflector import Reflector, Scope
from serin.adapters.kube.shelf import Shelf
from serin.control import semantics
from serin.control.watching import Watches
from serin.errors import Conflict, Forbidden, NotFound, SerinError, Unreachable
from serin.ports import Change, Event, Kind, Object

Listing = list[Object]

_SYNCED_WITHIN = 60.0


@dataclass(frozen=True, slots=True)
class Keep:
    """A kind to be kept, and which objects of it. `optional`: without the right to read it there is none."""

    kind: Kind
    scope: Scope = field(default_factory=Scope)
    optional: bool = False


class CachedObjects:
    """`KubeObjects` with memory. Reads wait until `run` has listed the kind once."""

    def __init__(
        self,
        objects: KubeObjects,
        keeps: Iterable[Keep],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        synced_within: float = _SYNCED_WITHIN,
    ) -> None:
        self._objects = objects
        self._watches = Watches()
        self._synced_within = synced_within
        self._optional = frozenset(keep.kind for keep in keeps if keep.optional)
        self._reflectors = {
            keep.kind: Reflector(
                objects.api, objects.served, Shelf(keep.kind, self._watches.give, monotonic), keep.scope
            )
            for keep in keeps
        }

    @property
    def troubles(self) -> dict[str, str]:
        """Kind -> why it is not known in full, or not up to date; empty when all is well."""
        found: dict[str, str] = {}
        for kind, reflector in self._reflectors.items():
            if kind in self._optional:
                continue
            if reflector.trouble is not None:
                found[kind.name] = str(reflector.trouble)
            elif not reflector.synced.is_set():
                found[kind.name] = "not listed yet"
        return found

    @property
    def synced(self) -> bool:
        """Whether every kind has been listed once."""
        return all(r.synced.is_set() for kind, r in self._reflectors.items() if kind not in self._optional)

    def sizes(self) -> Mapping[str, int]:
        """Kind -> how many of its objects are in memory."""
        return {kind.name: len(reflector.shelf) for kind, reflector in self._reflectors.items()}

    def phases(self, kind: Kind) -> Mapping[str, int]:
        """Phase -> how many objects of this kind are in it."""
        return self._reflectors[kind].shelf.phases()

    def known_for(self, kind: Kind, obj: Object) -> float | None:
        """Seconds since this form of an object became known here; None when another form, or none, is known."""
        return self._reflectors[kind].shelf.known_for(obj)

    def glance(self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> Listing:
        """What is known of a kind now, without waiting."""
        return list(self._reflectors[kind].shelf.find(namespace, labels))

    async def run(self) -> None:
        """Keep the memory true until cancelled."""
        async with asyncio.TaskGroup() as group:
            for kind, reflector in self._reflectors.items():
                group.create_task(reflector.run(), name=f"watch {kind.name}")

    async def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """As `Objects.get`."""
        place = semantics.key(kind, namespace, name)
        shelf = await self._shelf(kind, place.namespace)
        if shelf is None:
            return await self._objects.get(*place)
        found = shelf.get(place.namespace, name)
        if found is None:
            raise place.not_found()
        return found

    async def list(
        self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> list[Object]:
        """As `Objects.list`; of a kind that is kept, all in its scope."""
        shelf = await self._shelf(kind, namespace)
        if shelf is None:
            return await self._objects.list(kind, namespace, labels)
        return list(shelf.find(namespace if kind.namespaced else None, labels))

    async def watch(self, *kinds: Kind, namespace: str | None = None) -> AsyncGenerator[Event, None]:
        """As `Objects.watch`, of kinds that are kept. What is present is copied one by one, as it is asked for."""
        for kind in kinds:
            await self._until_synced(kind)
        events = self._watches.open(lambda: (), kinds, namespace)
        synced = await anext(events)  # of an empty snapshot: from here on every change is kept for us
        present = [(self._reflectors[kind].shelf, *place) for kind in kinds for place in self._places(kind, namespace)]
        for shelf, space, name in present:
            found = shelf.get(space, name)
            if found is not None:
                yield Event(Change.ADDED, found)
        yield synced
        async for event in events:
            yield event

    async def create(self, obj: Object) -> Object:
        """As `Objects.create`."""
        return self._learn(await self._objects.create(obj))

    async def replace(self, obj: Object) -> Object:
        """As `Objects.replace`."""
        place = semantics.key_of(obj)
        try:
            return self._learn(await self._objects.replace(obj))
        except (Conflict, NotFound):
            await self._look_again(*place)
            raise

    async def patch(self, kind: Kind, namespace: str, name: str, patch: Object, *, status: bool = False) -> Object:
        """As `Objects.patch`."""
        place = semantics.key(kind, namespace, name)
        try:
            return self._learn(await self._objects.patch(kind, namespace, name, patch, status=status))
        except (Conflict, NotFound):
            await self._look_again(*place)
            raise

    async def delete(self, kind: Kind, namespace: str, name: str) -> None:
        """As `Objects.delete`."""
        place = semantics.key(kind, namespace, name)
        reflector = self._reflectors.get(kind)
        uid = reflector.shelf.uid(place.namespace, name) if reflector else None
        try:
            left = await self._objects.delete_now(*place)
        except NotFound:
            if reflector:
                reflector.shelf.lost(place.namespace, name, uid)
            raise
        if left is not None:
            self._learn(left)
        elif reflector:
            reflector.shelf.lost(place.namespace, name, uid)

    def _learn(self, obj: Object) -> Object:
        """Remember what a write has made of an object; one that its last finalizer has left is gone."""
        kind = semantics.kind_of(obj)
        reflector = self._reflectors.get(kind)
        metadata = obj["metadata"]
        if reflector is None or reflector.scope.namespace not in (None, metadata.get("namespace")):
            return obj
        if "deletionTimestamp" in metadata and not metadata.get("finalizers") and _goes_at_once(metadata):
            reflector.shelf.lost(metadata.get("namespace", ""), metadata["name"], metadata["uid"])
        else:
            reflector.shelf.put(semantics.copy(obj))  # the caller's own stays the caller's
        return obj

    async def _look_again(self, kind: Kind, namespace: str, name: str) -> None:
        """Bring one object up to date; the watch may be behind. One that has left our scope is gone for us."""
        if kind not in self._reflectors:
            return
        scope = self._reflectors[kind].scope
        uid = self._reflectors[kind].shelf.uid(namespace, name)
        try:
            if scope.labels:
                found = await self._objects.select(kind, Scope(namespace, scope.labels, f"metadata.name={name}"))
                if not found:
                    raise semantics.key(kind, namespace, name).not_found()
                self._learn(found[0])
            else:
                self._learn(await self._objects.get(kind, namespace, name))
        except NotFound:
            self._reflectors[kind].shelf.lost(namespace, name, uid)
        except SerinError:
            return  # the watch will tell; what the caller is to hear is the conflict

    async def _shelf(self, kind: Kind, namespace: str | None) -> Shelf | None:
        """Where to read a kind from; None: ask the API server."""
        reflector = self._reflectors.get(kind)
        if reflector is None or (namespace is not None and reflector.scope.namespace not in (None, namespace)):
            return None
        await self._until_synced(kind)
        return reflector.shelf

    def _places(self, kind: Kind, namespace: str | None) -> Sequence[tuple[str, str]]:
        return self._reflectors[kind].shelf.places(namespace if kind.namespaced else None)

    async def _until_synced(self, kind: Kind) -> None:
        reflector = self._reflectors[kind]
        if reflector.synced.is_set():
            return
        try:
            async with asyncio.timeout(self._synced_within):
                await first_of(reflector.synced, reflector.failed)
                if kind in self._optional and isinstance(reflector.trouble, Forbidden):
                    return
                await reflector.synced.wait()
        except TimeoutError:
            raise reflector.trouble or Unreachable(
                f"the API server has not listed {kind.plural} within {self._synced_within:.0f} s"
            ) from None


def _goes_at_once(metadata: Object) -> bool:
    return not metadata.get("deletionGracePeriodSeconds")
