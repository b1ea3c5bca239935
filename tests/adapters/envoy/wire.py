"""Real HTTP at both ends of the gateway: small backends on loopback addresses, and a keep-alive client."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_ADDRESSES = (f"127.{100 + os.getpid() % 100}.{i // 250}.{i % 250 + 1}" for i in itertools.count())


def address() -> str:
    """A loopback address of this test process that no other test has."""
    return next(_ADDRESSES)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Answer:
    """An answer: what a client sees."""

    status: int
    headers: dict[str, str]
    body: bytes = b""

    @property
    def version(self) -> str:
        return self.headers.get("x-serin-version", "")


@dataclass
class Backend:
    """Answers 200 with its name, unless the path is /status/N, /sleep/SECONDS, /cut or /drop."""

    name: str
    address: str
    port: int
    requests: Counter[str] = field(default_factory=Counter)
    seen: list[dict[str, str]] = field(default_factory=list)
    answer: Callable[[str, dict[str, str]], Awaitable[tuple[int, bytes]]] | None = None

    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                method, path, _ = head[0].split(" ")
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:]) if k}
                await reader.readexactly(int(headers.get("content-length", "0")))
                self.requests[path.split("?")[0]] += 1
                self.seen.append({":method": method, ":path": path, **headers})
                del self.seen[:-50]
                if not await self._respond(path, headers, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _respond(self, path: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> bool:
        status, body = 200, self.name.encode()
        if self.answer:
            status, body = await self.answer(path, headers)
        elif path.startswith("/status/"):
            status = int(path.rpartition("/")[2])
        elif path.startswith("/sleep/"):
            await asyncio.sleep(float(path.rpartition("/")[2]))
        elif path == "/cut":  # the head, and then no body
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2000000\r\n\r\n" + b"x" * 1_200_000)
            await writer.drain()
            writer.transport.abort()
            return False
        elif path == "/drop":
            writer.transport.abort()
            return False
        writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        return True


@asynccontextmanager
async def backend(name: str, port: int = 8501, at: str | None = None) -> AsyncIterator[Backend]:
    found = Backend(name, at or address(), port)
    server = await asyncio.start_server(found.serve, found.address, found.port)
    try:
        yield found
    finally:
        server.close()
        for task in found.tasks:
            task.cancel()


class Client:
    """One keep-alive connection to a port of this machine."""

    def __init__(self, port: int, host: str = "shop.com") -> None:
        self._port = port
        self._host = host
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(
        self, path: str = "/", headers: Mapping[str, str] | None = None, *, method: str = "GET", host: str | None = None
    ) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        lines = [f"{method} {path} HTTP/1.1", f"host: {host or self._host}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        found = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:]) if k}
        status = int(head[0].split(" ")[1])
        content = await reader.readexactly(int(found.get("content-length", "0")))
        if found.get("connection") == "close":
            await self.close()
        return Answer(status, found, content)

    async def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


@dataclass
class Tally:
    """What a stream of requests got."""

    codes: Counter[int] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    broken: int = 0

    @property
    def lost(self) -> int:
        return self.broken + sum(n for code, n in self.codes.items() if code >= 500)


async def stream(port: int, tally: Tally, until: asyncio.Event, path: str = "/", host: str = "shop.com") -> None:
    """Requests one after the other on one connection until told to end; a broken connection is counted and replaced."""
    client = Client(port, host)
    while not until.is_set():
        try:
            answer = await client.get(path)
        except (OSError, asyncio.IncompleteReadError):
            tally.broken += 1
            await client.close()
            await asyncio.sleep(0.01)
            continue
        tally.codes[answer.status] += 1
        tally.versions[answer.version] += 1
    await client.close()


async def within(seconds: float, ask: Callable[[], Awaitable[bool]], what: str) -> None:
    """Poll until true, or fail with what was waited for."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not await ask():
        assert asyncio.get_running_loop().time() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.01)
