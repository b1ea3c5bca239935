"""What a real Envoy counts is what was sent."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Sequence

import pytest

from serin.adapters.scrape.envoy import EnvoyMetrics
from serin.adapters.scrape.exposition import samples
from serin.adapters.scrape.istio import METRICS, relabelled
from serin.core.observation import Snapshot
from serin.ports import CounterQuery, Matcher, ReadRequest
from tests.adapters.envoy.conftest import House
from tests.adapters.envoy.objects import article, destination, pod, split, virtual_service
from tests.adapters.envoy.wire import address, backend, within

pytestmark = pytest.mark.real


async def counted(home: House, metric: str, **labels: str) -> float | None:
    """The sum over Istio's series with these labels, read from Envoy now."""
    page = await home.proxy.admin.get("/stats/prometheus", usedonly="", filter="^serin")
    found = [s.value for s in relabelled(samples(page)) if s.name == metric and labels.items() <= s.labels.items()]
    return sum(found) if found else None


async def becomes(home: House, value: float, metric: str, **labels: str) -> None:
    """Requests are counted when they have ended, a moment after the client has its answer."""

    async def there() -> bool:
        return await counted(home, metric, **labels) == value

    await within(5, there, f"{metric}{labels} is {value}: {await counted(home, metric, **labels)}")


V1 = {"destination_workload": "shop-v1", "destination_workload_namespace": "default", "reporter": "source"}
V2 = {**V1, "destination_workload": "shop-v2"}


async def test_every_request_is_counted_once_under_its_workload_and_code(home: House) -> None:
    async with backend("one") as one, backend("two") as two:
        await home.seed(
            *article(50, 50),
            pod("one", one.address, workload="shop-v1"),
            pod("two", two.address, workload="shop-v2", version="v2"),
        )
        client = home.client()
        for n in range(300):
            await client.get("/status/500" if n % 10 == 0 else "/")
        await client.get(host="nobody.com")
        for labels, found in ((V1, one), (V2, two)):
            await becomes(home, found.requests["/"], "istio_requests_total", response_code="200", **labels)
            await becomes(home, found.requests["/status/500"], "istio_requests_total", response_code="500", **labels)
        await becomes(home, 300, "istio_requests_total")
        await becomes(home, 300, "istio_request_duration_milliseconds_count")
        await becomes(home, 300, "istio_request_duration_milliseconds_bucket", le="+Inf")
        assert await counted(home, "istio_request_duration_milliseconds_bucket", le="10000") == 300


async def test_the_sum_of_durations_is_that_of_the_same_requests(home: House) -> None:
    async with backend("one") as one:
        await home.seed(*article(100, 0), pod("one", one.address, workload="shop-v1"))
        client, seen = home.client(), 0.0
        for n in range(40):
            began = time.perf_counter()
            await client.get(f"/sleep/{0.002 * (n % 5)}")
            seen += (time.perf_counter() - began) * 1000
        await becomes(home, 40, "istio_request_duration_milliseconds_bucket", le="+Inf")
        total = await counted(home, "istio_request_duration_milliseconds_sum", **V1)
        least = sum(2.0 * (n % 5) for n in range(40))
        assert total is not None
        assert least < total < seen
        edges = [0.0, 0.5, 1, 5, 10, 25, 50, 100]
        found = [await counted(home, "istio_request_duration_milliseconds_bucket", le=f"{e:g}") for e in edges[1:]]
        counts = [int(value or 0) for value in found]
        assert counts == sorted(counts)
        inside = [b - a for a, b in zip([0, *counts], counts, strict=False)]
        assert total >= sum(n * lower for n, lower in zip(inside, edges, strict=False))


async def test_a_request_that_finds_no_pod_says_nothing_about_the_version(home: House) -> None:
    async with backend("one") as one:
        present = pod("one", one.address, workload="shop-v1")
        await home.seed(*article(100, 0), pod("one", one.address, workload="shop-v1", ready=False))
        for _ in range(3):
            assert (await home.client().get()).status == 503
        await home.seed(present)
        await home.client().get()
        await becomes(home, 1, "istio_requests_total")
        await becomes(home, 1, "istio_request_duration_milliseconds_bucket", le="+Inf")
        assert await counted(home, "istio_requests_total", response_code="503") is None


async def test_a_pod_that_refuses_is_a_503_of_its_version_with_its_duration(home: House) -> None:
    await home.seed(*article(100, 0), pod("one", address(), workload="shop-v1"))
    assert (await home.client().get()).status == 503
    labels = {**V1, "response_code": "503"}
    await becomes(home, 1, "istio_requests_total", **labels)
    await becomes(home, 1, "istio_request_duration_milliseconds_bucket", le="+Inf", **labels)
    assert await counted(home, "istio_request_duration_milliseconds_sum", **labels)


async def test_retried_attempts_are_not_counted(home: House) -> None:
    async with backend("one") as one:
        retries = {"attempts": 3, "retryOn": "5xx"}
        await home.seed(
            *article()[:3],
            virtual_service({"route": [destination("one")], "retries": retries}),
            pod("one", one.address, workload="shop-v1"),
        )
        assert (await home.client().get("/status/500")).status == 500
        assert one.requests["/status/500"] == 4
        await becomes(home, 1, "istio_requests_total", response_code="500")
        await becomes(home, 1, "istio_requests_total")


async def test_who_goes_away_or_is_cut_off_is_counted_with_the_time_it_took(home: House) -> None:
    async with backend("one") as one:
        await home.seed(*article(100, 0), pod("one", one.address, workload="shop-v1"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(home.client().get("/sleep/5"), 0.2)
        await home.clients[-1].close()
        await becomes(home, 1, "istio_requests_total", response_code="0", **V1)
        total = await counted(home, "istio_request_duration_milliseconds_sum", response_code="0")
        assert total is not None
        assert 150 < total < 1000
        with pytest.raises(asyncio.IncompleteReadError):
            await home.client().get("/cut")
        await becomes(home, 1, "istio_requests_total", response_code="200", **V1)
        await becomes(home, 2, "istio_request_duration_milliseconds_bucket", le="+Inf", **V1)


async def test_counters_go_on_when_a_workload_is_away_for_a_while(home: House) -> None:
    async with backend("one") as one:
        present = pod("one", one.address, workload="shop-v1")
        await home.seed(*article(100, 0), present)
        await home.client().get()
        for _ in range(3):
            home.objects.seed({**present, "status": {"phase": "Failed"}})
            await home.seed()
            await home.write(virtual_service(split(0, 100)))
            await home.seed(present)
            await home.write(virtual_service(split(100, 0)))
            await home.client().get()
        await becomes(home, 4, "istio_requests_total", **V1)


async def test_a_restart_is_another_instance_that_begins_at_0(home: House) -> None:
    async with backend("one") as one:
        await home.seed(*article(100, 0), pod("one", one.address, workload="shop-v1"))
        metrics = EnvoyMetrics(home.proxy.admin, lambda: home.proxy.instance)
        requests = CounterQuery(
            "iter8_request_count", "…", "istio_requests_total", (Matcher("reporter", "=", "source"),)
        )
        asked = ReadRequest((requests,), {"baseline": {k: V1[k] for k in list(V1)[:2]}}, 0.0)

        async def values() -> Sequence[tuple[str, float]]:
            (snapshot,) = await metrics.read([asked])
            assert isinstance(snapshot, Snapshot)
            return [(series.instance, series.value) for series in snapshot.series]

        for _ in range(3):
            await home.client().get()
        await becomes(home, 3, "istio_requests_total", **V1)
        first, applied = home.proxy.instance, home.translator.applied
        assert first is not None
        assert applied is not None
        assert await values() == [(first.name, 3.0)]
        os.kill(first.pid, signal.SIGKILL)

        async def back() -> bool:
            return home.proxy.instance not in (None, first) and await home.proxy.applied(applied.version)

        await within(5, back, "Envoy is back")
        second = home.proxy.instance
        assert second is not None
        assert second.started > first.started
        await home.client().get()
        await becomes(home, 1, "istio_requests_total", **V1)
        await asyncio.sleep(1.0)  # for as long a scrape is shared
        assert await values() == [(second.name, 1.0)]


async def test_every_metric_that_can_be_asked_for_is_there(home: House) -> None:
    async with backend("one") as one:
        await home.seed(*article(100, 0), pod("one", one.address, workload="shop-v1"))
        await home.client().get()
        await becomes(home, 1, "istio_request_duration_milliseconds_bucket", le="+Inf")
        for metric in METRICS:
            assert await counted(home, metric, **V1)
