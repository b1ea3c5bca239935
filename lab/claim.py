"""A lab's folder and its owner: one living owner a name, and what dead owners left is cleaned up by whoever comes next.

The owner holds a lock on a file in the folder; the kernel gives it back when the owner dies, however it dies.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lab import namespace
from lab.errors import CannotHaveLab

PREFIX = "serin-lab-"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


@dataclass(slots=True)
class Claim:
    """The right to be the lab of this name."""

    name: str
    folder: Path
    _lock: int

    @property
    def namespace(self) -> str:
        """The name of its network namespace."""
        return f"{PREFIX}{self.name}"

    def release(self) -> None:
        """Remove the folder and give the name back."""
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)


def claim(name: str) -> Claim:
    """An empty folder for the lab of this name, after cleaning up behind dead labs. Raises CannotHaveLab."""
    if not _NAME.fullmatch(name):
        raise CannotHaveLab(f"'{name}' is no name for a lab; use lower-case letters, digits and '-', at most 32")
    clean_up()
    folder = _folder(name)
    if (lock := _lock(folder)) is None:
        raise CannotHaveLab(f"a lab named '{name}' is running ({_owner(folder)}); end it, or use another name")
    os.ftruncate(lock, 0)
    os.write(lock, f"process {os.getpid()}".encode())
    return Claim(name, folder, lock)


def clean_up() -> list[str]:
    """End what dead labs left: processes, namespaces, folders. The names of the labs that were found dead."""
    ended = []
    for folder in sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*")):
        if not folder.is_dir() or folder.is_symlink() or folder.stat().st_uid != os.geteuid():
            continue
        if (lock := _lock(folder)) is None:
            continue
        namespace.destroy(folder.name)
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
        ended.append(folder.name.removeprefix(PREFIX))
    for name in namespace.named(PREFIX):
        if not (Path(tempfile.gettempdir()) / name).exists():
            namespace.destroy(name)
    return ended


def _folder(name: str) -> Path:
    return Path(tempfile.gettempdir()) / f"{PREFIX}{name}"


def _lock(folder: Path) -> int | None:
    """The lock on the folder's owner file, as a descriptor; None when somebody holds it."""
    while True:
        folder.mkdir(mode=0o700, exist_ok=True)
        try:
            descriptor = os.open(folder / "owner", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except FileNotFoundError:  # its owner is just removing it
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_ino == (folder / "owner").stat().st_ino:
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except FileNotFoundError:
            pass
        os.close(descriptor)


def _owner(folder: Path) -> str:
    try:
        return (folder / "owner").read_text() or "it is starting"
    except OSError:
        return "it is ending"
