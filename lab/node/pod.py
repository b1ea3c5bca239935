"""One Pod's life on the node, as a kubelet leads it.

Bound; started; ready when its `readinessProbe` says so, and at once without one; started again with growing pauses
when it ends; ended when its `livenessProbe` says so. Its end: `lifecycle.preStop.sleep`, else the node's `drain`, in
which the endpoints and the proxies leave it; SIGTERM; SIGKILL when `terminationGracePeriodSeconds` are over; and then
the object.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import replace

from lab.node.ground import Ground
from lab.node.status import Known, pod_status, terminated
from serin.adapters.local.processes import commands, probe
from serin.adapters.local.processes.commands import CannotRun
from serin.adapters.local.processes.ground import Backoff
from serin.adapters.local.processes.logs import PodLog
from serin.adapters.local.processes.probe import Probe, Tally
from serin.adapters.local.processes.process import Process, Program
from serin.errors import SerinError
from serin.ports import Object

PAUSE = "lab/pause"
"""The image of a Pod that does nothing: ready at once, without a process. For clusters with thousands of Pods."""
_GRACE = 30.0
_BACKOFF = Backoff()


class PodLife:
    """Runs one Pod until it is deleted."""

    def __init__(self, pod: Object, ground: Ground) -> None:
        self._pod, self._ground = pod, ground
        self.namespace, self.name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        self._known = Known(node=ground.address, began=time.time())
        self._leaving = asyncio.Event()
        self._changed = asyncio.Event()
        self._exists = True
        self._failures = 0
        self.update(pod)

    def update(self, pod: Object) -> None:
        """The object has changed."""
        self._pod = pod
        if pod["metadata"].get("deletionTimestamp"):
            self._leaving.set()

    def gone(self) -> None:
        """The object is gone: deleted by force, or with its cluster."""
        self._exists = False
        self._leaving.set()

    async def run(self) -> None:
        """Return when its process has ended and the object is gone."""
        container = self._pod["spec"]["containers"][0]
        publishing = asyncio.create_task(self._publish())
        address = self._ground.addresses.allot()
        try:
            if not self._pod["spec"].get("nodeName"):
                await self._ground.cluster.bind(self._pod, self._ground.name)
            self._show(address=address)
            if container.get("image") == PAUSE:
                self._show(running=time.time(), started=True, ready=True)
                await self._leaving.wait()
            while not self._leaving.is_set():
                await self._run_once(container, address)
                await self._rest()
        finally:
            publishing.cancel()
            self._ground.addresses.free(address)
        if self._exists:
            await self._ground.cluster.forget(self._pod)

    async def _run_once(self, container: Object, address: str) -> None:
        """One run of the process, from its start to its exit or to the Pod's end."""
        log = PodLog(self._ground.logs, self.namespace, self.name)
        log.begin()
        try:
            probes = [probe.parse(container, f"{kind}Probe") for kind in ("startup", "readiness", "liveness")]
            program = await self._program(container, address)
            process = Process(program, self._ground.life, log)
        except (SerinError, OSError) as error:
            self._failures += 1
            reason = error.reason if isinstance(error, CannotRun) else "RunContainerError"
            self._show(running=None, waiting=(reason, str(error)))
            return
        since = time.time()
        self._show(running=since, started="startupProbe" not in container, ready=False, restarts=self._restarts)
        looking = asyncio.create_task(self._look(probes, address, process))
        exited = asyncio.create_task(process.wait())
        leaving = asyncio.create_task(self._leaving.wait())
        try:
            await asyncio.wait((exited, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not exited.done():
                await self._end(process)
            how = await exited
            ended = terminated(how.code, how.signal, since, time.time(), log.last_words)
            self._failures = 1 if time.time() - since >= _BACKOFF.reset else self._failures + 1
            self._show(running=None, started=False, ready=False, last=ended)
        finally:
            for task in (looking, exited, leaving):
                task.cancel()
            process.abandon()
            log.close()

    @property
    def _restarts(self) -> int:
        return self._known.restarts + bool(self._known.last)

    async def _program(self, container: Object, address: str) -> Program:
        """What is executed for the container. Raises CannotRun."""
        name = str(container.get("image", ""))
        if (image := self._ground.images.find(name)) is None:
            raise CannotRun("ErrImagePull", self._ground.images.unknown(name))
        maps = {
            each: data
            for each in commands.config_maps_of(container)
            if (data := await self._ground.cluster.config_map(self.namespace, each)) is not None
        }
        env = commands.environment(self._pod, container, image, address, maps)
        inherited = dict(os.environ)
        command = commands.compose(container, image, env)
        words = commands.runnable(command, inherited)
        return Program(words, {**inherited, **env}, command.directory, self._pod["metadata"]["uid"])

    async def _look(self, probes: Sequence[Probe | None], address: str, process: Process) -> None:
        """The probes of one run: startup first, then readiness and liveness side by side."""
        startup, readiness, liveness = probes
        if startup:
            if not await self._passes(startup, address):
                process.kill()
                return
            self._show(started=True)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._readiness(readiness, address))
            if liveness:
                group.create_task(self._liveness(liveness, address, process))

    async def _readiness(self, given: Probe | None, address: str) -> None:
        if given is None:
            self._show(ready=True)
            return
        tally = Tally(given)
        await asyncio.sleep(given.initial_delay)
        while True:
            why = await self._attempt(given, address)
            tally.add(why is None)
            self._show(ready=tally.passing, not_ready=why or self._known.not_ready)
            await asyncio.sleep(tally.pause)

    async def _liveness(self, given: Probe, address: str, process: Process) -> None:
        tally = Tally(given, passing=True)
        await asyncio.sleep(given.initial_delay)
        while tally.passing:
            tally.add(await self._attempt(given, address) is None)
            await asyncio.sleep(given.period)
        await process.end(self._grace)

    async def _passes(self, startup: Probe, address: str) -> bool:
        await asyncio.sleep(startup.initial_delay)
        for _ in range(startup.failures):
            if await self._attempt(startup, address) is None:
                return True
            await asyncio.sleep(startup.period)
        return False

    async def _attempt(self, given: Probe, address: str) -> str | None:
        async def no_exec(words: Sequence[str]) -> str | None:
            return f"command {words[0]}: exec probes are not run in the lab; use httpGet or tcpSocket"

        return await self._ground.prober.attempt(given, address, no_exec)

    async def _end(self, process: Process) -> None:
        """The graceful end, within the grace period."""
        deadline = time.monotonic() + self._grace
        drain = min(self._drain, self._grace) if self._exists else 0.0
        exited = asyncio.create_task(process.wait())
        await asyncio.wait((exited,), timeout=drain)
        await process.end(max(0.0, deadline - time.monotonic()))
        await exited

    @property
    def _grace(self) -> float:
        """Seconds from the deletion to SIGKILL."""
        given = self._pod["metadata"].get("deletionGracePeriodSeconds")
        given = given if given is not None else self._pod["spec"].get("terminationGracePeriodSeconds")
        return _GRACE if given is None else float(given)

    @property
    def _drain(self) -> float:
        hook = (self._pod["spec"]["containers"][0].get("lifecycle") or {}).get("preStop") or {}
        asleep = (hook.get("sleep") or {}).get("seconds")
        return self._ground.drain if asleep is None else float(asleep)

    async def _rest(self) -> None:
        """The pause before the next start; the Pod's end cuts it short."""
        delay = _BACKOFF.delay(self._failures)
        if delay <= 0 or self._leaving.is_set():
            return
        if self._known.waiting[0] == "ContainerCreating":
            self._show(waiting=("CrashLoopBackOff", f"back-off {delay:g}s restarting failed container"))
        leaving = asyncio.create_task(self._leaving.wait())
        await asyncio.wait((leaving,), timeout=delay)
        leaving.cancel()

    def _show(self, **changes: object) -> None:
        new = replace(self._known, **changes)  # type: ignore[arg-type]
        if new != self._known:
            self._known = new
            self._changed.set()

    async def _publish(self) -> None:
        """Keep the Pod's status as the Pod is; while the API server is away only the newest one waits."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._ground.cluster.show(self._pod, pod_status(self._pod, self._known, time.time()))
