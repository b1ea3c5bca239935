"""`LocalMetrics`: each counter from who counts it, all of a request in one snapshot."""

from __future__ import annotations

import pytest

from serin.adapters.scrape.local import LocalMetrics
from serin.core.observation import Snapshot
from serin.errors import ProviderError
from serin.fakes import FakeClock, FakeMetrics
from serin.ports import CounterQuery, ReadRequest

REQUESTS = CounterQuery("iter8_request_count", "…", "istio_requests_total")
BOOKS = CounterQuery("books", "…", "books_purchased_total")
VERSIONS = {"baseline": {"destination_workload": "shop-v1", "destination_workload_namespace": "default"}}


class Both:
    """The two sources; the gateway is read a second after the applications."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.gateway, self.applications = FakeMetrics(self.clock), FakeMetrics(self.clock)
        self.metrics = LocalMetrics(self.gateway, self.applications)
        self.gateway.count("shop-v1", iter8_request_count=100)
        self.applications.count("shop-v1", books=7)

    async def read(self, *counters: tuple[CounterQuery, ...]) -> list[Snapshot | Exception]:
        return await self.metrics.read([ReadRequest(each, VERSIONS, 0.0) for each in counters])


async def test_a_request_is_answered_by_who_counts_each_of_its_counters() -> None:
    both = Both()
    first, second, third = await both.read((REQUESTS, BOOKS), (REQUESTS,), (BOOKS,))
    found = [
        {series.counter: series.value for series in each.series}
        for each in (first, second, third)
        if isinstance(each, Snapshot)
    ]
    assert found == [{"iter8_request_count": 100.0, "books": 7.0}, {"iter8_request_count": 100.0}, {"books": 7.0}]
    assert isinstance(first, Snapshot)
    assert first.families == {"iter8_request_count", "books"}
    assert [len(asked) for asked in both.gateway.reads] == [2]
    assert [len(asked) for asked in both.applications.reads] == [2]


async def test_an_error_of_either_is_the_error_of_its_request_only() -> None:
    both = Both()
    both.applications.faults["books"] = ProviderError("nobody shows it")
    first, second = await both.read((REQUESTS, BOOKS), (REQUESTS,))
    assert isinstance(first, ProviderError)
    assert isinstance(second, Snapshot)
    both.gateway.error = ProviderError("the gateway is away")
    with pytest.raises(ProviderError, match="the gateway is away"):
        await both.read((REQUESTS,))
    (nothing,) = await both.read(())
    assert isinstance(nothing, ProviderError)


def test_each_counter_is_checked_by_who_counts_it() -> None:
    both = Both()
    both.gateway.refused["iter8_request_count"] = "no such label"
    assert both.metrics.check(REQUESTS) == "no such label"
    assert both.metrics.check(BOOKS) is None
    both.gateway.refused["sum"] = "needs a Prometheus"
    assert both.metrics.check(CounterQuery("sum", "…", None)) == "needs a Prometheus"
