"""The client and the server, over a real socket: the contract of the port, and what a person reads when it breaks."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from contextlib import aclosing
from pathlib import Path

import httpx2
import pytest

from serin import errors
from serin.api.places import Problem
from serin.control.apply import Did
from serin.errors import Conflict, InvalidInput, NotFound, SerinError, StorageError, Unreachable
from serin.fakes import InMemoryObjects
from serin.home import control_socket, wire
from serin.home.admission import AdmittedObjects
from serin.home.client import HomeClient
from serin.home.paths import Paths
from serin.ports import CONFIG_MAP, DEPLOYMENT, KINDS, NAMESPACE, POD, Change, Kind, Object
from tests.home.conftest import Connect, serving
from tests.objects_contract import ObjectsContract, config_map, deployment, summary, take, until_synced


class TestHomeClient(ObjectsContract):
    """The contract of the port, over the socket."""

    @pytest.fixture
    def store(self, client: HomeClient) -> HomeClient:
        return client


@pytest.mark.parametrize(
    "error", [cls for cls in vars(errors).values() if isinstance(cls, type)], ids=lambda c: c.__name__
)
async def test_every_error_comes_back_as_itself(
    client: HomeClient, memory: InMemoryObjects, error: type[SerinError]
) -> None:
    memory.fail_next(error("what, where, what to do"), verb="get")
    with pytest.raises(error, match="what, where, what to do") as raised:
        await client.get(CONFIG_MAP, "default", "cm")
    assert type(raised.value) is error


async def test_a_fault_of_ours_is_said_without_a_traceback(client: HomeClient, memory: InMemoryObjects) -> None:
    memory.fail_next(ZeroDivisionError("by zero"), verb="get")
    with pytest.raises(SerinError, match=r"the home failed at this: ZeroDivisionError: by zero; .*home\.log says more"):
        await client.get(CONFIG_MAP, "default", "cm")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_path_of_a_kind_names_it(kind: Kind) -> None:
    path = wire.path_of(kind, "default", "x")
    group = path.split("/")[2] if path.startswith("/apis/") else ""
    version = path.split("/")[3 if group else 2]
    assert wire.kind_at(group, version, kind.plural) is kind
    assert wire.kind_named(wire.name_of(kind)) is kind


async def test_without_a_home_every_call_says_how_to_start_one(folder: Path, connect: Connect) -> None:
    client = connect(folder)
    sentence = f"no home is running in {folder}; start it with 'serin up'"
    calls = [
        client.get(POD, "default", "x"),
        client.list(POD),
        client.create(config_map()),
        client.apply([config_map()]),
        client.status(),
        anext(client.watch(POD)),
        anext(client.logs("default", "x")),
    ]
    for call in calls:
        with pytest.raises(Unreachable) as raised:
            await call
        assert str(raised.value) == sentence


async def test_a_socket_that_a_dead_home_left_is_no_home_and_no_hindrance(
    folder: Path, connect: Connect, memory: InMemoryObjects
) -> None:
    listener = control_socket.listen(Paths(folder).socket)
    listener.close()
    assert Paths(folder).socket.exists()
    client = connect(folder)
    with pytest.raises(Unreachable, match="no home is running"):
        await client.status()
    async with serving(folder, memory):
        assert (await client.status())["state"] == "running"


@pytest.mark.parametrize("length", [90, 107, 108, 150, 1000])
async def test_a_folder_may_have_a_path_of_any_length(
    tmp_path: Path, connect: Connect, memory: InMemoryObjects, length: int
) -> None:
    folder = tmp_path
    while (missing := length - len(os.fsencode(folder)) - 1) > 0:
        folder /= "x" * min(200, missing)
    folder.mkdir(parents=True, exist_ok=True)
    async with serving(folder, memory):
        assert Paths(folder).socket.exists()
        client = connect(folder)
        await client.create(config_map())
    assert len(await memory.list(CONFIG_MAP)) == 1


async def test_only_the_owner_may_open_the_socket(folder: Path, client: HomeClient) -> None:
    await client.status()
    assert stat.S_IMODE(Paths(folder).socket.stat().st_mode) == 0o600


async def test_a_home_that_ends_in_mid_answer_is_said(folder: Path, connect: Connect) -> None:
    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _reader.read(10)
        writer.close()

    server = await asyncio.start_unix_server(hang_up, Paths(folder).socket)
    client = connect(folder)
    with pytest.raises(Unreachable, match="ended in the middle of an answer"):
        await client.status()
    server.close()


async def test_a_watch_finds_a_home_that_was_started_again_and_tells_what_changed(
    folder: Path, connect: Connect, memory: InMemoryObjects
) -> None:
    for name in ("kept", "changed", "gone", "replaced"):
        await memory.create(config_map(name))
    client = connect(folder, comes_back=20.0)
    async with aclosing(client.watch(CONFIG_MAP)) as events:
        async with serving(folder, memory):
            assert await until_synced(events) == ["changed", "gone", "kept", "replaced"]
            await memory.create(config_map("before"))
            assert summary(await take(events, 1)) == [("ADDED", "before")]
        await memory.patch(CONFIG_MAP, "default", "changed", {"data": {"a": "2"}})
        for name in ("gone", "replaced"):
            await memory.delete(CONFIG_MAP, "default", name)
        await memory.create(config_map("replaced"))
        await memory.create(config_map("new"))
        waiting = asyncio.ensure_future(take(events, 5))
        await asyncio.sleep(0)
        async with serving(folder, memory):
            told = summary(await waiting)
            assert sorted(told) == [
                ("ADDED", "new"),
                ("ADDED", "replaced"),
                ("DELETED", "gone"),
                ("DELETED", "replaced"),
                ("MODIFIED", "changed"),
            ]
            assert told.index(("DELETED", "replaced")) < told.index(("ADDED", "replaced"))
            await memory.delete(CONFIG_MAP, "default", "kept")
            assert summary(await take(events, 1)) == [("DELETED", "kept")]


async def test_a_watch_on_a_home_that_stays_away_ends_with_the_sentence(
    folder: Path, connect: Connect, memory: InMemoryObjects
) -> None:
    client = connect(folder, comes_back=0.3)
    async with aclosing(client.watch(CONFIG_MAP)) as events:
        async with serving(folder, memory):
            await until_synced(events)
        with pytest.raises(Unreachable, match="no home is running"):
            await take(events, 1)


async def test_a_watch_that_the_store_refuses_says_why(client: HomeClient, memory: InMemoryObjects) -> None:
    memory.fail_next(StorageError("the disk is gone"), verb="watch")
    with pytest.raises(StorageError, match="the disk is gone"):
        await anext(client.watch(CONFIG_MAP))


async def test_a_watcher_that_goes_away_is_forgotten(client: HomeClient, memory: InMemoryObjects) -> None:
    async with aclosing(client.watch(CONFIG_MAP)) as events:
        await until_synced(events)
        assert len(memory._watches._all) == 1
    async with asyncio.timeout(10):
        while len(memory._watches._all):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def runnable() -> Object:
    template = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    return {**deployment(), "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template}}


async def test_apply_creates_configures_and_leaves_alone(client: HomeClient) -> None:
    first = await client.apply([config_map(), runnable()])
    assert [done.outcome for done in first] == [Did.CREATED, Did.CREATED]
    again = await client.apply([config_map(data={"a": "2"}), runnable()])
    assert [done.outcome for done in again] == [Did.CONFIGURED, Did.UNCHANGED]
    assert again[0].object["data"] == {"a": "2"}
    assert again[1].object == first[1].object


async def test_apply_is_all_or_nothing(client: HomeClient, memory: InMemoryObjects) -> None:
    with pytest.raises(InvalidInput, match=r"metadata\.name"):
        await client.apply([config_map(), config_map("No Name")])
    assert await memory.list(CONFIG_MAP) == []


async def test_a_dry_run_says_what_would_be_and_writes_nothing(client: HomeClient, memory: InMemoryObjects) -> None:
    await client.apply([config_map()])
    before = await memory.list(CONFIG_MAP)
    trial = await client.apply([config_map(data={"b": "2"}), config_map("other")], dry_run=True)
    assert [done.outcome for done in trial] == [Did.CONFIGURED, Did.CREATED]
    assert trial[0].object["data"] == {"b": "2"}
    assert await memory.list(CONFIG_MAP) == before


async def test_apply_names_what_is_not_acted_on(client: HomeClient) -> None:
    manifest = runnable()
    manifest["spec"]["revisionHistoryLimit"] = 3
    (done,) = await client.apply([manifest])
    assert Problem("spec.revisionHistoryLimit", "is not acted on here") in done.warnings


async def test_apply_of_more_than_one_object_may_be_large(client: HomeClient) -> None:
    large = [config_map(f"cm-{n}", data={"a": "x" * 600_000}) for n in range(3)]
    assert len(await client.apply(large)) == 3
    with pytest.raises(InvalidInput, match="ConfigMap 'cm' has 2,000"):
        await client.apply([config_map(data={"a": "x" * 2_000_000})])


async def test_nothing_wrong_comes_in_by_any_way(folder: Path, connect: Connect, memory: InMemoryObjects) -> None:
    good = runnable()
    bad = json.loads(json.dumps(good).replace('"containers"', '"contianers"'))
    async with serving(folder, AdmittedObjects(memory)):
        client = connect(folder)
        made = await client.create(good)
        ways = [
            client.create({**bad, "metadata": {"name": "other"}}),
            client.replace(bad),
            client.patch(DEPLOYMENT, "default", "web", {"spec": {"replicas": -1}}),
            client.apply([bad]),
            client.apply([bad], dry_run=True),
        ]
        for way in ways:
            with pytest.raises(
                InvalidInput, match=r"Deployment '(web|other)' in namespace 'default': spec\..*(containers|replicas): "
            ):
                await way
        with pytest.raises(InvalidInput, match="made by the home itself"):
            await client.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {}})
        assert await client.list(DEPLOYMENT) == [made]
        assert (await client.patch(DEPLOYMENT, "default", "web", {"spec": {"replicas": 2}}))["spec"]["replicas"] == 2
        stale = {"resourceVersion": made["metadata"]["resourceVersion"]}
        with pytest.raises(Conflict):
            await client.patch(DEPLOYMENT, "default", "web", {"metadata": stale, "spec": {"replicas": 3}})


async def test_a_patch_from_outside_is_repeated_when_somebody_comes_between(
    folder: Path, memory: InMemoryObjects
) -> None:
    await memory.create(config_map())
    admitted = AdmittedObjects(memory)

    async def interfere(_call: object) -> None:
        memory.before_write = None
        await memory.patch(CONFIG_MAP, "default", "cm", {"data": {"theirs": "1"}})

    memory.before_write = interfere
    done = await admitted.patch(CONFIG_MAP, "default", "cm", {"data": {"mine": "1"}})
    assert done["data"] == {"a": "1", "theirs": "1", "mine": "1"}


async def test_a_namespace_is_no_listing_and_a_listing_no_namespace(client: HomeClient) -> None:
    await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "pods"}})
    await client.patch(NAMESPACE, "", "pods", {"status": {"phase": "Active"}}, status=True)
    assert (await client.get(NAMESPACE, "", "pods"))["status"] == {"phase": "Active"}
    assert await client.list(POD, "pods") == []
    await client.delete(NAMESPACE, "", "pods")
    assert await client.list(NAMESPACE) == []


@pytest.fixture
async def curl(folder: Path, client: HomeClient) -> httpx2.AsyncClient:
    transport = httpx2.AsyncHTTPTransport(uds=str(Paths(folder).socket))
    return httpx2.AsyncClient(transport=transport, base_url="http://home", trust_env=False)


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "sentence"),
    [
        ("GET", "/nonsense", None, 404, "the home knows no GET /nonsense"),
        ("DELETE", "/status", None, 404, "the home knows no DELETE /status"),
        ("GET", "/apis/apps/v1/gadgets", None, 404, "a home knows no 'gadgets' of 'apps/v1'"),
        ("GET", "/api/v1/gadgets", None, 404, "a home knows no 'gadgets' of 'v1'"),
        ("GET", "/api/v1/pods?labelSelector=a!=b", None, 400, "labelSelector"),
        ("GET", "/api/v1/pods?labelSelector=a", None, 400, "labelSelector"),
        ("GET", "/watch", None, 400, "at least one kind"),
        ("GET", "/watch?kind=Gadget", None, 404, "'Gadget'"),
        ("GET", "/logs/default/x?tail=few", None, 400, "'few' is no number of lines"),
        ("POST", "/apply", b"{", 422, "no JSON"),
        ("POST", "/apply", b"[]", 422, "a JSON object"),
        ("POST", "/apply", b'{"objects": 7}', 422, "a list of objects"),
        ("POST", "/api/v1/namespaces/other/configmaps", json.dumps(config_map()).encode(), 422, "but the path says"),
        ("POST", "/api/v1/namespaces/default/pods", json.dumps(config_map()).encode(), 422, "but the path says"),
        ("PUT", "/api/v1/namespaces/default/configmaps/x", json.dumps(config_map()).encode(), 422, "the path says"),
    ],
)
async def test_whoever_speaks_http_by_hand_is_told_what_is_wrong(
    curl: httpx2.AsyncClient, method: str, path: str, body: bytes | None, code: int, sentence: str
) -> None:
    async with curl:
        answer = await curl.request(method, path, content=body)
    assert answer.status_code == code
    assert answer.json()["kind"] == "Status"
    assert sentence in answer.json()["message"]


async def test_a_dry_run_of_a_creation_stores_nothing(curl: httpx2.AsyncClient, memory: InMemoryObjects) -> None:
    async with curl:
        answer = await curl.post("/api/v1/namespaces/default/configmaps?dryRun=All", json=config_map())
    assert answer.json()["data"] == {"a": "1"}
    assert await memory.list(CONFIG_MAP) == []


async def test_down_asks_the_home_to_end(folder: Path, connect: Connect, memory: InMemoryObjects) -> None:
    asked = asyncio.Event()
    async with serving(folder, memory, asked.set):
        client = connect(folder)
        assert (await client.down())["state"] == "running"
    assert asked.is_set()


async def test_the_logs_of_a_pod_that_never_was_are_not_found(client: HomeClient) -> None:
    with pytest.raises(NotFound, match="there is no Pod 'x' in namespace 'default'"):
        await anext(client.logs("default", "x"))


def write_log(folder: Path, pod: str, name: str, text: str) -> Path:
    path = Paths(folder).pod_logs / "default" / pod / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(text)
    return path


async def test_logs_are_read_from_the_oldest_file_and_outlive_their_pod(folder: Path, client: HomeClient) -> None:
    write_log(folder, "web-1", "current.1.log", "one\ntwo\n")
    write_log(folder, "web-1", "current.log", "three\nfour")
    write_log(folder, "web-1", "previous.log", "before\n")

    async def lines(**options: object) -> list[str]:
        return [line async for line in client.logs("default", "web-1", **options)]  # type: ignore[arg-type]

    assert await lines() == ["one", "two", "three", "four"]
    assert await lines(tail=3) == ["two", "three", "four"]
    assert await lines(tail=0) == []
    assert await lines(previous=True) == ["before"]
    assert await lines(follow=True) == ["one", "two", "three", "four"]  # there is no such Pod: nothing more can come


async def test_logs_are_followed_through_rotation_until_the_pod_is_gone(
    folder: Path, client: HomeClient, memory: InMemoryObjects
) -> None:
    memory.seed({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-1"}})
    async with aclosing(client.logs("default", "web-1", follow=True)) as lines:
        current = write_log(folder, "web-1", "current.log", "one\n")
        async with asyncio.timeout(10):
            assert await anext(lines) == "one"
            write_log(folder, "web-1", "current.log", "two\n")
            assert await anext(lines) == "two"
            write_log(folder, "web-1", "current.log", "three\n")
            current.replace(current.with_name("current.1.log"))
            write_log(folder, "web-1", "current.log", "four\n")
            assert [await anext(lines), await anext(lines)] == ["three", "four"]
            write_log(folder, "web-1", "current.log", "last words\n")
            await memory.delete(POD, "default", "web-1")
            assert [line async for line in lines] == ["last words"]


async def test_the_end_of_the_home_ends_watches_and_followed_logs(
    folder: Path, connect: Connect, memory: InMemoryObjects
) -> None:
    memory.seed({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-1"}})
    client = connect(folder, comes_back=0.0)
    loop = asyncio.get_running_loop()
    async with aclosing(client.watch(POD)) as events, aclosing(client.logs("default", "web-1", follow=True)) as lines:
        async with serving(folder, memory):
            write_log(folder, "web-1", "current.log", "one\n")
            assert await anext(lines) == "one"
            assert [event.change for event in await take(events, 2)] == [Change.ADDED, Change.SYNCED]
            following = asyncio.ensure_future(anext(lines, "over"))
            await asyncio.sleep(0.1)
            began = loop.time()
        assert loop.time() - began < 1.5
        assert await following == "over"


async def test_what_was_recorded_of_an_experiment_comes_over_the_socket(client: HomeClient) -> None:
    assert await client.recording("default", "rollout") == [{"plan": {}}, {"read": 1.5}]
    with pytest.raises(NotFound, match="there is no recording of experiment 'other' in namespace 'default'"):
        await client.recording("default", "other")


async def test_what_the_baseline_has_counted_comes_over_the_socket(client: HomeClient) -> None:
    assert await client.history({"metadata": {"name": "rollout"}}) == [{"read": 2.5, "of": "rollout"}]
