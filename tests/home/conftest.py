"""A server on a real socket over a store in memory, without a daemon around it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from serin.errors import NotFound
from serin.fakes import InMemoryObjects
from serin.home.admission import admit
from serin.home.client import HomeClient
from serin.home.daemon import SystemClock
from serin.home.paths import Paths
from serin.home.server import Server
from serin.ports import Object, Objects

Connect = Callable[..., HomeClient]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    made.mkdir()
    return made


@asynccontextmanager
async def serving(folder: Path, objects: Objects, end: Callable[[], None] = lambda: None) -> AsyncIterator[Server]:
    async def status() -> Object:
        return {"state": "running"}

    def recording(namespace: str, name: str) -> list[Object]:
        if (namespace, name) != ("default", "rollout"):
            raise NotFound(f"there is no recording of experiment '{name}' in namespace '{namespace}'")
        return [{"plan": {}}, {"read": 1.5}]

    async def history(experiment: Object) -> list[Object]:
        return [{"read": 2.5, "of": experiment["metadata"]["name"]}]

    server = Server(
        Paths(folder), objects, SystemClock(), admit=admit, status=status, end=end, recording=recording, history=history
    )
    task = asyncio.create_task(server.run())
    await server.listening()
    try:
        yield server
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def memory() -> InMemoryObjects:
    return InMemoryObjects()


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Makes clients that are closed at the end."""
    async with AsyncExitStack() as stack:

        def client_of(folder: Path, **options: float) -> HomeClient:
            client = HomeClient(folder, **options)
            stack.push_async_callback(client.aclose)
            return client

        yield client_of


@pytest.fixture
async def client(folder: Path, memory: InMemoryObjects, connect: Connect) -> AsyncIterator[HomeClient]:
    async with serving(folder, memory):
        client = connect(folder, comes_back=5.0)
        yield client
        await client.aclose()
