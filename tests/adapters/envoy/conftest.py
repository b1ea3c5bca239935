from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from serin.adapters.local.envoy.dataplane import LocalDataPlane
from serin.adapters.local.envoy.model import Settings
from serin.adapters.local.envoy.proxy import Proxy
from serin.adapters.local.envoy.translator import Translator
from serin.fakes import InMemoryObjects
from serin.ports import VIRTUAL_SERVICE, Object
from tests.adapters.envoy.wire import Client, Tally, free_port, stream, within


@dataclass
class House:
    """A gateway as a home runs it: objects, a translator, a real Envoy."""

    objects: InMemoryObjects
    proxy: Proxy
    translator: Translator
    plane: LocalDataPlane
    warnings: list[str]
    clients: list[Client] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.proxy.settings.gateway_port

    @property
    def mesh(self) -> int:
        assert self.proxy.settings.mesh_port is not None
        return self.proxy.settings.mesh_port

    def client(self, port: int | None = None, host: str = "shop.com") -> Client:
        self.clients.append(Client(port or self.port, host))
        return self.clients[-1]

    async def seed(self, *objects: Object) -> None:
        """Store objects with their status, and wait until the proxy has them."""
        self.objects.seed(*objects)
        await asyncio.sleep(0.03)  # the watch delivers, a burst is gathered
        await within(15, self._settled, "the proxy follows the objects")

    async def _settled(self) -> bool:
        applied = self.translator.applied
        return self.translator.settled and applied is not None and await self.proxy.applied(applied.version)

    async def write(self, virtual_service: Object) -> Object:
        """Write a VirtualService's spec and wait until the data plane says that it is applied."""
        namespace, name = virtual_service["metadata"]["namespace"], virtual_service["metadata"]["name"]
        patch = {"spec": virtual_service["spec"]}
        written = await self.objects.patch(VIRTUAL_SERVICE, namespace, name, patch)
        await within(5, lambda: self.plane.applied(written), "the VirtualService is applied")
        return written

    @asynccontextmanager
    async def traffic(self, connections: int = 4, path: str = "/") -> AsyncIterator[Tally]:
        tally, until = Tally(), asyncio.Event()
        tasks = [asyncio.create_task(stream(self.port, tally, until, path)) for _ in range(connections)]
        try:
            yield tally
        finally:
            until.set()
            await asyncio.gather(*tasks)


@asynccontextmanager
async def house(folder: Path, settings: Settings | None = None) -> AsyncIterator[House]:
    objects = InMemoryObjects()
    proxy = Proxy(folder, settings or Settings(gateway_port=free_port(), mesh_port=free_port()))
    warnings: list[str] = []
    translator = Translator(objects, proxy, warned=warnings.append)
    await proxy.start()
    task = asyncio.create_task(translator.run())
    found = House(objects, proxy, translator, LocalDataPlane(objects, translator, proxy), warnings)
    try:
        await within(15, found._settled, "the proxy starts")
        yield found
    finally:
        for client in found.clients:
            await client.close()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await proxy.stop(0.5)


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path / "envoy") as found:
        yield found


Weigh = Callable[[int, int], Object]
