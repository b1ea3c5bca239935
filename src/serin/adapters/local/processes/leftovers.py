"""What a dead home left behind, and its end. Standard library only: the undertaker starts from here.

Each life of a home has a folder in the run folder, named in the environment of all its processes (`SERIN_LIFE`), with
a record of each child: pid and start time, since a pid alone may belong to somebody else by now.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

LIFE = "SERIN_LIFE"
_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Entry:
    """A process as /proc shows it. `started` is in clock ticks since boot."""

    pid: int
    session: int
    started: int


def entry(pid: int) -> Entry | None:
    """The process of this pid, None when there is none or only its corpse."""
    try:
        # The command's name may hold anything, parentheses and spaces included: read from its last ')'.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else Entry(pid, int(fields[3]), int(fields[19]))


def processes() -> list[Entry]:
    """Every living process."""
    return [found for name in os.listdir("/proc") if name.isdigit() and (found := entry(int(name)))]


def marked(marker: bytes) -> list[int]:
    """Pids of living processes whose environment has exactly this `NAME=value`."""
    found = []
    for each in processes():
        try:
            environ = Path(f"/proc/{each.pid}/environ").read_bytes()
        except OSError:
            continue
        if each.pid != os.getpid() and marker in environ.split(b"\0"):
            found.append(each.pid)
    return found


def session(leader: int) -> list[int]:
    """Pids of the living processes of a session."""
    return [each.pid for each in processes() if each.session == leader]


def begin_life(run_dir: Path) -> Path:
    """A new folder for the records of one life of the home."""
    run_dir.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="life-", dir=run_dir))


def record(life: Path, pid: int) -> None:
    """Note a child of this life."""
    if found := entry(pid):
        (life / f"{pid}").write_text(f"{found.started}")


def forget(life: Path, pid: int) -> None:
    """The child is gone."""
    (life / f"{pid}").unlink(missing_ok=True)


def end_leftovers(run_dir: Path) -> int:
    """End every process that an earlier life of this home has left; how many there were.

    Only when no other home works in this folder. Returns when they are gone, or after 10 s.
    """
    return sum(end_life(life) for life in sorted(run_dir.glob("life-*")))


def end_life(life: Path) -> int:
    """End every process of one life and remove its folder; how many there were."""
    ended = end_all(lambda: _of_life(life))
    shutil.rmtree(life, ignore_errors=True)
    return ended


def _of_life(life: Path) -> set[int]:
    found = set(marked(f"{LIFE}={life}".encode()))
    for name in os.listdir(life) if life.is_dir() else ():
        with contextlib.suppress(OSError, ValueError):
            leader, started = entry(int(name)), int((life / name).read_text())
            # With its leader gone the session's number proves nothing; its members carry the mark then.
            if leader is not None and leader.started == started:
                found.update(session(leader.pid))
    return found


def end_all(find: Callable[[], Iterable[int]]) -> int:
    """SIGKILL whatever `find` finds until it finds nothing more; how many there were."""
    ended: set[int] = set()
    deadline = time.monotonic() + _PATIENCE
    while (found := set(find())) and time.monotonic() < deadline:
        for pid in found - ended:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        ended |= found
        time.sleep(0.01)
    return len(ended)
