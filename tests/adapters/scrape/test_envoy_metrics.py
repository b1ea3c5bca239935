"""`EnvoyMetrics` on pages that a test writes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from serin.adapters.scrape.envoy import EnvoyMetrics
from serin.adapters.scrape.exposition import samples
from serin.adapters.scrape.istio import edge, relabelled
from serin.core.observation import Snapshot
from serin.errors import InvalidInput, ProviderError, Unreachable
from serin.ports import CounterQuery, Matcher, ReadRequest

REQUESTS = CounterQuery("iter8_request_count", "…", "istio_requests_total")
ERRORS = CounterQuery(
    "iter8_error_count",
    "…",
    "istio_requests_total",
    (Matcher("response_code", "=~", "5.."), Matcher("reporter", "=", "source")),
)
LATENCY = CounterQuery("iter8_total_latency", "…", "istio_request_duration_milliseconds_sum")
QUICK = CounterQuery("quick", "…", "istio_request_duration_milliseconds_bucket", (Matcher("le", "=", "500"),))

PAGE = """\
# TYPE envoy_serin_requests counter
envoy_serin_requests{to="-",code="404"} 7
envoy_serin_requests{to="default/shop/shop-v1",code="200"} 90
envoy_serin_requests{to="default/shop/shop-v1",code="503",flags="UF"} 10
envoy_serin_requests{to="default/shop/shop-v1",code="503",flags="UH"} 1000
envoy_serin_requests{to="default/shop/shop-v1",code="503",flags="NC,URX"} 1000
envoy_serin_requests{to="default/other/shop-v1",code="200"} 1
envoy_serin_requests{to="test/shop/shop-v1",code="200"} 1000
envoy_serin_requests{to="default/shop/shop-v2",code="200"} NaN
# TYPE envoy_serin_microseconds counter
envoy_serin_microseconds{to="default/shop/shop-v1",code="200"} 1500
# TYPE envoy_serin_aborted_milliseconds counter
envoy_serin_aborted_milliseconds{to="default/shop/shop-v1",code="0"} 20
# TYPE envoy_serin_duration histogram
envoy_serin_duration_bucket{to="default/shop/shop-v1",code="200",le="500000"} 80
envoy_serin_duration_bucket{to="default/shop/shop-v1",code="200",le="+Inf"} 90
envoy_serin_duration_sum{to="default/shop/shop-v1",code="200"} 1
envoy_serin_duration_count{to="default/shop/shop-v1",code="200"} 90
# TYPE envoy_serin_aborted_duration histogram
envoy_serin_aborted_duration_bucket{to="default/shop/shop-v1",code="0",le="500"} 3
envoy_serin_aborted_duration_bucket{to="default/shop/shop-v1",code="0",le="+Inf"} 4
"""


@dataclass(frozen=True)
class Life:
    name: str
    started: float = 1000.0


@dataclass
class Source:
    page: str | Exception = PAGE
    life: Life | None = Life("envoy-1")
    time: float = 2000.0
    asked: list[str] = field(default_factory=list)
    restarts: bool = False

    async def get(self, path: str, **query: str) -> str:
        self.asked.append(query["filter"])
        await asyncio.sleep(0)
        if self.restarts:
            self.life = Life("envoy-2")
        if isinstance(self.page, Exception):
            raise self.page
        return self.page

    def metrics(self) -> EnvoyMetrics:
        return EnvoyMetrics(self, lambda: self.life, lambda: self.time)


def request(*counters: CounterQuery, **versions: str) -> ReadRequest:
    labels = {
        version: {"destination_workload": name, "destination_workload_namespace": "default"}
        for version, name in (versions or {"baseline": "shop-v1"}).items()
    }
    return ReadRequest(counters, labels, 0.0)


async def read(source: Source, *requests: ReadRequest) -> list[Snapshot]:
    answers = await source.metrics().read(requests)
    return [answer for answer in answers if isinstance(answer, Snapshot)]


async def test_counters_are_summed_over_what_selector_and_version_select() -> None:
    (snapshot,) = await read(Source(), request(REQUESTS, ERRORS, LATENCY, QUICK))
    assert {series.counter: series.value for series in snapshot.series} == {
        "iter8_request_count": 101.0,
        "iter8_error_count": 10.0,
        "iter8_total_latency": 21.5,
        "quick": 83.0,
    }
    assert {(s.version, s.instance, s.started) for s in snapshot.series} == {("baseline", "envoy-1", 1000.0)}
    assert snapshot.time == 2000.0


async def test_kind_service_groups_by_the_service() -> None:
    versions = {"baseline": {"destination_service_name": "shop", "destination_service_namespace": "default"}}
    (snapshot,) = await read(Source(), ReadRequest((REQUESTS,), versions, 0.0))
    assert [series.value for series in snapshot.series] == [100.0]


async def test_what_has_no_series_is_absent_but_its_family_is_told() -> None:
    (snapshot,) = await read(Source(), request(REQUESTS, ERRORS, candidate="shop-v2"))
    assert snapshot.series == ()
    assert snapshot.families == {"iter8_request_count", "iter8_error_count"}
    (snapshot,) = await read(Source(page=""), request(REQUESTS))
    assert (snapshot.series, snapshot.families) == ((), frozenset())


async def test_one_scrape_serves_everybody_for_a_second() -> None:
    source = Source()
    metrics = source.metrics()
    await asyncio.gather(*(metrics.read([request(REQUESTS), request(ERRORS)]) for _ in range(10)))
    assert len(source.asked) == 1
    source.time += 0.9
    await metrics.read([request(LATENCY)])
    assert len(source.asked) == 1
    source.time += 0.2
    await metrics.read([request(REQUESTS)])
    assert len(source.asked) == 2
    assert await metrics.read([]) == []


async def test_buckets_are_fetched_only_for_who_wants_them() -> None:
    source = Source()
    metrics = source.metrics()
    await metrics.read([request(REQUESTS)])
    await metrics.read([request(QUICK)])
    await metrics.read([request(REQUESTS)])
    assert source.asked == [r"^serin\.(requests|microseconds|aborted\.milliseconds)\.", r"^serin\."]


async def test_another_life_is_another_instance_and_never_mixed() -> None:
    source = Source()
    metrics = source.metrics()
    await metrics.read([request(REQUESTS)])
    source.life = Life("envoy-2", 1999.5)
    (snapshot,) = await metrics.read([request(REQUESTS)])
    assert isinstance(snapshot, Snapshot)
    assert snapshot.series[0].instance == "envoy-2"
    assert snapshot.series[0].started == 1999.5
    with pytest.raises(ProviderError, match="started again while"):
        await Source(restarts=True).metrics().read([request(REQUESTS)])


async def test_a_source_that_is_away_is_an_error_as_a_whole() -> None:
    with pytest.raises(ProviderError, match="not running"):
        await Source(life=None).metrics().read([request(REQUESTS)])
    with pytest.raises(ProviderError, match="cannot be read"):
        await Source(page=Unreachable("gone")).metrics().read([request(REQUESTS)])
    with pytest.raises(ProviderError, match="text format"):
        await Source(page="<html>").metrics().read([request(REQUESTS)])


async def test_a_request_that_cannot_be_answered_spoils_no_other() -> None:
    unknown = CounterQuery("books", "…", "books_purchased_total")
    first, second = await Source().metrics().read([request(REQUESTS, unknown), request(REQUESTS)])
    assert isinstance(first, InvalidInput)
    assert isinstance(second, Snapshot)
    assert len(second.series) == 1


def asking(label: str, op: str, value: str) -> CounterQuery:
    return CounterQuery("a", "…", "istio_requests_total", (Matcher(label, op, value),))


CHECKS: list[tuple[CounterQuery, str | None]] = [
    (REQUESTS, None),
    (ERRORS, None),
    (QUICK, None),
    (CounterQuery("a", "…", None), "more than one plain counter"),
    (CounterQuery("a", "…", "books_total"), "which nothing counts on one machine"),
    (asking("job", "=", "istio-mesh"), "it is always 'kubernetes-pods'"),
    (asking("reporter", "!=", "source"), "it is always 'source'"),
    (asking("city", "=", "Bern"), "label 'city', which no series"),
    (asking("city", "!=", "Bern"), None),
    (asking("response_code", "=~", "5("), "is no matcher"),
]


@pytest.mark.parametrize(("counter", "sentence"), CHECKS)
def test_what_can_never_be_answered_is_said_beforehand(counter: CounterQuery, sentence: str | None) -> None:
    said = Source().metrics().check(counter)
    assert (said is None) == (sentence is None)
    assert sentence is None or sentence in (said or "")


@pytest.mark.parametrize(
    ("le", "factor", "written"),
    [
        ("500", 1e-3, "0.5"),
        ("500000", 1e-3, "500"),
        ("+Inf", 1e-3, "+Inf"),
        ("3.6e+09", 1e-3, "3600000"),
        ("0.5", 1.0, "0.5"),
    ],
)
def test_edges_are_written_as_istio_writes_them(le: str, factor: float, written: str) -> None:
    assert edge(le, factor) == written


def test_requests_that_no_route_took_have_no_destination() -> None:
    assert all(sample.labels["destination_workload"] for sample in relabelled(samples(PAGE)))
    assert {sample.labels["destination_service"] for sample in relabelled(samples(PAGE))} == {
        "shop.default.svc.cluster.local",
        "other.default.svc.cluster.local",
        "shop.test.svc.cluster.local",
    }
