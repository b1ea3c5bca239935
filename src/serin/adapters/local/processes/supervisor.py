"""Keeps Deployments running: one loop that plans Pods, one runner a Pod.

    supervisor = Supervisor(objects, images, clock=…, sink=…, dataplane=…, subnet=…, run_dir=…, log_dir=…)
    await supervisor.reset()        before anything routes to Pods: those of a life before are not ready any more
    await supervisor.run()          until stop(); in the main thread

A Pod outlives its home as an object: the next home starts it again under its name, as a kubelet does after a reboot.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import structlog

from serin.adapters.local.processes import leftovers, logs, pods
from serin.adapters.local.processes.addresses import Subnet
from serin.adapters.local.processes.conditions import (
    DeploymentView,
    deployment_view,
    life_of,
    pod_status,
    unreadable,
)
from serin.adapters.local.processes.ground import Backoff, Ground
from serin.adapters.local.processes.images import Images
from serin.adapters.local.processes.pod import PodRunner
from serin.adapters.local.processes.probe import Prober
from serin.adapters.local.processes.undertaker import Undertaker
from serin.control.semantics import merged
from serin.errors import NotFound, SerinError
from serin.ports import DEPLOYMENT, POD, Change, Clock, DataPlane, Event, Object, Objects, Severity, Sink

_log = structlog.get_logger()
_AGAIN = 1.0


def random_suffix() -> str:
    """Five letters for a Pod's name."""
    return "".join(random.choices(pods.ALPHABET, k=5))


class Supervisor:
    """Turns the Deployments of a store into processes. One at a time for a store and a run folder."""

    def __init__(
        self,
        objects: Objects,
        images: Images,
        *,
        clock: Clock,
        sink: Sink,
        dataplane: DataPlane,
        subnet: Subnet,
        run_dir: Path,
        log_dir: Path,
        inherited: Mapping[str, str] | None = None,
        backoff: Backoff | None = None,
        suffix: Callable[[], str] = random_suffix,
    ) -> None:
        self._objects, self._clock, self._sink, self._suffix = objects, clock, sink, suffix
        self._run_dir, self._log_dir = run_dir, log_dir
        self._ground = partial(
            Ground,
            objects=objects,
            images=images,
            clock=clock,
            sink=sink,
            dataplane=dataplane,
            subnet=subnet,
            log_dir=log_dir,
            inherited=dict(os.environ if inherited is None else inherited),
            backoff=backoff or Backoff(),
        )
        self._runners: dict[str, PodRunner] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._alarms: dict[str, asyncio.Task[None]] = {}
        self._dirty: set[str] = set()
        self._news = asyncio.Event()
        self._stopping, self._stopped = asyncio.Event(), asyncio.Event()
        self._grace = 10.0
        self._was_reset = self._running = False

    async def reset(self) -> None:
        """End what a dead home left, and say of every stored Pod that it is not ready, and so of its Deployment.

        Raises StorageError.
        """
        await asyncio.to_thread(leftovers.end_leftovers, self._run_dir)
        for pod in await self._objects.list(POD):
            metadata, status = pod["metadata"], pod_status(pod, life_of(pod), self._clock.now())
            with suppress(NotFound):
                await self._objects.patch(POD, metadata["namespace"], metadata["name"], {"status": status}, status=True)
        present = await self._objects.list(POD)
        for deployment in await self._objects.list(DEPLOYMENT):
            with suppress(SerinError):  # what is not written now is by the first look
                await self._show(deployment, self._seen(deployment, pods.owned(deployment, present))[1])
        self._was_reset = True

    async def run(self) -> None:
        """Run until `stop`. Cancelled, it kills everything at once; either way no process is left."""
        if not self._was_reset:
            await self.reset()
        self._running = True
        self._stopped.clear()
        life = leftovers.begin_life(self._run_dir)
        undertaker, prober = Undertaker(life), Prober()
        ground = self._ground(life=life, prober=prober)
        loops = [asyncio.create_task(self._watch(ground)), asyncio.create_task(self._reconcile_for_ever())]
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((*loops, stopping), return_when=asyncio.FIRST_COMPLETED)
            await _cancel(*loops, *self._alarms.values())  # raises what ended a loop
            await self._stop_runners()
        finally:
            await _cancel(stopping, *loops, *self._alarms.values(), *self._tasks.values())
            await prober.close()
            await asyncio.to_thread(undertaker.close)
            self._running = self._was_reset = False
            self._stopped.set()

    async def stop(self, grace: float = 10.0) -> None:
        """End every process (SIGTERM, SIGKILL after `grace` seconds) and `run`. The Pods stay, not ready."""
        self._grace = grace
        self._stopping.set()
        if self._running:
            await self._stopped.wait()

    async def _stop_runners(self) -> None:
        for runner in self._runners.values():
            runner.stop(self._grace)
        if self._tasks:
            await asyncio.wait(self._tasks.values())

    async def _watch(self, ground: Ground) -> None:
        """Follow the store for ever; one that goes away is asked again."""
        while True:
            try:
                async for event in self._objects.watch(DEPLOYMENT, POD):
                    self._take(event, ground)
            except SerinError as error:
                _log.warning("the store of objects does not answer the supervisor", error=str(error))
            await self._clock.sleep(_AGAIN)

    def _take(self, event: Event, ground: Ground) -> None:
        if event.change is Change.SYNCED:
            return
        metadata = event.object["metadata"]
        self._mark(metadata["namespace"])
        if event.object["kind"] != POD.name:
            return
        runner = self._runners.get(metadata["uid"])
        if event.change is Change.DELETED:
            if runner:
                runner.gone()
        elif runner:
            runner.update(event.object)
        else:
            runner = self._runners[metadata["uid"]] = PodRunner(event.object, ground)
            self._tasks[metadata["uid"]] = asyncio.create_task(self._run_pod(metadata["uid"], runner, ground))

    async def _run_pod(self, uid: str, runner: PodRunner, ground: Ground) -> None:
        try:
            while not await self._survives(runner):
                await self._clock.sleep(_AGAIN)
                runner = self._runners[uid] = PodRunner(runner.pod, ground)
        finally:
            del self._runners[uid], self._tasks[uid]
            living = {each.name for each in self._runners.values() if each.namespace == runner.namespace}
            logs.prune(self._log_dir, runner.namespace, living)
            self._mark(runner.namespace)

    async def _survives(self, runner: PodRunner) -> bool:
        """Run the Pod to its end. False: a fault of ours ended it; it must not end the other Pods."""
        try:
            await runner.run()
        except Exception as error:
            _log.exception("the runner of a Pod failed", pod=runner.name)
            await self._sink.emit(runner.pod, "Failed", f"a fault of serin itself: {error!r}", Severity.WARNING)
            return self._stopping.is_set()
        return True

    def _mark(self, namespace: str) -> None:
        self._dirty.add(namespace)
        self._news.set()

    async def _reconcile_for_ever(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            namespaces, self._dirty = self._dirty, set()
            for namespace in sorted(namespaces):
                try:
                    await self._reconcile(namespace)
                except SerinError as error:
                    _log.warning("cannot reconcile Deployments", namespace=namespace, error=str(error))
                    self._wake(namespace, _AGAIN)

    async def _reconcile(self, namespace: str) -> None:
        """Bring the Pods of a namespace one step nearer to what its Deployments want, and say how far that is."""
        deployments = await self._objects.list(DEPLOYMENT, namespace)
        present = await self._objects.list(POD, namespace)
        again = [await self._step(deployment, pods.owned(deployment, present)) for deployment in deployments]
        known = {deployment["metadata"]["uid"] for deployment in deployments}
        for pod in present:
            owner = pods.owner(pod)
            if owner is not None and owner not in known and not pods.is_leaving(pod):
                await self._delete(pod["metadata"]["name"], namespace)
        if waits := [seconds for seconds in again if seconds is not None]:
            self._wake(namespace, min(waits))

    async def _step(self, deployment: Object, own: list[Object]) -> float | None:
        """One step for one Deployment; seconds after which time alone may call for another."""
        step, view = self._seen(deployment, own)
        await self._show(deployment, view)
        namespace = deployment["metadata"]["namespace"]
        for gone in step.delete:
            await self._delete(gone, namespace)
            await self._sink.emit(deployment, "SuccessfulDelete", f"Deleted pod: {gone}")
        for _ in range(step.create):
            created = await self._objects.create(pods.new_pod(deployment, self._suffix()))
            await self._sink.emit(deployment, "SuccessfulCreate", f"Created pod: {created['metadata']['name']}")
        return view.again

    def _seen(self, deployment: Object, own: list[Object]) -> tuple[pods.Step, DeploymentView]:
        """The next step of a Deployment, and its status by its own Pods."""
        now = self._clock.now()
        try:
            return pods.plan(deployment, own, now), deployment_view(deployment, own, now)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return pods.Step(), unreadable(deployment, error, now)

    async def _show(self, deployment: Object, view: DeploymentView) -> None:
        """Store the status, if it is another."""
        namespace, name = deployment["metadata"]["namespace"], deployment["metadata"]["name"]
        if merged(deployment.get("status"), view.status) != deployment.get("status"):
            with suppress(NotFound):
                await self._objects.patch(DEPLOYMENT, namespace, name, {"status": view.status}, status=True)

    async def _delete(self, name: str, namespace: str) -> None:
        with suppress(NotFound):
            await self._objects.delete(POD, namespace, name)

    def _wake(self, namespace: str, seconds: float) -> None:
        """Look at the namespace again by then. The last call wins: each look calls anew."""

        async def ring() -> None:
            await self._clock.sleep(seconds)
            self._mark(namespace)

        if alarm := self._alarms.get(namespace):
            alarm.cancel()
        self._alarms[namespace] = asyncio.create_task(ring())


async def _cancel(*tasks: asyncio.Task[None] | asyncio.Task[bool]) -> None:
    """Cancel tasks and wait for their end. Raises what one of them raised."""
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result
