"""The images file: which command stands behind an image's name, so that a cluster's manifests run here unchanged.

    images:
      "registry.example.com/fashionmnist:v1":
        entrypoint: [serin, serve, --model-name, fashionmnist, --model-path, models/v1, --host, $(POD_IP)]
        cmd: []
        env: {LOG_LEVEL: info}
        directory: "."

The fields mean what ENTRYPOINT, CMD, ENV and WORKDIR mean in a Containerfile. A name may be a glob. `directory` is
relative to the file's own folder, everything else to `directory`. A file that was changed is read again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from serin.errors import InvalidInput

_LARGEST = 1_000_000
_FIELDS = ("entrypoint", "cmd", "env", "directory")


@dataclass(frozen=True, slots=True)
class Image:
    """What is run for an image. `directory` is absolute."""

    directory: Path
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


class Images:
    """The images of a home. Without a file it knows none, and says how to give one."""

    def __init__(self, path: Path | None = None) -> None:
        """Read the file. Raises InvalidInput with the place of what is wrong in it."""
        self._path = path.absolute() if path else None
        self._stamp: tuple[int, int, int] | None = None
        self._images: dict[str, Image] = {}
        self._refresh()

    def find(self, name: str) -> Image | None:
        """The image of this very name, else of the first glob that matches. Raises InvalidInput if the file broke."""
        self._refresh()
        if name in self._images:
            return self._images[name]
        return next((image for glob, image in self._images.items() if fnmatchcase(name, glob)), None)

    def unknown(self, name: str) -> str:
        """The sentence for an image that is not there: where to add what."""
        if self._path is None:
            return (
                f"no command is known for image '{name}': this home was started without an images file; "
                f"write one ('images: {{\"{name}\": {{entrypoint: [PROGRAM, ARGUMENT]}}}}') "
                f"and start the home with 'serin up --images FILE'"
            )
        entry = f'"{name}": {{entrypoint: [PROGRAM, ARGUMENT]}}'
        return f"image '{name}' is not in {self._path}; add '{entry}' to its 'images'"

    def _refresh(self) -> None:
        if self._path is None:
            return
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if stamp != self._stamp:
                self._images = parse(_read(self._path), self._path)
                self._stamp = stamp
        except OSError as error:
            raise InvalidInput(
                f"cannot read the images file {self._path}: {error.strerror}; mend that, or name another with --images"
            ) from None


def _read(path: Path) -> str:
    with path.open("rb") as file:
        raw = file.read(_LARGEST + 1)
    if len(raw) > _LARGEST:
        raise InvalidInput(f"{path}: the file is larger than {_LARGEST:,} bytes; that is no images file")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise InvalidInput(f"{path}: the file is no UTF-8 text") from None


def parse(text: str, path: Path) -> dict[str, Image]:
    """The images of a file's text, in its order. Raises InvalidInput with file and place."""
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else f"{path}"
        raise InvalidInput(f"{where}: no YAML: {getattr(error, 'problem', None) or error}") from None
    images = document.get("images") if isinstance(document, dict) else None
    if not isinstance(images, dict):
        raise InvalidInput(
            f"{path}: 'images' is missing; write 'images: {{NAME: {{entrypoint: [PROGRAM, ARGUMENT]}}}}'"
        )
    for other in document:
        if other != "images":
            raise InvalidInput(f"{path}: '{other}' is unknown here; the file has one field, 'images'")
    return {str(name): _image(value, f"{path}: images[{name}]", path.parent) for name, value in images.items()}


def _image(value: Any, place: str, folder: Path) -> Image:
    if not isinstance(value, dict):
        raise InvalidInput(f"{place}: write a mapping, for example '{{entrypoint: [PROGRAM, ARGUMENT]}}'")
    for name in value:
        if name not in _FIELDS:
            raise InvalidInput(f"{place}.{name}: unknown field; known are {', '.join(_FIELDS)}")
    directory = value.get("directory", ".")
    if not isinstance(directory, str):
        raise InvalidInput(f"{place}.directory: write a folder's name")
    env = value.get("env") or {}
    if not isinstance(env, dict) or not all(isinstance(v, str | int | float) for v in env.values()):
        raise InvalidInput(f"{place}.env: write names and values, for example '{{LOG_LEVEL: info}}'")
    return Image(
        directory=folder / directory,
        entrypoint=_words(value, "entrypoint", place),
        cmd=_words(value, "cmd", place),
        env={str(name): _text(word) for name, word in env.items()},
    )


def _words(value: dict[str, Any], name: str, place: str) -> tuple[str, ...]:
    words = value.get(name) or []
    if not isinstance(words, list) or not all(isinstance(word, str | int | float) for word in words):
        raise InvalidInput(f"{place}.{name}: write a list of words, for example [PROGRAM, ARGUMENT]")
    return tuple(map(_text, words))


def _text(word: str | int | float) -> str:
    return str(word).lower() if isinstance(word, bool) else str(word)
