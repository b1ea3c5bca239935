"""Gives every experiment a worker of its own, and wakes it when something that it depends on changes.

Never decides anything: a worker that is woken too often only looks once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from serin.control.iterate import Worker
from serin.control.recording import NoRecorder, Recorder
from serin.control.routing.istio import IstioRouter
from serin.control.routing.istio_rules import EXPERIMENT_LABEL
from serin.control.telemetry import NAMESPACE
from serin.control.world import Observer, Patience, Unobserved, World
from serin.errors import SerinError
from serin.metrics.definitions import CONFIG_MAP as METRICS_NAME
from serin.ports import (
    CONFIG_MAP,
    DEPLOYMENT,
    DESTINATION_RULE,
    EXPERIMENT,
    SERVICE,
    VIRTUAL_SERVICE,
    Change,
    Clock,
    DataPlane,
    Metrics,
    Object,
    Objects,
    Sink,
)

_log = structlog.get_logger("serin.engine")

Place = tuple[str, str]
"""Namespace and name of an experiment."""

_BEGIN_AT_ONCE = 128
"""First turns at the same time. Of thousands in one go each would wait for all, and so would a Lease to be renewed."""


@dataclass(slots=True)
class _Running:
    worker: Worker
    wake: asyncio.Event
    needs: frozenset[Place] = field(default_factory=frozenset)
    asked: object = None
    task: asyncio.Task[None] | None = None


class Engine:
    """The control layer at work, on whatever stands behind the ports."""

    def __init__(
        self,
        objects: Objects,
        metrics: Metrics,
        clock: Clock,
        sink: Sink,
        data_plane: DataPlane,
        patience: Patience | None = None,
        observer: Observer | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self._router = IstioRouter(objects, data_plane, clock)
        self._world = World(
            objects,
            metrics,
            clock,
            sink,
            data_plane,
            self._router,
            patience or Patience(),
            observer or Unobserved(),
            recorder or NoRecorder(),
            self._beside,
        )
        self._listed = asyncio.Event()
        self._beginning = asyncio.Semaphore(_BEGIN_AT_ONCE)
        self._running: dict[Place, _Running] = {}
        self._dependents: dict[Place, set[Place]] = {}
        self._owners: dict[tuple[str, Place], str] = {}

    @property
    def experiments(self) -> int:
        """How many experiments have a worker."""
        return len(self._running)

    async def run(self) -> None:
        """Work until cancelled; then every worker stops between two writes at the latest."""
        kinds = (EXPERIMENT, DEPLOYMENT, SERVICE, VIRTUAL_SERVICE, DESTINATION_RULE, CONFIG_MAP)
        try:
            async for event in self._world.objects.watch(*kinds):
                if event.change is Change.SYNCED:
                    self._listed.set()
                else:
                    gone, listed = event.change is Change.DELETED, self._listed.is_set()
                    self._changed(event.object, gone=gone, listed=listed)
        finally:
            tasks = [running.task for running in self._running.values() if running.task]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._listed.clear()
            self._running.clear()
            self._dependents.clear()
            self._owners.clear()

    def _changed(self, obj: Object, *, gone: bool, listed: bool) -> None:
        """Wake whom it concerns. Until all is `listed`, that is nobody: every worker's first turn is still to come."""
        place = (obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        if obj["kind"] == EXPERIMENT.name:
            running = self._running.get(place) or self._begin(place)
            self._depend(place, running, _needs(obj))
            asked = (obj["metadata"].get("generation"), obj["metadata"].get("deletionTimestamp"))
            if asked != running.asked:  # not for what the worker itself writes into the status
                running.asked = asked
                running.wake.set()
            if listed and (obj.get("status") or {}).get("phase") == "Completed":
                for other in self._beside(*place):
                    self._running[other].wake.set()
        elif obj["kind"] in (VIRTUAL_SERVICE.name, DESTINATION_RULE.name):
            self._wake_by_rule(place, obj, gone=gone, listed=listed)
        elif obj["kind"] == CONFIG_MAP.name:
            if listed and place == (NAMESPACE, METRICS_NAME):
                self._wake_all()
        else:
            for dependent in self._dependents.get(place, ()):
                self._running[dependent].wake.set()

    def _wake_by_rule(self, place: Place, obj: Object, *, gone: bool, listed: bool) -> None:
        """A rule concerns whose mark it carries; without a mark, or when it goes or changes hands, all beside it.

        Among those may be one that has lost it, and one that waits for a free one. What its owner has written itself
        is no news to anybody.
        """
        owner = (obj["metadata"].get("labels") or {}).get(EXPERIMENT_LABEL, "")
        before = self._owners.pop((obj["kind"], place), owner)
        if owner and not gone:
            self._owners[obj["kind"], place] = owner
        if not listed:
            return
        if owner and owner == before and not gone:
            if self._router.wrote(obj):
                return
            name, _, namespace = owner.rpartition(".")
            concerned = [running] if (running := self._running.get((namespace, name))) else []
        else:
            concerned = [each for each in self._running.values() if any(space == place[0] for space, _ in each.needs)]
        for running in concerned:
            running.worker.rules_touched = True
            running.wake.set()

    def _wake_all(self) -> None:
        for running in self._running.values():
            running.wake.set()

    def _beside(self, namespace: str, name: str) -> set[Place]:
        """The experiments that need an object which this one needs, too."""
        place = (namespace, name)
        needs = self._running[place].needs if place in self._running else ()
        return {other for need in needs for other in self._dependents[need]} - {place}

    def _depend(self, place: Place, running: _Running, needs: frozenset[Place]) -> None:
        """Remember who is to be woken for which objects."""
        for old in running.needs - needs:
            dependents = self._dependents[old]
            dependents.discard(place)
            if not dependents:
                del self._dependents[old]
        for new in needs - running.needs:
            self._dependents.setdefault(new, set()).add(place)
        running.needs = needs

    def _begin(self, place: Place) -> _Running:
        running = _Running(Worker(self._world, *place), asyncio.Event())
        running.worker.news = running.wake
        self._running[place] = running
        running.task = asyncio.create_task(self._work(place, running), name=f"experiment {place[0]}/{place[1]}")
        return running

    async def _work(self, place: Place, running: _Running) -> None:
        """Turn after turn, until the experiment is gone; the first when all others are known."""
        await self._listed.wait()
        async with self._beginning:
            wait = await self._turn(place, running)
        while wait is not None:
            await self._until(wait, running.wake)
            wait = await self._turn(place, running)
        self._depend(place, running, frozenset())
        self._running.pop(place, None)

    async def _turn(self, place: Place, running: _Running) -> float | None:
        """As `Worker.turn`. An error of ours is logged and retried, never the end."""
        running.wake.clear()
        try:
            return await running.worker.turn()
        except SerinError as error:
            self._world.observer.failed(error)
            wait = running.worker.backoff()
            _log.warning("turn failed", experiment=f"{place[0]}/{place[1]}", error=str(error), retry_in=wait)
        except Exception as error:
            self._world.observer.failed(error)
            wait = running.worker.backoff()
            _log.exception("turn failed unexpectedly", experiment=f"{place[0]}/{place[1]}", retry_in=wait)
        return wait

    async def _until(self, seconds: float, wake: asyncio.Event) -> None:
        """Sleep by the injected clock, or until woken."""
        if wake.is_set() or seconds <= 0:
            await asyncio.sleep(0)
            return
        sleeping = asyncio.ensure_future(self._world.clock.sleep(seconds))
        waking = asyncio.ensure_future(wake.wait())
        try:
            await asyncio.wait({sleeping, waking}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            waking.cancel()


def _needs(experiment: Object) -> frozenset[Place]:
    """The objects by whose names an experiment stands and falls."""
    service: Mapping[str, Any] = (experiment.get("spec") or {}).get("service") or {}
    if not isinstance(service, Mapping):
        return frozenset()
    namespace = service.get("namespace") or experiment["metadata"].get("namespace", "")
    names = [service.get("name"), service.get("baseline"), *(service.get("candidates") or ())]
    return frozenset((str(namespace), str(name)) for name in names if name)
