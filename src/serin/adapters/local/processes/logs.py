"""What a Pod's process prints, in files of bounded size, that of the run before kept.

    LOGS/NAMESPACE/POD/current.log      the present run; when it is full it becomes current.1.log and starts anew
    LOGS/NAMESPACE/POD/previous.log     the run before (and previous.1.log)

`files` names those of a Pod, oldest first. Logs outlive their Pod: those of the last Pods that went are kept.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection
from pathlib import Path

LIMIT = 4 * 1024 * 1024
"""Bytes of one file; a Pod has at most four."""

KEPT = 20
"""Of how many Pods of a namespace that are gone the logs are kept."""

_TAIL = 4096
_WORDS = 200


def files(log_dir: Path, namespace: str, pod: str, *, previous: bool = False) -> tuple[Path, ...]:
    """The log files that exist of a Pod's present (or previous) run, oldest first. Follow the last one by name."""
    stem = _folder(log_dir, namespace, pod) / ("previous" if previous else "current")
    return tuple(path for path in (stem.with_suffix(".1.log"), stem.with_suffix(".log")) if path.exists())


def prune(log_dir: Path, namespace: str, living: Collection[str]) -> None:
    """Remove the logs of a namespace's Pods that are gone (not among the names `living`), but for the newest."""
    with contextlib.suppress(OSError):
        gone = [path for path in (log_dir / namespace).iterdir() if path.name not in living]
        gone.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for folder in gone[KEPT:]:
            shutil.rmtree(folder, ignore_errors=True)


def _folder(log_dir: Path, namespace: str, pod: str) -> Path:
    return log_dir / namespace / pod


class PodLog:
    """Writes the output of one Pod's runs. A disk that refuses costs lines, never the process."""

    def __init__(self, log_dir: Path, namespace: str, pod: str, limit: int = LIMIT) -> None:
        self._folder = _folder(log_dir, namespace, pod)
        self._limit = limit
        self._file: int | None = None
        self._size = 0
        self._tail = b""

    def begin(self) -> None:
        """A new run: what was current is previous now."""
        self.close()
        self._tail = b""
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            for suffix in (".1.log", ".log"):
                current, previous = (self._folder / f"{stem}{suffix}" for stem in ("current", "previous"))
                if current.exists():
                    current.replace(previous)
                elif (self._folder / "current.log").exists():
                    previous.unlink(missing_ok=True)
            self._open()

    def write(self, data: bytes) -> None:
        """Append what was printed."""
        self._tail = (self._tail + data)[-_TAIL:]
        with contextlib.suppress(OSError):
            if self._file is None or self._size + len(data) > self._limit:
                self._rotate()
            if self._file is not None:
                self._size += os.write(self._file, data[-self._limit :])

    def close(self) -> None:
        """Nothing more comes."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    @property
    def last_words(self) -> str:
        """The last line that says something, shortened."""
        lines = self._tail.decode(errors="replace").split("\n")
        words = next((" ".join(line.split()) for line in reversed(lines) if line.strip()), "")
        printable = "".join(letter if letter.isprintable() else "?" for letter in words)
        return printable if len(printable) <= _WORDS else f"{printable[: _WORDS - 1]}…"

    def _open(self) -> None:
        path = self._folder / "current.log"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._file).st_size

    def _rotate(self) -> None:
        self.close()
        current = self._folder / "current.log"
        if current.exists():
            current.replace(self._folder / "current.1.log")
        self._open()
