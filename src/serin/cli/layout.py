"""How `describe` lays text out: names with their values, small tables, long texts wrapped, within 100 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

WIDTH = 100
GAP = 3
NARROWEST_TEXT = 30


def fields(pairs: Iterable[tuple[str, str]], indent: int = 0) -> list[str]:
    """`Name:   value` lines, values in one column and wrapped there; a pair without a value is left out."""
    given = [(name, value) for name, value in pairs if value]
    column = indent + max((len(name) for name, _ in given), default=0) + 1 + GAP
    lines = []
    for name, value in given:
        lines += _hanging(f"{' ' * indent}{name}:".ljust(column), value)
    return lines


def table(rows: Sequence[Sequence[str]], indent: int = 2) -> list[str]:
    """Aligned rows under their header; empty columns are left out and the last one is wrapped.

    What is too wide for a table becomes a paragraph of fields a row.
    """
    kept = [i for i in range(len(rows[0])) if any(row[i] for row in rows[1:])]
    shown = [[row[i] for i in kept] for row in rows]
    widths = [max(len(row[i]) for row in shown) for i in range(len(kept))]
    lines = []
    for row in shown:
        start = " " * indent + "".join(cell.ljust(width + GAP) for cell, width in zip(row[:-1], widths, strict=False))
        lines += _hanging(start, row[-1])
    return lines if max(map(len, lines)) <= WIDTH else _records(shown, indent)


def _records(rows: Sequence[Sequence[str]], indent: int) -> list[str]:
    header, *rest = rows
    lines = []
    for row in rest:
        lines += _hanging(" " * indent, row[0])
        lines += fields(zip((name.capitalize() for name in header[1:]), row[1:], strict=True), indent + 2)
    return lines


def paragraph(text: str, indent: int, bullet: str = "") -> list[str]:
    """A text on its own, wrapped under its bullet."""
    return _hanging(f"{' ' * indent}{bullet}", text)


def _hanging(start: str, text: str) -> list[str]:
    """`text` after `start`, its further lines under its first."""
    room = max(WIDTH - len(start), NARROWEST_TEXT)
    clean = "".join(char if char.isprintable() else " " for char in text)
    first, *rest = textwrap.wrap(clean, room, break_long_words=False, break_on_hyphens=False) or [""]
    return [f"{start}{first}".rstrip(), *(f"{' ' * len(start)}{line}" for line in rest)]
