"""The counters of the applications themselves, read from the metrics pages of their pods.

A pod that takes requests but does not show its page is never read as 0. For a while the reading as a whole waits: the
next one brings what this one could not, numerator and denominator alike. After that the counters of its version (of all
versions, if it counts for others) are unknown, so that whatever else is known (errors and latency at the proxy) can
still judge them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from serin.adapters.scrape.pages import Shown, shown
from serin.adapters.scrape.pods import SCRAPE, ScrapedPod, Versions, says_of_whom
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
ELSEWHERE = 10.0
"""Seconds until a page beside the versions that showed nothing of interest is looked at again."""


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
    spoke     metrics that it has shown with a word about whom they are about
    """

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    until: float = 0.0
    wanted: frozenset[str] = frozenset()
    shown: Shown = field(default_factory=Shown)
    error: str = ""
    silent: float | None = None
    spoke: frozenset[str] = frozenset()

    def took(self, found: Shown) -> None:
        """The page was read."""
        self.shown, self.error, self.silent = found, "", None
        self.spoke |= {m for m, series in found.series.items() if any(says_of_whom(s.labels) for s in series)}

    def failed(self, error: ProviderError, now: float) -> None:
        """The page could not be read."""
        self.shown, self.error = Shown(), str(error)
        self.silent = now if self.silent is None else self.silent


@dataclass(frozen=True, slots=True)
class _Scene:
    """Whom a request is about.

    own      version id -> its running pods
    beside   pods with a page that may count for versions that are not theirs
    """

    request: ReadRequest
    versions: Versions
    own: Mapping[str, Sequence[ScrapedPod]]
    beside: Sequence[ScrapedPod]

    @classmethod
    def of(cls, request: ReadRequest, versions: Versions) -> _Scene:
        """The pods of a request's versions, and those beside them."""
        own = {version: versions.of(labels) for version, labels in request.versions.items()}
        mine = {pod.instance for pods in own.values() for pod in pods}
        beside = [pod for pod in versions.beside(request.versions.values()) if pod.instance not in mine]
        return cls(request, versions, own, beside)

    @property
    def all_own(self) -> list[ScrapedPod]:
        """The versions' pods; one that belongs to two versions once."""
        return list({pod.instance: pod for pods in self.own.values() for pod in pods}.values())

    @property
    def pods(self) -> list[ScrapedPod]:
        """Everybody who may count."""
        return [*self.all_own, *self.beside]


class ApplicationMetrics:
    """Implements `serin.ports.Metrics` on the pages of annotated pods. Keeps the last look at each page.

    Asks only the pods of versions that somebody reads about and those beside them, and each at most once a second.
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
        """As `Metrics.read`. A metric that nobody shows for the versions is a ProviderError in its request's place."""
        now = self._now()
        asked = {c.metric for request in requests for c in request.counters if c.metric is not None}
        self._wanted.update(dict.fromkeys(asked, now))
        self._wanted = {metric: last for metric, last in self._wanted.items() if now - last < REMEMBERED}
        versions = await self._present(now)
        scenes = [_Scene.of(request, versions) for request in requests]
        own = {pod.instance: pod for scene in scenes for pod in scene.all_own}
        beside = {pod.instance: pod for scene in scenes for pod in scene.beside if pod.instance not in own}
        await asyncio.gather(
            *(self._look_at(pod, SHARED_FOR) for pod in own.values() if pod.url is not None),
            *(self._look_at(pod, ELSEWHERE) for pod in beside.values()),
        )
        time_read = self._now()
        return [self._answer(scene, time_read) for scene in scenes]

    async def _present(self, now: float) -> Versions:
        """The pods and services that there are, looked up once a second."""
        taken, versions = self._versions
        if not 0.0 <= now - taken < SHARED_FOR:
            versions = Versions(await self._objects.list(POD), await self._objects.list(SERVICE))
            self._versions = (now, versions)
            alive = {pod.instance for pod in versions.pods}
            self._pages = {instance: page for instance, page in self._pages.items() if instance in alive}
        return versions

    async def _look_at(self, pod: ScrapedPod, in_vain: float) -> None:
        """Fetch a page, unless the last look still serves: for a second, or `in_vain` if nothing of interest was there.

        A failure serves for as long as it took, too.
        """
        page = self._pages.setdefault(pod.instance, _Page())
        async with page.lock:
            began, wanted = self._now(), frozenset(self._wanted)
            if began < page.until and page.wanted >= wanted:
                return
            try:
                page.took(shown(await self._source.get(pod.url or ""), wanted))
            except ProviderError as error:
                page.failed(error, began)
            page.wanted = wanted
            serves = SHARED_FOR if page.shown.series or page.spoke else in_vain
            page.until = max(began + serves, 2 * self._now() - began if page.error else began)

    def _answer(self, scene: _Scene, now: float) -> Snapshot | Exception:
        for counter in scene.request.counters:
            if sentence := self.check(counter):
                return InvalidInput(sentence)
        if late := self._late(scene, now):
            return ProviderError(f"{late}; it is read again")
        found: list[Series] = []
        told: set[str] = set()
        for counter in scene.request.counters:
            if problem := self._problem(counter, scene):
                return ProviderError(problem)
            known = [version for version in scene.own if self._is_known(counter.metric or "", version, scene)]
            if len(known) == len(scene.own):
                told.add(counter.name)
            found += [series for version in known for series in self._series(counter, version, scene)]
        return Snapshot(now, tuple(found), frozenset(told))

    def _late(self, scene: _Scene, now: float) -> str | None:
        """Why a pod's page, which is worth waiting for, could not be had."""
        wanted = {counter.metric for counter in scene.request.counters}
        own = {pod.instance for pod in scene.all_own}
        for pod in scene.pods:
            page = self._page(pod)
            if page.silent is None or not pod.serving or now - page.silent >= PATIENCE:
                continue
            if pod.instance in own or wanted & page.spoke:
                return f"pod {pod.name} does not show its metrics: {page.error}"
        return None

    def _is_known(self, metric: str, version: str, scene: _Scene) -> bool:
        """Whether everybody who counts for a version shows the metric now."""
        speakers = [page for pod in scene.pods if pod.serving and metric in (page := self._page(pod)).spoke]
        if any(page.error for page in speakers):
            return False
        if any(metric in page.shown.series for page in speakers):
            return True
        return all(metric in self._page(pod).shown.series for pod in scene.own[version] if pod.serving)

    def _series(self, counter: CounterQuery, version: str, scene: _Scene) -> Iterable[Series]:
        """What each pod has counted for a version; nothing of those that have no such series yet."""
        for pod in scene.pods:
            selected = [
                sample.value
                for sample in self._page(pod).shown.series.get(counter.metric or "", ())
                if scene.versions.is_about(sample.labels, pod, scene.request.versions[version])
                and all(matches(matcher, pod.labelled(sample.labels)) for matcher in counter.matchers)
            ]
            if selected:
                yield Series(version, counter.name, pod.instance, sum(selected), pod.started)

    def _problem(self, counter: CounterQuery, scene: _Scene) -> str | None:
        """Why a metric cannot be read at all: its series are no counters, or nobody shows any."""
        metric, own = counter.metric or "", scene.all_own
        showing = [pod for pod in scene.pods if metric in self._page(pod).shown.series]
        for pod in showing:
            if why := self._page(pod).shown.unusable.get(metric):
                return f"the metric {counter.name!r} reads {metric!r}, which {why} (pod {pod.name})"
        if showing:
            return None
        whys = dict.fromkeys(f"{pod.workload}: {self._why_not(pod, metric)}" for pod in own)
        return (
            f"the metric {counter.name!r} reads {metric!r}, which no pod shows"
            f' ({"; ".join(whys) or "none of the versions is running"}); annotate the pods {SCRAPE}: "true", and let '
            "the application show the counter from 0 on"
        )

    def _why_not(self, pod: ScrapedPod, metric: str) -> str:
        if pod.url is None:
            return pod.why_not
        return self._page(pod).error or f"there is no {metric} on {pod.url}"

    def _page(self, pod: ScrapedPod) -> _Page:
        return self._pages.get(pod.instance) or _Page()
