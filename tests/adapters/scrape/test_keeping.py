"""The gateway's counters of the last hour, kept for experiments that start later."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise

from serin.adapters.scrape.envoy import EnvoyMetrics
from serin.adapters.scrape.exposition import Sample
from serin.adapters.scrape.keeping import Kept, Memory
from serin.fakes import FakeClock, settle
from serin.ports import History
from tests.adapters.scrape.test_envoy_metrics import ERRORS, QUICK, REQUESTS, Life, Source, request


async def test_scrapes_are_kept_every_fifteen_seconds_through_a_restart_of_the_gateway() -> None:
    source, clock = Source(), FakeClock()
    metrics = EnvoyMetrics(source, lambda: source.life, clock.now)
    task = asyncio.create_task(metrics.keep(clock))
    await settle()
    for life in (source.life, None, Life("envoy-2", 2030.0)):
        source.life = life
        await clock.advance(15.0)
    task.cancel()
    await settle()
    found = await metrics.history(request(REQUESTS, ERRORS), 3600.0, 15.0)
    assert [{s.instance for s in snapshot.series} for snapshot in found] == [{"envoy-1"}, {"envoy-1"}, {"envoy-2"}]
    assert {s.counter: s.value for s in found[0].series} == {"iter8_request_count": 101.0, "iter8_error_count": 10.0}
    assert [later.time - sooner.time for sooner, later in pairwise(found)] == [15.0, 30.0]
    assert await metrics.history(request(REQUESTS), 20.0, 15.0) == [
        replace(found[2], series=found[2].series[:1], families=frozenset({"iter8_request_count"}))
    ]
    assert isinstance(metrics, History)


async def test_buckets_are_not_kept_and_absent_not_zero() -> None:
    source, clock = Source(), FakeClock()
    metrics = source.metrics()
    task = asyncio.create_task(metrics.keep(clock))
    await clock.advance(1.0)
    task.cancel()
    (snapshot,) = await metrics.history(request(REQUESTS, QUICK), 3600.0, 15.0)
    assert {s.counter for s in snapshot.series} == {"iter8_request_count"}


def kept(time: float, samples: int = 3) -> Kept:
    series = {"istio_requests_total": [Sample("istio_requests_total", {"n": str(i)}, time) for i in range(samples)]}
    return Kept(time, "envoy", 0.0, series)


def test_an_hour_is_kept_and_no_more() -> None:
    memory = Memory()
    for i in range(400):
        memory.add(kept(15.0 * i))
    times = [scrape.time for scrape in memory.since(0.0)]
    assert (times[0], times[-1], len(times)) == (15.0 * 157, 15.0 * 399, 243)
    first, last = next(memory.since(0.0)), next(memory.since(15.0 * 399))
    assert first.series["istio_requests_total"][0].labels is last.series["istio_requests_total"][0].labels


def test_very_many_series_shorten_what_is_kept() -> None:
    memory = Memory()
    for i in range(30):
        memory.add(kept(15.0 * i, 20_000))
    assert len(list(memory.since(0.0))) == 10
