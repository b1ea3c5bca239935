"""What people see of an experiment: every version, every criterion, with estimates, proofs and what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from serin.core import contest, decide
from serin.core.budget import budget
from serin.core.decide import ByCriterion, Standing
from serin.core.evidence import intervals
from serin.core.evidence.posterior import improvement, probabilities_of_best, probability_of_beating
from serin.core.model import (
    BASELINE,
    Assessment,
    Criterion,
    CriterionAssessment,
    Interval,
    MeasureKind,
    Plan,
    VersionAssessment,
)
from serin.core.state import State, evidence_of, rate


def assess(plan: Plan, state: State) -> Assessment:
    """What people see. The winner is one that is proven (or has won); an end without a winner shows none."""
    evidence = evidence_of(plan, state)
    standings = [decide.standing(plan, v, evidence, state.proofs, state.beaten) for v in plan.ids]
    alive = [s for s in standings if s.version not in state.rolled_back]
    chances = {**dict.fromkeys(plan.ids, 0.0), **decide.win_chances(alive)}
    known = any(c.value is not None for by in evidence.values() for c in by.values())
    best_of = {c.id: _best(c, evidence) for c in plan.criteria}
    bounds = _bounds(plan, state, evidence)
    seen = _Seen(plan, state, evidence[BASELINE], bounds, best_of, tuple(s.version for s in alive))
    versions = tuple(_version(seen, s, chances if known else {}) for s in standings)
    best = decide.likeliest_best(plan, chances) if known else BASELINE
    winner = _winner(plan, state, alive)
    return Assessment(versions, winner or best, winner, chances[winner or best] if known else None)


def _winner(plan: Plan, state: State, alive: list[Standing]) -> str | None:
    """Who has won; while the experiment runs, who is proven to keep every limit."""
    if state.ended or state.read is None or state.read - state.started < plan.analysis.min_duration:
        return state.winner
    found = decide.winner_among(plan, alive if plan.candidates else alive[:1])
    if found is None:
        return None
    return BASELINE if decide.is_performance(plan) else found.version


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the assessments of all versions share.

    bounds      (version, criterion id) -> the intervals of its value
    best_of     criterion id -> version -> chance of the best value
    alive       versions that are not rolled back
    """

    plan: Plan
    state: State
    baseline: ByCriterion
    bounds: Mapping[tuple[str, str], _Bounds]
    best_of: Mapping[str, Mapping[str, float]]
    alive: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Bounds:
    """Anytime-valid intervals of one criterion of one version.

    value   of its value, at the level that decides; `half` at half of it, where versions are compared
    ratio   of the ratio to the baseline's value
    """

    value: Interval | None
    half: Interval | None = None
    ratio: Interval | None = None


def _bounds(plan: Plan, state: State, evidence: Mapping[str, ByCriterion]) -> dict[tuple[str, str], _Bounds]:
    """The intervals of all versions and criteria, found together: that takes hardly longer than one of them."""
    alpha = plan.analysis.false_rollback
    keys = [(v, c.id) for v in evidence for c in plan.criteria]
    compared = [(v, c.id) for v in evidence for c in plan.criteria if c.measure.kind is not MeasureKind.COUNTER]
    related = [(v, c) for v, c in compared if v != BASELINE]
    asked = [(evidence[v][c], alpha) for v, c in keys] + [(evidence[v][c], alpha / 2.0) for v, c in compared]
    values = intervals.anytime(asked)
    half = dict(zip(compared, values[len(keys) :], strict=True))
    ratio = dict(zip(related, intervals.ratios([(evidence[v][c], alpha) for v, c in related]), strict=True))
    reward = plan.reward
    if reward is not None:
        found = contest.ratios_to_baseline(plan, state.duels, alpha)
        ratio |= {(v, reward.id): found.get(v) for v in evidence}
    return {key: _Bounds(value, half.get(key), ratio.get(key)) for key, value in zip(keys, values, strict=False)}


def _version(seen: _Seen, standing: Standing, chances: Mapping[str, float]) -> VersionAssessment:
    v, plan, state = standing.version, seen.plan, seen.state
    return VersionAssessment(
        version=v,
        name=plan.name(v),
        weight=state.weights[v],
        requests=state.totals.get(v, {}).get(plan.requests, 0.0),
        win_probability=chances.get(v),
        rollback=v in state.rolled_back,
        safe=standing.proven and bool(plan.limited),
        criteria=tuple(_criterion(seen, standing, c) for c in plan.criteria),
    )


def _criterion(seen: _Seen, standing: Standing, criterion: Criterion) -> CriterionAssessment:
    plan, state, version = seen.plan, seen.state, standing.version
    own, base, level = standing.evidence[criterion.id], seen.baseline[criterion.id], budget(plan)
    lower, bounds = criterion.measure.lower_is_better, seen.bounds[version, criterion.id]
    comparable = criterion.measure.kind is not MeasureKind.COUNTER and version != BASELINE
    compared = comparable and own.posterior.known and base.posterior.known
    judged = criterion.limit is not None and not (version == BASELINE and decide.is_relative(criterion))
    out = state.ended or version in state.rolled_back
    proof = standing.proofs.get(criterion.id)
    told = CriterionAssessment(
        criterion=criterion.id,
        metric=criterion.metric,
        value=own.value,
        credible=own.posterior.interval(),
        anytime=bounds.value,
        ratio_to_baseline=bounds.ratio if comparable else None,
        difference=_difference(bounds.half, seen.bounds[BASELINE, criterion.id].half) if compared else None,
        dispersion=own.dispersion.factor,
        dispersion_seconds=own.dispersion.seconds,
        history=own.history,
        improvement_over_baseline=improvement(own.posterior, base.posterior, lower) if compared else None,
        probability_of_beating_baseline=(
            probability_of_beating(own.posterior, base.posterior, lower) if compared else None
        ),
        probability_of_being_best=seen.best_of[criterion.id].get(version),
    )
    if criterion.is_reward and criterion.limit is None:
        return _competing(seen, standing, told, out)
    per_second = rate(state, version, criterion.measure.denominator or plan.requests)
    missing, eta = "", None
    if judged and proof is None:
        missing, eta = own.still_missing(level.promotion, per_second, version in state.requested)
    return replace(
        told,
        breached=judged and own.log_against >= level.rollback,
        probability_of_satisfying=decide.satisfying(criterion, own, base) if judged else None,
        evidence_for=own.log_for if proof is None else proof,
        needed_for=level.promotion if judged else 0.0,
        evidence_against=own.log_against,
        needed_against=level.rollback if judged else 0.0,
        eta=None if out else eta,
        missing="" if out else missing,
    )


def _competing(seen: _Seen, standing: Standing, told: CriterionAssessment, out: bool) -> CriterionAssessment:
    """The evidence that a version's reward is the best: the weakest of its wins against those that are left."""
    rivals = [v for v in seen.alive if v != standing.version]
    if not rivals or out or decide.is_performance(seen.plan):
        return told
    duels, beaten = seen.state.duels, standing.beaten
    wins = {v: beaten[v] if v in beaten else contest.nats(seen.plan, duels, standing.version, v) for v in rivals}
    open_ = [seen.plan.name(v) for v in rivals if v not in standing.beaten]
    return replace(
        told,
        evidence_for=min(wins.values()),
        needed_for=budget(seen.plan).winner,
        missing=f"not proven to be better than {' and '.join(open_)}" if open_ else "",
    )


def _difference(mine: Interval | None, theirs: Interval | None) -> Interval | None:
    """Own value minus the baseline's: both intervals at half the level hold together."""
    if mine is None or theirs is None:
        return None
    return Interval(mine.lower - theirs.upper, mine.upper - theirs.lower)


def _best(criterion: Criterion, evidence: Mapping[str, ByCriterion]) -> dict[str, float]:
    """The chance of each version to have the best value of a metric; of a counter nobody can tell."""
    measured = [v for v, by in evidence.items() if by[criterion.id].posterior.known]
    if criterion.measure.kind is MeasureKind.COUNTER or len(measured) < 2:
        return {}
    lower = criterion.measure.lower_is_better
    chances = probabilities_of_best([evidence[v][criterion.id].posterior for v in measured], lower)
    return dict(zip(measured, chances, strict=True))
