"""One process of a Pod: its start, its output, its exit, and the end of its whole group.

Started from the main thread: the kernel binds a child's life to the *thread* that started it. Exits are seen through a
pidfd, so that no thread waits and no signal handler is needed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from serin.adapters.local.processes import leftovers
from serin.adapters.local.processes.logs import PodLog

POD = "SERIN_POD"
_LAUNCH = Path(__file__).with_name("launch.py")
_LAST_OUTPUT = 1.0


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: `code` is 128 + signal when a signal ended it."""

    code: int
    signal: int | None


@dataclass(frozen=True, slots=True)
class Program:
    """What is executed: `words[0]` is an absolute path, `env` complete but for our marks, `owner` the Pod's uid."""

    words: Sequence[str]
    env: Mapping[str, str]
    directory: Path
    owner: str


class Process:
    """A running process, the leader of its own session."""

    def __init__(self, program: Program, life: Path, log: PodLog | None) -> None:
        """Start it. Raises OSError when the machine refuses another process."""
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("a Pod's process is started from the main thread only; its end is bound to that thread")
        self._life = life
        self._mark = f"{POD}={life.name}/{program.owner}".encode()
        self._log = log
        self._popen = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid()), *program.words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if log else subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            cwd=program.directory,
            env={**program.env, leftovers.LIFE: str(life), POD: f"{life.name}/{program.owner}"},
            start_new_session=True,
        )
        self.pid = self._popen.pid
        self._exit: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._output: asyncio.Task[None] | None = None
        self._pidfd = os.pidfd_open(self.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._exited)
        with contextlib.suppress(OSError):  # a full disk; the mark in its environment is enough
            leftovers.record(life, self.pid)
        if log:
            self._output = asyncio.create_task(self._copy_output(log))

    async def wait(self) -> Exit:
        """Return when it and all that it started have ended and their output is in the log."""
        how = await asyncio.shield(self._exit)
        if self._output:
            await asyncio.wait((self._output,), timeout=_LAST_OUTPUT)
            self._output.cancel()
        return how

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return not self._exit.done()

    def signal(self, number: int) -> None:
        """Send a signal to its whole group."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    async def end(self, grace: float) -> Exit:
        """SIGTERM, and SIGKILL to whatever still runs after `grace` seconds."""
        self.signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._exit), grace)
        self.kill()
        return await self.wait()

    def kill(self) -> None:
        """SIGKILL to the whole group, now."""
        self.signal(signal.SIGKILL)

    def abandon(self) -> None:
        """The end of everything, without waiting for the loop: kill the group and reap the leader."""
        if self.running:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            self._exited()
        if self._output:
            self._output.cancel()

    def members(self) -> list[int]:
        """Pids of the living processes of its session."""
        return leftovers.session(self.pid)

    def _exited(self) -> None:
        """The leader has ended but is not reaped yet, so its group's number is still its own: end the rest first."""
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        code = self._popen.wait()
        for pid in leftovers.marked(self._mark):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            leftovers.forget(self._life, self.pid)
        self._exit.set_result(Exit(code, None) if code >= 0 else Exit(128 - code, -code))

    async def _copy_output(self, log: PodLog) -> None:
        assert self._popen.stdout is not None
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), self._popen.stdout
        )
        try:
            while data := await reader.read(65536):
                log.write(data)
        finally:
            transport.close()
