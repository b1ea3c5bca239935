"""The columns that `get experiment` prints, as the printer columns of the resource define them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, the path of its value in the object, and whether it is printed by `-o wide` only."""

    name: str
    path: str
    wide: bool = False
    type: str = "string"


NAME = Column("NAME", ".metadata.name")
COLUMNS: Sequence[Column] = (
    Column("TYPE", ".status.experimentType"),
    Column("HOSTS", ".status.effectiveHosts"),
    Column("PHASE", ".status.phase"),
    Column("WINNER FOUND", ".status.assessment.winner.winning_version_found", type="boolean"),
    Column("CURRENT BEST", ".status.assessment.winner.name"),
    Column(
        "CONFIDENCE",
        ".status.assessment.winner.probability_of_winning_for_best_version",
        wide=True,
        type="number",
    ),
    Column("STATUS", ".status.message"),
    Column("BASELINE", ".spec.service.baseline", wide=True),
    Column("CANDIDATES", ".spec.service.candidates", wide=True),
)
"""The contract's columns in their order; NAME stands before them."""


def headings(*, wide: bool = False) -> list[str]:
    """The headings, NAME first."""
    return [column.name for column in _shown(wide)]


def row(experiment: Mapping[str, Any], *, wide: bool = False) -> list[str]:
    """One cell a heading, as kubectl prints it: lists as JSON, booleans in lower case, nothing for what is missing."""
    return [_cell(_at(experiment, column.path)) for column in _shown(wide)]


def _shown(wide: bool) -> list[Column]:
    return [NAME, *(column for column in COLUMNS if wide or not column.wide)]


def _at(obj: Any, path: str) -> Any:
    for step in path.split(".")[1:]:
        obj = obj.get(step) if isinstance(obj, Mapping) else None
    return obj


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
