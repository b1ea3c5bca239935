"""The history of a baseline, read from a real Prometheus: it says exactly what was counted, and by whom."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from serin.adapters.prometheus import PrometheusMetrics
from serin.core.observation import increments, origin
from tests import real_parts
from tests.adapters.prometheus.engine import ERRORS, LATENCY, REQUESTS, request
from tests.adapters.prometheus.following import Following, RealClock
from tests.adapters.prometheus.real import SCRAPES, running

pytestmark = pytest.mark.real

TOTAL, SUM = "istio_requests_total", "istio_request_duration_milliseconds_sum"
COUNT, FAILED = REQUESTS.name, ERRORS.name


def labels(code: str = "200") -> dict[str, str]:
    workload = {"destination_workload": "past-v1", "destination_workload_namespace": "default"}
    return {"reporter": "source", "response_code": code, **workload}


async def test_the_history_of_a_baseline_is_what_was_counted(tmp_path) -> None:
    asked = request(REQUESTS, ERRORS, LATENCY, baseline="past-v1")
    with real_parts.needed(), running(tmp_path, "gateway-1", "gateway-2") as prometheus:
        source = PrometheusMetrics(prometheus.url, clock=RealClock(), scrape_interval=SCRAPES, gather=0.0)
        experiment, exporter = Following(source, asked), prometheus.exporter
        try:
            assert await source.history(asked, 60.0, 1.0) == [], "nothing was there"
            with exporter.lock:
                exporter.add("gateway-1", TOTAL, 1000, **labels())
                exporter.add("gateway-1", SUM, 5000.5, **labels())
            await experiment.until_reads(COUNT, 1000)
            with exporter.lock:
                exporter.add("gateway-1", TOTAL, 7, **labels())
                exporter.add("gateway-1", SUM, 12.25, **labels())
                exporter.add("gateway-2", TOTAL, 50, **labels())
            await experiment.until_reads(COUNT, 50, 1007)
            with exporter.lock:
                exporter.add("gateway-1", TOTAL, 3, **labels("503"))
                exporter.add("gateway-2", TOTAL, 5, **labels())
            now = await experiment.until_reads(COUNT, 55, 1010)
            end = time.monotonic() + 30.0
            while (history := await source.history(asked, 60.0, 1.0))[-1].time < now.time:
                assert time.monotonic() < end, "a history ends now"
        finally:
            await source.aclose()
    assert all(before.time < after.time for before, after in pairwise(history))
    assert history[0].families == {COUNT, FAILED, LATENCY.name}, "no errors so far, and they would have been shown"
    assert {s.instance for s in history[-1].series} == {s.instance for s in now.series}
    last, totals, lost = None, dict.fromkeys((COUNT, FAILED, LATENCY.name), 0.0), False
    for snapshot in history:
        lost = lost or (last is not None and {s.instance for s in last.series} > {s.instance for s in snapshot.series})
        step = increments(last, snapshot, ["baseline"])
        last = origin(last, snapshot, step)
        assert step.gap is None
        for name, more in step.counts.get("baseline", {}).items():
            totals[name] += more
    turned = {COUNT: 7 + 3 + 5, FAILED: 3, LATENCY.name: 12.25}
    # a scrape that a busy machine did not finish in time makes a gateway a stranger: what it counted meanwhile is lost
    assert totals == turned or (lost and all(totals[name] <= turned[name] for name in turned))
