"""Counters that reset, vanish, appear and are no numbers, read from a real Prometheus through the core."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from serin.adapters.prometheus import PrometheusMetrics
from serin.core.observation import Snapshot
from serin.errors import ProviderError
from serin.ports import CounterQuery, Matcher
from tests import real_parts
from tests.adapters.prometheus.engine import ERRORS, LATENCY, REQUESTS, request
from tests.adapters.prometheus.following import Following, RealClock
from tests.adapters.prometheus.real import SCRAPES, Exporter, Prometheus, running

pytestmark = pytest.mark.real

TOTAL, SUM = "istio_requests_total", "istio_request_duration_milliseconds_sum"
COUNT, FAILED = REQUESTS.name, ERRORS.name


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("prometheus")
    with real_parts.needed(), running(folder, "gateway-1", "gateway-2") as started:
        yield started


@pytest.fixture
def exporter(prometheus: Prometheus) -> Exporter:
    return prometheus.exporter


@contextlib.asynccontextmanager
async def reading(prometheus: Prometheus, every: float = SCRAPES, batch: int = 100) -> AsyncIterator[PrometheusMetrics]:
    source = PrometheusMetrics(prometheus.url, clock=RealClock(), scrape_interval=every, gather=0.0, batch=batch)
    try:
        yield source
    finally:
        await source.aclose()


@pytest.fixture
async def metrics(prometheus: Prometheus) -> AsyncIterator[PrometheusMetrics]:
    async with reading(prometheus) as source:
        yield source


def labels(workload: str, code: str = "200") -> dict[str, str]:
    return {
        "reporter": "source",
        "destination_workload": workload,
        "destination_workload_namespace": "default",
        "response_code": code,
    }


def follow(metrics: PrometheusMetrics, *counters: CounterQuery, **versions: str) -> Following:
    return Following(metrics, request(*counters, since=time.time(), **versions))


async def test_what_is_counted_after_the_first_reading_is_told_exactly(metrics, exporter) -> None:
    experiment = follow(metrics, REQUESTS, ERRORS, LATENCY, baseline="exact-v1", candidate="exact-v2")
    exporter.add("gateway-1", TOTAL, 1000, **labels("exact-v1"))
    exporter.add("gateway-1", SUM, 5000.5, **labels("exact-v1"))
    await experiment.until_reads(COUNT, 1000)
    exporter.add("gateway-1", TOTAL, 7, **labels("exact-v1"))
    exporter.add("gateway-1", SUM, 12.25, **labels("exact-v1"))
    exporter.add("gateway-1", TOTAL, 3, **labels("exact-v2", "503"))
    await experiment.until_reads(FAILED, 3, version="candidate")
    exporter.add("gateway-1", TOTAL, 1, **labels("exact-v2", "500"))
    exporter.add("gateway-1", TOTAL, 20, **labels("exact-v2"))
    await experiment.until_reads(COUNT, 24, version="candidate")
    assert experiment.totals == {
        ("baseline", COUNT): 7,
        ("baseline", FAILED): 0,
        ("baseline", LATENCY.name): 12.25,
        ("candidate", COUNT): 24,
        ("candidate", FAILED): 4,
        ("candidate", LATENCY.name): 0,
    }
    assert all(step.gap is None for step in experiment.steps)


async def test_no_series_is_no_count_and_no_0(metrics) -> None:
    experiment = follow(metrics, baseline="nobody-v1", candidate="nobody-v2")
    snapshot = await experiment.read()
    assert (snapshot.series, snapshot.families) == ((), frozenset())


async def test_an_applications_own_counter_is_its_pods_and_what_is_not_there_is_said(metrics, exporter) -> None:
    pod = {"pod": "own-v1-7d8f9c6b5d-x2bcd", "namespace": "default"}
    sold, lost = (CounterQuery(name, "…", f"{name}_total") for name in ("own_sold", "own_lost"))
    exporter.add("gateway-1", TOTAL, 10, **labels("own-v1"))
    exporter.add("gateway-1", "own_sold_total", 3, **pod, shelf="new")
    await follow(metrics, REQUESTS, sold, baseline="own-v1").until_reads(sold.name, 3)
    (answer,) = await metrics.read([request(REQUESTS, lost, baseline="own-v1")])
    assert "'own_lost_total', of which Prometheus has no series" in str(answer)
    (answer,) = await metrics.read([request(REQUESTS, sold, baseline="own-v1", candidate="own-v2")])
    assert isinstance(answer, Snapshot)
    exporter.add("gateway-1", TOTAL, 10, **labels("strange-v1"))
    await follow(metrics, REQUESTS, baseline="strange-v1").until_reads(COUNT, 10)
    (answer,) = await metrics.read([request(REQUESTS, sold, baseline="strange-v1")])
    assert "none of its 1 series in Prometheus is about default/strange-v1" in str(answer)


async def test_a_counter_that_fell_is_not_taken_for_its_whole_past(metrics, exporter) -> None:
    """A proxy drops the series of a code that has been silent; its sum falls, and nothing was counted."""
    experiment = follow(metrics, REQUESTS, ERRORS, baseline="fallen-v1")
    exporter.add("gateway-1", TOTAL, 100_000, **labels("fallen-v1"))
    exporter.add("gateway-1", TOTAL, 400, **labels("fallen-v1", "404"))
    await experiment.until_reads(COUNT, 100_400)
    exporter.drop("gateway-1", destination_workload="fallen-v1", response_code="404")
    await experiment.until_reads(COUNT, 100_000)
    exporter.add("gateway-1", TOTAL, 5, **labels("fallen-v1"))
    await experiment.until_reads(COUNT, 100_005)
    exporter.set("gateway-1", TOTAL, 3, **labels("fallen-v1"))  # and the proxy begins anew
    await experiment.until_reads(COUNT, 3)
    exporter.add("gateway-1", TOTAL, 10, **labels("fallen-v1"))
    await experiment.until_reads(COUNT, 13)
    assert experiment.totals["baseline", COUNT] == 15


async def test_an_instance_that_goes_and_comes_back_is_counted_once(metrics, exporter) -> None:
    experiment = follow(metrics, REQUESTS, baseline="coming-v1")
    for pod in exporter.pods:
        exporter.add(pod, TOTAL, 50, **labels("coming-v1"))
    await experiment.until_reads(COUNT, 50, 50)
    with exporter.lock:
        exporter.away.add("gateway-2")
    try:
        begin = time.monotonic()
        await experiment.until_reads(COUNT, 50)
        assert time.monotonic() - begin < 20, "it does not linger for the five minutes that Prometheus looks back"
        exporter.add("gateway-1", TOTAL, 4, **labels("coming-v1"))
        exporter.add("gateway-2", TOTAL, 6, **labels("coming-v1"))
        await experiment.until_reads(COUNT, 54)
    finally:
        exporter.away.clear()
    await experiment.until_reads(COUNT, 54, 56)
    exporter.add("gateway-2", TOTAL, 1, **labels("coming-v1"))
    await experiment.until_reads(COUNT, 54, 57)
    assert experiment.totals["baseline", COUNT] == 11, "what it counted while hidden is counted, once"


async def test_what_is_not_a_number_is_absent(metrics, exporter) -> None:
    experiment = follow(metrics, REQUESTS, baseline="nan-v1", candidate="nan-v2")
    exporter.set("gateway-1", TOTAL, 5, **labels("nan-v1"))
    exporter.set("gateway-1", TOTAL, math.nan, **labels("nan-v2"))
    snapshot = await experiment.until_reads(COUNT, 5)
    assert {s.version for s in snapshot.series} == {"baseline"}
    exporter.set("gateway-1", TOTAL, 2, **labels("nan-v2"))
    await experiment.until_reads(COUNT, 2, version="candidate")
    assert experiment.totals == {("baseline", COUNT): 0, ("candidate", COUNT): 2}


async def test_an_answer_of_10_000_series(tmp_path) -> None:
    pods = range(5000)
    with running(tmp_path, "gateway-1", scrapes=5.0) as prometheus:
        with prometheus.exporter.lock:
            for pod in pods:
                for version in ("many-v1", "many-v2"):
                    own = {"pod": f"client-{pod}", "instance": f"client-{pod}:15020"}
                    prometheus.exporter.set("gateway-1", TOTAL, float(pod), **labels(version), **own)
        async with reading(prometheus) as metrics:
            experiment = follow(metrics, REQUESTS, baseline="many-v1", candidate="many-v2")
            snapshot = await experiment.until(lambda s: len(s.series) == 10_000, "all are shown")
    assert sum(s.value for s in snapshot.series) == 2 * sum(pods)
    assert len({s.instance for s in snapshot.series}) == 5000


async def test_a_batch_answers_what_each_request_is_answered_alone(prometheus, metrics, exporter) -> None:
    names = ["batch-v1", "batch.v1", "batchxv1", "batch-v10", "bat+ch", "ba|tch", "b(a", "back\\slash", 'quo"te']
    with exporter.lock:
        for number, name in enumerate(names):
            for pod in exporter.pods:
                exporter.set(pod, TOTAL, number, **labels(name))
                exporter.set(pod, TOTAL, number + 1, **labels(name, "500"))
                exporter.set(pod, SUM, number / 8, **labels(name))
                exporter.set(pod, "sold_total", number, **labels(name))
    sold = CounterQuery("sold", "…", "sold_total", (Matcher("response_code", "!=", "500"),))
    asked = [
        request(*counters, baseline=first, candidate=second)
        for counters in ((REQUESTS,), (REQUESTS, ERRORS), (LATENCY, sold), (ERRORS, sold, REQUESTS, LATENCY))
        for first, second in zip(names, [*names[1:], "nobody"], strict=True)
    ]
    await Following(metrics, asked[-1]).until_reads(COUNT, 17, 17)
    together = await metrics.read(asked)
    async with reading(prometheus, every=0.0, batch=1) as alone:
        each = [answer for one in asked for answer in await alone.read([one])]
    assert [told(answer) for answer in together] == [told(answer) for answer in each]
    assert sum(len(told(answer)[0]) for answer in together) > 300


def told(answer: Snapshot | Exception) -> tuple:
    assert isinstance(answer, Snapshot), answer
    return sorted((s.version, s.counter, s.instance, s.value) for s in answer.series), answer.families


async def test_what_prometheus_refuses_spoils_no_other(metrics, exporter) -> None:
    exporter.set("gateway-1", TOTAL, 5, **labels("good-v1"))
    gos = CounterQuery("gos", "…", TOTAL, (Matcher("response_code", "=~", "(?<name>5..)"),))  # Rust's, not this Go's
    broken = "sum(label_replace(increase(x_total[$interval]), 'y', '$1', 'z', '((')) by ($version_labels)"
    template = CounterQuery("broken", broken, None)
    await follow(metrics, REQUESTS, baseline="good-v1").until_reads(COUNT, 5)
    good = request(REQUESTS, baseline="good-v1")
    answers = await metrics.read([
        good,
        request(gos, baseline="good-v1"),
        request(REQUESTS, template, baseline="good-v1"),
        good,
    ])  # fmt: skip
    assert isinstance(answers[0], Snapshot)
    assert answers[0] == answers[3]
    assert "refuses the query: invalid parameter" in str(answers[1])
    assert "refuses the query: " in str(answers[2])
    assert [isinstance(answer, ProviderError) for answer in answers] == [False, True, True, False]


async def test_a_reading_is_one_state_even_while_scrapes_come_in(tmp_path) -> None:
    """Every page has as many errors as requests; a reading torn between two scrapes would not."""
    with running(tmp_path, "gateway-1", scrapes=0.2) as prometheus:
        names = [f"torn-{i}" for i in range(100)]
        stop = asyncio.Event()

        async def turn() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                with prometheus.exporter.lock:
                    for name in names:
                        prometheus.exporter.set("gateway-1", TOTAL, number, **labels(name, "500"))
                await asyncio.sleep(0.01)

        turning = asyncio.create_task(turn())
        asked = [request(REQUESTS, ERRORS, baseline=name) for name in names]
        seen = 0
        async with reading(prometheus, every=0.0) as metrics:
            await Following(metrics, asked[0]).until(lambda s: bool(s.series), "the first scrape")
            end = time.monotonic() + 5
            while time.monotonic() < end:
                for answer in await metrics.read(asked):
                    assert isinstance(answer, Snapshot)
                    assert len({s.value for s in answer.series}) <= 1
                    seen += len(answer.series) == 2
        stop.set()
        await turning
        assert seen >= 100


async def test_prometheus_ends_and_comes_back(tmp_path) -> None:
    with running(tmp_path, "gateway-1") as prometheus:
        async with reading(prometheus, every=0.0) as metrics:
            experiment = follow(metrics, REQUESTS, ERRORS, baseline="back-v1")
            prometheus.exporter.add("gateway-1", TOTAL, 10, **labels("back-v1"))
            await experiment.until_reads(COUNT, 10)
            prometheus.stop()
            with pytest.raises(ProviderError, match=r"cannot be reached \(.*\); the counters are read again later"):
                await experiment.read()
            prometheus.exporter.add("gateway-1", TOTAL, 32, **labels("back-v1"))
            prometheus.start()
            await experiment.until_reads(COUNT, 42)
    assert experiment.totals["baseline", FAILED] == 0
    # a scrape that a busy machine did not finish in time makes the gateway a stranger: what it counted is lost
    assert experiment.totals["baseline", COUNT] in ((32,) if experiment.absences == 0 else (0, 32))


TWICE = CounterQuery("twice", "2 * sum(increase(sold_total[$interval])) by ($version_labels)", None)


async def test_a_template_is_followed_within_what_increase_extrapolates(prometheus, exporter) -> None:
    """Steady growth, then none: the waves of `increase()` are counted neither as growth nor as a new beginning."""
    exporter.set("gateway-1", "sold_total", 10_000, **labels("sold-v1"))
    stop = asyncio.Event()
    turned = {0.0: 10_000.0}

    async def sell() -> None:
        while not stop.is_set():
            number = max(turned.values()) + 1
            exporter.set("gateway-1", "sold_total", number, **labels("sold-v1"))
            turned[time.time()] = number
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 0.02)

    async with reading(prometheus) as metrics:
        experiment = follow(metrics, TWICE, baseline="sold-v1")
        young = await experiment.read()
        assert (young.series, young.families) == ((), frozenset()), "nothing is read while the range is short"
        selling = asyncio.create_task(sell())
        first = await experiment.until(lambda s: bool(s.series), "the template is read")
        for _ in range(8):
            await asyncio.sleep(1.0)
            await experiment.read()
        stop.set()
        await selling
        for _ in range(8):
            await asyncio.sleep(1.0)
            await experiment.read()
    sold = max(turned.values()) - max(n for t, n in turned.items() if t <= first.time)
    assert experiment.totals["baseline", "twice"] == pytest.approx(2 * sold, rel=0.3)
    assert all(step.gap is None and not step.restarted for step in experiment.steps)
    assert experiment.steps[-1].counts["baseline"]["twice"] == 0.0


async def test_several_experiments_read_at_their_own_time(metrics, exporter) -> None:
    names = [f"own-{i}" for i in range(20)]
    for name in names:
        exporter.add("gateway-1", TOTAL, 5, **labels(name))
    experiments = [follow(metrics, REQUESTS, baseline=name) for name in names]
    await asyncio.gather(*(experiment.until_reads(COUNT, 5) for experiment in experiments))
    for name in names:
        exporter.add("gateway-1", TOTAL, 3, **labels(name))
    await asyncio.gather(*(experiment.until_reads(COUNT, 8) for experiment in experiments))
    assert {experiment.totals["baseline", COUNT] for experiment in experiments} == {3}
