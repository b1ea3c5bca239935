"""Istio's standard metrics, counted by hand so that a scrape sees requests, sums and buckets of one moment."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from lab.telemetry.requests import Request, Workload

EDGES = (0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1e3, 2.5e3, 5e3, 1e4, 3e4, 6e4, 3e5, 6e5, 1.8e6, 3.6e6)
"""Upper edges of the duration's buckets in milliseconds: Envoy's, which are Istio's."""

LABELS = (
    "reporter", "source_workload", "source_workload_namespace", "destination_workload",
    "destination_workload_namespace", "destination_app", "destination_version", "destination_service",
    "destination_service_name", "destination_service_namespace", "request_protocol", "response_code",
    "response_flags", "connection_security_policy",
)  # fmt: skip


@dataclass(slots=True)
class _Series:
    requests: int = 0
    milliseconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(EDGES) + 1))


class Counts(Collector):
    """`istio_requests_total` and `istio_request_duration_milliseconds`, as the source's proxy reports them."""

    def __init__(self, workload: str, namespace: str) -> None:
        """`workload`, `namespace`: whose proxy it is."""
        self._source = (workload, namespace)
        self._series: dict[tuple[str, ...], _Series] = {}
        self._lock = threading.Lock()

    def count(self, request: Request, to: Workload) -> None:
        """Count one request."""
        service = f"{request.service}.{request.service_namespace}.svc.cluster.local"
        labels = (
            "source", *self._source, to.name, to.namespace, to.app, to.version, service, request.service,
            request.service_namespace, "http", str(request.code), request.flags, "none",
        )  # fmt: skip
        with self._lock:
            series = self._series.setdefault(labels, _Series())
            series.requests += 1
            series.milliseconds += request.milliseconds
            series.buckets[bisect_left(EDGES, request.milliseconds)] += 1

    def collect(self) -> Iterator[Metric]:
        """As prometheus_client asks for it."""
        requests = CounterMetricFamily("istio_requests", "requests that have ended", labels=LABELS)
        durations = HistogramMetricFamily("istio_request_duration_milliseconds", "their duration", labels=LABELS)
        with self._lock:
            for labels, series in self._series.items():
                requests.add_metric(labels, series.requests)
                durations.add_metric(labels, _cumulative(series.buckets), series.milliseconds)
        yield requests
        yield durations


def _cumulative(buckets: list[int]) -> list[tuple[str, float]]:
    below, found = 0, []
    for edge, count in zip((*map(_text, EDGES), "+Inf"), buckets, strict=True):
        below += count
        found.append((edge, float(below)))
    return found


def _text(edge: float) -> str:
    """As Istio writes it: `0.5`, `500`."""
    return str(int(edge)) if edge == int(edge) else str(edge)
