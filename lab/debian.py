"""A program out of a Debian package without installing the package: no root, no service that starts, no user made.

The package comes by apt's own client, with its signatures checked, and is unpacked into the cache.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from lab.errors import CannotHaveLab


def program(package: str, path: str, cache: Path, say: Callable[[str], None]) -> Path:
    """The program of that path in the package. Raises CannotHaveLab without apt, or when the package is not there."""
    kept = cache / package
    if not (kept / path).exists():
        say(f"fetching Debian's package '{package}'")
        _fetch(package, path, kept)
    return kept / path


def _fetch(package: str, path: str, kept: Path) -> None:
    for tool in ("apt-get", "dpkg-deb"):
        if not shutil.which(tool):
            raise CannotHaveLab(
                f"the lab takes {package} from Debian's package, and this machine has no '{tool}'; run it on Debian or"
                f" Ubuntu, or put the program at {kept / path}"
            )
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
        folder = Path(scratch)
        _download(package, folder)
        _run(["dpkg-deb", "-x", next(folder.glob(f"{package}_*.deb")).name, "unpacked"], folder)
        if not (folder / "unpacked" / path).is_file():
            raise CannotHaveLab(f"Debian's package '{package}' holds no /{path}; it is not the one that the lab knows")
        shutil.rmtree(kept, ignore_errors=True)
        (folder / "unpacked").rename(kept)


def _download(package: str, folder: Path) -> None:
    """With the machine's package lists, or with lists of our own where it has none or stale ones."""
    try:
        _run(["apt-get", "download", package], folder)
    except CannotHaveLab:
        for name in ("lists/partial", "cache/archives/partial"):
            (folder / name).mkdir(parents=True)
        own = (f"-oDir::State::lists={folder}/lists", f"-oDir::Cache={folder}/cache", "-oAPT::Sandbox::User=")
        _run(["apt-get", *own, "update"], folder)
        _run(["apt-get", *own, "download", package], folder)


def _run(words: Sequence[str], folder: Path) -> None:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        raise CannotHaveLab(f"'{' '.join(words)}' failed: {(done.stderr or done.stdout).strip()[-300:]}")
