"""Events as objects: counted when they happen again, kept in bounds, and never a reason to stop."""

from __future__ import annotations

import pytest

from serin.adapters.local.events import EventSink
from serin.errors import StorageError
from serin.fakes import Crash, FakeClock, InMemoryObjects
from serin.ports import EVENT, Object, Severity


def experiment(name: str = "web-v2") -> Object:
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}", "resourceVersion": "7"}
    return {"apiVersion": "iter8.tools/v1alpha2", "kind": "Experiment", "metadata": metadata}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(start=1_700_000_000.0)


@pytest.fixture
def store(clock: FakeClock) -> InMemoryObjects:
    return InMemoryObjects(clock)


async def messages(store: InMemoryObjects) -> set[str]:
    return {event["message"] for event in await store.list(EVENT)}


async def test_an_event_says_what_happened_to_whom_and_when(store: InMemoryObjects, clock: FakeClock) -> None:
    await EventSink(store, clock).emit(experiment(), "TargetsError", "Missing Candidate", Severity.WARNING)
    (event,) = await store.list(EVENT)
    assert event["involvedObject"] == {
        "apiVersion": "iter8.tools/v1alpha2",
        "kind": "Experiment",
        "namespace": "default",
        "name": "web-v2",
        "uid": "uid-web-v2",
        "resourceVersion": "7",
    }
    assert (event["reason"], event["message"], event["type"]) == ("TargetsError", "Missing Candidate", "Warning")
    assert event["firstTimestamp"] == event["lastTimestamp"] == "2023-11-14T22:13:20Z"
    assert event["count"] == 1
    assert event["source"] == {"component": "serin"}


async def test_what_happens_again_is_counted_also_after_a_restart(store: InMemoryObjects, clock: FakeClock) -> None:
    for _ in range(2):
        sink = EventSink(store, clock)
        await sink.emit(experiment(), "Wait", "for readings")
        await clock.advance(60.0)
        await sink.emit(experiment(), "Wait", "for readings")
    (event,) = await store.list(EVENT)
    assert event["count"] == 4
    assert event["firstTimestamp"] == "2023-11-14T22:13:20Z"
    assert event["lastTimestamp"] == "2023-11-14T22:15:20Z" or event["lastTimestamp"] == "2023-11-14T22:16:20Z"


@pytest.mark.parametrize(
    "other",
    [
        {"reason": "Other"},
        {"message": "other"},
        {"severity": Severity.WARNING},
        {"regarding": experiment("other")},
        {"regarding": {**experiment(), "metadata": {**experiment()["metadata"], "uid": "its namesake"}}},
    ],
)
async def test_other_events_are_apart(store: InMemoryObjects, clock: FakeClock, other: Object) -> None:
    sink = EventSink(store, clock)
    one: Object = {"regarding": experiment(), "reason": "Wait", "message": "for readings", "severity": Severity.NORMAL}
    await sink.emit(**one)
    await sink.emit(**{**one, **other})
    assert len(await store.list(EVENT)) == 2


async def test_the_oldest_of_one_object_go_first(store: InMemoryObjects, clock: FakeClock) -> None:
    sink = EventSink(store, clock, per_object=3)
    await sink.emit(experiment("other"), "Wait", "untouched")
    for message in ("one", "two", "three", "one", "four", "five"):
        await sink.emit(experiment(), "Wait", message)
        await clock.advance(1.0)
    assert await messages(store) == {"untouched", "one", "four", "five"}


async def test_there_is_a_bound_for_all_together(store: InMemoryObjects, clock: FakeClock) -> None:
    for half in (range(5), range(5, 10)):
        sink = EventSink(store, clock, in_all=4)
        for number in half:
            await sink.emit(experiment(f"e{number}"), "Wait", str(number))
            await clock.advance(1.0)
    assert await messages(store) == {"6", "7", "8", "9"}


async def test_old_events_go(store: InMemoryObjects, clock: FakeClock) -> None:
    sink = EventSink(store, clock, max_age=3600.0)
    await sink.emit(experiment(), "Wait", "long ago")
    await sink.emit(experiment(), "Wait", "again and again")
    await clock.advance(3000.0)
    await sink.emit(experiment(), "Wait", "again and again")
    await clock.advance(3000.0)
    await EventSink(store, clock, max_age=3600.0).emit(experiment(), "Wait", "now")
    assert await messages(store) == {"again and again", "now"}


async def test_an_event_that_somebody_deleted_is_no_trouble(store: InMemoryObjects, clock: FakeClock) -> None:
    sink = EventSink(store, clock, per_object=1)
    await sink.emit(experiment(), "Wait", "one")
    (event,) = await store.list(EVENT)
    await store.delete(EVENT, "default", event["metadata"]["name"])
    await sink.emit(experiment(), "Wait", "two")
    assert await messages(store) == {"two"}


@pytest.mark.parametrize("error", [StorageError("the disk is full"), ZeroDivisionError()])
@pytest.mark.parametrize("verb", ["create", "list", "delete"])
async def test_a_store_that_fails_stops_nobody(
    store: InMemoryObjects, clock: FakeClock, verb: str, error: Exception
) -> None:
    sink = EventSink(store, clock, per_object=1)
    store.fail_next(error, verb=verb)
    for message in ("one", "two", "three"):
        await sink.emit(experiment(), "Wait", message)
    assert "three" in await messages(store)


async def test_a_crash_is_a_crash(store: InMemoryObjects, clock: FakeClock) -> None:
    store.crash_at(1)
    with pytest.raises(Crash):
        await EventSink(store, clock).emit(experiment(), "Wait", "one")


@pytest.mark.parametrize("name", ["a" * 253, "a" * 199 + ".b", "a" * 199 + "-b"])
async def test_a_long_message_is_cut_and_a_long_name_fits(store: InMemoryObjects, clock: FakeClock, name: str) -> None:
    await EventSink(store, clock).emit(experiment(name), "Wait", "x" * 5000)
    (event,) = await store.list(EVENT)
    assert len(event["message"]) == 1024
    assert len(event["metadata"]["name"]) <= 253
