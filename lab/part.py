"""One process of the lab: in its namespace, its output in a file, ready when it says so, ended with the lab."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from lab.errors import PartFailed
from lab.namespace import Namespace
from serin.adapters.local.processes import launch

PATIENCE = 120.0
_PAUSE = 0.05
UNKEPT = httpx2.Limits(max_keepalive_connections=0)
"""Connections that are closed after each request, so that nobody has to close them in the end."""
_INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "USER")


@dataclass(frozen=True, slots=True)
class Program:
    """What a part runs.

    ready   asked again and again; an exception counts as no
    """

    name: str
    words: Sequence[str | Path]
    ready: Callable[[], bool]
    env: Mapping[str, str] = field(default_factory=dict)


def answers(url: str, client: httpx2.Client | None = None) -> Callable[[], bool]:
    """A check for `Program.ready`: whether GET of the url has status 200."""
    # Reading the machine's authorities would take longer than the question, and nobody is asked over TLS here.
    asking = client or httpx2.Client(verify=False, timeout=2.0, trust_env=False, limits=UNKEPT)
    return lambda: asking.get(url).status_code == 200


class Part:
    """A process of the lab. It dies with the main thread of whoever started it, also after `kill -9`."""

    def __init__(self, program: Program, namespace: Namespace, folder: Path) -> None:
        """`folder`: where its output goes, `NAME.log`, appended to from start to start."""
        self._program, self._namespace = program, namespace
        self.name = program.name
        self.log = folder / f"{program.name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process's id. Raises PartFailed when it does not run."""
        if self._process is None or self._process.poll() is not None:
            raise PartFailed(f"the lab's {self.name} does not run")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether there is a process now."""
        return self._process is not None and self._process.poll() is None

    def begin(self) -> Part:
        """Start it, and do not wait."""
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("a part is started from the main thread only; its end is bound to that thread")
        if self.running:
            return self
        words = self._namespace.inside(self._program.words)
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", launch.__file__, str(os.getpid()), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.log.parent,
                env={**inherited, **self._program.env},
                start_new_session=True,
            )
        return self

    def wait(self, patience: float = PATIENCE) -> None:
        """Return when it is ready. Raises PartFailed when it ends before, or is not ready after so many seconds."""
        deadline = time.monotonic() + patience
        while not self._is_ready():
            if not self.running:
                raise PartFailed(f"the lab's {self.name} ended while it was starting; its last words: {self._said()}")
            if time.monotonic() >= deadline:
                raise PartFailed(f"the lab's {self.name} is not ready after {patience:g} s; it said: {self._said()}")
            time.sleep(_PAUSE)

    def start(self, patience: float = PATIENCE) -> None:
        """Start it and wait until it is ready. Raises PartFailed."""
        self.begin()
        self.wait(patience)

    def stop(self, grace: float = 10.0) -> None:
        """SIGTERM, and SIGKILL after so many seconds; 0: SIGKILL at once."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        self.thaw()
        if grace > 0:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(grace)
        process.kill()
        process.wait()

    def freeze(self) -> None:
        """Let it hang: its connections stay open and nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        if self.running:
            os.kill(self.pid, signal.SIGCONT)

    def _is_ready(self) -> bool:
        try:
            return self._program.ready()
        except Exception:  # whatever a part that is not up yet makes of a question
            return False

    def _said(self) -> str:
        lines = [line for line in self.log.read_text(errors="replace").splitlines()[-50:] if line.strip()]
        return " / ".join(lines[-3:])[-600:] or "nothing"
