"""What an iteration costs the controller: what the core takes of it, what the state's text takes, what the rest takes.

The real control layer and the real core on fakes, where nothing is waited for: the experiments of `benchmarks.cluster`,
with an interval of 30 s, counters read every 15 s, the experiment's log and Events left out. What the fakes take is
left out too, and so is all that an API server and Prometheus add: `python -m benchmarks.cluster` measures those.
CPU time. Of several parts of a run the cheapest counts: other programs only ever make one dearer.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.cluster.manifests import HELD, INTERVAL, MOVING, Place, deployments, experiment, ready, service
from serin.control import memory
from serin.control.engine import Engine
from serin.control.iterate import Worker
from serin.control.world import Patience
from serin.core import lifecycle
from serin.core.state import State
from serin.fakes import FakeClock, FakeDataPlane, FakeMetrics, FakeSink, InMemoryObjects
from serin.ports import EXPERIMENT, VIRTUAL_SERVICE

SCRAPES = 15.0
RATE = 20.0
PARTS, ITERATIONS = 3, 15
CORE, TEXT, REST, FAKES = "core", "text", "rest", "fakes"
PLACES = {HELD: Place(1), MOVING: Place(0)}


class Stopwatch:
    """CPU time by what is at work; what is called by something else is taken out of its caller's."""

    def __init__(self, now: Callable[[], float] = time.process_time) -> None:
        self._now = now
        self.spent: defaultdict[str, float] = defaultdict(float)
        self.calls: Counter[str] = Counter()
        self._at_work: list[str] = []
        self._since = 0.0

    def _switch(self) -> None:
        now = self._now()
        if self._at_work:
            self.spent[self._at_work[-1]] += now - self._since
        self._since = now

    @contextlib.contextmanager
    def of(self, part: str) -> Generator[None]:
        self._switch()
        self._at_work.append(part)
        try:
            yield
        finally:
            self._switch()
            self._at_work.pop()

    def function(self, part: str, owner: Any, name: str) -> Any:
        """The patch under which calls of a plain function count as `part`."""
        plain: Callable[..., Any] = getattr(owner, name)

        def timed(*given: Any, **named: Any) -> Any:
            self.calls[name] += 1
            with self.of(part):
                return plain(*given, **named)

        return mock.patch.object(owner, name, timed)

    def coroutine(self, part: str, owner: Any, name: str) -> Any:
        """The same for a coroutine function; the time in which it waits is nobody's."""
        plain: Callable[..., Coroutine[Any, Any, Any]] = getattr(owner, name)

        async def timed(*given: Any, **named: Any) -> Any:
            self.calls[name] += 1
            return await _Steps(self, part, plain(*given, **named))

        return mock.patch.object(owner, name, timed)


class _Steps:
    """A coroutine, each step of which is timed."""

    def __init__(self, watch: Stopwatch, part: str, work: Coroutine[Any, Any, Any]) -> None:
        self._watch, self._part, self._work = watch, part, work

    def __await__(self) -> Generator[Any, Any, Any]:
        step: Callable[[], Any] = lambda: self._work.send(None)  # noqa: E731
        while True:
            try:
                with self._watch.of(self._part):
                    waits_for = step()
            except StopIteration as done:
                return done.value
            try:
                yield waits_for
            except BaseException as error:
                step = _thrown(self._work, error)
            else:
                step = lambda: self._work.send(None)  # noqa: E731


def _thrown(work: Coroutine[Any, Any, Any], error: BaseException) -> Callable[[], Any]:
    return lambda: work.throw(error)


@contextlib.contextmanager
def watched(watch: Stopwatch) -> Generator[None]:
    """Time what belongs to an iteration. Whoever is not within a turn, or a wake, is not at work."""
    with contextlib.ExitStack() as stack:
        for name in ("observe", "iterate", "assess"):
            stack.enter_context(watch.function(CORE, lifecycle, name))
        for name in ("_encoded", "from_json"):
            stack.enter_context(watch.function(TEXT, State, name))
        for name in ("packed", "unpacked"):
            stack.enter_context(watch.function(TEXT, memory, name))
        stack.enter_context(watch.function(REST, Engine, "_changed"))
        stack.enter_context(watch.coroutine(REST, Worker, "turn"))
        for owner, name in (
            *((InMemoryObjects, name) for name in ("get", "list", "create", "replace", "patch")),
            (FakeMetrics, "read"),
            (FakeSink, "emit"),
        ):
            stack.enter_context(watch.coroutine(FAKES, owner, name))
        yield


class House:
    """One running experiment among fakes, and its traffic."""

    def __init__(self, place: Place) -> None:
        self.clock = FakeClock()
        there = ({**each, **ready()} for each in deployments(place))
        self.objects = InMemoryObjects(self.clock, service(place), *there, experiment(place))
        self._metrics = FakeMetrics(self.clock)
        self._place = place
        self._random = np.random.default_rng(1)
        patience = Patience(reading=SCRAPES)
        self.engine = Engine(self.objects, self._metrics, self.clock, FakeSink(), FakeDataPlane(), patience)

    async def iterations(self, count: int) -> int:
        """Let so many intervals pass; returns how many iterations were done."""
        before = await self._iteration()
        for _ in range(int(count * INTERVAL)):
            for version, weight in (await self._weights()).items():
                self._count(version, self._random.poisson(RATE * weight / 100))
            await self.clock.advance(1.0)
        return await self._iteration() - before

    async def _iteration(self) -> int:
        found = await self.objects.get(EXPERIMENT, self._place.namespace, self._place.name)
        return int((found.get("status") or {}).get("currentIteration", 0))

    async def _weights(self) -> dict[str, int]:
        rules = await self.objects.list(VIRTUAL_SERVICE, self._place.namespace)
        if not rules:
            return {}
        subsets = (f"iter8-{version}" for version in ("baseline", "candidate-0"))
        (route,) = rules[0]["spec"]["http"]
        weights = {each["destination"]["subset"]: each.get("weight", 100) for each in route["route"]}
        return {name: weights.get(subset, 0) for subset, name in zip(subsets, self._place.versions, strict=True)}

    def _count(self, version: str, requests: int) -> None:
        spent = float(self._random.gamma(4.0, 5.0, requests).sum())
        failed = float(self._random.binomial(requests, 0.002))
        counted = {"iter8_request_count": float(requests), "iter8_error_count": failed}
        latency = {"iter8_total_latency": spent, "iter8_total_latency:count": float(requests)}
        self._metrics.count(version, **counted, **latency)


@dataclass(frozen=True)
class Cost:
    """Of one iteration: milliseconds of CPU by what took them, and how often something was done."""

    milliseconds: dict[str, float]
    turns: float
    encodings: float
    decodings: float

    @property
    def all(self) -> float:
        return sum(self.milliseconds.values())


async def measured(place: Place) -> Cost:
    house = House(place)
    running = asyncio.create_task(house.engine.run())
    try:
        await house.iterations(5)
        return min([await part_of(house, ITERATIONS) for _ in range(PARTS)], key=lambda cost: cost.all)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def part_of(house: House, iterations: int) -> Cost:
    """What an iteration costs in so many of a house whose engine runs."""
    watch = Stopwatch()
    with watched(watch):
        done = await house.iterations(iterations)
    took = {part: 1000 * watch.spent[part] / done for part in (CORE, TEXT, REST)}
    each = {name: count / done for name, count in watch.calls.items()}
    return Cost(took, each["turn"], each.get("_encoded", 0.0), each.get("from_json", 0.0))


def main(_words: Sequence[str] = ()) -> None:
    """Print the table."""
    print(f"{'weights':<8}" + "".join(f"{name:>12}" for name in (CORE, TEXT, REST, "all"))
          + f"{'turns':>8}{'encoded':>9}{'decoded':>9}")  # fmt: skip
    for group, place in PLACES.items():
        cost = asyncio.run(measured(place))
        times = (*cost.milliseconds.values(), cost.all)
        print(f"{group:<8}" + "".join(f"{ms:>9.2f} ms" for ms in times)
              + f"{cost.turns:>8.1f}{cost.encodings:>9.1f}{cost.decodings:>9.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
