"""Envoy's admin interface over its unix socket: statistics, cluster state, readiness."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx2

from serin.errors import Unreachable

SOCKET = "admin.sock"
_LONGEST = 100  # bytes; a unix socket's address holds 107


class Admin:
    """A client of the admin socket in `folder`. Survives Envoy's restarts; raises Unreachable while it is away."""

    def __init__(self, folder: Path, *, timeout: float = 5.0) -> None:
        path = folder / SOCKET
        self._directory: int | None = None
        if len(os.fsencode(path)) > _LONGEST:  # reach a deep folder by its descriptor
            self._directory = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            path = Path(f"/proc/self/fd/{self._directory}") / SOCKET
        transport = httpx2.AsyncHTTPTransport(uds=str(path), verify=False)
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
        if self._directory is not None:
            os.close(self._directory)
            self._directory = None

    async def __aenter__(self) -> Admin:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
