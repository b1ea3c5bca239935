"""kubectl's table layout: columns three spaces apart, the last one not padded, widths that only grow while watching."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

PADDING = 3
NARROWEST = 6


class Aligner:
    """Pads rows as kubectl's tab writer does. It remembers the widths, so that lines that come later stay in line."""

    def __init__(self) -> None:
        self._widths: list[int] = []

    def lines(self, rows: Iterable[Sequence[str]]) -> list[str]:
        """The rows as lines, aligned with each other and, as far as they fit, with all rows before."""
        clean = [[_one_line(cell) for cell in row] for row in rows]
        for row in clean:
            self._widths.extend([NARROWEST] * (len(row) - len(self._widths)))
            for column, cell in enumerate(row[:-1]):
                self._widths[column] = max(self._widths[column], len(cell) + PADDING)
        return [self._pad(row) for row in clean]

    def _pad(self, row: Sequence[str]) -> str:
        return "".join(cell.ljust(width) for cell, width in zip(row[:-1], self._widths, strict=False)) + row[-1]


def _one_line(cell: str) -> str:
    """Cut at the first line break, as kubectl does; escapes are made visible: no object may draw on a terminal."""
    first = cell.splitlines()[0] if cell.strip("\r\n\f") else ""
    text = first + ("..." if first != cell else "")
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
