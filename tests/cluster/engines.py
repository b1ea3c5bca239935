"""Engines in this process on a real API server: time that runs faster, traffic by the weights, and ways to die."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, Any, Self

import httpx2
import yaml
from lab import Lab

from serin.adapters.kube.api import Api
from serin.adapters.kube.cached import CachedObjects, Keep
from serin.adapters.kube.connection import access
from serin.adapters.kube.dataplane import MeshDataPlane, Times
from serin.adapters.kube.events import EventSink
from serin.adapters.kube.objects import KubeObjects
from serin.adapters.kube.reflector import Scope
from serin.control.engine import Engine
from serin.control.world import Patience
from serin.errors import SerinError
from serin.fakes import Crash, FakeMetrics
from serin.ports import (
    CONFIG_MAP,
    DEPLOYMENT,
    DESTINATION_RULE,
    EXPERIMENT,
    SERVICE,
    VIRTUAL_SERVICE,
    Object,
)
from tests.control.lab import oddities

Wrap = Callable[[httpx2.AsyncBaseTransport], httpx2.AsyncBaseTransport]

RATE = 40
"""Requests a second."""


class FastClock:
    """Time that runs so many times as fast."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._start = time.time()
        self._began = time.monotonic()

    def now(self) -> float:
        return self._start + (time.monotonic() - self._began) * self._speed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0.0) / self._speed)


class Mortal(httpx2.AsyncBaseTransport):
    """Dies when its so manieth write has been stored: the caller does not learn of it, and nothing is written after."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, dies_at: int) -> None:
        self._inner = inner
        self._dies_at = dies_at
        self.writes: list[str] = []
        self.died = asyncio.Event()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self.died.is_set():
            raise Crash("dead")
        if request.method == "GET":
            return await self._inner.handle_async_request(request)
        self.writes.append(f"{request.method} {request.url.path}")
        last = len(self.writes) == self._dies_at
        response = await self._inner.handle_async_request(request)
        if last:
            await response.aread()
            self.died.set()
            raise Crash(f"at write {self._dies_at}")
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class Storm(httpx2.AsyncBaseTransport):
    """An API server that is always a little ill: refuses, breaks off, forgets, and says nothing of what it has done."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, seed: int, share: float) -> None:
        self._inner = inner
        self._random = random.Random(seed)
        self._turns: defaultdict[int, Iterator[int]] = defaultdict(
            itertools.count
        )  # each fault in its turn, so that none is missing
        self._share = share
        self.faults: dict[str, int] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        watch = "watch" in request.url.params
        if self._random.random() > (0.5 if watch else self._share):
            return await self._inner.handle_async_request(request)
        kinds = ["410", "cut", "500"] if watch else ["429", "500", "lost after", "503", "lost before"]
        if request.method in ("PUT", "PATCH"):
            kinds.insert(0, "409")
        kind = kinds[next(self._turns[len(kinds)]) % len(kinds)]
        self.faults[kind] = self.faults.get(kind, 0) + 1
        if kind == "lost before":
            raise httpx2.ConnectError("no route to host")
        if kind == "lost after":
            await (await self._inner.handle_async_request(request)).aread()
            raise httpx2.ReadError("connection reset")
        if kind == "cut":
            response = await self._inner.handle_async_request(request)
            return httpx2.Response(response.status_code, content=_cut(response, self._random.randint(0, 3)))
        reason = {"409": "Conflict", "410": "Expired"}.get(kind, "")
        body = {"kind": "Status", "code": int(kind), "reason": reason, "message": "the storm"}
        return httpx2.Response(int(kind), json=body, headers={"Retry-After": "0"} if kind == "429" else {})

    async def aclose(self) -> None:
        await self._inner.aclose()


async def _cut(response: httpx2.Response, chunks: int) -> AsyncIterator[bytes]:
    try:
        async for chunk in response.aiter_bytes():
            if chunks == 0:
                raise httpx2.ReadError("connection reset")
            chunks -= 1
            yield chunk
    finally:
        await response.aclose()


class Life:
    """One engine from its start to its death."""

    def __init__(self, lab: Lab, namespace: str, clock: FastClock, metrics: FakeMetrics, wrap: Wrap | None) -> None:
        client = access(str(lab.kubeconfig)).client()
        if wrap:
            client._transport = wrap(client._transport)
        self.api = Api(client)
        direct = KubeObjects(self.api)
        scope = Scope(namespace)
        kinds = (EXPERIMENT, DEPLOYMENT, SERVICE, VIRTUAL_SERVICE, DESTINATION_RULE)
        keeps = [*(Keep(kind, scope) for kind in kinds), Keep(CONFIG_MAP, Scope("iter8"), optional=True)]
        self.objects = CachedObjects(direct, keeps, monotonic=clock.now)
        numbers = itertools.count(time.time_ns())
        self._sink = EventSink(direct, clock, "test", numbers.__next__)
        plane = MeshDataPlane(self.objects, Times(propagation=1.0, drain=2.0), clock.now)
        patience = Patience(reading=1.0, drain=10.0)
        self._engine = Engine(self.objects, metrics, clock, self._sink, plane, patience)
        self._tasks = [asyncio.create_task(each) for each in (self.objects.run(), self._sink.run(), self._engine.run())]

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.api.aclose()


class Release:
    """An experiment in a namespace of its own, its traffic by the weights, and what must hold at its end.

    wrap   what stands between the first engine and the API server; for those after it nothing does
    """

    def __init__(self, lab: Lab, namespace: str, speed: float) -> None:
        self.lab, self.namespace = lab, namespace
        self.clock = FastClock(speed)
        self.metrics = FakeMetrics(self.clock)  # type: ignore[arg-type]  # it asks for the time only
        self.person = KubeObjects(Api(access(str(lab.kubeconfig)).client()))
        self._random = random.Random(7)
        self._status: Object = {}

    async def prepare(self) -> None:
        """Versions that are ready, and stable rules; no experiment yet."""
        await self.person.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})
        for obj in (*_model(), *_rules()):
            await self.person.create({**obj, "metadata": {**obj["metadata"], "namespace": self.namespace}})
        async with asyncio.timeout(60):
            while not await self._ready():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.2)

    async def run(self, wrap: Wrap | None = None, died: Callable[[], bool] = lambda: False) -> tuple[Any, ...]:
        """From the experiment's creation to its end; a new engine whenever the old one has died."""
        life = Life(self.lab, self.namespace, self.clock, self.metrics, wrap)
        traffic = asyncio.create_task(self._traffic())
        await self.person.create(_experiment(self.namespace))
        try:
            async with asyncio.timeout(90):
                while True:
                    if died():
                        await life.end()
                        died = lambda: False  # noqa: E731
                        life = Life(self.lab, self.namespace, self.clock, self.metrics, None)
                    if await self._over():
                        return await self._outcome()
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"{self.namespace} does not end: {self._status.get('message')}") from None
        finally:
            traffic.cancel()
            await life.end()
            await asyncio.gather(traffic, return_exceptions=True)

    @property
    def reasons(self) -> str:
        """Why it ended as it did."""
        return "; ".join(f"{each['reason']}: {each['text']}" for each in self._status.get("reasons") or ())

    async def close(self) -> None:
        await self.person.aclose()

    async def _over(self) -> bool:
        """Ended, and let go by its finalizer."""
        found = await self.person.get(EXPERIMENT, self.namespace, "rollout")
        self._status = found.get("status") or {}
        return self._status.get("phase") == "Completed" and not found["metadata"].get("finalizers")

    async def _outcome(self) -> tuple[Any, ...]:
        rules = await self.person.get(VIRTUAL_SERVICE, self.namespace, "web")
        subsets = await self.person.get(DESTINATION_RULE, self.namespace, "web")
        left = [obj["metadata"]["name"] for obj in await self.person.list(DEPLOYMENT, self.namespace)]
        winner = self._status["assessment"]["winner"]["name"]
        marks = (rules["metadata"]["labels"], subsets["metadata"]["labels"])
        weights = _weights(rules, subsets)
        return self._status["message"], winner, self._status["currentIteration"], weights, left, marks

    async def _ready(self) -> bool:
        found = await self.person.list(DEPLOYMENT, self.namespace)
        return all((obj.get("status") or {}).get("availableReplicas") for obj in found)

    async def _traffic(self) -> None:
        """Requests by the weights as they were since the last look; what makes no whole request waits for the next."""
        then, weights, owed = self.clock.now(), {"v1": 100}, {"v1": 0.0, "v2": 0.0}
        while True:
            await asyncio.sleep(0.02)
            seconds, then = self.clock.now() - then, self.clock.now()
            for version, weight in weights.items():
                owed[version] += RATE * seconds * weight / 100
                requests = int(owed[version])
                owed[version] -= requests
                if requests:
                    self.metrics.count(f"web-{version}", iter8_request_count=requests, iter8_error_count=0.0)
            with suppress(SerinError):
                rules = await self.person.get(VIRTUAL_SERVICE, self.namespace, "web")
                subsets = await self.person.get(DESTINATION_RULE, self.namespace, "web")
                weights = _weights(rules, subsets)


class History:
    """Every version of every routing rule, as kubectl's watches tell them, once the recording is over."""

    kinds: tuple[str, ...] = ("virtualservices", "destinationrules")

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._seen: list[tuple[int, str, Object]] = []

    @contextmanager
    def recording(self) -> Iterator[Self]:
        with ExitStack() as stack:
            outputs = [stack.enter_context(self._watched(kind)) for kind in self.kinds]
            yield self
            for output in outputs:
                output.seek(0)
                for change, obj in _events(output.read()):
                    self._seen.append((int(obj["metadata"]["resourceVersion"]), change, obj))

    @contextmanager
    def _watched(self, kind: str) -> Iterator[IO[bytes]]:
        words = [str(self._lab.kubectl), "get", kind, "-A", "-w", "--output-watch-events", "-o", "json"]
        env = {**os.environ, "KUBECONFIG": str(self._lab.kubeconfig)}
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(words, stdout=output, env=env)
            try:
                yield output
            finally:
                process.kill()
                process.wait()

    def oddities(self) -> list[str]:
        """What the rules of any namespace said at any moment that they must never say, in the order of the store."""
        now: dict[tuple[str, str], Object] = {}
        found = []
        for version, change, obj in sorted(self._seen, key=lambda each: each[0]):
            place = (obj["metadata"]["namespace"], obj["kind"])
            if change == "DELETED":
                now.pop(place, None)
                continue
            now[place] = obj
            pair = now.get((place[0], "VirtualService")), now.get((place[0], "DestinationRule"))
            if pair[0] and pair[1]:
                found += [f"{place[0]} at {version}: {each}" for each in oddities(pair[0], pair[1])]
        return found

    def versions(self) -> int:
        """How many there were."""
        return len(self._seen)


def _events(text: bytes) -> Iterator[tuple[str, Object]]:
    decoder, rest = json.JSONDecoder(), text.decode().strip()
    while rest:
        try:
            event, end = decoder.raw_decode(rest)
        except ValueError:
            return  # the last one, cut off when the watch was ended
        yield event["type"], event["object"]
        rest = rest[end:].lstrip()


def _weights(rules: Object, subsets: Object) -> dict[str, int]:
    selects = {each["name"]: each["labels"]["version"] for each in subsets["spec"]["subsets"]}
    return {
        selects[each["destination"]["subset"]]: each.get("weight", 100) for each in rules["spec"]["http"][0]["route"]
    }


def _model() -> list[Object]:
    text = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 8501}]}
"""
    version = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web-VERSION}
spec:
  selector: {matchLabels: {app: web, version: VERSION}}
  template:
    metadata: {labels: {app: web, version: VERSION}}
    spec: {containers: [{name: web, image: lab/pause}]}
"""
    return [yaml.safe_load(each) for each in (text, *(version.replace("VERSION", name) for name in ("v1", "v2")))]


def _rules() -> list[Object]:
    return list(
        yaml.safe_load_all(
            """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, labels: {iter8-tools/router: web, iter8-tools/role: stable}}
spec: {host: web, subsets: [{name: iter8-stable, labels: {app: web, version: v1}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, labels: {iter8-tools/router: web, iter8-tools/role: stable}}
spec: {hosts: [web], http: [{route: [{destination: {host: web, subset: iter8-stable}}]}]}
"""
        )
    )


def _experiment(namespace: str) -> Object:
    text = """
apiVersion: iter8.tools/v1alpha2
kind: Experiment
metadata: {name: rollout}
spec:
  service: {name: web, baseline: web-v1, candidates: [web-v2]}
  networking: {id: web}
  criteria: [{metric: iter8_error_rate, threshold: {type: absolute, value: 0.3}}]
  duration: {interval: 20s, maxIterations: 6}
  analysis: {mode: independent}
  trafficControl: {maxIncrement: 40}
  cleanup: true
"""
    found: Object = yaml.safe_load(text)
    found["metadata"]["namespace"] = namespace
    return found
