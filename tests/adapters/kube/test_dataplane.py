"""When a rule counts as applied and a version as drained, in a cluster that can ask no proxy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from serin.adapters.kube.api import Api
from serin.adapters.kube.cached import CachedObjects, Keep
from serin.adapters.kube.dataplane import MeshDataPlane, Times
from serin.adapters.kube.objects import KubeObjects
from serin.control.routing.istio_rules import ROUTER_LABEL
from serin.errors import Conflict
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
