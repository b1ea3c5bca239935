"""The evidence about one criterion of one version: what a decision needs, and nothing of how it is made.

    evidence = start(criterion, analysis, horizon=180)
    evidence = evidence.update(own, baseline, seconds=1.0)      # at every reading
    evidence.log_for >= needed and evidence.enough              # proven to comply
    evidence.log_against >= needed                              # proven to violate

Evidence is immutable, its state is small and bounded however long the experiment runs, and the same readings give the
same bytes. Which rule weighs it (rates, means, counters; fixed or relative limits; robust, strict or independent) is
chosen by `start` and is nobody else's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serin.core.evidence import of_count, of_mean, of_rate
from serin.core.evidence.blocks import EMPTY
from serin.core.evidence.contract import CERTAIN, Evidence, Sums
from serin.core.evidence.mixture import LateStart
from serin.core.evidence.of_count import CountEvidence, CountRule
from serin.core.evidence.of_mean import MeanEvidence, MeanRule
from serin.core.evidence.of_rate import RateEvidence, RateRule
from serin.core.model import Analysis, Criterion, LimitKind, MeasureKind
from serin.errors import InvalidInput

__all__ = ["CERTAIN", "Evidence", "Sums", "from_json", "start"]

_Rule = CountRule | MeanRule | RateRule


def start(criterion: Criterion, analysis: Analysis, horizon: int, own_baseline: bool = False) -> Evidence:
    """Evidence before the first reading.

    horizon        readings to be expected until the end; it only weighs violations that begin late, more are fine
    own_baseline   the version is the baseline: judged against an absolute limit, only estimated for a relative one

    Raises InvalidInput for a relative limit on a counter.
    """
    rule = _rule(criterion, analysis, own_baseline)
    if isinstance(rule, CountRule):
        return CountEvidence(rule)
    if isinstance(rule, MeanRule):
        return MeanEvidence(rule, paired=(EMPTY, EMPTY) if rule.relative else None)
    return RateEvidence(rule, LateStart(max(1, int(horizon))))


def from_json(
    criterion: Criterion, analysis: Analysis, state: Mapping[str, Any], own_baseline: bool = False
) -> Evidence:
    """The evidence whose `to_json` this is. Raises InvalidInput when it is none, or of another kind of criterion."""
    rule = _rule(criterion, analysis, own_baseline)
    kind = {CountRule: "count", MeanRule: "mean", RateRule: "rate"}[type(rule)]
    if state.get("kind") != kind:
        raise InvalidInput(
            f"the recorded evidence about {criterion.metric} is of kind {state.get('kind')!r}, not {kind!r}: "
            "it belongs to another criterion; start the experiment anew"
        )
    try:
        if isinstance(rule, CountRule):
            return of_count.from_json(rule, state)
        if isinstance(rule, MeanRule):
            return of_mean.from_json(rule, state)
        return of_rate.from_json(rule, state)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(
            f"the recorded evidence about {criterion.metric} cannot be read ({error!r}); start the experiment anew"
        ) from error


def _rule(criterion: Criterion, analysis: Analysis, own_baseline: bool) -> _Rule:
    measure, limit = criterion.measure, criterion.limit
    relative = limit is not None and limit.kind is LimitKind.RELATIVE
    if relative and measure.kind is MeasureKind.COUNTER:
        raise InvalidInput(
            f"the criterion on {criterion.metric} has a relative limit, but a counter has none to be relative to: "
            "write an absolute one, or use a ratio metric"
        )
    value = None if limit is None or (relative and own_baseline) else limit.value
    relative = relative and value is not None and value > 0
    if measure.kind is MeasureKind.COUNTER:
        return CountRule(value, measure.lower_is_better)
    if measure.kind is MeasureKind.MEAN:
        return MeanRule(value, measure.lower_is_better, relative, analysis.mode)
    return RateRule.of(value, measure.lower_is_better, relative, analysis.mode)
