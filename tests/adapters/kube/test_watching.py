"""What a watch makes of an API server that breaks off, forgets, refuses or talks nonsense."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import httpx2
import pytest

from serin.adapters.kube.api import Api
from serin.adapters.kube.cached import CachedObjects, Keep
from serin.adapters.kube.objects import KubeObjects
from serin.adapters.kube.reflector import Reflector, Scope
from serin.errors import Forbidden, NotFound, Unreachable
from serin.fakes import settle
from serin.ports import CONFIG_MAP, DEPLOYMENT, EXPERIMENT, VIRTUAL_SERVICE, Change, Event, Object
from tests.adapters.kube.api_server import FakeApiServer
from tests.objects_contract import config_map, deployment, take, until_synced


class Pauses:
    """Sleeps that last one turn of the loop, and are written down."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)
        await asyncio.sleep(0)


@pytest.fixture
def server() -> FakeApiServer:
    return FakeApiServer()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> Pauses:
    found = Pauses()
    monkeypatch.setitem(Reflector.__init__.__kwdefaults__ or {}, "sleep", found)
    return found


class World:
    """A cache at work."""

    def __init__(self, server: FakeApiServer, pauses: Pauses, *keeps: Keep) -> None:
        self.api = Api(server.client(), sleep=pauses)
        self.objects = CachedObjects(KubeObjects(self.api), keeps or [Keep(DEPLOYMENT)], synced_within=0.2)
        self.task = asyncio.create_task(self.objects.run())

    async def end(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task
        await self.api.aclose()


@pytest.fixture
async def open_world(server: FakeApiServer, pauses: Pauses) -> AsyncIterator[Callable[..., World]]:
    opened: list[World] = []

    def open_(*keeps: Keep) -> World:
        opened.append(World(server, pauses, *keeps))
        return opened[-1]

    yield open_
    for world in opened:
        await world.end()


async def seen_after(events: AsyncIterator[Event], count: int = 1) -> list[tuple[str, str]]:
    return [(str(event.change), event.object["metadata"]["name"]) for event in await take(events, count)]


async def test_a_watch_that_ends_is_taken_up_where_it_was(server: FakeApiServer, open_world) -> None:
    server.put(deployment("a"))
    events = open_world().objects.watch(DEPLOYMENT)
    assert await until_synced(events) == ["a"]
    server.put(deployment("b"))
    assert await seen_after(events) == [("ADDED", "b")]
    server.drop_watches()
    server.put(deployment("c"))
    server.drop(deployment("a"))
    assert await seen_after(events, 2) == [("ADDED", "c"), ("DELETED", "a")]
    assert sum("watch" in str(each.url) for each in server.requests) == 2
    assert sum("limit" in str(each.url) for each in server.requests) == 1  # never listed again


@pytest.mark.parametrize("how", ["at the request", "in the stream"])
async def test_what_went_while_history_was_forgotten_is_told_as_deleted(
    server: FakeApiServer, open_world, how: str
) -> None:
    for name in ("kept", "gone", "changed"):
        server.put(deployment(name))
    world = open_world()
    events = world.objects.watch(DEPLOYMENT)
    await until_synced(events)
    with server.quiet():
        server.drop(deployment("gone"))
        server.put(deployment("changed", labels={"a": "b"}))
        server.put(deployment("new"))
    if how == "at the request":
        server.forget_history()
        server.drop_watches(httpx2.ReadError("reset"))
    else:
        server.say({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}})
    assert sorted(await seen_after(events, 3)) == [("ADDED", "new"), ("DELETED", "gone"), ("MODIFIED", "changed")]
    with pytest.raises(NotFound):
        await world.objects.get(DEPLOYMENT, "default", "gone")


async def test_an_object_that_was_replaced_unseen_is_told_as_two(server: FakeApiServer, open_world) -> None:
    server.put(deployment("a"))
    events = open_world().objects.watch(DEPLOYMENT)
    await until_synced(events)
    with server.quiet():
        server.drop(deployment("a"))
        server.put(deployment("a"))
    server.forget_history()
    server.drop_watches()
    assert await seen_after(events, 2) == [("DELETED", "a"), ("ADDED", "a")]


async def test_a_bookmark_keeps_the_place_where_nothing_happens(server: FakeApiServer, open_world) -> None:
    server.put(deployment("a"))
    events = open_world().objects.watch(DEPLOYMENT)
    await until_synced(events)
    server.forget_history()
    server.bookmark()
    await settle()
    server.drop_watches()
    server.put(deployment("b"))
    assert await seen_after(events) == [("ADDED", "b")]
    assert sum("limit" in str(each.url) for each in server.requests) == 1


@pytest.mark.parametrize("code", [429, 500, 503])
async def test_a_watch_that_is_refused_comes_back_with_growing_pauses(
    server: FakeApiServer, open_world, pauses: Pauses, code: int
) -> None:
    server.put(deployment("a"))
    world = open_world()
    events = world.objects.watch(DEPLOYMENT)
    await until_synced(events)
    await settle()
    server.fail(code, 4, path="watch", headers={"Retry-After": "7"} if code == 429 else {})
    server.drop_watches(httpx2.RemoteProtocolError("broken"))
    server.put(deployment("b"))
    assert await seen_after(events) == [("ADDED", "b")]
    assert len(pauses.taken) == 5
    assert pauses.taken[-1] >= (7 if code == 429 else pauses.taken[1])
    assert world.objects.troubles == {}


async def test_a_line_that_is_no_event_leads_to_a_new_list(server: FakeApiServer, open_world) -> None:
    server.put(deployment("a"))
    world = open_world()
    events = world.objects.watch(DEPLOYMENT)
    await until_synced(events)
    await settle()
    with server.quiet():
        server.drop(deployment("a"))
    server.say({"type": "SURPRISE", "object": {"metadata": {"resourceVersion": "1"}}})
    assert await seen_after(events) == [("DELETED", "a")]


async def test_long_lists_are_read_page_by_page_and_again_when_a_page_has_expired(
    server: FakeApiServer, open_world, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serin.adapters.kube.reflector._PAGE", 2)
    for name in "abcde":
        server.put(deployment(name))
    server.fail(410, path="continue=4")
    assert await until_synced(open_world().objects.watch(DEPLOYMENT)) == ["a", "b", "c", "d", "e"]
    assert sum("continue" in str(each.url) for each in server.requests) == 2


async def test_a_kind_that_must_not_be_read_is_named_with_its_verb(server: FakeApiServer, open_world) -> None:
    server.fail(403, 1000, path="deployments", message='User "u" cannot list resource "deployments"')
    world = open_world(Keep(DEPLOYMENT), Keep(EXPERIMENT))
    with pytest.raises(Forbidden, match=r"does not allow to list deployments.apps \(User \"u\" cannot list"):
        await world.objects.get(DEPLOYMENT, "default", "a")
    assert list(world.objects.troubles) == ["Deployment"]
    assert not world.objects.synced
    assert await world.objects.list(EXPERIMENT) == []


async def test_an_optional_kind_that_must_not_be_read_is_empty(server: FakeApiServer, open_world) -> None:
    server.fail(403, 1000, path="configmaps")
    world = open_world(Keep(CONFIG_MAP, Scope("iter8"), optional=True))
    assert await world.objects.list(CONFIG_MAP, "iter8") == []
    assert world.objects.troubles == {}


async def test_an_optional_kind_is_waited_for_while_the_api_server_is_only_late(
    server: FakeApiServer, open_world
) -> None:
    server.put(config_map(metadata={"name": "cm", "namespace": "iter8"}))
    server.fail(503, 7, path="configmaps")
    world = open_world(Keep(CONFIG_MAP, Scope("iter8"), optional=True))
    assert [each["metadata"]["name"] for each in await world.objects.list(CONFIG_MAP, "iter8")] == ["cm"]


async def test_a_cluster_without_istio_says_so_and_is_taken_up_when_istio_comes(
    server: FakeApiServer, open_world
) -> None:
    server.istio = ()
    world = open_world(Keep(VIRTUAL_SERVICE))
    with pytest.raises(Unreachable, match=r"serves no VirtualService .*install Istio"):
        await world.objects.list(VIRTUAL_SERVICE)
    server.istio = ("v1alpha3",)
    rule = {"apiVersion": "networking.istio.io/v1beta1", "kind": "VirtualService", "metadata": {"name": "r"}}
    events = world.objects.watch(VIRTUAL_SERVICE)
    assert await until_synced(events) == []
    made = await world.objects.create({**rule, "spec": {}})
    assert made["apiVersion"] == "networking.istio.io/v1alpha3"
    assert (await take(events, 1))[0] == Event(Change.ADDED, made)


async def test_an_event_that_was_under_way_does_not_undo_our_own_write(server: FakeApiServer, open_world) -> None:
    server.put(deployment("a"))
    world = open_world()
    old: Object = await world.objects.get(DEPLOYMENT, "default", "a")
    with server.quiet():
        new = await world.objects.patch(DEPLOYMENT, "default", "a", {"spec": {"replicas": 7}})
    server.say({"type": "MODIFIED", "object": old})
    await settle()
    assert await world.objects.get(DEPLOYMENT, "default", "a") == new
    with server.quiet():
        await world.objects.delete(DEPLOYMENT, "default", "a")
    server.say({"type": "MODIFIED", "object": new})
    await settle()
    with pytest.raises(NotFound):
        await world.objects.get(DEPLOYMENT, "default", "a")
    with server.quiet():
        again = await world.objects.create(deployment("a"))
    late = {**new, "metadata": {**new["metadata"], "resourceVersion": str(server.version - 1)}}
    server.say({"type": "DELETED", "object": late})
    await settle()
    assert await world.objects.get(DEPLOYMENT, "default", "a") == again


async def test_reads_cost_no_request_and_a_lost_race_brings_the_truth(server: FakeApiServer, open_world) -> None:
    server.put(deployment("a"))
    world = open_world()
    old = await world.objects.get(DEPLOYMENT, "default", "a")
    await settle()
    server.seen.clear()
    for _ in range(5):
        await world.objects.get(DEPLOYMENT, "default", "a")
        await world.objects.list(DEPLOYMENT, "default", {"app": "x"})
    assert server.seen == []
    with server.quiet():
        now = server.put(deployment("a", labels={"by": "another"}))
    with pytest.raises(Exception, match="changed by somebody else"):
        await world.objects.replace(old)
    assert (await world.objects.get(DEPLOYMENT, "default", "a"))["metadata"]["labels"] == now["metadata"]["labels"]
    one = "/apis/apps/v1/namespaces/default/deployments/a"
    assert server.seen == [f"PUT {one}", f"GET {one}"]


async def test_a_cache_of_one_namespace_asks_the_api_server_for_others(server: FakeApiServer, open_world) -> None:
    server.put(deployment("here", namespace="x"))
    server.put(deployment("there", namespace="y"))
    world = open_world(Keep(DEPLOYMENT, Scope("x")))
    assert [each["metadata"]["name"] for each in await world.objects.list(DEPLOYMENT)] == ["here"]
    assert (await world.objects.get(DEPLOYMENT, "y", "there"))["metadata"]["name"] == "there"
