"""What one reading says about one criterion."""

from __future__ import annotations

from collections.abc import Mapping

from serin.core.evidence.contract import Sums
from serin.core.model import Criterion, MeasureKind


def sums(criterion: Criterion, counts: Mapping[str, float]) -> Sums | None:
    """The increments of a version that a criterion is made of; None when a part of it is unknown.

    counts   counter name -> increment, of one version
    """
    measure = criterion.measure
    total = counts.get(measure.numerator)
    if total is None:
        return None
    if measure.kind is MeasureKind.COUNTER or measure.denominator is None:
        return Sums(0.0, total)
    trials = counts.get(measure.denominator)
    return None if trials is None else Sums(trials, total)
