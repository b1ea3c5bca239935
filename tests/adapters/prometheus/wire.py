"""A Prometheus that a test plays: it evaluates what it is sent, and fails when it is told to."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import httpx2

from serin.adapters.prometheus import PrometheusMetrics
from serin.adapters.prometheus.batch import Row
from serin.core.observation import Snapshot
from serin.fakes import FakeClock
from serin.ports import ReadRequest
from tests.adapters.prometheus.engine import World, evaluate

Reply = httpx2.Response | Exception | Callable[[httpx2.Request], httpx2.Response]


def refusal(kind: str = "execution", text: str = "too many samples", status: int = 422) -> httpx2.Response:
    return httpx2.Response(status, json={"status": "error", "errorType": kind, "error": text})


@dataclass
class Played:
    """`replies` come first, in order; then the world answers.

    poison   a query with this in it is refused
    past     the series at an earlier time, for range queries
    """

    world: World = field(default_factory=World)
    replies: deque[Reply] = field(default_factory=deque)
    poison: str = ""
    past: Callable[[float], list[Row]] = lambda _time: []
    queries: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    headers: list[httpx2.Headers] = field(default_factory=list)
    clock: FakeClock = field(default_factory=FakeClock)

    def metrics(self, url: str = "http://prometheus:9090", **options: Any) -> PrometheusMetrics:
        transport = httpx2.MockTransport(self._reply)
        options = {"scrape_interval": 15.0, "jitter": lambda: 0.5, **options}
        return PrometheusMetrics(url, clock=self.clock, wire=transport, **options)

    async def _reply(self, request: httpx2.Request) -> httpx2.Response:
        assert request.method == "POST"
        form = parse_qs(request.content.decode())
        self.queries.append(form["query"][0])
        self.times.append(float(form.get("time", form.get("end", ["nan"]))[0]))
        self.headers.append(request.headers)
        if self.replies:
            reply = self.replies.popleft()
            if isinstance(reply, Exception):
                raise reply
            return reply if isinstance(reply, httpx2.Response) else reply(request)
        if self.poison and self.poison in self.queries[-1]:
            return refusal()
        if request.url.path.endswith("/query_range"):
            return httpx2.Response(200, json={"status": "success", "data": self._matrix(form)})
        rows = evaluate(self.queries[-1], self.world.series)
        vector = [{"metric": dict(row.labels), "value": [self.times[-1], repr(row.value)]} for row in rows]
        return httpx2.Response(200, json={"status": "success", "data": {"resultType": "vector", "result": vector}})

    def _matrix(self, form: dict[str, list[str]]) -> dict[str, Any]:
        """The world as `past` tells it at each time of a range query."""
        start, end, step = (float(form[name][0]) for name in ("start", "end", "step"))
        tracks: dict[tuple[tuple[str, str], ...], list[Any]] = {}
        for i in range(round((end - start) / step) + 1):
            time = start + i * step
            for row in evaluate(form["query"][0], self.past(time)):
                tracks.setdefault(tuple(row.labels.items()), []).append([time, repr(row.value)])
        result = [{"metric": dict(labels), "values": values} for labels, values in tracks.items()]
        return {"resultType": "matrix", "result": result}

    async def read(self, metrics: PrometheusMetrics, *requests: ReadRequest) -> list[Snapshot | Exception]:
        """A reading, while time passes as fast as it can."""
        reading = asyncio.ensure_future(metrics.read(requests))
        for _ in range(2000):
            await self.clock.advance(0.05)
            if reading.done():
                break
        return await reading
