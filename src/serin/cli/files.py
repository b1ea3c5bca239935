"""`-f FILE`, `-f FOLDER`, `-f -`, several of them and `-R`: the objects in files, in the order given."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from serin.api import manifest
from serin.api.manifest import Manifest
from serin.errors import InvalidInput, UsageError

STDIN = "-"


def read_all(filenames: Sequence[str], *, recursive: bool = False) -> list[Manifest]:
    """The objects of all files. Raises UsageError when no file is named, InvalidInput with the place otherwise."""
    if not filenames:
        raise UsageError("name a file or a folder with -f, or -f - for standard input")
    if list(filenames).count(STDIN) > 1:
        raise UsageError("-f - can be given once only")
    return [found for filename in filenames for found in _read(filename, recursive=recursive)]


def _read(filename: str, *, recursive: bool) -> Iterator[Manifest]:
    if filename == STDIN:
        yield from manifest.parse(sys.stdin.buffer.read(manifest.MAX_BYTES + 1), "stdin")
        return
    if filename.startswith(("http://", "https://")):
        raise UsageError(f"-f {filename}: files are read from this machine only; fetch it first")
    path = Path(filename)
    if not (recursive and path.is_dir()):
        yield from manifest.read(path)
        return
    files = sorted(file for file in path.rglob("*") if file.suffix in manifest.SUFFIXES and file.is_file())
    if not files:
        raise InvalidInput(f"{path}: neither the folder nor those in it hold a manifest")
    for file in files:
        yield from manifest.read(file)
