"""The picture of the papers: wrong promotions of every rule, exactly at the limit and far beyond it. A small SVG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from benchmarks.decisions import ours
from benchmarks.decisions.measures import Measures
from benchmarks.decisions.peers import PEERS

FILE = Path(__file__).parents[2] / "docs" / "decisions.svg"
PANELS = (
    ("S1 1 %", "errors at their limit"),
    ("S1c 1 %", "the same in bursts"),
    ("S2 x1.1", "latency at its limit"),
    ("S4 x2", "errors, 2 for 1.5 allowed"),
)
_NAMES = {"robust": "Serin"}
_LEFT, _WIDTH, _GAP, _ROW, _TOP = 150, 140, 22, 22, 58
_STYLE = (
    "text{font:12px sans-serif;fill:#444}.t{font-weight:bold}.g{stroke:#ddd}.l{stroke:#c33;stroke-dasharray:3 3}"
    ".o{stroke:#888;fill:#888}.s{stroke:#17609c;fill:#17609c}"
    "@media(prefers-color-scheme:dark){text{fill:#bbb}.g{stroke:#444}.s{stroke:#6cf;fill:#6cf}}"
)


def drawn(measures: Sequence[Measures]) -> str | None:
    """The picture, or None where one of its panels was not measured. Dots are shares, lines their 95 % intervals."""
    by_key = {(m.case, m.rule): m for m in measures}
    rules = ["robust", *PEERS]
    if not all((case, rule) in by_key for case, _ in PANELS for rule in rules):
        return None
    width, height = _LEFT + len(PANELS) * (_WIDTH + _GAP), _TOP + _ROW * len(rules) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" role="img" '
        f'aria-label="Wrong promotions in percent, by rule"><style>{_STYLE}</style>',
        '<text class="t" x="4" y="16">Wrong promotions in percent, with 95 % intervals; red: as promised</text>',
    ]
    for row, rule in enumerate(rules):
        parts.append(f'<text x="4" y="{_y(row) + 4}">{escape(_NAMES.get(rule, rule))}</text>')
    for column, (case, title) in enumerate(PANELS):
        parts += _panel(_LEFT + column * (_WIDTH + _GAP), title, [by_key[case, rule] for rule in rules])
    return "\n".join([*parts, "</svg>", ""])


def _y(row: int) -> int:
    return _TOP + _ROW * row + _ROW // 2


def _panel(left: int, title: str, measures: Sequence[Measures]) -> list[str]:
    bottom = _TOP + _ROW * len(measures)
    parts = [f'<text x="{left}" y="40">{escape(title)}</text>']
    for share in (0.0, 0.5, 1.0):
        x = left + share * _WIDTH
        parts.append(f'<line class="g" x1="{x:.0f}" x2="{x:.0f}" y1="{_TOP}" y2="{bottom}"/>')
        parts.append(f'<text x="{x:.0f}" y="{bottom + 16}" text-anchor="middle">{100 * share:.0f}</text>')
    promised = left + ours.ALPHA * _WIDTH
    parts.append(f'<line class="l" x1="{promised:.1f}" x2="{promised:.1f}" y1="{_TOP}" y2="{bottom}"/>')
    for row, m in enumerate(measures):
        low, high = (left + _WIDTH * end for end in m.promoted.interval)
        style = "s" if m.rule in ours.MODES else "o"
        parts.append(f'<line class="{style}" x1="{low:.1f}" x2="{high:.1f}" y1="{_y(row)}" y2="{_y(row)}"/>')
        parts.append(f'<circle class="{style}" cx="{left + _WIDTH * m.promoted.value:.1f}" cy="{_y(row)}" r="4"/>')
    return parts
