"""The composition root of the controller: what it is made of, in which order it starts and ends.

Memory first (a stand-by is as warm as the leader), then the election; who leads works until it is told to end or has
lost the Lease. At the end the workers stop between two writes, the last events go out, and the Lease is given back.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import structlog

from serin.adapters.kube.api import Api
from serin.adapters.kube.cached import CachedObjects, Keep
from serin.adapters.kube.connection import Access
from serin.adapters.kube.dataplane import MeshDataPlane, Times
from serin.adapters.kube.events import EventSink
from serin.adapters.kube.leadership import Leadership, monotonic
from serin.adapters.kube.objects import KubeObjects
from serin.adapters.kube.reflector import Scope
from serin.adapters.notifications import CONFIG_MAP as NOTIFIERS
from serin.adapters.notifications import Notifications
from serin.adapters.prometheus import PrometheusMetrics
from serin.control.engine import Engine
from serin.control.telemetry import NAMESPACE
from serin.control.world import Patience
from serin.errors import SerinError
from serin.operator.apart import Apart
from serin.operator.figures import Facts, Figures
from serin.operator.letting_go import LettingGo
from serin.operator.pages import Page, health, metrics
from serin.operator.settings import Settings, authorization, identity
from serin.ports import (
    CONFIG_MAP,
    DEPLOYMENT,
    DESTINATION_RULE,
    EXPERIMENT,
    SERVICE,
    VIRTUAL_SERVICE,
    Clock,
    Metrics,
    Object,
    Severity,
    Sink,
)

_log = structlog.get_logger("serin.controller")

_LAST_WORDS_WITHIN = 2.0
_LONGER = 30.0
"""Seconds beyond the time to drain after which a loser is deleted in any case."""


class SystemClock:
    """The port `Clock` on this machine."""

    def now(self) -> float:
        """Epoch seconds."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""
        await asyncio.sleep(seconds)


class _Both:
    """The port `Sink` for two."""

    def __init__(self, *sinks: Sink) -> None:
        self._sinks = sinks

    async def emit(self, regarding: Object, reason: str, message: str, severity: Severity = Severity.NORMAL) -> None:
        """As `Sink.emit`."""
        for sink in self._sinks:
            await sink.emit(regarding, reason, message, severity)


class Controller:
    """One controller of a cluster. `run` ends after `end`, or with an error that a restart may cure.

    source   of counters; Prometheus when none is given
    """

    def __init__(
        self,
        settings: Settings,
        access: Access,
        *,
        clock: Clock | None = None,
        source: Metrics | None = None,
        name: str | None = None,
    ) -> None:
        """Raises UsageError, InvalidInput."""
        self._settings = settings
        self._clock = clock or SystemClock()
        self._ending = asyncio.Event()
        self.figures = Figures()
        self.identity = name or identity()
        # Connections and a thread of its own: the Lease is not to be lost because a thousand experiments keep us busy.
        self._apart = Apart("lease")
        self._lease_api = Api(access.client(connections=2), observer=self.figures)
        namespace = settings.lease_namespace or access.own_namespace
        self._leadership = Leadership(self._lease_api, namespace, self.identity)
        self._api = Api(access.client(), gate=self._leadership.gate, observer=self.figures)
        direct = KubeObjects(self._api)
        self.objects = CachedObjects(direct, _keeps(settings))
        self._events = EventSink(direct, self._clock, self.identity, _numbers().__next__)
        self._notifications = Notifications(self._channels)
        self._letting_go = LettingGo(self.objects, direct, self._events, settings.selector)
        times = Times(propagation=settings.propagation, drain=settings.drain)
        self._source = source
        self._prometheus = None if source else _prometheus(settings, self._clock)
        self._engine = Engine(
            self.objects,
            source or self._prometheus,  # type: ignore[arg-type]  # one of them is there
            self._clock,
            _Both(self._events, self._notifications),
            MeshDataPlane(self.objects, times, monotonic),
            Patience(reading=settings.scrape_interval, drain=settings.drain + _LONGER),
            self.figures,
        )
        self.figures.show(Facts(self._phases, self.objects.sizes, self._plain()))

    @property
    def leads(self) -> bool:
        """Whether this is the one that acts."""
        return self._leadership.leads

    def end(self) -> None:
        """Ask for a graceful end."""
        self._ending.set()

    async def run(self) -> None:
        """Stand by, lead, until `end`. Raises NotLeading when the Lease is lost, Forbidden when there is no right."""
        settings = self._settings
        async with AsyncExitStack() as stack:
            stack.enter_context(self._apart)
            stack.push_async_callback(self._close)
            for application, port in (
                (health(self._troubles), settings.health_port),
                (metrics(self.figures.registry), settings.metrics_port),
            ):
                if port:
                    page = Page(application, settings.address, port)
                    await stack.enter_async_context(_beside(page.run(), "page"))
            memory = await stack.enter_async_context(_beside(self.objects.run(), "memory"))
            if settings.selector:
                await stack.enter_async_context(_beside(self._letting_go.notice(), "letting go"))
            _log.info("controller starts", identity=self.identity, namespace=settings.namespace or "all")
            stack.push_async_callback(self._release)
            ending = await stack.enter_async_context(_beside(self._ending.wait(), "ending"))
            if await _first(ending, self._apart.do(self._leadership.acquire()), memory):
                return
            sinks = [
                await stack.enter_async_context(_beside(each.run(), "sink"))
                for each in (self._events, self._notifications, self._letting_go)
            ]
            stack.push_async_callback(self._last_words)
            await _first(ending, self._engine.run(), memory, *sinks, also=self._apart.do(self._leadership.keep()))

    async def _release(self) -> None:
        await self._apart.do(self._leadership.release())

    async def _last_words(self) -> None:
        """What is still to be told is told, if it does not take long."""
        try:
            async with asyncio.timeout(_LAST_WORDS_WITHIN):
                await self._events.flush()
                await self._notifications.flush()
        except (TimeoutError, SerinError) as error:
            _log.warning("the last events are lost", error=str(error))

    def _channels(self) -> Mapping[str, str]:
        found = self.objects.glance(CONFIG_MAP, NAMESPACE)
        return next((each.get("data") or {} for each in found if each["metadata"]["name"] == NOTIFIERS), {})

    async def _close(self) -> None:
        for part in (self._prometheus, self._notifications, self._api):
            if part is not None:
                await part.aclose()
        await self._apart.do(self._lease_api.aclose())
        _log.info("controller has ended")

    def _troubles(self) -> Mapping[str, str]:
        return self.objects.troubles

    def _phases(self) -> Mapping[str, int]:
        return self.objects.phases(EXPERIMENT)

    def _plain(self) -> Mapping[str, tuple[str, Callable[[], float]]]:
        return {
            "serin_leader": ("1 for the controller that acts", lambda: float(self.leads)),
            "serin_workers": ("Experiments that have a worker", lambda: float(self._engine.experiments)),
            "serin_events_given_up": ("Events that the API server could not follow", lambda: self._events.given_up),
            "serin_out_of_date": ("Kinds that are not known in full at the moment", lambda: len(self._troubles())),
        }


def _keeps(settings: Settings) -> list[Keep]:
    scope = Scope(settings.namespace)
    return [
        Keep(EXPERIMENT, Scope(settings.namespace, settings.selector)),
        *(Keep(kind, scope) for kind in (DEPLOYMENT, SERVICE, VIRTUAL_SERVICE, DESTINATION_RULE)),
        Keep(CONFIG_MAP, Scope(NAMESPACE), optional=True),
    ]


def _prometheus(settings: Settings, clock: Clock) -> PrometheusMetrics:
    auth, authorities = authorization()
    return PrometheusMetrics(
        settings.prometheus, auth=auth, ca=authorities, clock=clock, scrape_interval=settings.scrape_interval
    )


def _numbers() -> itertools.count[int]:
    return itertools.count(time.time_ns())


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, Any], name: str) -> AsyncIterator[asyncio.Task[Any]]:
    task = asyncio.create_task(work, name=name)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _first(
    ending: asyncio.Task[Any],
    work: Coroutine[Any, Any, None],
    *others: asyncio.Task[Any],
    also: Coroutine[Any, Any, None] | None = None,
) -> bool:
    """Do the work until it is done or the end is asked for (True). Raises what any of them raises."""
    tasks = [asyncio.create_task(each) for each in (work, also) if each is not None]
    try:
        done, _ = await asyncio.wait({ending, *tasks, *others}, return_when=asyncio.FIRST_COMPLETED)
        for task in done - {ending}:
            task.result()
        return ending in done
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
