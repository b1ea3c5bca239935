"""Versions in processes of their own, seen from the HTTP process: asked over sockets, started again when they die."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from serin.errors import InvalidInput, SerinError
from serin.serving.frames import ACTIONS, HEADER, Frame, signatures, unpacked
from serin.serving.protocol import Code, ServingError, Signature, State
from serin.serving.servable import Answer

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
_GOOD_START = 30.0
_SAFE_PATH = ["-P"] if sys.flags.safe_path else []
"""As this process was started: whether modules of the folder it stands in may be imported."""
_QUEUE = 256
"""Requests that may wait for one version; more are refused, for they would only grow old."""


class Children:
    """The zygote and its children, which live for as long as this context.

    When the zygote ends, the children end with it, and this process is told to end too: `lost` is true then.
    """

    def __init__(self, folders: Mapping[int, Path], threads: int, say: Callable[[str], None]) -> None:
        """Start all versions and wait until they are loaded. Raises SerinError when one cannot be."""
        self.lost = False
        self._zygote, self._orders = _start_zygote()
        try:
            self.versions = {
                number: Child(number, lambda folder=folder: self._order(folder, threads), say)  # type: ignore[misc]
                for number, folder in folders.items()
            }
            for child in self.versions.values():
                child.greet()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the zygote; its children end with it."""
        self._orders.close()
        try:
            self._zygote.wait(5)
        except subprocess.TimeoutExpired:
            self._zygote.kill()
            self._zygote.wait()

    def _order(self, folder: Path, threads: int) -> socket.socket:
        """A socket to a new child that loads `folder`. Raises SerinError when the zygote is gone."""
        ours, theirs = socket.socketpair()
        with theirs:
            order = json.dumps({"folder": str(folder.absolute()), "threads": threads}).encode()
            try:
                socket.send_fds(self._orders, [order], [theirs.fileno()])
            except OSError:
                ours.close()
                self.lost = True
                signal.raise_signal(signal.SIGTERM)
                raise SerinError("the process that starts the versions has ended too") from None
        return ours


class Child:
    """One version in a process of its own."""

    def __init__(self, number: int, start: Callable[[], socket.socket], say: Callable[[str], None]) -> None:
        self._number = number
        self._start = start
        self._say = say
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._signatures: dict[str, Signature] = {}
        self._connection: socket.socket | None = start()

    @property
    def state(self) -> State:
        """AVAILABLE, or LOADING while it is being started again."""
        return State.AVAILABLE if self._connection or self._writer else State.LOADING

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """The signatures it greeted with."""
        return self._signatures

    def greet(self) -> None:
        """Wait until the first child has loaded its model. Raises InvalidInput when it cannot."""
        assert self._connection is not None
        length, frame = unpacked(_receive(self._connection, HEADER.size))
        self._welcome(frame.kind, _receive(self._connection, length))

    async def answer(self, action: str, body: bytes) -> Answer:
        """The child's answer. Raises ServingError when it is away, dies over it or has too many to answer."""
        if self._writer is None:
            raise ServingError(Code.UNAVAILABLE, f"version {self._number} is being started again; repeat in a moment")
        if len(self._waiting) >= _QUEUE:
            raise ServingError(Code.RESOURCE_EXHAUSTED, f"version {self._number} has {_QUEUE} requests waiting already")
        number = next(self._ids) % 2**32
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self._writer.write(Frame(number, ACTIONS.index(action), body).packed())
            await self._writer.drain()
            return await future
        except OSError:
            raise self._died() from None
        finally:
            self._waiting.pop(number, None)

    async def tend(self) -> None:
        """Read answers for as long as the child lives, and start the next one when it has died, without end."""
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE
        while True:
            started = loop.time()
            try:
                await self._attend()
            except (OSError, asyncio.IncompleteReadError, SerinError) as error:
                self._say(f"version {self._number} has ended ({_reason(error)}); starting it again in {pause:.1f} s")
            self._writer = None
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(self._died())
            await asyncio.sleep(pause)
            pause = _FIRST_PAUSE if loop.time() - started > _GOOD_START else min(2 * pause, _LONGEST_PAUSE)

    async def _attend(self) -> None:
        greeted = self._connection is not None
        connection = self._connection or self._start()
        connection.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=connection)
        self._connection = None
        try:
            while True:
                if greeted:
                    self._writer = writer
                length, frame = unpacked(await reader.readexactly(HEADER.size))
                body = await reader.readexactly(length)
                if not greeted:
                    self._welcome(frame.kind, body)
                    greeted = True
                    self._say(f"version {self._number} is back")
                elif (future := self._waiting.get(frame.id)) and not future.done():
                    future.set_result(Answer(Code.of(frame.kind), body, frame.runtime, frame.examples))
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _welcome(self, kind: int, body: bytes) -> None:
        if kind != Code.OK.number:
            raise InvalidInput(body.decode())
        self._signatures = signatures(body)

    def _died(self) -> ServingError:
        return ServingError(
            Code.UNAVAILABLE, f"version {self._number} ended while it worked on this request; repeat it"
        )


def _start_zygote() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """The zygote with TensorFlow imported, and the socket for its orders. Raises SerinError."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, *_SAFE_PATH, "-m", "serin.serving.zygote", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
        )
    first = ours.recv(4096)
    if not first or "error" in json.loads(first):
        ours.close()
        process.wait()
        raise InvalidInput(
            json.loads(first)["error"] if first else "the process that imports TensorFlow ended at its start"
        )
    return process, ours


def _receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise InvalidInput("a version's process ended while it loaded its model; is there enough memory?")
        data += more
    return data


def _reason(error: BaseException) -> str:
    return "its process is gone" if isinstance(error, asyncio.IncompleteReadError | OSError) else str(error)
