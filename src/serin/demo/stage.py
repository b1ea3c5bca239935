"""The stage of the demo: the example's folder, a home of its own, and the commands that a person would type."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import socket
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from pathlib import Path

from serin.errors import NotFound, OutcomeError

Say = Callable[[str], None]
FIRST_PORT = 8080


class Stage:
    """A home in a folder of its own, and `serin` as a person would call it there; what it prints is passed on."""

    def __init__(self, example: Path, home: Path, port: int, say: Say) -> None:
        self.example = example
        self.home = home
        self.port = port
        self._say = say
        self._environment = {**os.environ, "SERIN_HOME": str(home), "PYTHONWARNINGS": "ignore", "COLUMNS": "200"}

    async def serin(self, *words: str) -> None:
        """Type a command: show it, run it, show what it prints. Raises OutcomeError when it fails."""
        self._say(f"$ serin {shlex.join(words)}")
        async with self._running("-m", "serin", *words) as process:
            async for line in _lines(process):
                self._say(line)
        self._say("")
        if process.returncode:
            raise OutcomeError(f"'serin {shlex.join(words)}' failed with exit code {process.returncode}; see above")

    async def follow(self, *words: str) -> AsyncGenerator[str, None]:
        """A command whose lines are wanted as they come, until the caller has seen enough."""
        self._say(f"$ serin {shlex.join(words)}")
        async with self._running("-m", "serin", *words) as process:
            async for line in _lines(process):
                yield line

    async def python(self, *words: str) -> None:
        """A program of the example. Raises OutcomeError when it fails."""
        async with self._running(*words) as process:
            async for line in _lines(process):
                self._say(f"  {line}")
        if process.returncode:
            raise OutcomeError(f"'python {shlex.join(words)}' failed with exit code {process.returncode}; see above")

    @contextlib.asynccontextmanager
    async def _running(self, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *words,
            cwd=self.example,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        ended = False
        try:
            yield process
            ended = True
        finally:
            if not ended and process.returncode is None:
                process.terminate()
            await process.wait()


async def _lines(process: asyncio.subprocess.Process) -> AsyncIterator[str]:
    assert process.stdout is not None
    async for line in process.stdout:
        yield line.decode(errors="replace").rstrip()


def example_folder(given: Path | None) -> Path:
    """The Fashion-MNIST example: the folder given, else in the checkout. Raises NotFound."""
    candidates: Sequence[Path] = (
        [given] if given else [Path("examples/fashion-mnist"), Path(__file__).parents[3] / "examples" / "fashion-mnist"]
    )
    for folder in candidates:
        if (folder / "fashionmnist-v2-rollout.yaml").is_file():
            return folder.absolute()
    where = f"in {given}" if given else "here"
    raise NotFound(f"the Fashion-MNIST example is not {where}; run the demo in a checkout, or name it with --example")


def free_port(wanted: int | None) -> int:
    """The port asked for, as it is; else 8080, or the next free one."""
    if wanted is not None:
        return wanted
    for port in range(FIRST_PORT, FIRST_PORT + 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise NotFound(f"no port from {FIRST_PORT} to {FIRST_PORT + 99} is free; choose one with --gateway-port")
