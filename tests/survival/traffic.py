"""Requests through the gateway: a stream of them, and a single one."""

from __future__ import annotations

import asyncio
import contextlib

from serin.errors import Unreachable
from serin.load.plan import LoadPlan, parse_target
from serin.load.report import LoadReport
from serin.load.stream import Load
from tests.survival.manifests import HOST


class Traffic:
    """An open loop of so many requests a second, from `start` to `stop`; `odd` answers are for the test to judge."""

    def __init__(self, port: int, rate: float = 150.0) -> None:
        target = parse_target(f"http://127.0.0.1:{port}/")
        self._load = Load(LoadPlan(target=target, rate=rate, headers=(("Host", HOST),), timeout=20.0))
        self._running = asyncio.create_task(self._run(), name="traffic")

    async def _run(self) -> LoadReport:
        """As soon as the gateway takes the first connection."""
        while True:
            try:
                return await self._load.run()
            except Unreachable:
                await asyncio.sleep(0.05)

    @property
    def report(self) -> LoadReport:
        """How it went so far."""
        return self._load.report()

    @property
    def sent(self) -> int:
        """Requests so far, those under way too."""
        return self.report.sent + self.report.under_way

    async def stop(self) -> LoadReport:
        """Send nothing more, and wait for what is under way."""
        self._load.stop()
        return await self._running

    async def drop(self) -> None:
        """Whatever its state, nothing of it goes on."""
        self._load.drop()
        self._running.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await self._running


async def ask(port: int, path: str, address: str = "127.0.0.1") -> tuple[int, str]:
    """One request on a connection of its own: status and body. Raises OSError, EOFError when there is no answer."""
    reader, writer = await asyncio.open_connection(address, port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nhost: {HOST}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].split()[0])
        body = await reader.readexactly(length)
    finally:
        writer.close()
    return int(head.split(" ", 2)[1]), body.decode()
