"""Events in a cluster: counted, never in the way."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress

import pytest

from serin.adapters.kube.events import EventSink
from serin.errors import Unreachable
from serin.fakes import FakeClock, InMemoryObjects, settle
from serin.ports import EVENT, Object, Severity

EXPERIMENT: Object = {
    "apiVersion": "iter8.tools/v1alpha2",
    "kind": "Experiment",
    "metadata": {"name": "roll", "namespace": "web", "uid": "u1", "resourceVersion": "7"},
}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def objects(clock: FakeClock) -> InMemoryObjects:
    return InMemoryObjects(clock)


@pytest.fixture
def sink(objects: InMemoryObjects, clock: FakeClock) -> EventSink:
    return EventSink(objects, clock, "pod-1", itertools.count(255).__next__)


async def events(objects: InMemoryObjects) -> list[tuple[str, int, str]]:
    return [(each["message"], each["count"], each["type"]) for each in await objects.list(EVENT)]


async def test_an_event_stands_beside_what_it_is_about(
    objects: InMemoryObjects, sink: EventSink, clock: FakeClock
) -> None:
    await sink.emit(EXPERIMENT, "TrafficUpdate", "20% to v2", Severity.WARNING)
    await sink.flush()
    (event,) = await objects.list(EVENT, "web")
    assert event["metadata"]["name"] == "roll.ff"
    assert event["involvedObject"]["uid"] == "u1"
    assert (event["reason"], event["type"], event["reportingInstance"]) == ("TrafficUpdate", "Warning", "pod-1")


async def test_what_happens_again_is_counted(objects: InMemoryObjects, sink: EventSink, clock: FakeClock) -> None:
    for message in ("one", "two", "one", "one"):
        await sink.emit(EXPERIMENT, "TargetsError", message)
        await clock.advance(5.0)
        await sink.flush()
    assert sorted(await events(objects)) == [("one", 3, "Normal"), ("two", 1, "Normal")]
    assert [call.verb for call in objects.writes] == ["create", "create", "patch", "patch"]


async def test_one_that_the_cluster_has_forgotten_begins_anew(objects: InMemoryObjects, sink: EventSink) -> None:
    await sink.emit(EXPERIMENT, "TargetsError", "one")
    await sink.flush()
    await objects.delete(EVENT, "web", "roll.ff")
    await sink.emit(EXPERIMENT, "TargetsError", "one")
    await sink.flush()
    assert await events(objects) == [("one", 1, "Normal")]


async def test_progress_is_in_the_status_only(objects: InMemoryObjects, sink: EventSink) -> None:
    await sink.emit(EXPERIMENT, "IterationUpdate", "Iteration 3/8 completed")
    await sink.flush()
    assert objects.writes == []


async def test_nobody_waits_for_an_api_server_that_does_not_follow(
    objects: InMemoryObjects, sink: EventSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serin.adapters.kube.events._WAITING", 3)
    running = asyncio.create_task(sink.run())
    await settle()
    objects.fail_next(Unreachable("away"), verb="create")
    for number in range(5):
        await sink.emit(EXPERIMENT, "TargetsError", str(number))
    await settle()
    assert sink.given_up == 2
    assert sorted(await events(objects)) == [("3", 1, "Normal"), ("4", 1, "Normal")]  # "2" met the failure
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
