"""The contract of `Objects` against a real API server, each call a request and with a cache.

The server stands alone here, without controllers: what changes an object is the test and nobody else.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from lab import Lab

from serin.adapters.kube.api import Api
from serin.adapters.kube.cached import CachedObjects, Keep
from serin.adapters.kube.connection import access
from serin.adapters.kube.objects import KubeObjects
from serin.errors import InvalidInput
from serin.ports import (
    CONFIG_MAP,
    DEPLOYMENT,
    EXPERIMENT,
    KINDS,
    NAMESPACE,
    VIRTUAL_SERVICE,
    Event,
    Kind,
    Object,
    Objects,
)
from tests import real_parts
from tests.objects_contract import ObjectsContract, config_map, deployment

CRD = Path(__file__).parents[2] / "deploy/crd/experiments.iter8.tools.yaml"
NAMESPACES = ("default", "other", "a", "b", "x", "y")
TOUCHED = (DEPLOYMENT, CONFIG_MAP, EXPERIMENT, VIRTUAL_SERVICE)


@pytest.fixture(scope="module")
def alone() -> Iterator[Lab]:
    lab = Lab(f"objects-{os.getpid()}", mesh=False)
    with real_parts.needed():
        lab.__enter__()
    try:
        lab.parts["kube-controller-manager"].stop()
        lab.kubectl_run("apply", "--server-side", "-f", str(CRD))
        lab.kubectl_run("wait", "--for=condition=Established", "crd/experiments.iter8.tools", "--timeout=30s")
        for name in NAMESPACES[1:]:
            lab.kubectl_run("create", "namespace", name)
        yield lab
    finally:
        lab.close()


class Tidy:
    """The store, without what an API server has of itself, and with Deployments that it would take."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def get(self, kind: Kind, namespace: str, name: str) -> Object:
        return await self._objects.get(kind, namespace, name)

    async def list(
        self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> list[Object]:
        return [obj for obj in await self._objects.list(kind, namespace, labels) if not _of_system(obj)]

    def watch(self, *kinds: Kind, namespace: str | None = None) -> AsyncIterator[Event]:
        return _Seen(self._objects.watch(*kinds, namespace=namespace))

    async def create(self, obj: Object) -> Object:
        return await self._objects.create(_complete(obj))

    async def replace(self, obj: Object) -> Object:
        return await self._objects.replace(_complete(obj))

    async def patch(self, kind: Kind, namespace: str, name: str, patch: Object, *, status: bool = False) -> Object:
        return await self._objects.patch(kind, namespace, name, patch, status=status)

    async def delete(self, kind: Kind, namespace: str, name: str) -> None:
        await self._objects.delete(kind, namespace, name)


class _Seen:
    """The events of a watch, without those of the system."""

    def __init__(self, events: AsyncIterator[Event]) -> None:
        self._events = events

    def __aiter__(self) -> _Seen:
        return self

    async def __anext__(self) -> Event:
        while (event := await anext(self._events)).object and _of_system(event.object):
            pass
        return event


def _of_system(obj: Object) -> bool:
    return str(obj["metadata"].get("namespace", "")).startswith("kube-")


def _complete(obj: Object) -> Object:
    if obj.get("kind") != "Deployment" or "spec" not in obj:
        return obj
    labels = {"app": "c"}
    containers = [{"name": "c", "image": "lab/pause"}]
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    return {**obj, "spec": {**obj["spec"], "selector": {"matchLabels": labels}, "template": template}}


async def emptied(lab: Lab, objects: KubeObjects) -> None:
    for kind in TOUCHED:
        for obj in await objects.list(kind):
            place = (kind, obj["metadata"]["namespace"], obj["metadata"]["name"])
            if not _of_system(obj):
                if obj["metadata"].get("finalizers"):
                    await objects.patch(*place, {"metadata": {"finalizers": None}})
                with suppress(Exception):
                    await objects.delete(*place)
    if any(obj["metadata"]["name"] == "made" for obj in await objects.list(NAMESPACE)):
        await objects.delete(NAMESPACE, "", "made")
        obj = await objects.get(NAMESPACE, "", "made")
        text = json.dumps({**obj, "spec": {"finalizers": []}})  # nobody else would ever let it go here
        lab.kubectl_run("replace", "--raw", "/api/v1/namespaces/made/finalize", "-f", "-", stdin=text)


class OnARealApiServer(ObjectsContract):
    """Where an API server knows more than the contract asks, its own way is asked for instead."""

    async def test_every_version_of_a_kind_is_the_same_kind_and_kept_as_written(self, store: Objects) -> None:
        rule = {"apiVersion": "networking.istio.io/v1alpha3", "kind": "VirtualService", "metadata": {"name": "r"}}
        made = await store.create({**rule, "spec": {"hosts": ["h"]}})
        got = await store.get(VIRTUAL_SERVICE, "default", "r")
        assert made["apiVersion"] == got["apiVersion"] == "networking.istio.io/v1"
        changed = await store.replace({**got, "apiVersion": "networking.istio.io/v1beta1"})
        assert changed["metadata"]["uid"] == got["metadata"]["uid"]

    async def test_a_kind_without_namespaces_has_none(self, store: Objects) -> None:
        made = await store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "made"}})
        assert "namespace" not in made["metadata"]
        assert await store.get(NAMESPACE, "", "made") == await store.get(NAMESPACE, "any", "made") == made

    async def test_generation_rises_with_the_spec_only(self, store: Objects) -> None:
        await store.create(deployment())

        async def after(patch: Object, status: bool = False) -> int:
            changed = await store.patch(DEPLOYMENT, "default", "web", patch, status=status)
            return int(changed["metadata"]["generation"])

        assert await after({"metadata": {"labels": {"a": "b"}}}) == 1
        assert await after({"status": {"readyReplicas": 1, "replicas": 1}}, status=True) == 1
        assert await after({"spec": {"replicas": 1}}) == 1
        assert await after({"spec": {"replicas": 2}}) == 2
        with pytest.raises(InvalidInput):
            await after({"spec": {"replicas": True}})

    async def test_status_is_not_created_and_not_replaced(self, store: Objects) -> None:
        made = await store.create({**deployment(), "status": {"readyReplicas": 9}})
        assert made.get("status", {}) == {}
        await store.patch(DEPLOYMENT, "default", "web", {"status": {"readyReplicas": 1, "replicas": 1}}, status=True)
        replaced = await store.replace({**deployment(labels={"a": "b"}), "status": {"readyReplicas": 9}})
        assert replaced["status"] == {"readyReplicas": 1, "replicas": 1}
        assert replaced["metadata"]["labels"] == {"a": "b"}

    async def test_a_status_patch_can_be_conditional_too(self, store: Objects) -> None:
        old = (await store.create(deployment()))["metadata"]["resourceVersion"]
        patch = {"metadata": {"resourceVersion": old}, "status": {"readyReplicas": 1, "replicas": 1}}
        done = await store.patch(DEPLOYMENT, "default", "web", patch, status=True)
        assert done["status"] == {"readyReplicas": 1, "replicas": 1}
        with pytest.raises(Exception, match="changed by somebody else"):
            await store.patch(DEPLOYMENT, "default", "web", patch, status=True)

    async def test_a_patch_touches_its_own_half_only(self, store: Objects) -> None:
        await store.create(deployment())
        both = {"spec": {"replicas": 5}, "status": {"readyReplicas": 5, "replicas": 5}}
        first = await store.patch(DEPLOYMENT, "default", "web", both)
        assert (first["spec"]["replicas"], first.get("status", {})) == (5, {})
        both["spec"]["replicas"] = 6
        second = await store.patch(DEPLOYMENT, "default", "web", both, status=True)
        assert (second["spec"]["replicas"], second["status"]) == (5, {"readyReplicas": 5, "replicas": 5})

    async def test_a_write_that_changes_nothing_changes_no_version_and_tells_nobody(self, store: Objects) -> None:
        made = await store.create(deployment(labels={"a": "b"}))
        events = store.watch(DEPLOYMENT)
        assert [(await anext(events)).object.get("metadata", {}).get("name") for _ in range(2)] == ["web", None]
        assert await store.replace(made) == made
        assert await store.patch(DEPLOYMENT, "default", "web", {"spec": {"replicas": 1}}) == made
        changed = await store.patch(DEPLOYMENT, "default", "web", {"spec": {"replicas": 2}})
        assert (await anext(events)).object == changed

    async def test_a_patch_merges_removes_by_null_and_replaces_lists(self, store: Objects) -> None:
        await store.create({**config_map(), "data": {"a": "1", "gone": "2"}})
        patch = {"metadata": {"labels": {"a": "b", "none": None}}, "data": {"gone": None, "b": "3"}}
        done = await store.patch(CONFIG_MAP, "default", "cm", patch)
        assert (done["data"], done["metadata"]["labels"]) == ({"a": "1", "b": "3"}, {"a": "b"})
        hosts: Object = {"apiVersion": VIRTUAL_SERVICE.api_version, "kind": "VirtualService", "metadata": {"name": "r"}}
        await store.create({**hosts, "spec": {"hosts": ["a", "b"]}})
        done = await store.patch(VIRTUAL_SERVICE, "default", "r", {"spec": {"hosts": ["c"]}})
        assert done["spec"]["hosts"] == ["c"]

    async def test_text_of_any_language_and_numbers_of_any_size_come_back(self, store: Objects) -> None:
        """Numbers beyond 64 bits are beyond an API server."""
        data = {"text": "naïve ‘quotes’ 数 \x00\u2028", "none": ""}
        await store.create(config_map(data=data))
        assert (await store.get(CONFIG_MAP, "default", "cm"))["data"] == data


class TestDirect(OnARealApiServer):
    @pytest.fixture
    async def store(self, alone: Lab) -> AsyncIterator[Objects]:
        objects = KubeObjects(Api(access(str(alone.kubeconfig)).client()))
        yield Tidy(objects)
        await emptied(alone, objects)
        await objects.aclose()


class TestCached(OnARealApiServer):
    @pytest.fixture
    async def store(self, alone: Lab) -> AsyncIterator[Objects]:
        direct = KubeObjects(Api(access(str(alone.kubeconfig)).client()))
        cached = CachedObjects(direct, [Keep(kind) for kind in KINDS])
        running = asyncio.create_task(cached.run())
        yield Tidy(cached)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await emptied(alone, direct)
        await direct.aclose()
