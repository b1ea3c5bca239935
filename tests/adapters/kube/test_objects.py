"""The contract of `Objects`, without a cache and with one, against the API server in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from serin.adapters.kube.api import Api
from serin.adapters.kube.cached import CachedObjects, Keep
from serin.adapters.kube.objects import KubeObjects
from serin.ports import KINDS, VIRTUAL_SERVICE, Objects
from tests.adapters.kube.api_server import FakeApiServer
from tests.objects_contract import ObjectsContract


class OnAnApiServer(ObjectsContract):
    async def test_every_version_of_a_kind_is_the_same_kind_and_kept_as_written(self, store: Objects) -> None:
        """An API server gives an object in the version that is asked for; ours asks for the newest that is served."""
        rule = {"apiVersion": "networking.istio.io/v1alpha3", "kind": "VirtualService", "metadata": {"name": "r"}}
        made = await store.create({**rule, "spec": {}})
        got = await store.get(VIRTUAL_SERVICE, "default", "r")
        assert made["apiVersion"] == got["apiVersion"] == "networking.istio.io/v1"
        changed = await store.replace({**got, "apiVersion": "networking.istio.io/v1beta1"})
        assert changed["metadata"]["uid"] == got["metadata"]["uid"]


class TestDirect(OnAnApiServer):
    @pytest.fixture
    async def store(self) -> AsyncIterator[Objects]:
        objects = KubeObjects(Api(FakeApiServer().client()))
        yield objects
        await objects.aclose()


class TestCached(OnAnApiServer):
    @pytest.fixture
    async def store(self) -> AsyncIterator[Objects]:
        direct = KubeObjects(Api(FakeApiServer().client()))
        cached = CachedObjects(direct, [Keep(kind) for kind in KINDS])
        running = asyncio.create_task(cached.run())
        yield cached
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await direct.aclose()
