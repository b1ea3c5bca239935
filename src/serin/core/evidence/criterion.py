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

import math
from collections.abc import Mapping, Sequence
from typing import Any

from serin.core.evidence import of_count, of_mean, of_rate
from serin.core.evidence.blocks import EMPTY
from serin.core.evidence.contract import CERTAIN, Evidence, Sums
from serin.core.evidence.learning import RatePast
from serin.core.evidence.of_count import CountEvidence, CountRule
from serin.core.evidence.of_mean import MeanEvidence, MeanRule
from serin.core.evidence.rate_rule import RateRule
from serin.core.evidence.spread import MeanPast
from serin.core.model import Analysis, Criterion, Limit, LimitKind, Measure, MeasureKind
from serin.errors import InvalidInput

__all__ = ["CERTAIN", "Evidence", "Past", "Sums", "from_json", "judge", "learn", "past_from_json", "start"]

_Rule = CountRule | MeanRule | RateRule


Past = RatePast | MeanPast
"""What the baseline's history says about a criterion, see `learn`."""


def learn(criterion: Criterion, units: Sequence[Sums], halves: Sequence[tuple[Sums, Sums]] = ()) -> Past | None:
    """What the baseline's counts before the start say about how the values of a criterion scatter.

    units    its increments, UNIT (15) seconds each, without gaps (an empty one where nothing came)
    halves   the same of two halves of its pods: a comparison in which nothing can be different
    returns  None where there is nothing to learn
    """
    limit, measure = criterion.limit, criterion.measure
    if measure.kind is MeasureKind.COUNTER or not any(unit.trials for unit in units):
        return None
    if measure.kind is MeasureKind.MEAN:
        return MeanPast.of(units, halves)
    if limit is None:
        return None
    flipped = limit.kind is LimitKind.ABSOLUTE and limit.value > 0.5
    rule = RateRule(limit.value, True, False, Analysis().mode, flipped)
    return RatePast.of([rule.seen(u) for u in units], [(rule.seen(a), rule.seen(b)) for a, b in halves])


def past_from_json(state: Mapping[str, Any]) -> Past:
    """The history whose `to_json` this is. Raises KeyError, TypeError or ValueError when it is none."""
    return MeanPast.from_json(state) if state["kind"] == "mean" else RatePast.from_json(state)


def start(
    criterion: Criterion,
    analysis: Analysis,
    horizon: int,
    own_baseline: bool = False,
    candidates: int = 1,
    past: Past | None = None,
) -> Evidence:
    """Evidence before the first reading.

    horizon        readings to be expected until the end; it only weighs violations that begin late, more are fine
    own_baseline   the version is the baseline: judged against an absolute limit, only estimated for a relative one
    candidates     among how many candidates `falsePromotion` is divided
    past           what `learn` made of the baseline's history

    Raises InvalidInput for a relative limit on a counter.
    """
    rule = _rule(criterion, analysis, own_baseline, candidates, past)
    if isinstance(rule, CountRule):
        return CountEvidence(rule)
    if isinstance(rule, MeanRule):
        return MeanEvidence(rule, paired=(EMPTY, EMPTY) if rule.relative else None)
    return of_rate.begin(rule, int(horizon))


def judge(
    kind: str,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    relative: bool = False,
    analysis: Analysis | None = None,
    past: Past | None = None,
    horizon: int = 120,
) -> Evidence:
    """Evidence about one limit, for whoever has counts and no experiment.

    kind                 "rate" (a share of trials), "mean" (any other ratio of two sums) or "counter"
    at_most, at_least    the limit: one of the two
    relative             the limit is a factor of the baseline's value, which is given to every `update`
    analysis             error rates and mode; past, horizon: as for `start`

    Raises InvalidInput for another kind, and for none or two limits.
    """
    if kind not in list(MeasureKind):
        raise InvalidInput(f"{kind!r} is no kind of evidence; there are {', '.join(MeasureKind)}")
    given = at_least if at_most is None else at_most
    if given is None or (at_most is not None and at_least is not None):
        raise InvalidInput("a limit is needed to judge by: give one of at_most and at_least")
    measure = Measure(MeasureKind(kind), "total", "trials", lower_is_better=at_most is not None)
    limit = Limit(LimitKind.RELATIVE if relative else LimitKind.ABSOLUTE, given)
    return start(Criterion("0", kind, measure, limit), analysis or Analysis(), horizon, past=past)


def from_json(
    criterion: Criterion,
    analysis: Analysis,
    state: Mapping[str, Any],
    own_baseline: bool = False,
    candidates: int = 1,
    past: Past | None = None,
) -> Evidence:
    """The evidence whose `to_json` this is. Raises InvalidInput when it is none, or of another kind of criterion."""
    rule = _rule(criterion, analysis, own_baseline, candidates, past)
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


def _rule(criterion: Criterion, analysis: Analysis, own_baseline: bool, candidates: int, past: Past | None) -> _Rule:
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
        known_mean = past if isinstance(past, MeanPast) else MeanPast()
        return MeanRule(value, measure.lower_is_better, relative, analysis.mode, known_mean)
    events = analysis.burst * math.log(candidates / analysis.false_promotion)
    return RateRule.of(
        value, measure.lower_is_better, relative, analysis.mode, events, past if isinstance(past, RatePast) else None
    )
