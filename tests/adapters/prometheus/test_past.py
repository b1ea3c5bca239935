"""The history of a baseline: what is asked, how much of it, and what a hole in it is."""

from __future__ import annotations

import pytest

from serin.adapters.prometheus.batch import Row
from serin.core.observation import increments, origin
from serin.errors import ProviderError
from serin.fakes import FakeClock
from serin.ports import CounterQuery, History
from tests.adapters.prometheus.engine import ERRORS, LATENCY, REQUESTS, World, request, sample
from tests.adapters.prometheus.wire import Played, refusal

TOTAL, SUM = "istio_requests_total", "istio_request_duration_milliseconds_sum"
SHOP = request(baseline="shop-v1")
NOW = 10_000.0


def growing(time: float) -> list[Row]:
    """Two gateways; the first error came at 9,400, and Prometheus was away from 9,500 until 9,600."""
    if 9_500 <= time < 9_600:
        return []
    shown = [sample(TOTAL, time * 2, pod=pod) for pod in ("gateway-1", "gateway-2")]
    shown += [sample(SUM, time * 10, pod=pod) for pod in ("gateway-1", "gateway-2")]
    if time >= 9_400:
        shown.append(sample(TOTAL, time - 9_390, response_code="503"))
    return shown


def played(past=growing) -> Played:
    return Played(World(past(NOW)), past=past, clock=FakeClock(NOW + 0.3))


async def test_what_was_counted_is_what_the_history_says() -> None:
    prometheus = played()
    metrics = prometheus.metrics()
    assert isinstance(metrics, History)
    found = await metrics.history(SHOP, 900.0, 15.0)
    assert [found[0].time, found[-1].time] == [NOW - 900.0, NOW]
    assert [s.time for s in found if 9_490 <= s.time <= 9_610] == [9_490, 9_610]
    assert len(found) == 61 - 7
    last, totals = None, dict.fromkeys((REQUESTS.name, ERRORS.name, LATENCY.name), 0.0)
    for snapshot in found:
        step = increments(last, snapshot, ["baseline"])
        last = origin(last, snapshot, step)
        for name, more in step.counts.get("baseline", {}).items():
            totals[name] += more
    assert totals == {REQUESTS.name: 2 * 2 * 900 + 610, ERRORS.name: 610, LATENCY.name: 2 * 10 * 900}


async def test_a_history_is_one_small_query_and_one_over_a_range() -> None:
    prometheus = played()
    metrics = prometheus.metrics()
    history = await metrics.history(SHOP, 900.0, 15.0)
    assert len(prometheus.queries) == 2
    assert prometheus.queries[0].startswith("sum(label_replace(count({")
    (now,) = await prometheus.read(metrics, SHOP)
    assert now == history[-1], "a history ends with what a reading says"


@pytest.mark.parametrize(("scrapes", "steps"), [(5.0, 60), (15.0, 60), (30.0, 30)])
async def test_it_is_no_denser_than_it_was_scraped(scrapes: float, steps: int) -> None:
    found = await played(lambda time: [sample(TOTAL, time)]).metrics(scrape_interval=scrapes).history(SHOP, 900, 15)
    assert len(found) == steps + 1


async def test_a_template_has_no_history() -> None:
    twice = CounterQuery("twice", "2 * sum(increase(sold_total[$interval])) by ($version_labels)", None)
    prometheus = played()
    assert await prometheus.metrics().history(request(twice, baseline="shop-v1"), 900, 15) == []
    assert prometheus.queries == []
    found = await prometheus.metrics().history(request(twice, REQUESTS, baseline="shop-v1"), 900, 15)
    assert {s.counter for snapshot in found for s in snapshot.series} == {REQUESTS.name}


async def test_a_baseline_that_nobody_has_seen_has_none() -> None:
    prometheus = played(lambda _time: [])
    assert await prometheus.metrics().history(SHOP, 3600.0, 15.0) == []
    assert len(prometheus.queries) == 1


def many(series: int) -> Played:
    """That many gateways count requests."""
    rows = [sample(TOTAL, 5.0, pod=f"gateway-{i}") for i in range(series)]
    return Played(World(rows), past=lambda _time: rows[:1], clock=FakeClock(NOW))


@pytest.mark.parametrize(
    ("series", "steps"), [(100, 240), (1000, 199), (3000, 65)], ids=["as wanted", "shorter", "the shortest"]
)
async def test_with_many_series_it_is_shorter(series: int, steps: int) -> None:
    found = await many(series).metrics().history(request(REQUESTS, baseline="shop-v1"), 3600.0, 15.0)
    assert found[-1].time - found[0].time == steps * 15.0


async def test_with_very_many_series_there_is_none_and_it_says_why() -> None:
    prometheus = many(4000)
    with pytest.raises(ProviderError, match="the baseline has 4,000 series, too many for their history to be read"):
        await prometheus.metrics().history(request(REQUESTS, baseline="shop-v1"), 3600.0, 15.0)
    assert len(prometheus.queries) == 1


async def test_times_at_which_it_cannot_be_told_who_counted_are_left_out() -> None:
    def two_replicas_at_first(time: float) -> list[Row]:
        twice = [sample(TOTAL, time, prometheus_replica=name) for name in ("a", "b")]
        return twice if time < NOW - 450 else [sample(TOTAL, time)]

    found = await played(two_replicas_at_first).metrics().history(SHOP, 900.0, 15.0)
    assert [found[0].time, found[-1].time] == [NOW - 450, NOW]
    always = played(lambda time: [sample(TOTAL, time, prometheus_replica=name) for name in ("a", "b")])
    with pytest.raises(ProviderError, match="is shown by several replicas of Prometheus"):
        await always.metrics().history(SHOP, 900.0, 15.0)


async def test_what_is_refused_is_not_asked_again() -> None:
    prometheus = played()
    prometheus.replies.append(refusal())
    with pytest.raises(ProviderError, match="refuses the query: too many samples"):
        await prometheus.metrics().history(SHOP, 900.0, 15.0)
    assert len(prometheus.queries) == 1
