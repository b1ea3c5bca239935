"""Places in an object: the path of a field as text, and the problems found there."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from serin.errors import InvalidInput

Step = str | int
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PLAIN = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")
_LAST_STEP = re.compile(rf"(?:(?:^|\.){_PLAIN.pattern}|\[[^\[\]]*\])$")


def join(steps: Iterable[Step]) -> str:
    """`("spec", "criteria", 0, "metric")` as `spec.criteria[0].metric`; keys that are no plain word as `[a.b/c]`."""
    text = ""
    for step in steps:
        if isinstance(step, int) or not _PLAIN.fullmatch(step):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong (or doubtful) at a place: `path` as `join` writes it, empty for the whole object."""

    path: str
    text: str

    def __str__(self) -> str:
        """One line for people: line breaks and other control characters of the user's are spelled out."""
        whole = f"{self.path}: {self.text}" if self.path else self.text
        return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), whole)


@dataclass(frozen=True, slots=True)
class Source:
    """Where an object was read: a file name (None: nowhere that a person can open) and the line of each path."""

    name: str | None = None
    lines: Mapping[str, int] | None = None

    def place(self, path: str) -> str:
        """`experiment.yaml:14: ` for a path, by its nearest parent if it is missing; empty when nothing is known."""
        if self.name is None:
            return ""
        line = self._line(path)
        return f"{self.name}: " if line is None else f"{self.name}:{line}: "

    def _line(self, path: str) -> int | None:
        lines = self.lines or {}
        while path not in lines and path:
            path = _LAST_STEP.sub("", path) if _LAST_STEP.search(path) else ""
        return lines.get(path)

    def refusal(self, problems: Sequence[Problem]) -> InvalidInput:
        """The error that tells all problems, one a line, each with its place."""
        return InvalidInput("\n".join(f"{self.place(problem.path)}{problem}" for problem in problems))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'threshold'?` when a known word is near, else nothing."""
    near = difflib.get_close_matches(word.lower(), by_lower := {name.lower(): name for name in known}, n=1)
    return f"; did you mean '{by_lower[near[0]]}'?" if near else ""


def name_of(value: object) -> str:
    """A JSON value in a message, short: `'abc'`, `the number 15`, `a list`."""
    match value:
        case None:
            return "nothing"
        case bool():
            return f"the boolean {str(value).lower()}"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"'{value if len(value) <= 60 else value[:57] + '...'}'"
        case list() | tuple():
            return "a list"
        case dict():
            return "a mapping"
    return f"a value of type {type(value).__name__}"
