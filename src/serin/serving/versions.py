"""Which versions stand in a model's folder, which of them are served, and under which labels.

A model's folder holds a numbered folder for each version, each a SavedModel: `fashionmnist/1`, `fashionmnist/2`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from serin.errors import InvalidInput, NotFound, UsageError

LATEST, ALL = "latest", "all"
_FILES = ("saved_model.pb", "saved_model.pbtxt", "saved_model.cpb")


@dataclass(frozen=True, slots=True)
class Served:
    """The versions to serve, oldest first, with their folders, and the version that each label means."""

    folders: dict[int, Path]
    labels: dict[str, int] = field(default_factory=dict)

    @property
    def latest(self) -> int:
        """The version that answers when a request names none."""
        return max(self.folders)


def choose(folder: Path, policy: str = LATEST, labels: Sequence[str] = ()) -> Served:
    """The versions of `folder` under a policy: `latest`, `all`, or numbers with commas. Raises SerinError."""
    there = _present(folder)
    if policy == ALL:
        wanted = set(there)
    elif policy == LATEST:
        wanted = {max(there)}
    else:
        wanted = _numbers(policy)
    missing = sorted(wanted - set(there))
    if missing:
        raise NotFound(f"{folder} has no version {missing[0]}; it has {', '.join(map(str, sorted(there)))}")
    return Served({number: there[number] for number in sorted(wanted)}, _labels(labels, wanted))


def _present(folder: Path) -> dict[int, Path]:
    if not folder.is_dir():
        raise NotFound(f"the model folder {folder} is not there; give --model-path the folder that holds the versions")
    if _is_saved_model(folder):
        raise InvalidInput(
            f"{folder} is a SavedModel itself; give --model-path the folder above it, in which versions have numbers"
        )
    there = {int(entry.name): entry for entry in folder.iterdir() if _is_number(entry.name) and _is_saved_model(entry)}
    if not there:
        raise NotFound(f"{folder} holds no version; a version is a SavedModel in a numbered folder, {folder}/1")
    return there


def _numbers(policy: str) -> set[int]:
    words = policy.split(",")
    if not all(_is_number(word.strip()) for word in words):
        raise UsageError(f"--model-version-policy '{policy}' is neither 'latest' nor 'all' nor versions like '1,2'")
    return {int(word) for word in words}


def _labels(labels: Sequence[str], wanted: set[int]) -> dict[str, int]:
    chosen = {}
    for text in labels:
        label, equals, number = text.partition("=")
        if not label or not equals or not _is_number(number):
            raise UsageError(f"--version-label '{text}' is not of the form LABEL=VERSION, for example stable=1")
        if int(number) not in wanted:
            served = ", ".join(map(str, sorted(wanted)))
            raise UsageError(f"--version-label '{text}' names a version that is not served; served are {served}")
        chosen[label] = int(number)
    return chosen


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()


def _is_saved_model(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _FILES)
