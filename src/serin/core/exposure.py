"""The exposure budget: how much traffic candidates may have so that the extra failures stay within what is accepted.

A failure is one that a criterion on a share of requests counts; *extra* are those beyond what the criterion's limit
allows. Whatever is proven to be below its limit costs nothing. As in conservative bandits (Wu, Shariff, Lattimore,
Szepesvári 2016), with the same evidence that decides.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from serin.core import words
from serin.core.decide import ByCriterion, is_relative
from serin.core.evidence.criterion import Evidence
from serin.core.model import BASELINE, Criterion, Finding, MeasureKind, Plan, Reason

_LEAST_EXCESS = 1e-9


@dataclass(frozen=True, slots=True)
class Failures:
    """Failures of one candidate by one criterion.

    requests, failures   so far
    allowed              the share of requests that may fail
    at_most              the share that may turn out to fail, by the anytime-valid interval; 1 while nothing is known
    """

    requests: float
    failures: float
    allowed: float
    at_most: float = 1.0

    @property
    def extra(self) -> float:
        """Failures beyond what the limit allows so far, >= 0."""
        return max(0.0, self.failures - self.allowed * self.requests)


def counts(criterion: Criterion) -> bool:
    """Whether a criterion counts failures: a limit on a share of requests."""
    return criterion.limit is not None and criterion.measure.kind is MeasureKind.RATE and criterion.quantile is None


def most_requests(left: float, allowed: float, at_most: float) -> float:
    """How many requests a candidate may get next, so that the extra failures expected stay within what is left.

        (left - 1) / max(at_most - allowed, eps)

    While the true share of failures is at most `at_most`, requests * (share - allowed) < left, whatever it is; before
    the first request `at_most` is 1, and the first step is about as many requests as failures are accepted. One failure
    is kept in reserve: failures are whole, and a row of steps that each expects to end at the budget goes over it by
    0.7 in the mean (simulated; with the reserve below it).

    left     of the budget; negative when it is overdrawn
    returns  >= 0; infinite when a violation is excluded
    """
    excess = at_most - allowed
    return math.inf if excess <= 0.0 else max(0.0, left - 1.0) / max(excess, _LEAST_EXCESS)


def largest_weights(
    plan: Plan, evidence: Mapping[str, ByCriterion], alive: Iterable[str], per_interval: float
) -> dict[str, int]:
    """The largest weight that each candidate in `alive` may have in the next interval; empty without a budget.

    evidence       of every version, also of those that are rolled back: what they have spent is spent
    per_interval   requests to be expected of all versions in the next interval

    Whole percents, rounded down. What is left is divided evenly among the candidates that may still cost something.
    """
    budget, judged = plan.analysis.exposure_budget, [c for c in plan.limited if counts(c)]
    candidates = [v for v in alive if v != BASELINE]
    if budget is None or not judged or not candidates or per_interval <= 0.0:
        return {}
    most = dict.fromkeys(candidates, math.inf)
    for criterion in judged:
        seen = _seen(plan, criterion, evidence)
        left = budget - math.fsum(seen[v].extra for v in sorted(seen, key=plan.name))
        risky = [v for v in candidates if seen[v].at_most > seen[v].allowed]
        for v in risky:
            most[v] = min(most[v], most_requests(left / len(risky), seen[v].allowed, seen[v].at_most))
    return {v: math.floor(min(100.0, 100.0 * n / per_interval) + 1e-9) for v, n in most.items()}


def spent(plan: Plan, evidence: Mapping[str, ByCriterion]) -> float:
    """The extra failures of all candidates so far, by the criterion that counts most of them."""
    judged = (_seen(plan, c, evidence) for c in plan.limited if counts(c))
    return max((math.fsum(sorted(f.extra for f in seen.values())) for seen in judged), default=0.0)


def finding(plan: Plan, version: str, weight: int, extra: float) -> Finding:
    """Why a candidate has no more traffic than `weight` percent."""
    budget = plan.analysis.exposure_budget or 0.0
    text = (
        f"no more than {weight} % of the traffic for now, by analysis.exposureBudget: {words.number(extra)} of "
        f"{words.number(budget)} extra failures are spent, and what is known does not exclude the rest"
    )
    if weight == 0:
        text += "; a larger budget or a shorter duration.interval lets it go on"
    return Finding(Reason.EXPOSURE_BUDGET, text, version)


def _seen(plan: Plan, criterion: Criterion, evidence: Mapping[str, ByCriterion]) -> dict[str, Failures]:
    """What each candidate has failed by one criterion."""
    reference = evidence[BASELINE][criterion.id].value
    return {v: _failures(plan, criterion, by[criterion.id], reference) for v, by in evidence.items() if v != BASELINE}


def _failures(plan: Plan, criterion: Criterion, evidence: Evidence, baseline: float | None) -> Failures:
    """What one candidate has failed, in the direction in which the criterion counts failures."""
    lower = criterion.measure.lower_is_better
    allowed = _allowed(criterion, baseline)
    if evidence.value is None:
        return Failures(0.0, 0.0, allowed)
    share = evidence.value if lower else 1.0 - evidence.value
    interval = evidence.anytime(plan.analysis.false_rollback)
    at_most = 1.0 if interval is None else interval.upper if lower else 1.0 - interval.lower
    return Failures(evidence.trials, share * evidence.trials, allowed, min(1.0, max(0.0, at_most)))


def _allowed(criterion: Criterion, baseline: float | None) -> float:
    """The share of requests that may fail; none while a limit relative to the baseline cannot be told."""
    limit = criterion.limit
    if limit is None or (is_relative(criterion) and baseline is None):
        return 0.0
    bound = limit.value * (baseline or 0.0) if is_relative(criterion) else limit.value
    return min(1.0, max(0.0, bound if criterion.measure.lower_is_better else 1.0 - bound))
