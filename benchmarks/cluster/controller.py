"""The controller itself, as `serin controller` runs it, with counters that it does not need: bytes, lags, looks.

They are shown beside its own on the page of its metrics. Never changes what it does.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import httpx2
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from benchmarks.cluster.manifests import group_of
from serin.adapters.kube.connection import Access, access
from serin.adapters.prometheus import PrometheusMetrics
from serin.core.observation import Snapshot
from serin.operator import log
from serin.operator.controller import Controller, SystemClock
from serin.operator.settings import Settings
from serin.ports import ReadRequest

SCRAPES = 15.0
_LAGS = [0.001 * 1.25**step for step in range(58)]
"""Upper ends of the buckets, 1 ms to 6 min: a quantile is known to a quarter."""

_ITERATED = b'"currentIteration"'
"""In a patch of the status: an iteration was decided."""


class Meters:
    """What is counted beyond the controller's own metrics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        of = ("verb", "what", "group")
        self.requests = Counter("bench_requests", "Requests", of, registry=self.registry)
        self.bytes = Counter("bench_bytes", "Bytes sent and received", (*of, "way"), registry=self.registry)
        self.iterations = Counter("bench_iterations", "Iterations recorded", ("group",), registry=self.registry)
        self.lag = Histogram("bench_lag", "Seconds", buckets=_LAGS, registry=self.registry)
        self.readings = Counter("bench_readings", "Experiments read", registry=self.registry)
        self.looked = Gauge("bench_looked", "Experiments read at least once", registry=self.registry)
        self.last_look = Gauge("bench_last_look", "When the last of them was, epoch", registry=self.registry)
        self._seen: set[tuple[str, ...]] = set()

    def read(self, request: ReadRequest) -> None:
        """The counters of an experiment have been read."""
        self.readings.inc()
        versions = tuple(sorted(request.versions["baseline"].values()))
        if versions not in self._seen:
            self._seen.add(versions)
            self.looked.set(len(self._seen))
            self.last_look.set(time.time())


class Wire(httpx2.AsyncBaseTransport):
    """Counts what goes through it: lines and headers as HTTP/1.1 writes them, bodies as they are on the wire."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, meters: Meters) -> None:
        self._inner, self._meters = inner, meters

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        named = verb, what, group = described(request)
        meters = self._meters
        meters.requests.labels(*named).inc()
        line = len(request.method) + len(request.url.raw_path) + 12
        meters.bytes.labels(*named, "sent").inc(line + _size(request.headers) + len(request.content))
        response = await self._inner.handle_async_request(request)
        if (verb, what) == ("patch", "experiments/status") and response.is_success and _ITERATED in request.content:
            meters.iterations.labels(group).inc()
        received = meters.bytes.labels(*named, "received")
        received.inc(17 + _size(response.headers))
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Counted(response.stream, received.inc)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Counted(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, count: Callable[[float], None]) -> None:
        self._inner, self._count = inner, count

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            self._count(len(chunk))
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()


@dataclass(frozen=True)
class MeteredAccess(Access):
    """`Access` whose client is counted."""

    meters: Meters = field(default_factory=Meters)

    def client(self, *, connections: int = 64) -> httpx2.AsyncClient:
        made = super().client(connections=connections)
        made._transport = Wire(made._transport, self.meters)
        return made


class Watched(PrometheusMetrics):
    """Prometheus, and whose counters were read of it."""

    meters: Meters

    async def read(self, requests: Sequence[ReadRequest]) -> list[Snapshot | Exception]:
        answers = await super().read(requests)
        for request, answer in zip(requests, answers, strict=True):
            if isinstance(answer, Snapshot):
                self.meters.read(request)
        return answers


def described(request: httpx2.Request) -> tuple[str, str, str]:
    """Verb, kind (with the subresource), group of experiments of a request, as the API server would say."""
    parts = request.url.path.strip("/").split("/")[1:]  # /api/v1/…, /apis/GROUP/VERSION/…
    parts = parts[1:] if request.url.path.startswith("/api/") else parts[2:]
    namespace = ""
    if len(parts) > 2 and parts[0] == "namespaces":
        namespace, parts = parts[1], parts[2:]
    plural, name, sub = [*parts, "", "", ""][:3]
    if request.method == "GET":
        verb = "watch" if "watch" in request.url.params else "get" if name else "list"
    else:
        verb = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}[request.method]
    return verb, f"{plural}/{sub}" if sub else plural, group_of(namespace)


def _size(headers: httpx2.Headers) -> int:
    return sum(len(name) + len(value) + 4 for name, value in headers.raw) + 2


async def live(settings: Settings) -> None:
    meters = Meters()
    found = access(settings.kubeconfig)
    metered = MeteredAccess(found.config, found.in_cluster, meters)
    clock = SystemClock()
    source = Watched(settings.prometheus, clock=clock, scrape_interval=settings.scrape_interval)
    source.meters = meters
    controller = Controller(settings, metered, clock=clock, source=source)
    controller.figures.registry.register(meters.registry)
    own = controller.figures.iterated

    def iterated(late: float) -> None:
        own(late)
        meters.lag.observe(late)

    controller.figures.iterated = iterated  # type: ignore[method-assign]
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, controller.end)
    try:
        await controller.run()
    finally:
        await source.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster.controller", description=__doc__)
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--prometheus", required=True)
    parser.add_argument("--metrics-port", type=int, required=True)
    given = parser.parse_args()
    log.configure("info")
    settings = Settings(
        prometheus=given.prometheus,
        kubeconfig=given.kubeconfig,
        lease_namespace="iter8",
        scrape_interval=SCRAPES,
        address="127.0.0.1",
        health_port=0,
        metrics_port=given.metrics_port,
    )
    asyncio.run(live(settings))


if __name__ == "__main__":
    main()
