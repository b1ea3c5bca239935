"""The control socket: a unix socket that only the owner may open, however long the path of the home's folder."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from serin.errors import StorageError

_LONGEST = 107
"""Bytes of a unix socket's address on Linux, without the final zero."""


@contextmanager
def address(path: Path) -> Iterator[str]:
    """A path to the socket that is short enough to be its address, valid inside the block. Raises FileNotFoundError."""
    if len(os.fsencode(path)) <= _LONGEST:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def listen(path: Path) -> socket.socket:
    """Listen on a new socket at `path`, in the place of one that a dead home left. Only for who owns the folder."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        with address(path) as short:
            before = os.umask(0o177)
            try:
                listener.bind(short)
            finally:
                os.umask(before)
        listener.listen(128)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise StorageError(f"{path} cannot be opened ({error.strerror}); change the folder's permissions") from None
    return listener
