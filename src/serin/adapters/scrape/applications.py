"""The counters of the applications themselves, read from the metrics pages of their pods.

A pod that takes requests but does not show its page is never read as 0. For a while the reading as a whole waits: the
next one brings what this one could not, numerator and denominator alike. After that the counters of its version are
unknown, so that whatever else is known (errors and latency at the proxy) can still judge it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from serin.adapters.scrape.pages import Shown, shown
from serin.adapters.scrape.pods import SCRAPE, ScrapedPod, Versions
from serin.adapters.scrape.selection import matches, refusal
from serin.core.observation import Series, Snapshot
from serin.errors import InvalidInput, ProviderError
from serin.ports import POD, SERVICE, CounterQuery, Objects, ReadRequest

SHARED_FOR = 1.0
"""Seconds that one look at a page serves everybody who reads."""
PATIENCE = 10.0
"""Seconds that readings wait for a pod that takes requests and does not show its page."""
REMEMBERED = 60.0
"""Seconds that a metric is looked for on the pages after somebody has asked for it."""


class Source(Protocol):
    """Who fetches a metrics page; raises ProviderError."""

    async def get(self, url: str) -> str:
        """The page."""
        ...


@dataclass(slots=True)
class _Page:
    """What is known of the page of one life of a pod.

    until     epoch seconds until which it serves; wanted: the metrics that were looked for
    error     why it could not be had at the last look; silent: since when that is so
    """

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    until: float = 0.0
    wanted: frozenset[str] = frozenset()
    shown: Shown = field(default_factory=Shown)
    error: str = ""
    silent: float | None = None


class ApplicationMetrics:
    """Implements `serin.ports.Metrics` on the pages of annotated pods. Keeps the last look at each page.

    Asks only the pods of versions that somebody reads about, and each at most once a second.
    """

    def __init__(self, objects: Objects, pages: Source, now: Callable[[], float] = time.time) -> None:
        self._objects, self._source, self._now = objects, pages, now
        self._pages: dict[str, _Page] = {}
        self._wanted: dict[str, float] = {}
        self._versions: tuple[float, Versions] = (0.0, Versions((), ()))

    def check(self, counter: CounterQuery) -> str | None:
        """Why these pages can never answer `counter`; None when they may: what a page shows is seen when it is read."""
        return refusal(counter)

    async def read(self, requests: Sequence[ReadRequest]) -> list[Snapshot | Exception]:
        """As `Metrics.read`. A metric that no pod of the versions shows is a ProviderError in its request's place."""
        now = self._now()
        asked = {c.metric for request in requests for c in request.counters if c.metric is not None}
        self._wanted.update(dict.fromkeys(asked, now))
        self._wanted = {metric: last for metric, last in self._wanted.items() if now - last < REMEMBERED}
        versions = await self._present(now)
        by_request = [{v: versions.of(labels) for v, labels in request.versions.items()} for request in requests]
        await self._look({p.instance: p for by in by_request for pods in by.values() for p in pods}.values())
        time_read = self._now()
        return [self._answer(*pair, time_read) for pair in zip(requests, by_request, strict=True)]

    async def _present(self, now: float) -> Versions:
        """The pods and services that there are, looked up once a second."""
        taken, versions = self._versions
        if not 0.0 <= now - taken < SHARED_FOR:
            versions = Versions(await self._objects.list(POD), await self._objects.list(SERVICE))
            self._versions = (now, versions)
            alive = {pod.instance for pod in versions.pods}
            self._pages = {instance: page for instance, page in self._pages.items() if instance in alive}
        return versions

    async def _look(self, pods: Iterable[ScrapedPod]) -> None:
        await asyncio.gather(*(self._look_at(pod) for pod in pods if pod.url is not None))

    async def _look_at(self, pod: ScrapedPod) -> None:
        """Fetch a page, unless the last look still serves; a failure serves for as long as it took, too."""
        page = self._pages.setdefault(pod.instance, _Page())
        async with page.lock:
            began, wanted = self._now(), frozenset(self._wanted)
            if began < page.until and page.wanted >= wanted:
                return
            try:
                page.shown = shown(await self._source.get(pod.url or ""), wanted)
                page.error, page.silent = "", None
            except ProviderError as error:
                page.shown, page.error = Shown(), str(error)
                page.silent = began if page.silent is None else page.silent
            page.wanted = wanted
            page.until = began + SHARED_FOR if not page.error else max(2 * self._now() - began, began + SHARED_FOR)

    def _answer(
        self, request: ReadRequest, pods: Mapping[str, Sequence[ScrapedPod]], now: float
    ) -> Snapshot | Exception:
        for counter in request.counters:
            if sentence := self.check(counter):
                return InvalidInput(sentence)
        if late := self._late(pods, now):
            return ProviderError(f"{late}; it is read again")
        found: list[Series] = []
        told: set[str] = set()
        for counter in request.counters:
            metric = counter.metric or ""
            showing = {v: [p for p in by if metric in self._shown(p).series] for v, by in pods.items()}
            if problem := self._problem(counter, metric, pods, showing):
                return ProviderError(problem)
            known = [v for v, by in pods.items() if all(p in showing[v] for p in by if p.serving)]
            if len(known) == len(pods):
                told.add(counter.name)
            for version in known:
                labels = request.versions[version]
                found += [s for p in showing[version] if (s := self._series(version, counter, p, labels)) is not None]
        return Snapshot(now, tuple(found), frozenset(told))

    def _late(self, pods: Mapping[str, Sequence[ScrapedPod]], now: float) -> str | None:
        """Why a pod's page, which is worth waiting for, could not be had."""
        for pod in (p for by in pods.values() for p in by if p.serving):
            page = self._pages.get(pod.instance)
            if page is not None and page.silent is not None and now - page.silent < PATIENCE:
                return f"pod {pod.name} does not show its metrics: {page.error}"
        return None

    def _shown(self, pod: ScrapedPod) -> Shown:
        page = self._pages.get(pod.instance)
        return page.shown if page is not None else Shown()

    def _series(self, version: str, counter: CounterQuery, pod: ScrapedPod, labels: Mapping[str, str]) -> Series | None:
        """What one pod has counted, None when it has no such series yet."""
        samples = self._shown(pod).series[counter.metric or ""]
        selected = [
            sample.value
            for sample in samples
            if all(matches(matcher, pod.labelled(sample.labels, labels)) for matcher in counter.matchers)
        ]
        return Series(version, counter.name, pod.instance, sum(selected), pod.started) if selected else None

    def _problem(
        self,
        counter: CounterQuery,
        metric: str,
        pods: Mapping[str, Sequence[ScrapedPod]],
        showing: Mapping[str, Sequence[ScrapedPod]],
    ) -> str | None:
        """Why a metric cannot be read at all: its series are no counters, or nobody shows any."""
        for pod in (p for by in showing.values() for p in by):
            if why := self._shown(pod).unusable.get(metric):
                return f"the metric {counter.name!r} reads {metric!r}, which {why} (pod {pod.name})"
        if any(showing.values()):
            return None
        whys = dict.fromkeys(f"{pod.workload}: {self._why_not(pod, metric)}" for by in pods.values() for pod in by)
        return (
            f"the metric {counter.name!r} reads {metric!r}, which no pod of the versions shows"
            f' ({"; ".join(whys) or "none is running"}); annotate the pods {SCRAPE}: "true", and let the application '
            "show the counter from 0 on"
        )

    def _why_not(self, pod: ScrapedPod, metric: str) -> str:
        if pod.url is None:
            return pod.why_not
        page = self._pages.get(pod.instance)
        return page.error if page is not None and page.error else f"there is no {metric} on {pod.url}"
