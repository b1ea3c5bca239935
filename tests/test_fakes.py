"""The fakes are true to their ports, and fail when they are told to."""

from __future__ import annotations

import asyncio

import pytest

from serin.errors import Conflict, ProviderError, StorageError
from serin.fakes import Crash, FakeClock, FakeDataPlane, FakeMetrics, FakeSink, InMemoryObjects, settle
from serin.ports import CONFIG_MAP, DEPLOYMENT, Change, CounterQuery, DataPlane, Metrics, ReadRequest, Severity, Sink
from tests.objects_contract import ObjectsContract, config_map, deployment, take, until_synced


@pytest.fixture
def store() -> InMemoryObjects:
    return InMemoryObjects()


class TestInMemoryObjects(ObjectsContract):
    """The contract of the port."""


async def test_the_next_write_fails_once(store: InMemoryObjects) -> None:
    store.fail_next(Conflict("not now"), kind=CONFIG_MAP)
    await store.create(deployment())
    with pytest.raises(Conflict, match="not now"):
        await store.create(config_map())
    await store.create(config_map())


async def test_reads_fail_only_when_named(store: InMemoryObjects) -> None:
    store.fail_next(StorageError("full"), times=2)
    assert await store.list(CONFIG_MAP) == []
    store.fail_next(StorageError("away"), verb="list", skip=1)
    assert await store.list(CONFIG_MAP) == []
    with pytest.raises(StorageError, match="away"):
        await store.list(CONFIG_MAP)
    store.fail_next(StorageError("away"), verb="watch")
    with pytest.raises(StorageError, match="away"):
        await anext(store.watch(CONFIG_MAP))


@pytest.mark.parametrize(("after", "left"), [(False, 2), (True, 3)])
async def test_a_crash_happens_before_or_after_the_nth_write(store: InMemoryObjects, after: bool, left: int) -> None:
    store.crash_at(3, after=after)

    async def work() -> None:
        try:
            for n in range(5):
                await store.create(config_map(f"cm-{n}"))
        except Exception as error:
            raise AssertionError("a crash is nothing that a program can hold") from error

    with pytest.raises(Crash):
        await work()
    assert len(await store.list(CONFIG_MAP)) == left
    await store.create(config_map("life-goes-on"))


async def test_writes_are_recorded_with_what_was_given(store: InMemoryObjects) -> None:
    await store.create(deployment())
    await store.get(DEPLOYMENT, "default", "web")
    await store.patch(DEPLOYMENT, "default", "web", {"status": {"readyReplicas": 1}}, status=True)
    assert [(call.verb, call.name) for call in store.writes] == [("create", "web"), ("status", "web")]
    assert store.writes[-1].body == {"status": {"readyReplicas": 1}}
    assert len(store.calls) == 3


async def test_somebody_else_changes_the_object_between_read_and_write(store: InMemoryObjects) -> None:
    made = await store.create(config_map())

    async def interfere(call: object) -> None:
        await store.patch(CONFIG_MAP, "default", "cm", {"data": {"a": "theirs"}})

    store.before_write = interfere
    with pytest.raises(Conflict):
        await store.replace({**made, "data": {"a": "mine"}})
    assert (await store.get(CONFIG_MAP, "default", "cm"))["data"] == {"a": "theirs"}


async def test_seeds_are_there_with_their_status_and_seen_by_watchers(store: InMemoryObjects) -> None:
    store.seed({**deployment(), "status": {"readyReplicas": 1}})
    assert (await store.get(DEPLOYMENT, "default", "web"))["status"] == {"readyReplicas": 1}
    events = store.watch(DEPLOYMENT)
    await until_synced(events)
    store.seed({**deployment(), "status": {"readyReplicas": 0}})
    (event,) = await take(events, 1)
    assert (event.change, event.object["status"]) == (Change.MODIFIED, {"readyReplicas": 0})
    assert store.writes == []


async def test_a_disconnected_watch_ends(store: InMemoryObjects) -> None:
    events = store.watch(CONFIG_MAP)
    await until_synced(events)
    waiting = asyncio.ensure_future(anext(events, None))
    await settle()
    store.disconnect()
    assert await waiting is None


async def test_the_clock_wakes_each_sleeper_at_its_own_time() -> None:
    clock, woken = FakeClock(start=100.0), []

    async def sleeper(seconds: float) -> None:
        for _ in range(2):
            await clock.sleep(seconds)
            woken.append((seconds, clock.now()))

    tasks = [asyncio.ensure_future(sleeper(seconds)) for seconds in (5.0, 2.0)]
    await clock.advance(1.9)
    assert woken == []
    assert clock.sleepers == 2
    await clock.advance(4.0)
    assert woken == [(2.0, 102.0), (2.0, 104.0), (5.0, 105.0)]
    assert clock.now() == pytest.approx(105.9)
    await clock.advance(60.0)
    await asyncio.gather(*tasks)


async def test_a_cancelled_sleeper_does_not_stop_the_clock() -> None:
    clock = FakeClock()
    task = asyncio.ensure_future(clock.sleep(1))
    await settle()
    task.cancel()
    await clock.advance(2)
    assert task.cancelled()
    assert clock.sleepers == 0


def query(name: str) -> CounterQuery:
    return CounterQuery(name, "", name)


async def test_metrics_show_what_was_counted_and_nothing_else() -> None:
    clock = FakeClock(start=1000.0)
    metrics = FakeMetrics(clock)
    metrics.count("v1", requests=3, errors=1)
    await clock.advance(10)
    metrics.count("v1", requests=2)
    request = ReadRequest(
        (query("requests"), query("latency")),
        {"baseline": {"destination_workload": "v1"}, "candidate-0": {"destination_workload": "v2"}},
        since=1000.0,
    )
    (snapshot,) = await metrics.read([request])
    assert not isinstance(snapshot, Exception)
    assert snapshot.time == 1010.0
    assert [(s.version, s.counter, s.value, s.started) for s in snapshot.series] == [
        ("baseline", "requests", 5.0, 1000.0)
    ]
    assert snapshot.families == {"requests"}
    before = snapshot.series[0].instance
    metrics.restart("v1")
    metrics.count("v1", requests=1)
    (snapshot,) = await metrics.read([request])
    assert not isinstance(snapshot, Exception)
    assert [s.value for s in snapshot.series] == [1.0]
    assert snapshot.series[0].instance != before


async def test_metrics_fail_as_a_whole_or_for_one_request() -> None:
    metrics = FakeMetrics(FakeClock())
    metrics.faults["errors"] = ProviderError("nonsense")
    good, bad = (ReadRequest((query(name),), {}, 0.0) for name in ("requests", "errors"))
    answers = await metrics.read([bad, good])
    assert isinstance(answers[0], ProviderError)
    assert not isinstance(answers[1], Exception)
    metrics.error = ProviderError("away")
    with pytest.raises(ProviderError, match="away"):
        await metrics.read([good])
    metrics.refused["errors"] = "no plain counter"
    assert [metrics.check(query(name)) for name in ("requests", "errors")] == [None, "no plain counter"]


async def test_the_other_fakes_fit_their_ports() -> None:
    sink, plane = FakeSink(), FakeDataPlane()
    ports: tuple[Metrics, Sink, DataPlane] = (FakeMetrics(FakeClock()), sink, plane)
    assert ports
    await sink.emit(config_map(), "Reason", "what happened", Severity.WARNING)
    assert sink.lines == ["Reason: what happened"]
    plane.behind.add("cm")
    plane.busy["v2"] = 1
    assert not await plane.applied(config_map())
    assert not await plane.idle("default", "v2")
    assert await plane.idle("default", "v1")
