"""When a rule counts as applied and a version as drained, in a cluster that can ask no proxy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx2
import pytest

from serin.adapters.kube.api import Api
from serin.adapters.kube.cached import CachedObjects, Keep
from serin.adapters.kube.dataplane import MeshDataPlane, Times
from serin.adapters.kube.istiod import Istiod
from serin.adapters.kube.objects import KubeObjects
from serin.control.routing.istio_rules import ROUTER_LABEL
from serin.errors import Conflict, Unreachable
from serin.ports import DESTINATION_RULE, VIRTUAL_SERVICE, Object
from tests.adapters.kube.api_server import FakeApiServer


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def rule(kind: str, name: str = "r", **spec: object) -> Object:
    metadata = {"name": name, "namespace": "default", "labels": {ROUTER_LABEL: "web"}}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def server() -> FakeApiServer:
    return FakeApiServer()


@pytest.fixture
async def objects(server: FakeApiServer, time: Time) -> AsyncIterator[CachedObjects]:
    direct = KubeObjects(Api(server.client()))
    cached = CachedObjects(direct, [Keep(VIRTUAL_SERVICE), Keep(DESTINATION_RULE)], monotonic=time)
    running = asyncio.create_task(cached.run())
    yield cached
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await direct.aclose()


async def test_a_rule_is_applied_when_its_time_is_over(objects: CachedObjects, time: Time) -> None:
    plane = MeshDataPlane(objects, Times(propagation=2.0), time)
    written = await objects.create(rule("VirtualService", a=1))
    time.now += 1.9
    assert not await plane.applied(written)
    time.now += 0.2
    assert await plane.applied(written)
    again = await objects.replace({**written, "spec": {"a": 2}})
    assert not await plane.applied(again)
    with pytest.raises(Conflict):  # nobody will route by it any more
        await plane.applied(written)
    time.now += 2.0
    assert await plane.applied(again)


async def test_a_change_beside_the_spec_starts_no_new_wait(objects: CachedObjects, time: Time) -> None:
    plane = MeshDataPlane(objects, Times(propagation=2.0), time)
    written = await objects.create(rule("VirtualService", a=1))
    time.now += 1.5
    await objects.patch(VIRTUAL_SERVICE, "default", "r", {"metadata": {"annotations": {"seen-by": "gitops"}}})
    time.now += 0.5
    assert await plane.applied(written)


async def test_a_route_waits_for_the_destination_rule_of_its_router(objects: CachedObjects, time: Time) -> None:
    plane = MeshDataPlane(objects, Times(propagation=2.0), time)
    route = await objects.create(rule("VirtualService", a=1))
    time.now += 2.0
    subsets = await objects.create(rule("DestinationRule", host="web"))
    assert not await plane.applied(route)
    assert not await plane.applied(subsets)
    time.now += 2.0
    assert await plane.applied(route)
    assert await plane.applied(subsets)


async def test_after_a_restart_what_is_there_has_its_time_again(
    server: FakeApiServer, objects: CachedObjects, time: Time
) -> None:
    written = server.put(rule("VirtualService", a=1))
    await objects.list(VIRTUAL_SERVICE)
    plane = MeshDataPlane(objects, Times(propagation=2.0), time)
    assert not await plane.applied(written)
    time.now += 2.0
    assert await plane.applied(written)


def istiod(*answers: object) -> Istiod:
    left = list(answers)

    def answer(request: httpx2.Request) -> httpx2.Response:
        assert request.url.path == "/debug/syncz"
        found = left.pop(0) if len(left) > 1 else left[0]
        return found if isinstance(found, httpx2.Response) else httpx2.Response(200, json=found)

    return Istiod("http://istiod:15014/", transport=httpx2.MockTransport(answer))


def proxy(sent: str, acked: str) -> dict[str, str]:
    return {"proxy": "gw", "cluster_sent": "c", "cluster_acked": "c", "route_sent": sent, "route_acked": acked}


async def test_where_istiod_may_be_asked_the_acknowledgements_count(objects: CachedObjects, time: Time) -> None:
    behind, settled = [proxy("2", "2"), proxy("2", "1")], [proxy("2", "2"), proxy("2", "2")]
    plane = MeshDataPlane(objects, Times(), time, istiod(behind, settled))
    written = await objects.create(rule("VirtualService", a=1))
    assert not await plane.applied(written)  # istiod cannot have pushed it yet
    time.now += 0.6
    assert not await plane.applied(written)
    assert await plane.applied(written)


async def test_a_proxy_that_never_acknowledges_does_not_hold_everybody_for_ever(
    objects: CachedObjects, time: Time
) -> None:
    plane = MeshDataPlane(objects, Times(), time, istiod([proxy("2", "1")]))
    written = await objects.create(rule("VirtualService", a=1))
    time.now += 7.9
    assert not await plane.applied(written)
    time.now += 0.2
    assert await plane.applied(written)


@pytest.mark.parametrize("answer", [httpx2.Response(401), {"not": "a list"}, httpx2.Response(200, text="<html>")])
async def test_an_istiod_that_does_not_tell_is_replaced_by_waiting(
    objects: CachedObjects, time: Time, answer: object
) -> None:
    source = istiod(answer)
    with pytest.raises(Unreachable, match="istiod at http://istiod:15014"):
        await source.settled()
    plane = MeshDataPlane(objects, Times(propagation=2.0), time, source)
    written = await objects.create(rule("VirtualService", a=1))
    time.now += 1.0
    assert not await plane.applied(written)
    time.now += 1.0
    assert await plane.applied(written)


async def test_a_version_without_traffic_is_idle_after_its_time_to_drain(objects: CachedObjects, time: Time) -> None:
    plane = MeshDataPlane(objects, Times(drain=3.0), time)
    for _ in range(3):
        assert not await plane.idle("default", "web-v1")
        time.now += 1.0
    assert not await plane.idle("default", "web-v2")
    assert await plane.idle("default", "web-v1")
    assert not await plane.idle("default", "web-v1")  # the next time it is about another end
    time.now += 60.0
    assert not await plane.idle("default", "web-v2")
