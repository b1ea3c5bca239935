"""Envoy asked over its unix sockets: statistics, cluster state, readiness, and whether its worker follows."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx2

from serin.adapters.local.envoy.sockets import ADMIN, WORKER, Sockets
from serin.errors import Unreachable


class Admin:
    """A client of the admin socket in `folder`. Survives Envoy's restarts; raises Unreachable while it is away."""

    def __init__(self, folder: Path, *, timeout: float = 5.0) -> None:
        self._sockets = Sockets(folder)
        transport = httpx2.AsyncHTTPTransport(uds=str(self._sockets.path(ADMIN)), verify=False)
        self._client = httpx2.AsyncClient(
            transport=transport, base_url="http://envoy", timeout=timeout, trust_env=False
        )

    async def get(self, path: str, **query: str) -> str:
        """The body of an answer."""
        return await self._send("GET", path, query)

    async def post(self, path: str, **query: str) -> str:
        """Ask for something to be done."""
        return await self._send("POST", path, query)

    async def get_json(self, path: str, **query: str) -> Any:
        """The body of an answer in JSON."""
        text = await self.get(path, **query)
        return httpx2.Response(200, text=text).json()

    async def stats(self, pattern: str) -> dict[str, str]:
        """All statistics whose name holds `pattern` (RE2); text readouts without their quotes."""
        found = {}
        for line in (await self.get("/stats", filter=pattern)).splitlines():
            name, colon, value = line.rpartition(": ")
            if colon:
                found[name] = value.strip('"')
        return found

    async def worker_follows(self) -> None:
        """Return when the thread that carries the traffic works by all that the main thread has taken.

        The main thread hands a change over and shows it as taken at once; a worker that does not run just then sends
        requests the old way meanwhile. It takes what it was handed before what comes on a connection later; a
        connection may be taken in the same turn of its loop, a second one is not.

        Raises Unreachable while Envoy is away.
        """
        for _ in range(2):
            try:
                reader, writer = await asyncio.open_unix_connection(self._sockets.path(WORKER))
                try:
                    word = await reader.read()
                finally:
                    writer.close()
            except OSError as error:
                raise Unreachable(f"the gateway's worker does not answer ({type(error).__name__})") from error
            if not word:
                raise Unreachable("the gateway's worker ended without an answer")

    async def _send(self, method: str, path: str, query: dict[str, str]) -> str:
        try:
            response = await self._client.request(method, path, params=query)
        except (httpx2.HTTPError, OSError) as error:
            raise Unreachable(f"the gateway does not answer on its admin socket ({type(error).__name__})") from error
        if response.status_code != 200:
            raise Unreachable(f"the gateway answered {response.status_code} to {path}")
        return response.text

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.aclose()
        self._sockets.close()

    async def __aenter__(self) -> Admin:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
