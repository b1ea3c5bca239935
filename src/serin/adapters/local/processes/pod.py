"""One Pod's life: prepare, start, probe, restart with growing pauses, and the graceful end.

The beginning: when the probe succeeds the container is ready (`ContainersReady`), which the proxies go by; when they
lead to it the Pod is (`Ready`), so that whoever waits for it can send a request at once.
The end: the proxies leave the Pod; the last one behind a route answers on until the route has left it, for HANDOVER
seconds at most; requests under way are answered; SIGTERM; after the grace period SIGKILL; and only then the object goes
(its finalizer is ours).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from serin.adapters.local.processes import addresses
from serin.adapters.local.processes.conditions import Ended, life_of
from serin.adapters.local.processes.ground import Ground, PodTraffic
from serin.adapters.local.processes.logs import PodLog
from serin.adapters.local.processes.pods import FINALIZER, is_leaving
from serin.adapters.local.processes.preparation import Prepared, prepare, refusal
from serin.adapters.local.processes.process import Process
from serin.adapters.local.processes.publisher import Publisher
from serin.adapters.local.processes.watch import Watch
from serin.errors import NotFound, SerinError
from serin.ports import POD, Object, Severity

GRACE = 30.0
HANDOVER = 5.0
"""Seconds in which whoever steers the traffic is expected to move it away from a version that is being deleted."""
TAKEN_WITHIN = 10.0
"""Seconds in which the proxies are expected to lead to a Pod whose container is ready."""
_PATIENCE = 5.0


class PodRunner:
    """Runs one Pod until it is deleted or the home stops."""

    def __init__(self, pod: Object, ground: Ground) -> None:
        self.pod, self._ground = pod, ground
        self.namespace, self.name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        life = life_of(pod)
        self._life = replace(life, began=life.began or ground.clock.now())
        self._log = PodLog(ground.log_dir, self.namespace, self.name)
        self._publisher = Publisher(ground.objects, ground.clock, pod)
        self._leaving = asyncio.Event()
        self._stop_grace: float | None = None
        self._process: Process | None = None
        self._failures = 0
        self._served = False
        self.update(pod)

    def update(self, pod: Object) -> None:
        """The stored object has changed."""
        self.pod = pod
        if is_leaving(pod):
            self._leaving.set()

    def gone(self) -> None:
        """The stored object is gone: end what runs for it."""
        self._leaving.set()

    def stop(self, grace: float) -> None:
        """The home stops: end the process, keep the Pod."""
        self._stop_grace = grace
        self._leaving.set()

    async def run(self) -> None:
        """Return when the process has ended and the Pod is gone (or the home stops)."""
        publishing = asyncio.create_task(self._publisher.run())
        try:
            while not self._leaving.is_set():
                await self._run_once()
                await self._rest()
            await self._leave()
        finally:
            publishing.cancel()
            if self._process:
                self._process.abandon()
            self._free_address()
            self._log.close()

    async def _run_once(self) -> None:
        """One run of the process, from its preparation to its exit (or to the Pod's end)."""
        try:
            prepared = await prepare(self.pod, self._ground, self._address)
            self._log.begin()
            process = Process(prepared.program, self._ground.life, self._log)
        except (SerinError, OSError) as error:
            await self._cannot_run(error)
            return
        started = self._ground.clock.now()
        self._process, self._served = process, False
        again = bool(self._life.last) and self._failures > 0
        self._show(
            running=started,
            restarts=self._life.restarts + again,
            exposed="",
            not_ready=("ContainersNotReady", "starting"),
        )
        await self._tell("Started", f"started on {self._life.address}")
        if await self._accompany(process, prepared):
            await self._exited(process, started)

    async def _accompany(self, process: Process, prepared: Prepared) -> bool:
        """Look after it until it ends (True) or the Pod does (False)."""
        assert self._life.address is not None
        watching = asyncio.create_task(Watch(self._ground, prepared, self._life.address, self).run())
        exited, leaving = asyncio.create_task(process.wait()), asyncio.create_task(self._leaving.wait())
        try:
            await asyncio.wait((watching, exited, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not (exited.done() or leaving.done()):
                await watching  # it has nothing more to look at; a fault of ours is raised here
                await asyncio.wait((exited, leaving), return_when=asyncio.FIRST_COMPLETED)
            return exited.done()
        finally:
            for task in (watching, exited, leaving):
                task.cancel()
            await asyncio.gather(watching, exited, leaving, return_exceptions=True)

    def _address(self, ports: Sequence[int]) -> str:
        """The Pod's address: the one it has while it can be bound, else another."""
        if self._life.address and addresses.bindable(self._life.address, ports) is None:
            return self._life.address
        self._free_address()
        address = self._ground.subnet.allot(ports)
        self._life = replace(self._life, address=address)
        return address

    def _free_address(self) -> None:
        if self._life.address:
            self._ground.subnet.free(self._life.address)
            self._life = replace(self._life, address=None)

    async def _cannot_run(self, error: SerinError | OSError) -> None:
        because = refusal(error)
        known = self._life.waiting == because
        self._failures += 1
        self._show(running=None, ready=False, waiting=because, not_ready=because)
        if not known:
            await self._tell("Failed", because[1], Severity.WARNING)

    async def _exited(self, process: Process, started: float) -> None:
        """Note how it ended; the last words are the end of what it printed."""
        how, now = await process.wait(), self._ground.clock.now()
        self._process = None
        self._failures = 1 if now - started >= self._ground.backoff.reset else self._failures + 1
        ended = Ended(how.code, how.signal, started, now, self._log.last_words)
        words = f"; last words: {ended.last_words}" if ended.last_words else ""
        self._show(
            running=None,
            ready=False,
            last={"terminated": ended.state()},
            waiting=("ContainerCreating", ""),
            not_ready=("ContainersNotReady", f"{ended.text}{words}"),
        )
        await self._tell("Exited", f"{ended.text}{words}", Severity.WARNING)

    async def _rest(self) -> None:
        """The pause before the next start; a Pod's end cuts it short."""
        delay = self._ground.backoff.delay(self._failures)
        if delay <= 0 or self._leaving.is_set():
            return
        if self._life.waiting[0] in ("ContainerCreating", "CrashLoopBackOff"):
            self._show(waiting=("CrashLoopBackOff", f"back-off {delay:g}s restarting failed container"))
            await self._tell("BackOff", f"next start in {delay:g} s", Severity.WARNING)
        sleeping = asyncio.ensure_future(self._ground.clock.sleep(delay))
        leaving = asyncio.create_task(self._leaving.wait())
        await asyncio.wait((sleeping, leaving), return_when=asyncio.FIRST_COMPLETED)
        for task in (sleeping, leaving):
            task.cancel()
        await asyncio.gather(sleeping, leaving, return_exceptions=True)

    async def ready(self) -> None:
        """As `Watched.ready`."""
        exposed = ""
        if self._process and (found := addresses.listening_elsewhere(self._process.members())):
            exposed = f"listens on {', '.join(found)}, reachable from other machines; let it listen on $(POD_IP)"
        self._served = True
        self._show(ready=True, awaited=isinstance(self._ground.dataplane, PodTraffic), exposed=exposed)
        await self._taken_by_proxies()
        self._show(awaited=False)
        await self._tell("Ready", f"ready after {self._ground.clock.now() - (self._life.running or 0):.1f} s")
        if exposed:
            await self._tell("ListensEverywhere", exposed, Severity.WARNING)

    async def _taken_by_proxies(self) -> None:
        """Until the proxies go by it, or the patience with them is over: a gateway that is away ends no Pod."""
        clock, proxies = self._ground.clock, self._ground.dataplane
        assert self._life.address is not None
        deadline = clock.now() + TAKEN_WITHIN
        while isinstance(proxies, PodTraffic) and not await proxies.pod_taken(self._life.address):
            if clock.now() >= deadline:
                return
            await clock.sleep(0.02)

    async def not_ready(self, why: str, *, fell: bool) -> None:
        """As `Watched.not_ready`."""
        self._show(ready=False, not_ready=("ContainersNotReady", why))
        if fell:
            await self._tell("Unhealthy", f"readiness probe failed: {why}", Severity.WARNING)

    async def give_up(self, why: str) -> None:
        """As `Watched.give_up`."""
        self._show(ready=False, not_ready=("ContainersNotReady", why))
        await self._tell("Killing", why, Severity.WARNING)
        if self._process:
            await self._process.end(self._grace)

    async def _leave(self) -> None:
        """The graceful end."""
        stopping, process = self._stop_grace is not None, self._process
        draining = process is not None and process.running and self._served and not stopping
        if not draining or not isinstance(self._ground.dataplane, PodTraffic):
            await self._no_longer_ready("the home stops" if stopping else "being deleted")
        if process and process.running:
            if draining:
                await self._drain(process)
            await self._no_longer_ready("the home stops" if stopping else "being deleted")
            await self._tell("Killing", "stopping the process")
            await process.end(self._grace)
        self._process = None
        self._free_address()
        if is_leaving(self.pod):
            await self._release()
        elif stopping:
            self._show(running=None, waiting=("HomeStopped", "the home does not run"))
            await self._publisher.flushed(_PATIENCE)

    async def _no_longer_ready(self, why: str) -> None:
        self._show(ready=False, not_ready=("Terminating", why))
        await self._publisher.flushed(_PATIENCE)

    @property
    def _grace(self) -> float:
        """Seconds between SIGTERM and SIGKILL."""
        given = self.pod["metadata"].get("deletionGracePeriodSeconds")
        given = given if given is not None else (self.pod.get("spec") or {}).get("terminationGracePeriodSeconds")
        own = GRACE if given is None else float(given)
        return own if self._stop_grace is None else min(own, self._stop_grace)

    async def _drain(self, process: Process) -> None:
        """Wait until no request is under way to this Pod, for as long as the grace period at most."""
        clock = self._ground.clock
        began, quiet = clock.now(), 0
        await clock.sleep(self._ground.settle)
        while quiet < 2 and process.running and clock.now() < began + self._grace and self._stop_grace is None:
            if self._life.ready and clock.now() >= began + HANDOVER:
                await self._no_longer_ready("being deleted")
            quiet = quiet + 1 if await self._idle() else 0
            await clock.sleep(0.1)

    async def _idle(self) -> bool:
        """Whether the proxies are done with this Pod; one that cannot tell Pods apart is asked about the workload."""
        assert self._life.address is not None
        references = self.pod["metadata"].get("ownerReferences") or ()
        workload = next((each["name"] for each in references), self.name)
        try:
            if isinstance(self._ground.dataplane, PodTraffic):
                return await self._ground.dataplane.pod_idle(self._life.address)
            if not addresses.in_conversation(self._life.address):
                return True
            return await self._ground.dataplane.idle(self.namespace, workload)
        except SerinError:
            return False

    async def _release(self) -> None:
        """Take our finalizer away; the object goes with the last one."""
        while True:
            kept = [each for each in self.pod["metadata"].get("finalizers") or () if each != FINALIZER]
            try:
                await self._ground.objects.patch(POD, self.namespace, self.name, {"metadata": {"finalizers": kept}})
                return
            except NotFound:
                return
            except SerinError:
                await self._ground.clock.sleep(1.0)

    def _show(self, **changes: object) -> None:
        new = replace(self._life, **changes)  # type: ignore[arg-type]
        if new != self._life:
            self._life = new
            self._publisher.show(new)

    async def _tell(self, reason: str, message: str, severity: Severity = Severity.NORMAL) -> None:
        await self._ground.sink.emit(self.pod, reason, message, severity)
