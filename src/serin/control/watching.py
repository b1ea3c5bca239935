"""Watches on a store in this process: nothing missed, nothing kept for ever.

A watcher takes a snapshot when it is first asked, and changes from that moment on. What a slow reader has not fetched
yet is folded, so that a watcher never holds more than one change for each object that lives.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from weakref import WeakSet

from serin.control.semantics import copy, kind_of
from serin.ports import Change, Event, Kind, Object

Snapshot = Callable[[], Iterable[Object]]


class Watch(AsyncIterator[Event]):
    """The events of one watcher, without end until `close`. One reader, in the loop that writes."""

    def __init__(self, hub: Watches, snapshot: Snapshot, kinds: Sequence[Kind], namespace: str | None) -> None:
        self._hub = hub
        self._snapshot: Snapshot | None = snapshot
        self._kinds = frozenset(kinds)
        self._namespace = namespace
        self._present: list[Object] = []
        self._synced = False
        self._pending: dict[str, tuple[Event, bool]] = {}
        self._news = asyncio.Event()
        self._closed = False

    async def __anext__(self) -> Event:
        """The next event. Raises StopAsyncIteration after `close`, and what the store's snapshot raises."""
        if self._snapshot is not None:
            # No await between the snapshot and the registration: that is what leaves no gap.
            self._present = list(self._snapshot())[::-1]
            self._snapshot = None
            self._hub.add(self)
        while not self._closed:
            if self._present:
                return Event(Change.ADDED, self._present.pop())
            if not self._synced:
                self._synced = True
                return Event(Change.SYNCED, {})
            if self._pending:
                event, own = self._pending.pop(next(iter(self._pending)))
                return event if own else Event(event.change, copy(event.object))
            self._news.clear()
            await self._news.wait()
        raise StopAsyncIteration

    def close(self) -> None:
        """End the watch; a reader that waits is told so."""
        self._closed = True
        self._hub.discard(self)
        self._news.set()

    async def aclose(self) -> None:
        """End the watch, as `contextlib.aclosing` does it."""
        self.close()

    def tell(self, change: Change, obj: Object, *, own: bool = False) -> None:
        """Take note of one change of the store. With `own` the reader may have the object itself."""
        metadata = obj["metadata"]
        if kind_of(obj) not in self._kinds or self._namespace not in (None, metadata.get("namespace")):
            return
        uid = metadata["uid"]
        before = self._pending.pop(uid, None)
        unseen = before is not None and before[0].change is Change.ADDED
        if not (unseen and change is Change.DELETED):
            self._pending[uid] = Event(Change.ADDED if unseen else change, obj), own
        self._news.set()


class Watches:
    """All watchers of one store. A watcher that nobody holds any more is forgotten."""

    def __init__(self) -> None:
        self._all: WeakSet[Watch] = WeakSet()

    def open(self, snapshot: Snapshot, kinds: Sequence[Kind], namespace: str | None) -> Watch:
        """A new watcher; `snapshot` gives copies of the present objects that it is to see, when it is first asked."""
        return Watch(self, snapshot, kinds, namespace)

    def add(self, watch: Watch) -> None:
        """Tell this watcher from now on."""
        self._all.add(watch)

    def discard(self, watch: Watch) -> None:
        """Tell this watcher no more."""
        self._all.discard(watch)

    def tell(self, change: Change, obj: Object) -> None:
        """Tell all watchers of a change that is now stored. The object must not be changed afterwards."""
        for watch in list(self._all):
            watch.tell(change, obj)

    def give(self, change: Change, obj: Object) -> None:
        """As `tell`, of an object that the store has no use for any more: a watcher that is alone need not copy it."""
        watchers = list(self._all)
        for watch in watchers:
            watch.tell(change, obj, own=len(watchers) == 1)

    def close(self) -> None:
        """End all watches."""
        for watch in list(self._all):
            watch.close()
