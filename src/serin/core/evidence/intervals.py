"""The anytime-valid intervals of many criteria and versions, all at once: what `Evidence.anytime` says of each."""

from __future__ import annotations

import math
from collections.abc import Sequence

from serin.core.evidence.blocks import Edge, last_unrefuted
from serin.core.evidence.contract import Evidence
from serin.core.evidence.of_mean import MeanEvidence
from serin.core.evidence.of_rate import RateEvidence
from serin.core.evidence.rate import intervals_of_rates
from serin.core.model import Interval


def anytime(asked: Sequence[tuple[Evidence, float]]) -> list[Interval | None]:
    """`evidence.anytime(alpha)` of each (evidence, alpha)."""
    found: list[Interval | None] = [None] * len(asked)
    edges: list[tuple[int, tuple[Edge, Edge]]] = []
    rates: list[tuple[int, RateEvidence, float]] = []
    for i, (evidence, alpha) in enumerate(asked):
        if isinstance(evidence, MeanEvidence):
            if (ends := evidence.edges(evidence.alone, alpha, relative=False)) is not None:
                edges.append((i, ends))
        elif isinstance(evidence, RateEvidence):
            if evidence.counted.trials:
                rates.append((i, evidence, math.log(2.0 / alpha)))
        else:
            found[i] = evidence.anytime(alpha)
    for (i, _), interval in zip(edges, between([ends for _, ends in edges]), strict=True):
        found[i] = interval
    turned = intervals_of_rates([(*evidence.weighed, level) for _, evidence, level in rates])
    for (i, evidence, _), interval in zip(rates, turned, strict=True):
        found[i] = evidence.turned(interval)
    return found


def ratios(asked: Sequence[tuple[Evidence, float]]) -> list[Interval | None]:
    """`evidence.anytime_ratio(alpha)` of each (evidence, alpha)."""
    found: list[Interval | None] = [None] * len(asked)
    edges: list[tuple[int, tuple[Edge, Edge]]] = []
    for i, (evidence, alpha) in enumerate(asked):
        if isinstance(evidence, MeanEvidence):
            blocks = evidence.paired
            if blocks is not None and (ends := evidence.edges(blocks, alpha, relative=True)) is not None:
                edges.append((i, ends))
        else:
            found[i] = evidence.anytime_ratio(alpha)
    for (i, _), interval in zip(edges, between([ends for _, ends in edges]), strict=True):
        found[i] = interval
    return found


def between(ends: Sequence[tuple[Edge, Edge]]) -> list[Interval]:
    """The intervals between the (lower, upper) limits that tracks leave possible."""
    limits = last_unrefuted([edge for pair in ends for edge in pair])
    return [Interval(lower, upper) for lower, upper in zip(limits[::2], limits[1::2], strict=True)]
