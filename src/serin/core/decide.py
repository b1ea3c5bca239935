"""How each version stands: what is proven for and against it, how likely it is the best, and what that allows.

Proofs come from the e-processes and decide, at the levels of the budget; chances come from the posteriors and only
steer traffic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from serin.core import words
from serin.core.budget import budget
from serin.core.evidence.criterion import Evidence
from serin.core.evidence.posterior import Posterior, probability_of_satisfying, win_probabilities
from serin.core.model import (
    BASELINE,
    Criterion,
    Finding,
    LimitKind,
    MeasureKind,
    Plan,
    Reason,
    Strategy,
)

_CUT_OFF = 0.05
"""With `cutoffTrafficOnViolation`: no traffic while the chance to meet the criterion is below this."""

_UNKNOWN = 0.5
"""The chance to meet a criterion about which nothing is known; it steers the first step only."""

ByCriterion = Mapping[str, Evidence]


@dataclass(frozen=True, slots=True)
class Standing:
    """One version as the evidence sees it.

    proofs       criteria with a limit that are proven to be kept -> the highest evidence for it so far, in nats
    harm         the violation that is proven, None if there is none
    proven       every limit is proven to be kept, with enough data; False where there is no limit
    margin       nats by which the weakest criterion is (or is not yet) proven
    satisfying   chance to meet every criterion, None while nothing is known; 1 where only a reward is asked for
    cut_off      a criterion with `cutoffTrafficOnViolation` that is probably violated, not yet proven
    reward       what is believed of its reward, None in an experiment without one; `lower` whether less is better
    beaten       versions whose reward it is proven to beat -> evidence in nats
    """

    version: str
    evidence: ByCriterion
    proofs: Mapping[str, float] = field(default_factory=dict)
    harm: Finding | None = None
    proven: bool = False
    margin: float = -math.inf
    satisfying: float | None = None
    cut_off: Criterion | None = None
    reward: Posterior | None = None
    lower: bool = False
    beaten: Mapping[str, float] = field(default_factory=dict)


def is_performance(plan: Plan) -> bool:
    """Whether there is nothing to compare: no candidate, or the baseline as its own candidate."""
    return all(name == plan.baseline for name in plan.candidates)


def proven_harm(plan: Plan, evidence: ByCriterion, baseline: ByCriterion) -> Finding | None:
    """The violation that is proven most clearly, in words."""
    needed = budget(plan).rollback
    crossed = [c for c in plan.limited if evidence[c.id].log_against >= needed]
    if not crossed:
        return None
    worst = max(crossed, key=lambda c: evidence[c.id].log_against)
    own = evidence[worst.id]
    interval = own.anytime(plan.analysis.false_rollback)
    text = words.against_limit(worst, own, interval, baseline[worst.id].value)
    if worst.measure.kind is MeasureKind.COUNTER:
        return Finding(Reason.COUNTER_BREACHED, text, criterion=worst.id)
    chance = words.one_in(own.log_against)
    text = f"{text}; a version that keeps the limit shows this with a chance of at most {chance}"
    return Finding(Reason.PROVEN_HARM, text, criterion=worst.id)


def proofs(plan: Plan, evidence: ByCriterion, before: Mapping[str, float]) -> dict[str, float]:
    """The criteria that are proven to be kept -> the highest evidence for it so far, in nats.

    before   what this gave at the last look

    A proof stays one: the evidence for a version that violates a limit *ever* reaches 1/alpha with a chance of at most
    alpha (Ville's inequality), so the highest value counts, and a verdict does not flicker. It is given up when the
    evidence has turned (below 1), which can only make a promotion rarer.
    """
    needed = budget(plan).promotion
    found = {}
    for c in plan.limited:
        own = evidence[c.id]
        if own.enough and own.log_for >= needed:
            found[c.id] = max(own.log_for, before.get(c.id, 0.0))
        elif c.id in before and own.log_for > 0.0:
            found[c.id] = before[c.id]
    return found


def standing(
    plan: Plan,
    version: str,
    evidence: Mapping[str, ByCriterion],
    before: Mapping[str, Mapping[str, float]],
    beaten: Mapping[str, Mapping[str, float]] | None = None,
) -> Standing:
    """How one version stands.

    before   version id -> its `proofs` at the last look
    beaten   version id -> the versions that it is proven to win against, see `contest.beaten`
    """
    reward = plan.reward
    own, baseline, limits = evidence[version], evidence[BASELINE], plan.limited
    needed = budget(plan).promotion
    judged = [c for c in limits if version != BASELINE or not is_relative(c)]
    proven = proofs(plan, own, before.get(version, {}))
    margin = min((proven.get(c.id, own[c.id].log_for) - needed for c in judged), default=-math.inf)
    chances = {c.id: satisfying(c, own[c.id], baseline[c.id]) for c in judged}
    known = [p for p in chances.values() if p is not None]
    suspects = (c for c in judged if c.limit is not None and c.limit.cutoff)
    return Standing(
        version=version,
        evidence=own,
        proofs=proven,
        harm=proven_harm(plan, own, baseline) if judged else None,
        proven=bool(judged or reward) and all(c.id in proven for c in judged),
        margin=margin,
        satisfying=math.prod(known) if (known or reward) and len(known) == len(chances) else None,
        cut_off=next((c for c in suspects if (chances[c.id] or 0.0) < _CUT_OFF and chances[c.id] is not None), None),
        reward=own[reward.id].posterior if reward else None,
        lower=reward is not None and reward.measure.lower_is_better,
        beaten=(beaten or {}).get(version, {}),
    )


def satisfying(criterion: Criterion, own: Evidence, baseline: Evidence) -> float | None:
    """The chance that a version meets one criterion; None while nothing is known, or without a limit."""
    if criterion.limit is None:
        return None
    to_be_reached = criterion.measure.kind is MeasureKind.COUNTER and not criterion.measure.lower_is_better
    if to_be_reached and (own.value or 0.0) < criterion.limit.value:
        return None  # it may still be reached
    reference = baseline.posterior if is_relative(criterion) else None
    return probability_of_satisfying(own.posterior, criterion.limit.value, criterion.measure.lower_is_better, reference)


def win_chances(standings: Sequence[Standing]) -> dict[str, float]:
    """The chance of each version to win, the baseline first, adding up to 1.

    Without a reward a candidate that meets its criteria is preferred to the baseline: that is what a canary is. Those
    that meet them are equals, so candidates share by their chances to; when nobody does the baseline is where the
    traffic is safest. With one a version wins that meets its criteria and has the best reward of all that do.
    """
    rewards = [s.reward for s in standings if s.reward is not None]
    if len(rewards) == len(standings) > 1:
        meets = [(_UNKNOWN if i else 1.0) if s.satisfying is None else s.satisfying for i, s in enumerate(standings)]
        wins = win_probabilities(meets, rewards, standings[0].lower)
        return {s.version: p for s, p in zip(standings, wins, strict=True)}
    feasible = {s.version: _UNKNOWN if s.satisfying is None else s.satisfying for s in standings[1:]}
    nobody = math.prod(sorted(1.0 - pi for pi in feasible.values()))
    total = math.fsum(feasible.values())
    return {
        standings[0].version: nobody,
        **{v: (1.0 - nobody) * pi / total if total > 0.0 else 0.0 for v, pi in feasible.items()},
    }


def may_rise(plan: Plan, own: Standing, baseline: Standing, fresh: Mapping[str, Mapping[str, float]]) -> bool:
    """Whether the evidence allows a candidate more traffic than it has.

    It has answered requests since the last iteration, every limit was measured in them, and it is not likelier to
    violate its criteria than to meet them. Chances alone must not race ahead of the data.
    """
    counts = fresh.get(own.version, {})
    if counts.get(plan.requests, 0.0) <= 0.0:
        return False
    if not all(measured(c, counts) for c in plan.limited):
        return False
    if own.satisfying is not None:
        return own.satisfying >= _UNKNOWN
    return all(_looks_good(c, own.evidence[c.id], baseline.evidence[c.id]) for c in plan.limited)


def measured(criterion: Criterion, counts: Mapping[str, float]) -> bool:
    """Whether a criterion can be told from these counts of a version."""
    measure = criterion.measure
    return measure.numerator in counts and (measure.denominator is None or counts.get(measure.denominator, 0.0) > 0.0)


def _looks_good(criterion: Criterion, own: Evidence, baseline: Evidence) -> bool:
    """Whether the bare estimate keeps the limit, while there is too little for a chance."""
    limit, reference = criterion.limit, baseline.value
    if limit is None:
        return True
    if own.value is None or (is_relative(criterion) and reference is None):
        return False
    bound = limit.value * (reference or 0.0) if is_relative(criterion) else limit.value
    return own.value <= bound if criterion.measure.lower_is_better else own.value >= bound


def likeliest_best(plan: Plan, chances: Mapping[str, float]) -> str:
    """The version with the highest chance; the baseline when nobody is ahead of it, then by name."""
    return max(chances, key=lambda v: (round(chances[v], 12), v == BASELINE, plan.name(v)), default=BASELINE)


def winner_among(plan: Plan, standings: Sequence[Standing]) -> Standing | None:
    """The candidate that is proven to keep every limit, and likeliest the best or, with a reward, proven the best.

    standings   of the versions that are left. In Performance the baseline wins
    """
    proven = [s for s in standings if s.proven and (s.version != BASELINE or is_performance(plan))]
    if plan.reward is None or is_performance(plan):
        return max(proven, key=lambda s: (s.satisfying or 0.0, s.margin, plan.name(s.version)), default=None)
    best = [s for s in proven if all(v == s.version or v in s.beaten for v in _rivals(standings))]
    return max(best, key=lambda s: (min(s.beaten.values(), default=0.0), plan.name(s.version)), default=None)


def baseline_is_best(plan: Plan, baseline: Standing, standings: Sequence[Standing]) -> bool:
    """Whether the baseline's reward is proven not to be beaten, by the margin, by any candidate that is left."""
    if plan.reward is None or is_performance(plan) or baseline.harm is not None:
        return False
    rivals = _rivals(standings) - {BASELINE}
    return bool(rivals) and all(v in baseline.beaten for v in rivals)


def _rivals(standings: Sequence[Standing]) -> set[str]:
    return {BASELINE, *(s.version for s in standings)}


def safest(plan: Plan, standings: Sequence[Standing]) -> str | None:
    """Where traffic is safest among these versions: proven first, then by the chance to meet every criterion."""
    best = max(standings, key=lambda s: (s.proven, s.satisfying or 0.0, s.margin, plan.name(s.version)), default=None)
    return best.version if best else None


def unsupported(plan: Plan) -> list[str]:
    """What the plan asks for and the core does not do yet, a sentence each; an experiment with any is refused."""
    found = []
    for i, c in enumerate(plan.criteria):
        place = f"spec.criteria[{i}]"
        if c.is_reward and is_performance(plan):
            found.append(f"{place}.isReward: a reward needs a candidate other than the baseline to compete with")
        if c.is_reward and c.delay and plan.strategy is not Strategy.UNIFORM:
            found.append(
                f"{place}.delay: rewards that come late can only be told apart while the split stays as it is; "
                "write trafficControl.strategy: uniform"
            )
        if c.quantile is not None and c.within is None:
            found.append(
                f"{place}.quantile: it can be judged only by an absolute threshold at an edge of the buckets of the "
                "metric's histogram; write one, or leave it out and limit the mean instead"
            )
        if is_relative(c) and is_performance(plan):
            found.append(
                f"{place}.threshold: a relative limit needs a candidate other than the baseline; "
                "write one with type: absolute"
            )
    if not is_performance(plan) and plan.baseline in plan.candidates:
        found.append(
            f"spec.service.candidates: the baseline {plan.baseline} can be its own candidate only if it is the only "
            "one; leave it out"
        )
    if plan.analysis.exposure_budget is not None and not any(c.measure.kind is MeasureKind.RATE for c in plan.limited):
        found.append(
            "spec.analysis.exposureBudget: no criterion counts failures; give one on a share of requests, as "
            "iter8_error_rate, a threshold, or leave the budget out"
        )
    return found


def is_relative(criterion: Criterion) -> bool:
    """Whether the limit is a factor of the baseline's value."""
    return criterion.limit is not None and criterion.limit.kind is LimitKind.RELATIVE
