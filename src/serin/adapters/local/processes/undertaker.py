"""Waits for the home's end and ends what the home's processes had started themselves.

    python -P -m serin.adapters.local.processes.undertaker LIFE_FOLDER      (its standard input is a pipe from the home)

The kernel ends the home's children with the home, but not their children. This process holds the other end of a pipe
that closes when the home dies, however it dies, and ends every process of that life.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

from serin.adapters.local.processes.leftovers import end_life


class Undertaker:
    """The home's end of it."""

    def __init__(self, life: Path) -> None:
        """Start it. Raises OSError when the machine refuses another process."""
        words = [sys.executable, "-P", "-m", __spec__.name, str(life)]
        self._popen = subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True)

    def close(self) -> None:
        """Let it do its work now, and wait for it."""
        assert self._popen.stdin is not None
        self._popen.stdin.close()
        self._popen.wait()


def main() -> None:
    """Wait for the end of standard input, then end the life."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)  # whoever ends the home by a signal to all must not end this first
    with contextlib.suppress(OSError):
        while sys.stdin.buffer.read(1):
            pass
    end_life(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
