"""Reading what a Pod prints, from its files, while it may still be printing."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from serin.ports import Clock

_CHUNK = 65_536
_PAUSE = 0.2


def last_lines(files: tuple[Path, ...], count: int | None) -> tuple[bytes, tuple[int, int] | None]:
    """The last `count` lines (None: all) of some files, and where reading ended: inode and offset of the last file."""
    kept: deque[bytes] = deque(maxlen=count)
    end = None
    for path in files:
        try:
            with path.open("rb") as file:
                kept.extend(file)
                end = os.fstat(file.fileno()).st_ino, file.tell()
        except FileNotFoundError:
            continue  # it was rotated away in this moment
    return b"".join(kept), end


async def follow(
    path: Path, end: tuple[int, int] | None, clock: Clock, over: Callable[[], Awaitable[bool]]
) -> AsyncIterator[bytes]:
    """What is written to `path` from there on, through rotations, until `over` says that nothing more comes."""
    inode, offset = end or (0, 0)
    while True:
        finished = await over()  # asked before reading: what was written before the end is read
        try:
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_ino != inode:
                    async for chunk in _rest(path, inode, offset):
                        yield chunk
                    inode, offset = os.fstat(file.fileno()).st_ino, 0
                file.seek(offset)
                while chunk := file.read(_CHUNK):
                    offset += len(chunk)
                    yield chunk
        except FileNotFoundError:
            pass  # not there yet, or removed with its Pod
        if finished:
            return
        await clock.sleep(_PAUSE)


async def _rest(path: Path, inode: int, offset: int) -> AsyncIterator[bytes]:
    """What was still written to the file that has just been rotated away."""
    for older in (path.with_suffix(".1.log"), path.with_name("previous.log")):
        try:
            with older.open("rb") as file:
                if os.fstat(file.fileno()).st_ino == inode:
                    file.seek(offset)
                    yield file.read()
        except FileNotFoundError:
            continue
