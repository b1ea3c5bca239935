"""Where things are in a home's folder, and which folder it is when none is named. Touches nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from serin.errors import UsageError


def default_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """`$SERIN_HOME`, else `serin` in the XDG state home. Absolute. Raises UsageError when the user has no directory."""
    if named := environment.get("SERIN_HOME"):
        return named_folder(named)
    state = environment.get("XDG_STATE_HOME", "")
    # The XDG specification: a relative path is invalid and is to be ignored.
    return (Path(state) if state.startswith("/") else named_folder("~/.local/state")) / "serin"


def named_folder(name: str) -> Path:
    """The absolute path of a folder as a person names it, `~` and `~NAME` included. Raises UsageError."""
    try:
        return Path(name).expanduser().absolute()
    except RuntimeError:
        raise UsageError(
            f"'{name}' is below the home directory of a user whom this machine does not know; name a folder with --home"
        ) from None


@dataclass(frozen=True, slots=True)
class Paths:
    """The parts of a home's folder, which is absolute."""

    folder: Path

    @property
    def lock(self) -> Path:
        """Locked by the daemon while it lives; its presence marks the folder as a home."""
        return self.folder / "home.lock"

    @property
    def objects(self) -> Path:
        """The objects, in sqlite."""
        return self.folder / "objects.db"

    @property
    def recordings(self) -> Path:
        """What experiments were told, in sqlite, for `serin replay`."""
        return self.folder / "recordings.db"

    @property
    def socket(self) -> Path:
        """The control socket."""
        return self.folder / "control.sock"

    @property
    def settings(self) -> Path:
        """What `up` was last told, so that a bare `up` does the same again."""
        return self.folder / "settings.json"

    @property
    def log(self) -> Path:
        """What the daemon reports, one JSON object a line."""
        return self.folder / "home.log"

    @property
    def printed(self) -> Path:
        """What the daemon and its gateway print past the log: the last words of a crash."""
        return self.folder / "home.out"

    @property
    def pod_logs(self) -> Path:
        """What the Pods print."""
        return self.folder / "logs"

    @property
    def run(self) -> Path:
        """Records of the running processes."""
        return self.folder / "run"

    @property
    def gateway(self) -> Path:
        """The gateway's configuration and its admin socket."""
        return self.folder / "gateway"
