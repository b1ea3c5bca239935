"""What a failing API server costs a caller: repeated where that is safe, said in a sentence where it is not."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from serin.adapters.kube.api import Api
from serin.adapters.kube.objects import KubeObjects
from serin.errors import AlreadyExists, Conflict, Forbidden, InvalidInput, NotFound, SerinError, Unreachable
from serin.ports import CONFIG_MAP
from tests.adapters.kube.api_server import FakeApiServer
from tests.objects_contract import config_map


class NotNow(SerinError):  # noqa: N818
    pass


@pytest.fixture
def server() -> FakeApiServer:
    return FakeApiServer()


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def objects(server: FakeApiServer, pauses: list[float]) -> KubeObjects:
    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    return KubeObjects(Api(server.client(), sleep=sleep))


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
async def test_what_may_pass_is_tried_again(server: FakeApiServer, objects: KubeObjects, code: int, pauses) -> None:
    server.put(config_map())
    server.fail(code, 3)
    assert (await objects.get(CONFIG_MAP, "default", "cm"))["data"] == {"a": "1"}
    assert len(pauses) == 3
    assert pauses[0] < pauses[1] < pauses[2]


async def test_what_lasts_is_said(server: FakeApiServer, objects: KubeObjects) -> None:
    server.fail(503, 1000, message="etcd is away")
    with pytest.raises(Unreachable, match=r"cannot get configmaps in namespace 'default' now \(503: etcd is away\)"):
        await objects.get(CONFIG_MAP, "default", "cm")
    assert len(server.seen) == 5
    server.hang_up(1000)
    server.troubles.pop(0)
    with pytest.raises(Unreachable, match=r"http://api does not answer to list configmaps \(connection reset\)"):
        await objects.list(CONFIG_MAP)


async def test_a_server_that_asks_for_time_gets_it(server: FakeApiServer, objects: KubeObjects, pauses) -> None:
    server.put(config_map())
    server.fail(429, headers={"Retry-After": "3"})
    await objects.get(CONFIG_MAP, "default", "cm")
    assert 3.0 <= pauses[0] <= 3.75
    server.fail(429, headers={"Retry-After": "60"})
    with pytest.raises(Unreachable, match="429"):
        await objects.get(CONFIG_MAP, "default", "cm")


@pytest.mark.parametrize(
    ("code", "reason", "error"),
    [
        (400, "BadRequest", InvalidInput),
        (401, "Unauthorized", Forbidden),
        (403, "Forbidden", Forbidden),
        (404, "NotFound", NotFound),
        (409, "AlreadyExists", AlreadyExists),
        (409, "Conflict", Conflict),
        (413, "RequestEntityTooLarge", InvalidInput),
        (422, "Invalid", InvalidInput),
    ],
)
async def test_what_will_not_pass_is_its_error_at_once(
    server: FakeApiServer, objects: KubeObjects, code: int, reason: str, error: type[SerinError]
) -> None:
    server.put(config_map())
    server.fail(code, reason=reason, message="no such luck")
    with pytest.raises(error):
        await objects.patch(CONFIG_MAP, "default", "cm", {"data": {"a": "2"}})
    assert len(server.seen) == 1


async def test_a_namespace_that_is_being_deleted_is_no_missing_right(
    server: FakeApiServer, objects: KubeObjects
) -> None:
    details = {"causes": [{"reason": "NamespaceTerminating", "message": "namespace default is being terminated"}]}
    server.fail(403, reason="Forbidden", message="configmaps is forbidden", details=details)
    with pytest.raises(
        Forbidden, match=r"^namespace 'default' is being deleted; nothing can be created in it any more$"
    ):
        await objects.create(config_map())


async def test_a_create_whose_answer_was_lost_is_not_an_object_too_many(
    server: FakeApiServer, objects: KubeObjects
) -> None:
    server.hang_up(method="POST", after=True)
    made = await objects.create(config_map())
    assert made == await objects.get(CONFIG_MAP, "default", "cm")
    server.hang_up(method="POST")
    with pytest.raises(AlreadyExists):  # another was there before: not ours
        await objects.create(config_map(data={"a": "other"}))


async def test_a_delete_whose_answer_was_lost_is_done(server: FakeApiServer, objects: KubeObjects) -> None:
    server.put(config_map())
    server.hang_up(method="DELETE", after=True)
    await objects.delete(CONFIG_MAP, "default", "cm")
    with pytest.raises(NotFound):
        await objects.delete(CONFIG_MAP, "default", "cm")


async def test_a_conditional_write_whose_answer_was_lost_is_a_conflict_and_not_done_twice(
    server: FakeApiServer, objects: KubeObjects
) -> None:
    server.put(config_map())
    obj = await objects.get(CONFIG_MAP, "default", "cm")
    server.hang_up(method="PUT", after=True)
    before = server.version
    with pytest.raises(Conflict):
        await objects.replace({**obj, "data": {"a": "2"}})
    assert server.version == before + 1


async def test_nothing_is_written_while_the_gate_is_closed(server: FakeApiServer) -> None:
    def closed() -> float:
        raise NotNow("another leads")

    server.put(config_map())
    objects = KubeObjects(Api(server.client(), gate=closed))
    obj = await objects.get(CONFIG_MAP, "default", "cm")
    for write in (
        objects.create(config_map("new")),
        objects.replace(obj),
        objects.patch(CONFIG_MAP, "default", "cm", {"data": {}}),
        objects.delete(CONFIG_MAP, "default", "cm"),
    ):
        with pytest.raises(NotNow):
            await write
    assert {line.split()[0] for line in server.seen} == {"GET"}


async def test_a_repeated_write_asks_the_gate_again(server: FakeApiServer) -> None:
    seconds = iter([5.0])

    def gate() -> float:
        try:
            return next(seconds)
        except StopIteration:
            raise NotNow("the lease is gone") from None

    async def sleep(_: float) -> None: ...

    server.fail(503, 10, method="POST")
    with pytest.raises(NotNow):
        await KubeObjects(Api(server.client(), gate=gate, sleep=sleep)).create(config_map())
    assert server.seen == ["POST /api/v1/namespaces/default/configmaps"]


async def test_a_write_that_hangs_is_given_up_before_the_gate_closes() -> None:
    async def hang(_: httpx2.Request) -> httpx2.Response:
        await asyncio.Event().wait()
        raise AssertionError

    client = httpx2.AsyncClient(base_url="http://api", transport=httpx2.MockTransport(hang))
    gates = iter([0.02, 0.01])

    def gate() -> float:
        try:
            return next(gates)
        except StopIteration:
            raise NotNow("closed") from None

    async def sleep(_: float) -> None: ...

    async with asyncio.timeout(5):
        with pytest.raises(NotNow):
            await KubeObjects(Api(client, gate=gate, sleep=sleep)).create(config_map())


async def test_every_answer_is_counted(server: FakeApiServer) -> None:
    counted: list[tuple[str, int]] = []

    class Observer:
        def request(self, target, code: int, seconds: float) -> None:
            counted.append((f"{target.verb} {target.kind.plural}", code))

    async def sleep(_: float) -> None: ...

    server.fail(503)
    server.hang_up()
    await KubeObjects(Api(server.client(), observer=Observer(), sleep=sleep)).create(config_map())
    assert counted == [("create configmaps", 503), ("create configmaps", 0), ("create configmaps", 201)]
