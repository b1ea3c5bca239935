"""Envoy's unix sockets in a folder, however deep the folder is."""

from __future__ import annotations

import os
from pathlib import Path

ADMIN = "admin.sock"
WORKER = "worker.sock"
_LONGEST = 100  # bytes; a unix socket's address holds 107


class Sockets:
    """Paths by which the sockets in `folder` can be connected to, until `close`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor: int | None = None
        if len(os.fsencode(folder / WORKER)) > _LONGEST:  # reach a deep folder by its descriptor
            self._descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            self._folder = Path(f"/proc/self/fd/{self._descriptor}")

    def path(self, name: str) -> Path:
        """Where the socket of this name is."""
        return self._folder / name

    def close(self) -> None:
        """Give the folder's descriptor back; the paths are not valid any more."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
