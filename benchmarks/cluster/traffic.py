"""What Prometheus scrapes: one gateway that has answered the requests to all versions, by the weights of the moment."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from http.server import BaseHTTPRequestHandler

import numpy as np
from tests.adapters.prometheus.real import Exporter

from benchmarks.cluster.manifests import VERSIONS, Place
from benchmarks.prometheus import GATEWAY, istio
from serin.adapters.kube.objects import KubeObjects
from serin.control.routing.istio_rules import EXPERIMENT_LABEL
from serin.ports import VIRTUAL_SERVICE, Change, Object

RATE = 20.0
"""Requests a second to each experiment."""
_MILLISECONDS = (20.0, 18.0)
_FAILING = 0.002
_TICK = 0.5
_ANSWERED, _LASTED = "istio_requests_total", "istio_request_duration_milliseconds"
_CODES = ("200", "503")


class Traffic(Exporter):
    """Counters of `RATE` requests a second to each of `count` experiments, under Istio's names with all its labels.

    They are random: what is regular to the last digit is proven with less effort than what a service really shows.
    """

    def __init__(self, count: int) -> None:
        self._random = np.random.default_rng(count)
        self.weights = np.tile(np.array([1.0, 0.0]), (count, 1))
        self._answers = np.zeros((count, len(VERSIONS), len(_CODES)))
        self._lasted = np.zeros_like(self._answers)
        self._then = time.monotonic()
        self._names = [
            f"{counter}{{{','.join(f'{k}={json.dumps(v)}' for k, v in labels.items())}}} "
            for counter in (_ANSWERED, f"{_LASTED}_sum", f"{_LASTED}_count")
            for place in map(Place, range(count))
            for version in VERSIONS
            for code in _CODES
            for labels in (istio(place.name, place.namespace, version, code),)
        ]
        super().__init__(GATEWAY)

    @property
    def series(self) -> int:
        """How many are shown."""
        return len(self._names)

    def turn(self) -> None:
        """Count what has been answered since the last turn."""
        with self.lock:
            passed, self._then = time.monotonic() - self._then, time.monotonic()
            asked = self._random.poisson(self.weights * RATE * passed)
            failed = self._random.binomial(asked, _FAILING)
            answered = np.stack([asked - failed, failed], axis=-1)
            self._answers += answered
            mean = np.array(_MILLISECONDS)[None, :, None]
            self._lasted += answered * mean * self._random.uniform(0.9, 1.1, answered.shape)

    async def follow(self, objects: KubeObjects) -> None:
        """Take the weights out of the routing rules, and turn, until cancelled."""

        async def watch() -> None:
            async for event in objects.watch(VIRTUAL_SERVICE):
                if event.change in (Change.ADDED, Change.MODIFIED):
                    self._weigh(event.object)

        async def tick() -> None:
            while True:
                self.turn()
                await asyncio.sleep(_TICK)

        async with asyncio.TaskGroup() as group:
            group.create_task(watch())
            group.create_task(tick())

    def _weigh(self, rule: Object) -> None:
        owner = rule["metadata"].get("labels", {}).get(EXPERIMENT_LABEL, "")
        number = owner.partition(".")[0].rpartition("-")[2]
        routes = rule["spec"]["http"][0]["route"]
        if number.isdigit():
            given = {each["destination"].get("subset"): each.get("weight", 0) for each in routes}
            shares = [given.get(subset, 0) / 100 for subset in ("iter8-baseline", "iter8-candidate-0")]
            with self.lock:
                self.weights[int(number)] = shares

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        with self.lock:
            numbers = np.stack([self._answers, self._lasted, self._answers]).ravel().round(3).tolist()
        page = "".join(f"{name}{number}\n" for name, number in zip(self._names, numbers, strict=True))
        handler.send_response(200)
        handler.send_header("Content-Type", "text/plain; version=0.0.4")
        handler.end_headers()
        with contextlib.suppress(OSError):
            handler.wfile.write(page.encode())


@contextlib.asynccontextmanager
async def flowing(traffic: Traffic, objects: KubeObjects) -> AsyncIterator[None]:
    """Traffic beside what happens in the block; its own failure is told at the end."""
    task = asyncio.create_task(traffic.follow(objects))
    try:
        yield
    finally:
        if not task.done():
            task.cancel()
        ended = (await asyncio.gather(task, return_exceptions=True))[0]
    if isinstance(ended, Exception):
        raise ended
