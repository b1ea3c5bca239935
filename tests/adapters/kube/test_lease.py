"""One leads, the others wait; whoever may have lost the lease writes nothing. All by a clock that a test turns."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serin.adapters.kube.api import Api
from serin.adapters.kube.leadership import Leadership
from serin.adapters.kube.lease import Election, Move, NotLeading, Terms
from serin.errors import Forbidden
from serin.fakes import FakeClock
from serin.ports import Object


class LeaseServer:
    """One Lease as an API server keeps it. `cut`: identities whose requests get no answer; `slow`: seconds of each."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.lease: Object | None = None
        self.version = 0
        self.cut: set[str] = set()
        self.status = 0
        self.writes: list[tuple[float, str]] = []

    def api(self, identity: str) -> Api:
        async def handle(request: httpx2.Request) -> httpx2.Response:
            await asyncio.sleep(0)
            if identity in self.cut:
                raise httpx2.ConnectError("no route to host")
            if self.status:
                return httpx2.Response(self.status, json={"kind": "Status", "code": self.status, "message": "no"})
            return self.answer(request)

        client = httpx2.AsyncClient(base_url="http://api", transport=httpx2.MockTransport(handle))
        return Api(client, sleep=self.clock.sleep)

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        assert request.url.path.startswith("/apis/coordination.k8s.io/v1/namespaces/iter8/leases")
        if request.method == "GET":
            return httpx2.Response(200, json=self.lease) if self.lease else self._no(404)
        body = json.loads(request.content)
        there = self.lease is not None
        if (request.method == "POST") == there:
            return self._no(409 if there else 404)
        if self.lease and body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            return self._no(409)
        self.version += 1
        self.lease = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}}
        self.writes.append((self.clock.now(), body["spec"]["holderIdentity"]))
        return httpx2.Response(200, json=self.lease)

    def _no(self, code: int) -> httpx2.Response:
        return httpx2.Response(code, json={"kind": "Status", "code": code, "message": "no"})

    def renew(self, **spec: str) -> None:
        """Somebody writes the Lease."""
        assert self.lease is not None
        self.version += 1
        metadata = {**self.lease["metadata"], "resourceVersion": str(self.version)}
        self.lease = {**self.lease, "metadata": metadata, "spec": {**self.lease["spec"], **spec}}

    @property
    def holder(self) -> str:
        assert self.lease is not None
        return str(self.lease["spec"]["holderIdentity"])


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def server(clock: FakeClock) -> LeaseServer:
    return LeaseServer(clock)


def candidate(server: LeaseServer, identity: str, jitter: Callable[[], float] = lambda: 0.5) -> Leadership:
    now, sleep = server.clock.now, server.clock.sleep
    return Leadership(server.api(identity), "iter8", identity, monotonic=now, wall=now, sleep=sleep, jitter=jitter)


async def until_lost(leadership: Leadership) -> None:
    await leadership.acquire()
    await leadership.keep()


async def test_one_of_two_leads_and_the_other_takes_over_when_it_dies(server: LeaseServer, clock: FakeClock) -> None:
    first, second = candidate(server, "a"), candidate(server, "b")
    tasks = [asyncio.create_task(until_lost(each)) for each in (first, second)]
    await clock.advance(60.0)
    assert (first.leads, second.leads, server.holder) == (True, False, "a")
    server.cut.add("a")  # its last renewal was at most 2.2 s ago
    await clock.advance(12.0)
    assert not second.leads
    await clock.advance(8.0)
    assert second.leads
    assert server.lease is not None
    assert server.lease["spec"]["leaseTransitions"] == 1
    with pytest.raises(NotLeading, match=r"the lease iter8/serin-controller is lost"):
        await tasks[0]
    tasks[1].cancel()


async def test_who_is_cut_off_stops_writing_before_the_other_can_take_over(
    server: LeaseServer, clock: FakeClock
) -> None:
    first, second = candidate(server, "a"), candidate(server, "b")
    tasks = [asyncio.create_task(until_lost(each)) for each in (first, second)]
    await clock.advance(20.0)
    server.cut.add("a")
    stopped = taken = 0.0
    for _ in range(300):
        await clock.advance(0.1)
        assert not (first.leads and second.leads)
        stopped = stopped or (0.0 if first.leads else clock.now())
        taken = taken or (clock.now() if second.leads else 0.0)
    assert 0 < stopped <= taken - 4.0  # the margin is for writes under way
    with suppress(NotLeading):
        await tasks[0]
    with pytest.raises(NotLeading):
        first.gate()
    tasks[1].cancel()


async def test_a_lease_that_is_released_is_taken_at_the_next_look(server: LeaseServer, clock: FakeClock) -> None:
    first, second = candidate(server, "a"), candidate(server, "b")
    tasks = [asyncio.create_task(until_lost(each)) for each in (first, second)]
    await clock.advance(10.0)
    tasks[0].cancel()
    await first.release()
    assert not first.leads
    await clock.advance(2.5)
    assert second.leads
    tasks[1].cancel()
    await first.release()  # of what one does not hold: nothing
    assert server.holder == "b"


async def test_a_renewal_under_way_does_not_keep_the_lease_from_being_released(
    server: LeaseServer, clock: FakeClock
) -> None:
    first = candidate(server, "a")
    task = asyncio.create_task(until_lost(first))
    await clock.advance(5.0)
    task.cancel()
    server.renew()  # one that was stored, and whose answer nobody waits for any more
    await first.release()
    assert server.holder == ""


async def test_a_lease_taken_by_force_is_lost_at_once(server: LeaseServer, clock: FakeClock) -> None:
    first = candidate(server, "a")
    task = asyncio.create_task(until_lost(first))
    await clock.advance(5.0)
    assert server.lease is not None
    server.renew(holderIdentity="x")
    await clock.advance(2.5)
    assert not first.leads
    with pytest.raises(NotLeading, match="held by x"):
        await task


@pytest.mark.parametrize("code", [429, 500, 503])
async def test_a_short_outage_costs_no_leadership(server: LeaseServer, clock: FakeClock, code: int) -> None:
    first = candidate(server, "a")
    task = asyncio.create_task(until_lost(first))
    await clock.advance(5.0)
    server.status = code
    await clock.advance(6.0)
    server.status = 0
    await clock.advance(5.0)
    assert first.leads
    task.cancel()


async def test_a_missing_right_is_said_when_it_lasts(server: LeaseServer, clock: FakeClock) -> None:
    server.status = 403
    first = candidate(server, "a")
    task = asyncio.create_task(first.acquire())
    await clock.advance(10.0)
    server.status = 0  # an API server that has just started refuses everybody for a moment
    await clock.advance(3.0)
    assert first.leads
    server.status = 403
    task = asyncio.create_task(candidate(server, "b").acquire())
    await clock.advance(20.0)
    with pytest.raises(Forbidden, match=r"does not allow to get leases\.coordination\.k8s\.io in namespace 'iter8'"):
        await task


def test_a_holder_that_was_promised_longer_is_waited_for_longer() -> None:
    election = Election("b", Terms(), str)
    lease: Object = {"spec": {"holderIdentity": "a", "leaseDurationSeconds": 40, "renewTime": "t"}}
    assert election.look(lease, 0.0) is Move.WAIT
    assert election.look(lease, 39.9) is Move.WAIT
    assert election.look(lease, 40.0) is Move.TAKE


def test_wrong_clocks_of_others_do_not_matter() -> None:
    """A Lease whose times lie far in the past is looked at for its whole duration by our own clock."""
    election = Election("b", Terms(), str)
    lease: Object = {"spec": {"holderIdentity": "a", "leaseDurationSeconds": 15, "renewTime": "1999-01-01T00:00:00Z"}}
    assert election.look(lease, 100.0) is Move.WAIT
    lease["spec"]["renewTime"] = "1999-01-01T00:00:02Z"
    assert election.look(lease, 114.0) is Move.WAIT
    assert election.look(lease, 128.9) is Move.WAIT
    assert election.look(lease, 129.0) is Move.TAKE


STEPS = st.lists(
    st.tuples(st.sampled_from(["cut a", "cut b", "heal a", "heal b", "wait"]), st.floats(0.1, 12.0)), max_size=25
)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.floats(0, 1), st.floats(0, 1))
def test_two_never_lead_at_once(steps: list[tuple[str, float]], one: float, other: float) -> None:
    async def play() -> None:
        clock = FakeClock()
        server = LeaseServer(clock)
        both = [candidate(server, "a", lambda: one), candidate(server, "b", lambda: other)]

        async def again(leadership: Leadership) -> None:
            while True:
                with suppress(NotLeading):
                    await until_lost(leadership)

        tasks = [asyncio.create_task(again(each)) for each in both]
        for what, seconds in steps:
            verb, _, who = what.partition(" ")
            if verb == "cut":
                server.cut.add(who)
            elif verb == "heal":
                server.cut.discard(who)
            for _ in range(int(seconds / 0.1)):
                await clock.advance(0.1)
                assert sum(each.leads for each in both) <= 1
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(play())
