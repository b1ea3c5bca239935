"""Watchers of one store: who may have an object itself, and who gets a copy."""

from __future__ import annotations

from serin.control.watching import Watch, Watches
from serin.ports import EXPERIMENT, Change, Object


def experiment() -> Object:
    metadata = {"name": "a", "namespace": "default", "uid": "1"}
    return {"apiVersion": EXPERIMENT.api_version, "kind": EXPERIMENT.name, "metadata": metadata}


async def listening(watches: Watches, count: int) -> list[Watch]:
    """So many watchers who have seen that there is nothing yet."""
    found = [watches.open(lambda: (), (EXPERIMENT,), None) for _ in range(count)]
    for watch in found:
        assert (await anext(watch)).change is Change.SYNCED
    return found


async def test_whoever_watches_alone_gets_what_nobody_else_needs() -> None:
    watches = Watches()
    (watch,) = await listening(watches, 1)
    given = experiment()
    watches.give(Change.ADDED, given)
    assert (await anext(watch)).object is given


async def test_several_watchers_get_copies() -> None:
    watches = Watches()
    found = await listening(watches, 2)
    given = experiment()
    watches.give(Change.ADDED, given)
    one, other = [(await anext(watch)).object for watch in found]
    assert one == other == given
    assert given is not one is not other is not given


async def test_what_the_store_keeps_is_copied() -> None:
    watches = Watches()
    (watch,) = await listening(watches, 1)
    kept = experiment()
    watches.tell(Change.ADDED, kept)
    told = (await anext(watch)).object
    assert told == kept
    assert told is not kept
