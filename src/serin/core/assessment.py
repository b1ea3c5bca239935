"""What people see of an experiment: every version, every criterion, with estimates, proofs and what is missing."""

from __future__ import annotations

from collections.abc import Mapping

from serin.core import decide
from serin.core.budget import budget
from serin.core.decide import ByCriterion, Standing
from serin.core.evidence.posterior import improvement, probabilities_of_best, probability_of_beating
from serin.core.model import (
    BASELINE,
    Assessment,
    Criterion,
    CriterionAssessment,
    MeasureKind,
    Plan,
    VersionAssessment,
)
from serin.core.state import State, evidence_of, rate


def assess(plan: Plan, state: State) -> Assessment:
    """What people see. The winner is one that is proven (or has won); an end without a winner shows none."""
    evidence = evidence_of(plan, state)
    standings = [decide.standing(plan, v, evidence, state.proofs) for v in plan.ids]
    alive = [s for s in standings if s.version not in state.rolled_back]
    chances = {**dict.fromkeys(plan.ids, 0.0), **decide.win_chances(alive)}
    known = any(c.value is not None for by in evidence.values() for c in by.values())
    best_of = {c.id: _best(c, evidence) for c in plan.criteria}
    versions = tuple(_version(plan, state, s, evidence[BASELINE], chances if known else {}, best_of) for s in standings)
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


def _version(
    plan: Plan,
    state: State,
    standing: Standing,
    baseline: ByCriterion,
    chances: Mapping[str, float],
    best_of: Mapping[str, Mapping[str, float]],
) -> VersionAssessment:
    v = standing.version
    return VersionAssessment(
        version=v,
        name=plan.name(v),
        weight=state.weights[v],
        requests=state.totals.get(v, {}).get(plan.requests, 0.0),
        win_probability=chances.get(v),
        rollback=v in state.rolled_back,
        safe=standing.proven,
        criteria=tuple(_criterion(plan, state, standing, c, baseline, best_of) for c in plan.criteria),
    )


def _criterion(
    plan: Plan,
    state: State,
    standing: Standing,
    criterion: Criterion,
    baseline: ByCriterion,
    best_of: Mapping[str, Mapping[str, float]],
) -> CriterionAssessment:
    version, own, base, level = standing.version, standing.evidence[criterion.id], baseline[criterion.id], budget(plan)
    lower = criterion.measure.lower_is_better
    comparable = criterion.measure.kind is not MeasureKind.COUNTER and version != BASELINE
    compared = comparable and own.posterior.known and base.posterior.known
    judged = criterion.limit is not None and not (version == BASELINE and decide.is_relative(criterion))
    per_second = rate(state, version, criterion.measure.denominator or plan.requests)
    proof = standing.proofs.get(criterion.id)
    missing, eta = own.missing(level.promotion, per_second) if judged and proof is None else ("", None)
    return CriterionAssessment(
        criterion=criterion.id,
        metric=criterion.metric,
        value=own.value,
        credible=own.posterior.interval(),
        anytime=own.anytime(plan.analysis.false_rollback),
        improvement_over_baseline=improvement(own.posterior, base.posterior, lower) if compared else None,
        probability_of_beating_baseline=(
            probability_of_beating(own.posterior, base.posterior, lower) if compared else None
        ),
        probability_of_being_best=best_of[criterion.id].get(version),
        breached=judged and own.log_against >= level.rollback,
        probability_of_satisfying=decide.satisfying(criterion, own, base) if judged else None,
        evidence_for=own.log_for if proof is None else proof,
        needed_for=level.promotion if judged else 0.0,
        evidence_against=own.log_against,
        needed_against=level.rollback if judged else 0.0,
        eta=None if state.ended or version in state.rolled_back else eta,
        missing="" if state.ended or version in state.rolled_back else missing,
    )


def _best(criterion: Criterion, evidence: Mapping[str, ByCriterion]) -> dict[str, float]:
    """The chance of each version to have the best value of a metric; of a counter nobody can tell."""
    measured = [v for v, by in evidence.items() if by[criterion.id].posterior.known]
    if criterion.measure.kind is MeasureKind.COUNTER or len(measured) < 2:
        return {}
    lower = criterion.measure.lower_is_better
    chances = probabilities_of_best([evidence[v][criterion.id].posterior for v in measured], lower)
    return dict(zip(measured, chances, strict=True))
