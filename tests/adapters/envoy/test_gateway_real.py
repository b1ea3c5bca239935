"""The gateway with a real Envoy and real backends: what a request meets."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter

import pytest

from serin.adapters.local.envoy import proxy, translator
from serin.ports import POD
from tests.adapters.envoy.conftest import House
from tests.adapters.envoy.objects import article, destination, pod, service, split, virtual_service
from tests.adapters.envoy.stopped import stopped_worker
from tests.adapters.envoy.wire import address, backend, within

pytestmark = pytest.mark.real


async def test_weights_are_the_shares_of_the_requests(home: House) -> None:
    async with backend("one") as one, backend("two") as two:
        await home.seed(
            *article(80, 20),
            pod("one", one.address, workload="shop-v1"),
            pod("two", two.address, workload="shop-v2", version="v2"),
        )
        client, total = home.client(), 4000
        seen = Counter([(await client.get()).version for _ in range(total)])
    sigma = math.sqrt(total * 0.2 * 0.8)
    assert abs(seen["shop-v2"] - 0.2 * total) < 3 * sigma
    assert seen.total() == total
    assert seen == {"shop-v1": one.requests["/"], "shop-v2": two.requests["/"]}


async def test_a_subset_over_two_workloads_is_split_by_ready_pods(home: House) -> None:
    async with backend("a") as a, backend("b") as b, backend("c") as c:
        await home.seed(
            service(),
            *article()[1:3],
            virtual_service({"route": [destination("one")]}),
            pod("a", a.address, workload="shop-a"),
            pod("b", b.address, workload="shop-a"),
            pod("c", c.address, workload="shop-b"),
            pod("d", address(), workload="shop-b", ready=False),
        )
        client, total = home.client(), 3000
        seen = Counter([(await client.get()).version for _ in range(total)])
    assert abs(seen["shop-b"] - total / 3) < 3 * math.sqrt(total * 2 / 9)
    assert seen.total() == total == a.requests["/"] + b.requests["/"] + c.requests["/"]


async def test_a_thousand_changes_of_weight_under_load_lose_nothing(home: House) -> None:
    async with backend("one") as one, backend("two") as two:
        await home.seed(
            *article(100, 0),
            pod("one", one.address, workload="shop-v1"),
            pod("two", two.address, workload="shop-v2", version="v2"),
        )
        rng = random.Random(7)
        async with home.traffic() as tally:
            for _ in range(1000):
                weight = rng.randint(0, 100)
                await home.write(virtual_service(split(weight, 100 - weight)))
    assert tally.lost == 0
    assert tally.codes.total() > 2000
    assert tally.codes.keys() == {200}
    assert min(tally.versions.values()) > 500


async def test_after_applied_not_one_request_goes_the_old_way(home: House) -> None:
    async with backend("one") as one, backend("two") as two:
        await home.seed(
            *article(100, 0),
            pod("one", one.address, workload="shop-v1"),
            pod("two", two.address, workload="shop-v2", version="v2"),
        )
        client = home.client()
        for turn in range(200):
            await home.write(virtual_service(split(*((0, 100) if turn % 2 == 0 else (100, 0)))))
            assert (await client.get()).version == ("shop-v2" if turn % 2 == 0 else "shop-v1")


async def test_a_slow_request_is_answered_though_its_pod_leaves(home: House) -> None:
    async with backend("one") as one, backend("two") as two:
        leaving = pod("one", one.address, workload="shop-v1")
        await home.seed(
            service(),
            *article()[1:3],
            virtual_service({"route": [destination()]}),
            leaving,
            pod("two", two.address, workload="shop-v2", version="v2", ready=False),
        )
        slow = asyncio.create_task(home.client().get("/sleep/1.0"))

        async def arrived() -> bool:
            return one.requests["/sleep/1.0"] == 1

        await within(3, arrived, "the slow request arrives")
        assert not await home.plane.idle("default", "shop-v1")
        assert not await home.plane.pod_idle(one.address)
        await home.seed(
            pod("one", one.address, workload="shop-v1", ready=False),
            pod("two", two.address, workload="shop-v2", version="v2"),
        )
        assert (await home.client().get()).body == b"two"
        assert not await home.plane.pod_idle(one.address)
        await home.objects.delete(POD, "default", "one")
        await home.seed()
        assert {(await home.client().get()).body for _ in range(20)} == {b"two"}
        assert not await home.plane.idle("default", "shop-v1")
        answer = await slow
        assert (answer.status, answer.body) == (200, b"one")
        await within(2, lambda: home.plane.idle("default", "shop-v1"), "idle after the answer")


async def test_a_pod_is_kept_while_the_worker_has_not_heard_that_it_leaves(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The main thread has taken the change; on a busy machine the worker still sends requests the old way.

    However often it is waited for in vain.
    """
    monkeypatch.setattr(proxy, "SETTLE_WITHIN", 0.1)
    monkeypatch.setattr(translator, "AGAIN", 0.05)
    async with backend("one") as one, backend("two") as two:
        await home.seed(
            service(),
            *article()[1:3],
            virtual_service({"route": [destination()]}),
            pod("one", one.address, workload="shop-v1"),
            pod("two", two.address, workload="shop-v2", version="v2"),
        )
        assert home.proxy.instance is not None
        with stopped_worker(home.proxy.instance.pid):
            home.objects.seed(pod("one", one.address, workload="shop-v1", ready=False))
            for _ in range(40):
                await asyncio.sleep(0.02)
                assert not await home.plane.pod_idle(one.address)
        assert any("has not taken" in warning for warning in home.warnings)
        monkeypatch.undo()
        await within(5, lambda: home.plane.pod_idle(one.address), "the worker has left the pod")


async def test_the_last_ready_pod_of_a_workload_goes_without_a_lost_request(home: House) -> None:
    """The routes leave it before its endpoints do, though both follow from one change."""
    async with backend("one") as one, backend("two") as two:
        await home.seed(
            *article()[:3],
            virtual_service({"route": [destination()]}),
            pod("one", one.address, workload="shop-v1"),
            pod("two", two.address, workload="shop-v2", version="v2"),
        )
        async with home.traffic() as tally:
            for turn in range(40):
                await home.seed(pod("one", one.address, workload="shop-v1", ready=turn % 2 == 1))
    assert tally.lost == 0
    assert tally.codes.keys() == {200}


async def test_unknown_hosts_are_404_and_destinations_without_pods_503(home: House) -> None:
    await home.seed(*article(), pod("one", address(), workload="shop-v1", ready=False))
    client = home.client()
    assert (await client.get(host="nobody.com")).status == 404
    empty = await client.get()
    assert (empty.status, empty.version) in ((503, "shop-v1"), (503, "unknown"))


async def test_the_mesh_listener_goes_by_service_names(home: House) -> None:
    async with backend("one") as one, backend("other") as other:
        await home.seed(
            *article()[:3],
            service("plain"),
            virtual_service(split(100, 0), hosts=("shop",)),
            pod("one", one.address, workload="shop-v1"),
            pod("other", other.address, workload="plain-v1", app="plain"),
        )
        client = home.client(home.mesh)
        for host in ("shop", "shop.default", "shop.default.svc", "shop.default.svc.cluster.local:8501"):
            assert (await client.get(host=host)).body == b"one"
        for host in ("plain", "plain:8501", "plain.default.svc.cluster.local"):
            assert (await client.get(host=host)).version == "plain-v1"
        assert (await client.get(host="nobody")).status == 404
