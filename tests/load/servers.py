"""Small real servers that answer, fail, dawdle and hang up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Reply = Callable[[int, bytes], Awaitable[bytes | None]]
"""Number of the request and its bytes -> bytes to write, or None to hang up."""


@dataclass
class Seen:
    """What a server has seen."""

    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def answer(status: int = 200, version: str = "v1", body: bytes = b"ok", extra: str = "") -> bytes:
    """The bytes of an answer."""
    named = f"x-serin-version: {version}\r\n" if version else ""
    return f"HTTP/1.1 {status} X\r\n{named}{extra}content-length: {len(body)}\r\n\r\n".encode() + body


async def until(what: Callable[[], object], patience: float = 10.0) -> None:
    """Poll until `what` gives something true."""
    deadline = time.monotonic() + patience
    while True:
        if what():
            return
        assert time.monotonic() < deadline, f"did not happen within {patience} s"
        await asyncio.sleep(0.01)


async def ok(number: int, request: bytes) -> bytes:
    return answer()


@asynccontextmanager
async def serving(reply: Reply = ok) -> AsyncIterator[Seen]:
    """A server for as long as it is needed; an answer of `connection: close` closes."""
    seen = Seen()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        seen.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next((int(x[15:]) for x in head.lower().split(b"\r\n") if x.startswith(b"content-length:")), 0)
                request = head + await reader.readexactly(length)
                seen.requests.append(request)
                data = await reply(len(seen.requests), request)
                if data is None:
                    break
                writer.write(data)
                await writer.drain()
                if b"connection: close" in data:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    seen.port = server.sockets[0].getsockname()[1]
    try:
        yield seen
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
