"""The daemon as a process: `python -m serin.home --home FOLDER`. People type `serin up`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

Say = Callable[[str], None]


def main(words: Sequence[str] | None = None, say: Say = lambda _: None) -> None:
    """Own the folder and be its home until the end. Raises errors of `serin.errors` only in the foreground."""
    parser = argparse.ArgumentParser(prog="python -m serin.home", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--images")
    parser.add_argument("--gateway-port", type=int)
    parser.add_argument("--foreground", action="store_true")
    parser.add_argument("--detach", action="store_true", help="fork first, so that nobody has to wait for this child")
    parser.add_argument("--tell", type=int, help="file descriptor for progress, readiness or an error, as JSON lines")
    given = parser.parse_args(words)
    if given.detach and os.fork():
        os._exit(0)
    # Only now: what a fork copies is to be little, and everything that has threads comes after it.
    from serin.errors import SerinError
    from serin.home import wire

    teller = Teller(given.tell, say)
    try:
        _run(given, teller)
    except SerinError as error:
        if given.foreground:
            raise
        teller.tell({"error": wire.failure(error)[1]})
        sys.exit(error.exit_code)


def _run(given: argparse.Namespace, teller: Teller) -> None:
    """Be the home. Raises SerinError, UsageError when a part of the installation is missing."""
    from serin.errors import UsageError
    from serin.home.folder import Settings
    from serin.home.paths import Paths

    teller.progress("loading")
    try:
        from serin.home import running
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("serin"):
            raise
        raise UsageError(
            f"a home on this machine needs the Python module '{error.name}', which is not installed; "
            "install serin with its extra 'local': pip install 'serin[local]'"
        ) from None
    running.run(
        Paths(given.home.absolute()), Settings(given.images, given.gateway_port), teller, terminal=given.foreground
    )


class Teller:
    """Tells whoever started the home how far it is, until it is ready; through a pipe, or a function in a terminal."""

    def __init__(self, pipe: int | None, say: Say) -> None:
        self._pipe = pipe
        self._say = say

    def progress(self, line: str) -> None:
        """What is being done."""
        self._say(line)
        self.tell({"progress": line})

    def ready(self, status: dict[str, object]) -> None:
        """Everything runs; nobody listens any more."""
        gateway = status.get("gateway")
        address = gateway.get("address") if isinstance(gateway, dict) else None
        self._say(f"ready: gateway {address}, folder {status.get('folder')}; end with Ctrl-C")
        self.tell({"ready": status})
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None

    def tell(self, message: dict[str, object]) -> None:
        """One JSON line."""
        if self._pipe is None:
            return
        rest = json.dumps(message).encode() + b"\n"
        try:
            while rest:
                rest = rest[os.write(self._pipe, rest) :]
        except OSError:  # whoever started us is gone; the home goes on
            self._pipe = None


if __name__ == "__main__":
    main()
