"""`PrometheusMetrics`: few queries for many who read, and nobody spoilt by another."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from serin.core.observation import Snapshot
from serin.errors import InvalidInput, ProviderError
from serin.fakes import FakeClock, settle
from serin.ports import CounterQuery
from tests.adapters.prometheus.engine import REQUESTS, World, request, sample
from tests.adapters.prometheus.wire import Played, refusal

TOTAL = "istio_requests_total"
RATE = CounterQuery("busy", "sum(rate(a[$interval])) by ($version_labels)", None)
TWICE = CounterQuery("twice", "2 * sum(increase(a[$interval])) by ($version_labels)", None)


def shop(number: int):
    return request(REQUESTS, baseline=f"shop{number}")


def world(*numbers: int) -> World:
    return World([sample(TOTAL, float(number), f"shop{number}") for number in numbers])


def counted(answers) -> list[float | str]:
    return [a.series[0].value if isinstance(a, Snapshot) else str(a) for a in answers]


async def test_who_reads_in_the_same_moment_shares_a_query() -> None:
    prometheus = Played(world(1, 2, 3))
    metrics = prometheus.metrics()
    readings = [asyncio.ensure_future(metrics.read([shop(1)]))]
    await prometheus.clock.advance(0.1)
    readings += [asyncio.ensure_future(metrics.read([shop(number)])) for number in (2, 3)]
    await prometheus.clock.advance(0.2)
    assert [counted(await reading) for reading in readings] == [[1.0], [2.0], [3.0]]
    assert len(prometheus.queries) == 1
    await metrics.aclose()


async def test_enough_of_them_do_not_wait() -> None:
    prometheus = Played(world(1, 2, 3))
    metrics = prometheus.metrics(batch=3)
    reading = asyncio.ensure_future(metrics.read([shop(1), shop(2), shop(3)]))
    await settle()
    assert counted(await reading) == [1.0, 2.0, 3.0]
    await metrics.aclose()


async def test_many_are_read_at_one_time_in_several_queries() -> None:
    prometheus = Played(world(*range(10)))
    metrics = prometheus.metrics(batch=4)
    answers = await prometheus.read(metrics, *map(shop, range(10)))
    assert counted(answers) == [float(number) for number in range(10)]
    assert len(prometheus.queries) == 3
    assert len({a.time for a in answers if isinstance(a, Snapshot)} | set(prometheus.times)) == 1
    await metrics.aclose()


async def test_nothing_is_asked_twice_within_an_interval_of_scrapes() -> None:
    prometheus = Played(world(1))
    metrics = prometheus.metrics()
    first = await prometheus.read(metrics, shop(1))
    await prometheus.clock.advance(13)
    assert await prometheus.read(metrics, shop(1)) == first
    assert len(prometheus.queries) == 1
    await prometheus.clock.advance(2)
    (second,) = await prometheus.read(metrics, shop(1))
    assert len(prometheus.queries) == 2
    assert isinstance(first[0], Snapshot)
    assert isinstance(second, Snapshot)
    assert second.time > first[0].time
    assert second.time == int(second.time)
    await metrics.aclose()


async def test_no_requests_are_no_query() -> None:
    prometheus = Played()
    metrics = prometheus.metrics()
    assert await metrics.read([]) == []
    assert prometheus.queries == []
    await metrics.aclose()


async def test_a_request_that_is_refused_spoils_no_other() -> None:
    prometheus = Played(world(*range(16)), poison="shop11")
    metrics = prometheus.metrics()
    answers = await prometheus.read(metrics, *map(shop, range(16)))
    sentence = "Prometheus at http://prometheus:9090 refuses the query: too many samples"
    assert counted(answers) == [sentence if number == 11 else float(number) for number in range(16)]
    assert isinstance(answers[11], ProviderError)
    queries = len(prometheus.queries)
    assert await prometheus.read(metrics, shop(11)) == [answers[11]]
    assert len(prometheus.queries) == queries, "what is refused is not asked again at once"
    await metrics.aclose()


async def test_a_source_that_refuses_everything_is_not_asked_for_each() -> None:
    prometheus = Played(world(1), poison="(")
    metrics = prometheus.metrics()
    with pytest.raises(ProviderError, match="refuses the query"):
        await prometheus.read(metrics, *map(shop, range(16)))
    assert len(prometheus.queries) == 2
    await metrics.aclose()


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (httpx2.Response(413, html="<html>"), "refuses the query: it answers 413"),
        (httpx2.Response(422, json={"status": "error", "errorType": "422", "error": "no"}), "refuses the query: no"),
    ],
)
async def test_a_batch_that_is_too_large_is_asked_for_in_parts(reply, sentence) -> None:
    prometheus = Played(world(1, 2))
    prometheus.replies.append(reply)
    metrics = prometheus.metrics()
    assert counted(await prometheus.read(metrics, shop(1), shop(2))) == [1.0, 2.0]
    prometheus.replies.append(reply)
    assert counted(await prometheus.read(metrics, shop(3)))[0] == f"Prometheus at http://prometheus:9090 {sentence}"
    await metrics.aclose()


async def test_a_template_that_cannot_be_read_is_refused_before_it_is_sent() -> None:
    prometheus = Played(world(1))
    metrics = prometheus.metrics()
    answers = await prometheus.read(metrics, shop(1), request(RATE))
    assert counted(answers)[0] == 1.0
    assert isinstance(answers[1], InvalidInput)
    assert str(answers[1]) == metrics.check(RATE)
    assert "the metric 'busy' cannot be used: it uses rate(…)" in str(answers[1])
    assert metrics.check(TWICE) is None
    assert metrics.check(REQUESTS) is None
    assert "rate(" not in "".join(prometheus.queries)
    await metrics.aclose()


async def test_a_template_is_asked_for_apart_and_its_trouble_stays_with_it() -> None:
    prometheus = Played(world(1, 2), poison="increase", clock=FakeClock(1000.0))
    metrics = prometheus.metrics()
    answers = await prometheus.read(metrics, shop(1), request(TWICE, since=500.0), shop(2))
    assert [type(a) for a in answers[::2]] == [Snapshot, Snapshot]
    assert isinstance(answers[1], ProviderError)
    assert len(prometheus.queries) == 2
    await metrics.aclose()


async def test_a_source_that_is_away_is_an_error_of_all() -> None:
    prometheus = Played(world(1))
    prometheus.replies.extend([httpx2.ConnectError("connection refused")] * 3)
    metrics = prometheus.metrics()
    with pytest.raises(ProviderError, match=r"http://prometheus:9090 cannot be reached \(connection refused\)"):
        await prometheus.read(metrics, shop(1), shop(2))
    assert len(prometheus.queries) == 3
    assert counted(await prometheus.read(metrics, shop(1))) == [1.0], "an absence is not kept"
    await metrics.aclose()


async def test_of_several_queries_one_may_fail_alone() -> None:
    prometheus = Played(world(1, 2))
    prometheus.replies.append(httpx2.Response(404))
    metrics = prometheus.metrics(batch=1)
    answers = await prometheus.read(metrics, shop(1), shop(2))
    assert sorted(isinstance(a, ProviderError) for a in answers) == [False, True]
    await metrics.aclose()


async def test_who_does_not_wait_any_more_is_not_asked_for() -> None:
    prometheus = Played(world(1, 2))
    metrics = prometheus.metrics()
    gone = asyncio.ensure_future(metrics.read([shop(1)]))
    stays = asyncio.ensure_future(metrics.read([shop(2)]))
    await settle()
    gone.cancel()
    await prometheus.clock.advance(0.2)
    assert counted(await stays) == [2.0]
    assert "shop1" not in prometheus.queries[0]
    with pytest.raises(asyncio.CancelledError):
        await gone
    await metrics.aclose()


async def test_closing_tells_those_who_wait() -> None:
    prometheus = Played(world(1))
    metrics = prometheus.metrics()
    reading = asyncio.ensure_future(metrics.read([shop(1)]))
    await settle()
    await metrics.aclose()
    with pytest.raises(ProviderError, match="closed before it answered"):
        await reading


async def test_a_fault_of_ours_is_raised_where_it_is_read() -> None:
    prometheus = Played(world(1))
    prometheus.replies.append(RuntimeError("a bug"))
    metrics = prometheus.metrics()
    with pytest.raises(RuntimeError, match="a bug"):
        await prometheus.read(metrics, shop(1))
    await metrics.aclose()


async def test_a_clock_that_is_put_back_is_no_reason_to_stand_still() -> None:
    prometheus = Played(world(1))
    metrics = prometheus.metrics()
    await prometheus.read(metrics, shop(1))
    prometheus.clock._now -= 3600.0
    await prometheus.read(metrics, shop(1))
    assert len(prometheus.queries) == 2
    await metrics.aclose()


async def test_refused_alone_is_an_answer_not_an_absence() -> None:
    prometheus = Played()
    prometheus.replies.append(refusal("bad_data", "parse error", 400))
    metrics = prometheus.metrics()
    (answer,) = await prometheus.read(metrics, shop(1))
    assert str(answer) == "Prometheus at http://prometheus:9090 refuses the query: parse error"
    await metrics.aclose()
