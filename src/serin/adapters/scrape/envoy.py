"""The counters of the local home's Envoy, read over its admin socket, as Istio's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from serin.adapters.scrape.exposition import Sample, samples
from serin.adapters.scrape.istio import CONSTANT, LABELS, METRICS, PATTERN, PATTERN_WITH_BUCKETS, relabelled
from serin.adapters.scrape.keeping import EVERY, Kept, Memory
from serin.adapters.scrape.selection import matches, refusal, total
from serin.core.observation import Series, Snapshot
from serin.errors import InvalidInput, ProviderError, Unreachable
from serin.ports import Clock, CounterQuery, ReadRequest

SHARED_FOR = 1.0
"""Seconds that one scrape serves everybody who reads; Envoy's own histograms change no more often."""


class Life(Protocol):
    """One life of Envoy."""

    @property
    def name(self) -> str:
        """Unique."""
        ...

    @property
    def started(self) -> float:
        """Epoch seconds."""
        ...


class Page(Protocol):
    """Who fetches a page of Envoy's admin interface; raises Unreachable."""

    async def get(self, path: str, **query: str) -> str:
        """The page."""
        ...


Groups = dict[tuple[str | None, ...], list[Sample]]


@dataclass(frozen=True, slots=True)
class Scrape:
    """What one life of Envoy showed at one time, by metric name."""

    time: float
    life: Life
    series: Mapping[str, Sequence[Sample]]
    buckets: bool
    _grouped: dict[tuple[str, ...], Groups] = field(default_factory=dict)

    def of(self, metric: str, version: Mapping[str, str]) -> Sequence[Sample]:
        """The series of a metric with a version's labels; each grouping is worked out once a scrape."""
        labels = tuple(sorted(version))
        key = metric, *labels
        if key not in self._grouped:
            groups: Groups = {}
            for sample in self.series.get(metric, ()):
                groups.setdefault(tuple(sample.labels.get(label) for label in labels), []).append(sample)
            self._grouped[key] = groups
        return self._grouped[key].get(tuple(version[label] for label in labels), ())


@dataclass(frozen=True, slots=True)
class _Past:
    """A life of Envoy that may be over."""

    name: str
    started: float


class EnvoyMetrics:
    """Implements `serin.ports.Metrics` and `History` on one Envoy. Keeps the last scrape, and an hour of them.

    admin   fetches `/stats/prometheus`
    life    the life of Envoy that counts now, None while it is away: another one is another instance
    now     epoch seconds
    """

    def __init__(self, admin: Page, life: Callable[[], Life | None], now: Callable[[], float] = time.time) -> None:
        self._admin = admin
        self._life = life
        self._now = now
        self._last: Scrape | None = None
        self._lock = asyncio.Lock()
        self._memory = Memory()

    async def read(self, requests: Sequence[ReadRequest]) -> list[Snapshot | Exception]:
        """As `Metrics.read`: every request from the same scrape, not older than a second."""
        if not requests:
            return []
        buckets = any((c.metric or "").endswith("_bucket") for request in requests for c in request.counters)
        scrape = await self._scrape(buckets)
        return [self._answer(request, scrape) for request in requests]

    async def keep(self, clock: Clock) -> None:
        """Keep a scrape (without buckets, which are many) every 15 s, until cancelled. What fails is left out."""
        while True:
            with suppress(ProviderError):
                scrape = await self._scrape(buckets=False)
                series = {name: found for name, found in scrape.series.items() if not name.endswith("_bucket")}
                self._memory.add(Kept(scrape.time, scrape.life.name, scrape.life.started, series))
            await clock.sleep(EVERY)

    async def history(self, request: ReadRequest, seconds: float, step: float) -> list[Snapshot]:  # noqa: ARG002
        """As `History.history`: what `keep` has kept. Its step is its own."""
        await asyncio.sleep(0)
        found = []
        for kept in self._memory.since(self._now() - seconds):
            scrape = Scrape(kept.time, _Past(kept.instance, kept.started), kept.series, buckets=False)
            answer = self._answer(request, scrape)
            if isinstance(answer, Exception):
                raise answer
            found.append(answer)
        return found

    def check(self, counter: CounterQuery) -> str | None:
        """Why this source can never answer `counter`, in a sentence with the way out; None when it can."""
        if sentence := refusal(counter):
            return sentence
        if counter.metric not in METRICS:
            return (
                f"the metric {counter.name!r} reads {counter.metric!r}, which nothing counts on one machine; "
                f"there are {', '.join(METRICS)}"
            )
        for matcher in counter.matchers:
            empty = matches(matcher, {}) or matcher.label in LABELS
            fits = matcher.label not in CONSTANT or matches(matcher, CONSTANT)
            if not empty:
                return f"the metric {counter.name!r} asks for the label {matcher.label!r}, which no series here has"
            if not fits:
                return (
                    f"the metric {counter.name!r} asks for {matcher.label}{matcher.op}'{matcher.value}', but here it "
                    f"is always '{CONSTANT[matcher.label]}'; change the selector"
                )
        return None

    async def _scrape(self, buckets: bool) -> Scrape:
        async with self._lock:
            last, now = self._last, self._now()
            life = self._life()
            if (
                last is not None
                and life is not None
                and last.life.name == life.name
                and 0 <= now - last.time < SHARED_FOR
                and (last.buckets or not buckets)
            ):
                return last
            if life is None:
                raise ProviderError("the gateway is not running; its counters are read again when it is back")
            pattern = PATTERN_WITH_BUCKETS if buckets else PATTERN
            try:
                page = await self._admin.get("/stats/prometheus", usedonly="", filter=pattern)
            except Unreachable as error:
                raise ProviderError(f"the gateway's counters cannot be read: {error}") from error
            if (after := self._life()) is None or after.name != life.name:
                raise ProviderError("the gateway was started again while its counters were read; they are read again")
            series: dict[str, list[Sample]] = {}
            for sample in relabelled(samples(page)):
                series.setdefault(sample.name, []).append(sample)
            self._last = Scrape(now, life, series, buckets)
            return self._last

    def _answer(self, request: ReadRequest, scrape: Scrape) -> Snapshot | Exception:
        found = []
        families = set()
        for counter in request.counters:
            if sentence := self.check(counter):
                return InvalidInput(sentence)
            metric = counter.metric or ""
            if metric in scrape.series:
                families.add(counter.name)
            for version, labels in request.versions.items():
                value = total(scrape.of(metric, labels), counter.matchers)
                if value is not None:
                    found.append(Series(version, counter.name, scrape.life.name, value, scrape.life.started))
        return Snapshot(scrape.time, tuple(found), frozenset(families))
