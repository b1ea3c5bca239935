"""A home's folder: made for its owner only, never one with other files in it, owned by one daemon at a time."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from serin.errors import AlreadyExists, StorageError
from serin.home.paths import Paths

_TRIES = 6
_PAUSE = 0.05


@dataclass(frozen=True, slots=True)
class Settings:
    """What `up` was told. None: never told."""

    images: str | None = None
    gateway_port: int | None = None


def prepare(paths: Paths) -> None:
    """Make the folder, or check that it is ours to use. Raises StorageError."""
    folder = paths.folder
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
        # In this order: a home makes its lock before anything else, so who sees one of its files sees the lock after.
        if any(folder.iterdir()) and not paths.lock.exists():
            raise StorageError(
                f"{folder} holds other files and is no home; choose an empty or a new folder with --home"
            )
        if found.st_uid != os.geteuid():
            raise StorageError(f"{folder} belongs to another user; choose a folder of your own with --home")
        if stat.S_IMODE(found.st_mode) != 0o700:
            folder.chmod(0o700)
        if not os.access(folder, os.W_OK | os.X_OK) or os.statvfs(folder).f_flag & os.ST_RDONLY:
            raise StorageError(
                f"{folder} is not writable; change its permissions, or choose another folder with --home"
            )
        paths.lock.touch(mode=0o600)
    except FileExistsError:
        raise StorageError(f"{folder} is a file; choose a folder with --home") from None
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be made or used ({error.strerror}); choose another folder with --home"
        ) from None


@dataclass(frozen=True, slots=True)
class Before:
    """How the home before this one ended. `unclean`: it was killed."""

    unclean: bool


@contextmanager
def owned(paths: Paths) -> Iterator[Before]:
    """Own the folder while the block runs; the kernel gives it back if we die. Raises AlreadyExists, StorageError."""
    try:
        lock = os.open(paths.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageError(f"{paths.lock} cannot be written ({error.strerror}); change its permissions") from None
    try:
        for tries_left in reversed(range(_TRIES)):  # somebody may just be asking whether a home runs
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if not tries_left:
                pid = owner(paths)
                raise AlreadyExists(
                    f"a home runs in {paths.folder} already{f' (pid {pid})' if pid else ''}; "
                    f"'serin status' shows it, 'serin down' ends it"
                )
            time.sleep(_PAUSE)
        before = Before(unclean=os.fstat(lock).st_size > 0)
        with suppress(OSError):  # a full disk is for the database to report
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield before
        os.ftruncate(lock, 0)
    finally:
        os.close(lock)


def owner(paths: Paths) -> int | None:
    """Pid of the daemon that owns the folder; 0 when it runs but its pid is not known, None when none runs."""
    try:
        lock = os.open(paths.lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(lock, 32, 0).decode(errors="replace").strip()
        return int(text) if text.isdigit() else 0
    finally:
        os.close(lock)
    return None


def remembered(paths: Paths) -> Settings:
    """What `up` was last told; nothing when that cannot be read."""
    try:
        found = json.loads(paths.settings.read_text())
        return Settings(**{name: found.get(name) for name in Settings.__dataclass_fields__})
    except (OSError, ValueError, AttributeError):
        return Settings()


def remember(paths: Paths, settings: Settings) -> None:
    """Keep what `up` was told. Raises StorageError."""
    text = json.dumps(asdict(settings), indent=2) + "\n"
    written: Path = paths.settings.with_suffix(".new")
    try:
        written.write_text(text)
        written.replace(paths.settings)
    except OSError as error:
        raise StorageError(
            f"{paths.settings} cannot be written ({error.strerror}); free some space or change its permissions"
        ) from None
