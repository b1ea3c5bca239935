"""Takes part in an election on a Lease object, and is the gate that every write of the leader passes."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import structlog

from serin.adapters.kube.api import Api, Request
from serin.adapters.kube.failures import Target
from serin.adapters.kube.lease import API_VERSION, Election, Move, NotLeading, Terms
from serin.errors import Conflict, Forbidden, SerinError, Unreachable
from serin.ports import Kind, Object

_log = structlog.get_logger("serin.leader")

LEASE = Kind("coordination.k8s.io", "Lease", "leases", ("v1",), has_status=False)
NAME = "serin-controller"

_JITTER = 0.2
_ATTEMPT = 5.0
_RELEASED_WITHIN = 3.0


def monotonic() -> float:
    """Seconds that go on while the machine sleeps: a lease does not stop with a virtual machine."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


def micro(epoch_seconds: float) -> str:
    """A `MicroTime` of Kubernetes."""
    return datetime.fromtimestamp(epoch_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Leadership:
    """One candidate. `gate` is for the `Api` of the others; this one's own requests pass no gate.

    identity   unlike any other's, also that of the process before in the same pod
    """

    def __init__(
        self,
        api: Api,
        namespace: str,
        identity: str,
        *,
        name: str = NAME,
        terms: Terms | None = None,
        monotonic: Callable[[], float] = monotonic,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.identity = identity
        self.terms = terms or Terms()
        self._api = api
        self._namespace, self._name = namespace, name
        self._election = Election(identity, self.terms, micro)
        self._monotonic, self._wall, self._sleep, self._jitter = monotonic, wall, sleep, jitter
        self._lease: Object | None = None

    @property
    def leads(self) -> bool:
        """Whether this one may write now."""
        return self._election.leads(self._monotonic())

    def gate(self) -> float:
        """Seconds for which writing is allowed. Raises NotLeading."""
        return self._election.remaining(self._monotonic())

    async def acquire(self) -> None:
        """Return when this one leads. Raises Forbidden when that lasts.

        An API server that has just started refuses everybody for a moment, until it knows its roles.
        """
        said: str | None = None
        refused_since: float | None = None
        while True:
            try:
                move = await self._attempt()
                said = self._say(said, move)
                refused_since = None
            except SerinError as error:
                _log.warning("cannot stand for election", error=str(error))
                refused_since = (refused_since or self._monotonic()) if isinstance(error, Forbidden) else None
                if refused_since is not None and self._monotonic() - refused_since > self.terms.duration:
                    raise
            if self.leads:
                _log.info("leading", identity=self.identity)
                return
            await self._pause()

    async def keep(self) -> None:
        """Renew until it is lost. Raises NotLeading then."""
        while self.leads:
            await self._pause()
            try:
                await self._attempt()
            except SerinError as error:
                _log.warning("lease not renewed", error=str(error))
        self._election.lose()
        holder = ((self._lease or {}).get("spec") or {}).get("holderIdentity")
        raise NotLeading(f"the lease {self._namespace}/{self._name} is lost (held by {holder or 'nobody'}); ending")

    async def release(self) -> None:
        """Let another take over at once. Nothing is written by this one afterwards."""
        leading = self.leads
        self._election.lose()
        if not leading or self._lease is None:
            return
        try:
            async with asyncio.timeout(_RELEASED_WITHIN):
                await self._give_back()
            _log.info("lease released")
        except (SerinError, TimeoutError) as error:
            _log.warning("lease not released; another takes over when it runs out", error=str(error))

    async def _give_back(self) -> None:
        try:
            await self._store(Move.RENEW, self._election.released(self._lease or {}, self._wall()))
        except Conflict:  # a renewal was under way when we were told to end
            self._lease = await self._read()
            if ((self._lease or {}).get("spec") or {}).get("holderIdentity") != self.identity:
                raise
            await self._store(Move.RENEW, self._election.released(self._lease or {}, self._wall()))

    async def _attempt(self) -> Move:
        """One look and, if it is for us, one write. Raises Unreachable, Conflict, Forbidden."""
        patience = _ATTEMPT if not self.leads else min(_ATTEMPT, self.gate())
        try:
            async with asyncio.timeout(patience):
                return await self._try()
        except TimeoutError:
            raise Unreachable(f"the API server does not answer within {patience:.1f} s") from None

    async def _try(self) -> Move:
        if not self.leads:  # who leads knows the Lease from his last renewal
            self._lease = await self._read()
        move = self._election.look(self._lease, self._monotonic())
        if move is Move.WAIT:
            return move
        sent = self._monotonic()
        try:
            self._lease = await self._store(move, self._election.wanted(move, self._lease, self._wall()))
        except Conflict:
            # Somebody has written it: whether it is still ours is seen at once.
            self._lease = await self._read()
            if self._election.look(self._lease, self._monotonic()) is not Move.RENEW:
                self._election.lose()
            raise
        self._election.done(sent)
        return move

    async def _read(self) -> Object | None:
        answer = await self._api.send(self._request("get", "GET", self._name), attempts=1)
        if answer.failure is None:
            return answer.body
        if answer.failure.code == 404:
            return None
        raise answer.failure.error(Target("get", LEASE, self._namespace, self._name))

    async def _store(self, move: Move, spec: Object) -> Object:
        """Write conditionally. Raises Conflict when somebody was faster."""
        metadata: Object = {"name": self._name, "namespace": self._namespace}
        create = move is Move.CREATE
        if not create and self._lease is not None:
            metadata = {**self._lease["metadata"]}
            metadata.pop("managedFields", None)
        body = {"apiVersion": API_VERSION, "kind": LEASE.name, "metadata": metadata, "spec": spec}
        request = (
            self._request("create", "POST", "", body) if create else self._request("update", "PUT", self._name, body)
        )
        answer = await self._api.send(request, attempts=1)
        if answer.failure is None:
            return answer.body
        if answer.failure.code in (404, 409):
            raise Conflict("the lease was changed by somebody else")
        raise answer.failure.error(request.target)

    def _request(self, verb: str, method: str, name: str, body: Object | None = None) -> Request:
        path = f"/apis/{API_VERSION}/namespaces/{self._namespace}/leases"
        target = Target(verb, LEASE, self._namespace, self._name)
        return Request(target, method, f"{path}/{name}" if name else path, None, body)

    async def _pause(self) -> None:
        await self._sleep(self.terms.retry * (1.0 + _JITTER * self._jitter()))

    def _say(self, said: str | None, move: Move) -> str | None:
        holder = str(((self._lease or {}).get("spec") or {}).get("holderIdentity") or "")
        if move is Move.WAIT and holder != said:
            _log.info("another leads; standing by", leader=holder)
            return holder
        return said
