"""Supervisor, gateway and traffic together: what is replaced, removed or killed costs no request."""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from serin.adapters.local.processes import pod as pod_life
from serin.adapters.local.processes import pods
from serin.load.plan import LoadPlan, parse_target
from serin.load.stream import Load
from serin.ports import DEPLOYMENT, POD, VIRTUAL_SERVICE, Object
from tests.adapters.envoy.conftest import house
from tests.adapters.envoy.stopped import stopped_worker
from tests.adapters.processes import programs
from tests.adapters.processes.manifests import deployment
from tests.adapters.processes.running import Home, until

pytestmark = pytest.mark.real

SERVICE: Object = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 8501, "name": "http"}]},
}
GATEWAY = {
    "apiVersion": "networking.istio.io/v1beta1",
    "kind": "Gateway",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "selector": {"istio": "ingressgateway"},
        "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}],
    },
}
ROUTE = {
    "apiVersion": "networking.istio.io/v1beta1",
    "kind": "VirtualService",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "hosts": ["*"],
        "gateways": ["web"],
        "http": [{"route": [{"destination": {"host": "web", "port": {"number": 8501}}}]}],
    },
}
PROBE = {"readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 1, "timeoutSeconds": 15}}

SLOW = {**PROBE, "env": [{"name": "SLOW", "value": "0.2"}]}
"""Slow enough that there is always a request under way."""


@asynccontextmanager
async def serving(tmp_path) -> AsyncIterator[tuple[Home, str]]:
    """A supervisor behind a real Envoy, and the gateway's address."""
    async with house(tmp_path / "gateway") as gateway:
        home = Home(tmp_path, gateway.objects, dataplane=gateway.plane)
        await gateway.seed(SERVICE, GATEWAY, ROUTE)
        async with home:
            yield home, f"http://127.0.0.1:{gateway.port}"


@asynccontextmanager
async def traffic(url: str, **changes) -> AsyncIterator[Load]:
    load = Load(LoadPlan(parse_target(url), timeout=10, **{"rate": 150, **changes}))
    running = asyncio.create_task(load.run())
    try:
        yield load
    finally:
        load.stop()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def served(url: str) -> bool:
    async with traffic(url, count=1) as load:
        await until(lambda: load.report().sent == 1)
    return load.report().failed == 0


async def test_a_pod_is_ready_only_when_the_gateway_leads_to_it(tmp_path):
    async with house(tmp_path / "gateway") as gateway:
        home = Home(tmp_path, gateway.objects, dataplane=gateway.plane)
        await gateway.seed(SERVICE, GATEWAY, ROUTE)
        assert gateway.proxy.instance is not None
        async with home:
            with stopped_worker(gateway.proxy.instance.pid):
                await home.apply(deployment(container=PROBE))
                await until(lambda: has_condition(home, "ContainersReady"))
                for _ in range(10):
                    await asyncio.sleep(0.02)
                    assert not await has_condition(home, "Ready")
            await until(lambda: has_condition(home, "Ready"))
            assert await served(f"http://127.0.0.1:{gateway.port}")


async def test_a_pod_behind_no_service_is_ready_and_one_without_a_gateway_too(tmp_path, monkeypatch):
    monkeypatch.setattr(pod_life, "TAKEN_WITHIN", 0.5)
    async with house(tmp_path / "gateway") as gateway:
        home = Home(tmp_path, gateway.objects, dataplane=gateway.plane)
        async with home:
            await home.apply(deployment())
            await home.ready()
            await gateway.proxy.stop(0.0)
            await home.scale("web", 2)
            await home.ready(2)


async def has_condition(home: Home, kind: str) -> bool:
    return any((pods.condition(pod, kind) or {}).get("status") == "True" for pod in await home.pods())


async def test_a_rolling_replacement_under_load_loses_no_request_and_waits_for_no_grace_period(tmp_path):
    async with serving(tmp_path) as (home, url):
        first = deployment(replicas=2, container=SLOW, pod={"terminationGracePeriodSeconds": 300})
        await home.apply(first)
        await home.ready(2)
        await until(lambda: served(url))
        async with traffic(f"{url}/slow", rate=80) as load:
            for version in ("v2", "v3"):
                await asyncio.sleep(0.5)
                second = copy.deepcopy(first)
                second["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": "VERSION", "value": version})
                await home.apply(second)
                await until(partial(home.rolled_out, second, 2), 120)
            await asyncio.sleep(0.3)
        report = load.report()
        assert report.sent > 100
        assert report.errors == {}


async def test_scaling_down_under_load_loses_no_request(tmp_path):
    async with serving(tmp_path) as (home, url):
        await home.apply(deployment(replicas=4, container=SLOW))
        await home.ready(4)
        await until(lambda: served(url))
        async with traffic(f"{url}/slow", rate=80) as load:
            await asyncio.sleep(0.3)
            await home.scale("web", 1)
            await home.ready(1)
            await asyncio.sleep(0.3)
        assert load.report().errors == {}


async def test_a_slow_request_is_answered_by_the_pod_that_leaves(tmp_path):
    async with serving(tmp_path) as (home, url):
        await home.apply(deployment(container={**PROBE, "env": [{"name": "SLOW", "value": "3"}]}))
        (pod,) = await home.ready()
        await until(lambda: served(url))
        async with traffic(f"{url}/slow", count=1) as load:
            await asyncio.sleep(0.5)
            await home.objects.delete(POD, "default", pod["metadata"]["name"])
            await until(lambda: load.report().sent == 1)
        assert load.report().statuses == {200: 1}
        await home.objects.delete(DEPLOYMENT, "default", "web")
        await home.ready(0)
        assert "ended in order" in home.log(pod)


async def test_a_deleted_deployment_serves_until_its_traffic_has_been_moved(tmp_path):
    async with serving(tmp_path) as (home, url):
        await home.apply(deployment(container=PROBE))
        await home.ready()
        other = deployment("other", container=PROBE)
        other["spec"]["selector"] = {"matchLabels": {"app": "other"}}
        other["spec"]["template"]["metadata"]["labels"]["app"] = "other"
        await home.apply(other)
        await home.ready(2)
        second = copy.deepcopy(SERVICE)
        second["metadata"]["name"] = second["spec"]["selector"]["app"] = "other"
        await home.objects.create(second)
        await until(lambda: served(url))
        async with traffic(url) as load:
            await home.objects.delete(DEPLOYMENT, "default", "web")
            await asyncio.sleep(1.0)  # nobody has moved the traffic yet
            moved = {"destination": {"host": "other", "port": {"number": 8501}}}
            await home.objects.patch(VIRTUAL_SERVICE, "default", "web", {"spec": {"http": [{"route": [moved]}]}})
            await home.ready(1)  # the deleted one is gone
            await asyncio.sleep(0.3)
        assert load.report().errors == {}


async def test_a_deleted_deployment_whose_traffic_nobody_moves_goes_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(pod_life, "HANDOVER", 0.5)
    async with serving(tmp_path) as (home, url):
        await home.apply(deployment(container=PROBE, pod={"terminationGracePeriodSeconds": 60}))
        await home.ready()
        await until(lambda: served(url))
        async with traffic(url) as load:
            await home.objects.delete(DEPLOYMENT, "default", "web")
            await home.ready(0)
        assert set(load.report().errors) <= {"status 503"}


async def test_nothing_is_sent_to_a_pod_that_still_loads(tmp_path):
    async with serving(tmp_path) as (home, url):
        await home.apply(deployment(container=PROBE))
        await home.ready()
        await until(lambda: served(url))
        async with traffic(url) as load:
            home.images({"web:v1": programs.SERVER, "slow:v1": programs.SERVER})
            slow = deployment("slow", container={**PROBE, "image": "slow:v1", "env": [{"name": "START", "value": "2"}]})
            slow["spec"]["template"]["metadata"]["labels"]["app"] = "web"
            await home.apply(slow)
            await home.ready(2)
            await asyncio.sleep(0.3)
        assert load.report().errors == {}
