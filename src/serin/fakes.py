"""The fakes that stand beside the ports: everything in memory, faults on demand, time turned by hand.

    objects = InMemoryObjects(clock)
    objects.seed(deployment, pod)                       what is there already, status and all
    objects.fail_next(Conflict("..."), verb="patch")    the next patch is refused
    objects.crash_at(3, after=True)                     the process "dies" right after its third write from now

A store survives a crash, as a real one does: start the code under test again on the same `InMemoryObjects`.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from serin.control import semantics
from serin.control.semantics import Key, Outcome
from serin.control.watching import Watch, Watches
from serin.core.observation import Series, Snapshot
from serin.ports import DESTINATION_RULE, Change, CounterQuery, Kind, Object, ReadRequest, Severity

Listing = list[Object]
WRITES = frozenset({"create", "replace", "patch", "status", "delete"})


class Crash(BaseException):
    """The process is gone. No `except Exception` holds it, as none holds a `kill -9`."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call on the store. `verb`: get, list, watch, create, replace, patch, status or delete; `body` as given."""

    verb: str
    kind: Kind
    namespace: str
    name: str
    body: Object = field(default_factory=dict)


@dataclass(slots=True)
class _Fault:
    error: BaseException
    verb: str | None
    kind: Kind | None
    skip: int
    times: int
    after: bool

    def concerns(self, call: Call) -> bool:
        same_verb = call.verb == self.verb or (self.verb is None and call.verb in WRITES)
        return bool(self.times) and same_verb and self.kind in (None, call.kind)


class FakeClock:
    """Time that stands still until a test turns it."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> float:
        """Epoch seconds."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Return when the clock has been turned so far."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + max(seconds, 0.0), next(self._order), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Turn the clock: wake every sleeper at its own time, and let all tasks run until they wait again."""
        end = self._now + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            at, _, woken = heapq.heappop(self._sleepers)
            self._now = max(self._now, at)
            if not woken.done():
                woken.set_result(None)
                await settle()
        self._now = end
        await settle()

    @property
    def sleepers(self) -> int:
        """How many are asleep."""
        return sum(not woken.done() for _, _, woken in self._sleepers)


async def settle() -> None:
    """Let all tasks run until nothing is left to run but what waits for time, files or sockets."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(0)
    # asyncio shows no public way to ask whether anything is ready; the bound ends a test that never comes to rest.
    for _ in range(100_000):
        if not getattr(loop, "_ready", None):
            return
        await asyncio.sleep(0)
    raise AssertionError("the tasks of this test never come to rest; one of them spins without waiting")


class InMemoryObjects:
    """The port `Objects` in memory, with the semantics of Kubernetes (`serin.control.semantics`).

    As there, `create` and `replace` drop `status` of kinds that have one: set it by `patch(..., status=True)`.

    calls           every call so far, in order, with those that failed
    before_write    awaited before each write: a test's place to change the object under the caller's feet
    """

    def __init__(self, clock: FakeClock | None = None, *objects: Object) -> None:
        self.calls: list[Call] = []
        self.before_write: Callable[[Call], Awaitable[None]] | None = None
        self._clock = clock or FakeClock()
        self._stored: dict[Key, Object] = {}
        self._version = 0
        self._uids = (f"00000000-0000-4000-8000-{n:012d}" for n in itertools.count(1))
        self._faults: list[_Fault] = []
        self._interfering = False
        self._watches = Watches()
        self.seed(*objects)

    @property
    def writes(self) -> list[Call]:
        """The writes among `calls`."""
        return [call for call in self.calls if call.verb in WRITES]

    def seed(self, *objects: Object) -> None:
        """Put objects there with their status, over what is there: no fault, no call, but watchers see it."""
        for obj in objects:
            place = semantics.key_of(obj)
            current = self._stored.get(place)
            uid = current["metadata"]["uid"] if current else next(self._uids)
            new = semantics.fresh(obj, uid=uid, now=self._clock.now())
            if "status" in obj:
                new["status"] = semantics.copy(obj)["status"]
            self._keep(place, Change.MODIFIED if current else Change.ADDED, new)

    def fail_next(
        self,
        error: BaseException,
        *,
        verb: str | None = None,
        kind: Kind | None = None,
        skip: int = 0,
        times: int = 1,
        after: bool = False,
    ) -> None:
        """Raise `error` at the next call of this verb (None: any write) and kind, or so many calls later.

        after    the write is stored first, and the caller does not learn of it
        """
        self._faults.append(_Fault(error, verb, kind, skip, times, after))

    def crash_at(self, write: int, *, after: bool = False) -> None:
        """Crash at a write counted from now (1 is the next), before or after it is stored."""
        self.fail_next(Crash(f"at write {write}"), skip=write - 1, after=after)

    def heal(self) -> None:
        """Take back every fault that has not happened yet."""
        self._faults.clear()

    async def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """As `Objects.get`."""
        place = semantics.key(kind, namespace, name)
        late = await self._begin(Call("get", *place))
        found = self._find(place)
        _raise(late)
        return semantics.copy(found)

    async def list(
        self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> list[Object]:
        """As `Objects.list`."""
        late = await self._begin(Call("list", kind, namespace or "", ""))
        found = self._present((kind,), namespace)
        _raise(late)
        return [obj for obj in found if semantics.selected(obj, labels)]

    def watch(self, *kinds: Kind, namespace: str | None = None) -> Watch:
        """As `Objects.watch`; a fault of verb `watch` is raised when it is first asked."""

        def snapshot() -> Listing:
            for kind in kinds:
                call = Call("watch", kind, namespace or "", "")
                self.calls.append(call)
                fault = self._due(call)
                _raise(fault.error if fault else None)
            return self._present(kinds, namespace)

        return self._watches.open(snapshot, kinds, namespace)

    def disconnect(self) -> None:
        """End all watches, as a store that goes away does."""
        self._watches.close()

    async def create(self, obj: Object) -> Object:
        """As `Objects.create`."""
        place = semantics.key_of(obj)
        late = await self._begin(Call("create", *place, obj))
        if place in self._stored:
            raise place.already_exists()
        new = semantics.fresh(obj, uid=next(self._uids), now=self._clock.now())
        return self._write(place, Outcome(Change.ADDED, new), late)

    async def replace(self, obj: Object) -> Object:
        """As `Objects.replace`."""
        place = semantics.key_of(obj)
        late = await self._begin(Call("replace", *place, obj))
        return self._write(place, semantics.replaced(self._find(place), obj), late)

    async def patch(self, kind: Kind, namespace: str, name: str, patch: Object, *, status: bool = False) -> Object:
        """As `Objects.patch`."""
        place = semantics.key(kind, namespace, name)
        late = await self._begin(Call("status" if status else "patch", *place, patch))
        return self._write(place, semantics.patched(self._find(place), patch, status=status), late)

    async def delete(self, kind: Kind, namespace: str, name: str) -> None:
        """As `Objects.delete`."""
        place = semantics.key(kind, namespace, name)
        late = await self._begin(Call("delete", *place))
        self._write(place, semantics.deleted(self._find(place), self._clock.now()), late)

    async def _begin(self, call: Call) -> BaseException | None:
        """Note the call; raise the fault that is due before it, return the one that is due after it."""
        await asyncio.sleep(0)  # a real store gives others their turn, too
        if call.verb in WRITES and self.before_write and not self._interfering:
            self._interfering = True  # its own writes go undisturbed
            try:
                await self.before_write(call)
            finally:
                self._interfering = False
        self.calls.append(Call(call.verb, call.kind, call.namespace, call.name, semantics.copy(call.body)))
        fault = self._due(call)
        if fault and not fault.after:
            raise fault.error
        return fault.error if fault else None

    def _due(self, call: Call) -> _Fault | None:
        due = None
        for fault in filter(lambda fault: fault.concerns(call), self._faults):
            if fault.skip:
                fault.skip -= 1
            elif due is None:
                due = fault
                fault.times -= 1
        return due

    def _find(self, place: Key) -> Object:
        if place not in self._stored:
            raise place.not_found()
        return self._stored[place]

    def _present(self, kinds: Sequence[Kind], namespace: str | None) -> Listing:
        wanted = [key for key in self._stored if key.kind in kinds and namespace in (None, key.namespace)]
        wanted.sort(key=lambda key: (kinds.index(key.kind), key.namespace, key.name))
        return [semantics.copy(self._stored[key]) for key in wanted]

    def _write(self, place: Key, outcome: Outcome, late: BaseException | None) -> Object:
        new = outcome.object if outcome.change is None else self._keep(place, outcome.change, outcome.object)
        _raise(late)
        return semantics.copy(new)

    def _keep(self, place: Key, change: Change, obj: Object) -> Object:
        self._version += 1
        new = semantics.copy({**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self._version)}})
        if change is Change.DELETED:
            del self._stored[place]
        else:
            self._stored[place] = new
        self._watches.tell(change, new)
        return new


class FakeMetrics:
    """Cumulative counters that a test counts up.

        metrics.count("fashionmnist-v2", iter8_request_count=40, iter8_total_latency=130.0)

    A version is found by its workload or service name. What was never counted has no series.

    error      raised by `read` as a whole, while it is set
    refused    counter name -> why this source can never answer it
    faults     counter name -> the error given in place of every request that asks for it
    past       what is told of the time before, empty unless a test fills it
    """

    def __init__(self, clock: FakeClock) -> None:
        self.error: Exception | None = None
        self.past: list[Snapshot] = []
        self.asked_history: list[tuple[ReadRequest, float, float]] = []
        self.refused: dict[str, str] = {}
        self.faults: dict[str, Exception] = {}
        self.reads: list[Sequence[ReadRequest]] = []
        self._clock = clock
        self._started = clock.now()
        self._instances: dict[str, str] = {}
        self._values: dict[tuple[str, str], dict[str, float]] = {}

    def count(self, workload: str, **counters: float) -> None:
        """Add to the counters of one version."""
        values = self._values.setdefault((workload, self._instance(workload)), {})
        for name, value in counters.items():
            values[name] = values.get(name, 0.0) + value

    def restart(self, workload: str) -> None:
        """Whoever counts for this version starts anew under another name; what it counted is no longer shown."""
        self._values.pop((workload, self._instance(workload)), None)
        self._instances[workload] = f"{self._instance(workload)}'"

    def reset(self, workload: str) -> None:
        """The counters of this version fall back to 0 under the same name."""
        for name in self._values.get((workload, self._instance(workload)), {}):
            self._values[workload, self._instance(workload)][name] = 0.0

    async def read(self, requests: Sequence[ReadRequest]) -> list[Snapshot | Exception]:
        """As `Metrics.read`."""
        await asyncio.sleep(0)
        self.reads.append(requests)
        if self.error:
            raise self.error
        return [self._answer(request) for request in requests]

    async def history(self, request: ReadRequest, seconds: float, step: float) -> list[Snapshot]:
        """As `History.history`: what the test has put into `past`, not older than asked for."""
        await asyncio.sleep(0)
        self.asked_history.append((request, seconds, step))
        if self.error:
            raise self.error
        return [snapshot for snapshot in self.past if snapshot.time >= self._clock.now() - seconds]

    def check(self, counter: CounterQuery) -> str | None:
        """As `Metrics.check`."""
        return self.refused.get(counter.name)

    def _answer(self, request: ReadRequest) -> Snapshot | Exception:
        for counter in request.counters:
            if counter.name in self.faults:
                return self.faults[counter.name]
        asked = [counter.name for counter in request.counters]
        series = [
            Series(version, name, instance, values[name], self._started)
            for version, labels in request.versions.items()
            for (workload, instance), values in self._values.items()
            if workload in (labels.get("destination_workload"), labels.get("destination_service_name"))
            for name in asked
            if name in values
        ]
        shown = frozenset(name for values in self._values.values() for name in values)
        return Snapshot(self._clock.now(), tuple(series), shown & frozenset(asked))

    def _instance(self, workload: str) -> str:
        return self._instances.get(workload, "proxy")


@dataclass(frozen=True, slots=True)
class Emitted:
    """One event that went to a `FakeSink`."""

    regarding: Object
    reason: str
    message: str
    severity: Severity


class FakeSink:
    """Keeps the events that it is given."""

    def __init__(self) -> None:
        self.events: list[Emitted] = []

    async def emit(self, regarding: Object, reason: str, message: str, severity: Severity = Severity.NORMAL) -> None:
        """As `Sink.emit`."""
        self.events.append(Emitted(regarding, reason, message, severity))

    @property
    def lines(self) -> list[str]:
        """`reason: message` of each event."""
        return [f"{event.reason}: {event.message}" for event in self.events]


class FakeDataPlane:
    """Proxies that follow at once, unless a test says otherwise.

    behind    names of VirtualServices that the proxies do not route by yet
    busy      workload name -> requests under way
    error     raised by both methods, while it is set
    """

    def __init__(self) -> None:
        self.behind: set[str] = set()
        self.busy: dict[str, int] = {}
        self.error: Exception | None = None

    async def applied(self, rule: Object) -> bool:
        """As `DataPlane.applied`."""
        await asyncio.sleep(0)
        _raise(self.error)
        return rule["kind"] == DESTINATION_RULE.name or rule["metadata"]["name"] not in self.behind

    async def idle(self, namespace: str, workload: str) -> bool:  # noqa: ARG002
        """As `DataPlane.idle`."""
        await asyncio.sleep(0)
        _raise(self.error)
        return not self.busy.get(workload)


def _raise(error: BaseException | None) -> None:
    if error is not None:
        raise error
