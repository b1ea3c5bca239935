"""The life of an experiment as pure steps: state in, state and decision out.

`begin` once, `observe` at every reading, `iterate` once an interval, `assess` whenever somebody looks. The same state
and the same input give the same bytes out. Nothing here knows a clock: times come with the input.

A reading may end a candidate at once (a proven violation does not wait); only an iteration gives anybody more traffic.
After a crash the state of the last iteration and the next reading are enough: the increments come merged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from serin.core import contest, decide, exposure, policies, shares, traffic
from serin.core.assessment import assess
from serin.core.budget import budget
from serin.core.decide import ByCriterion, Standing, unsupported
from serin.core.evidence import intervals
from serin.core.evidence.criterion import Evidence, Past, Sums
from serin.core.evidence.mismatch import ShareEvidence
from serin.core.model import BASELINE, Criterion, Decision, Finding, Outcome, Plan, Reason
from serin.core.observation import Increments, Snapshot, increments, origin
from serin.core.policies import Look, Surroundings, Verdict
from serin.core.reading import sums
from serin.core.state import Counts, State, evidence_of, per_second
from serin.core.traffic import final_split

__all__ = [
    "State",
    "Surroundings",
    "assess",
    "begin",
    "final_split",
    "iterate",
    "observe",
    "terminate",
    "unsupported",
]

SETTLING = 5.0
"""Seconds after a change of weights in which requests may still be split the old way; one whole reading at least."""


def begin(plan: Plan, now: float, past: Mapping[str, Past] | None = None) -> State:
    """The state before the first reading: everything on the baseline, iteration 0.

    past   what the baseline's history says, by criterion, see `history.learned`
    """
    weights = traffic.all_on(plan, BASELINE)
    return State(
        iteration=0,
        weights=weights,
        earned=weights,
        started=now,
        iterated=now,
        moved=now,
        past={c: kept.to_json() for c, kept in (past or {}).items()},
    )


def observe(plan: Plan, state: State, snapshot: Snapshot) -> tuple[State, Decision | None]:
    """Take one reading into the evidence. A decision only if a violation is now proven: it takes effect at once.

    A repeated or older reading changes nothing.
    """
    if state.ended or (state.read is not None and snapshot.time <= state.read):
        return state, None
    found = increments(state.last, snapshot, plan.ids, [c.measure for c in plan.criteria])
    last = origin(state.last, snapshot, found)
    if found.gap is not None:
        return replace(state, read=snapshot.time, last=last, gaps=state.gaps + 1, gap=found.gap), None
    state, evidence = _absorbed(plan, state, found, last)
    harms = {v: decide.proven_harm(plan, evidence[v], evidence[BASELINE]) for v in _alive(plan, state)}
    proven = {v: harm for v, harm in harms.items() if harm is not None}
    if not proven:
        return state, None
    return _rolled_back_at_once(plan, state, proven, snapshot.time)


def iterate(plan: Plan, state: State, now: float, around: Surroundings) -> tuple[State, Decision]:
    """One iteration: the policies in order, then the weights. Ends the experiment when its time or reason has come.

    When the decision ends the experiment its weights are the final split already. After the end nothing changes.
    """
    if state.ended:
        winner = state.winner
        return state, Decision(state.weights, state.outcome, False, True, winner, winner or BASELINE)
    ready = {v: state.ready.get(v, now) for v in plan.ids if v in around.ready}
    state = state if ready == state.ready else replace(state, ready=ready)
    state, findings = _failed_out(plan, state, around)
    look = _look(plan, state, now, around)
    verdict = policies.judge(look)
    late = {s.version: s.harm for s in look.alive if s.harm is not None}
    if late and verdict.outcome in (Outcome.INCONCLUSIVE, Outcome.PROMOTED):  # a count that was not reached in time
        state, more = _without(plan, state, late)
        findings += more
        look = replace(look, rolled_back=state.rolled_back)
        verdict = policies.judge(look)

    most = _most(plan, state, look)
    earned, carry, weights = _next_weights(plan, state, look, verdict, most)
    if verdict.outcome is Outcome.RUNNING:
        findings += _held_back(plan, earned, most, look)
    chances = decide.win_chances([s for s in look.standings if s.version not in state.rolled_back])
    decision = Decision(
        weights=weights,
        outcome=verdict.outcome,
        counted=verdict.counted,
        held=verdict.held,
        winner=verdict.winner,
        best=verdict.winner or decide.likeliest_best(plan, chances),
        findings=(*findings, *verdict.findings),
    )
    state = replace(
        state,
        weights=weights,
        earned=earned,
        moved=_moved(state, weights, now),
        iteration=look.iteration if verdict.counted else state.iteration,
        carry=carry,
        iterated=now,
        fresh={},
        pace=_trials(plan, look.rates),
    )
    return _concluded(state, verdict), decision


def terminate(plan: Plan, state: State, now: float, split: Mapping[str, int] | None = None) -> tuple[State, Decision]:
    """The end by hand: `split` by version name, or all to the baseline. Raises InvalidInput for an impossible split."""
    weights = traffic.final_split(plan, Outcome.TERMINATED, None, state.weights, split)
    state = replace(state, weights=weights, earned=weights, moved=_moved(state, weights, now))
    ended = _concluded(state, Verdict((), Outcome.TERMINATED))
    return ended, Decision(weights, Outcome.TERMINATED, counted=False)


def _moved(state: State, weights: Mapping[str, int], now: float) -> float:
    """When the weights have last changed, now that they are `weights`."""
    return now if weights != state.weights else state.moved


def routed_late(state: State, now: float) -> State:
    """Proxies route by the weights only now: they had to follow, a crash was in between, or somebody had changed them.

    Requests until now say nothing about the share that was asked for.
    """
    return replace(state, moved=now)


def _trials(plan: Plan, rates: Counts) -> Counts:
    """Of the rates only what says how fast a proof comes: requests, and what criteria divide by."""
    kept = {plan.requests, *(c.measure.denominator for c in plan.criteria)}
    return {v: {c: n for c, n in by.items() if c in kept} for v, by in rates.items()}


def _concluded(state: State, verdict: Verdict) -> State:
    """The state with how the experiment stands; what only the next reading would need is dropped at the end."""
    if verdict.outcome is Outcome.RUNNING:
        return state
    return replace(
        state, outcome=verdict.outcome, winner=verdict.winner, last=None, fresh={}, pace={}, carry={}, mismatch={}
    )


def _alive(plan: Plan, state: State) -> list[str]:
    """Candidates that are not rolled back."""
    return [v for v in plan.ids if v != BASELINE and v not in state.rolled_back]


def _absorbed(
    plan: Plan, state: State, found: Increments, last: Snapshot
) -> tuple[State, dict[str, dict[str, Evidence]]]:
    """One reading's increments added to the totals and taken into the evidence; the state, and its evidence.

    last   what the next reading is to be compared with
    """
    requests = {v: counts.get(plan.requests, 0.0) for v, counts in found.counts.items()}
    evidence = evidence_of(plan, state)
    learning = [v for v in plan.ids if v not in state.rolled_back and _warm(plan, state, v, found)]
    for c in plan.criteria:
        if not _settled(state, c, found):
            continue
        baseline = sums(c, found.counts.get(BASELINE, {}))
        for v in learning:
            own = baseline if v == BASELINE else sums(c, found.counts.get(v, {}))
            if own is None or (baseline is None and decide.is_relative(c)):
                continue
            evidence[v][c.id] = evidence[v][c.id].update(own, baseline, found.seconds)
    reward = plan.reward
    comparable = reward is not None and _settled(state, reward, found)
    duels = contest.updated(plan, state.duels, learning, found.counts, found.seconds) if comparable else state.duels
    state = replace(
        state,
        iterated=found.time if state.last is None else state.iterated,  # what is counted is counted since the origin
        read=found.time,
        last=last,
        gaps=0,
        gap="",
        totals=_added(state.totals, {v: {plan.requests: n} for v, n in requests.items()}),
        fresh=_added(state.fresh, found.counts),
        requested={**state.requested, **{v: found.time for v, n in requests.items() if n > 0.0}},
        evidence=evidence,
        proofs=_proofs(plan, state, evidence),
        duels=duels,
        beaten=contest.beaten(plan, duels, state.beaten),
        mismatch=_shares_compared(plan, state, found, requests),
    )
    return state, evidence


def _proofs(plan: Plan, state: State, evidence: Mapping[str, ByCriterion]) -> dict[str, dict[str, float]]:
    """What is proven of each version, versions without a proof left out."""
    found = {v: decide.proofs(plan, by, state.proofs.get(v, {})) for v, by in evidence.items()}
    return {v: by for v, by in found.items() if by}


def _shares_compared(
    plan: Plan, state: State, found: Increments, requests: Mapping[str, float]
) -> Mapping[str, ShareEvidence]:
    """Whether requests arrive in the shares asked for; not while a change of weights is on its way to the proxies.

    Where only some requests take part, those of the others are among the baseline's: its share says nothing then.
    """
    settled = state.moved + max(SETTLING, found.seconds)
    if decide.is_performance(plan) or plan.partial or found.time - found.seconds < settled:
        return state.mismatch
    baseline = Sums(state.weights[BASELINE], requests.get(BASELINE, 0.0))
    updated = {
        v: state.mismatch.get(v, ShareEvidence()).update(Sums(state.weights[v], requests.get(v, 0.0)), baseline)
        for v in _alive(plan, state)
    }
    return {v: evidence.rounded for v, evidence in updated.items()}


def _mismatched(plan: Plan, state: State) -> dict[str, float]:
    needed = budget(plan).mismatch
    found = {v: evidence.log_against for v, evidence in state.mismatch.items() if v not in state.rolled_back}
    return {v: nats for v, nats in found.items() if nats >= needed}


def _warm(plan: Plan, state: State, version: str, found: Increments) -> bool:
    """Whether a reading counts for a version: not while a candidate warms up."""
    if version == BASELINE or plan.analysis.warmup <= 0.0:
        return True
    ready = state.ready.get(version)
    return ready is not None and found.time - found.seconds >= ready + plan.analysis.warmup


def _settled(state: State, criterion: Criterion, found: Increments) -> bool:
    """Whether what is counted now comes from requests of the split as it is: a reward may be late by its delay.

    Requests of another split would be counted for the present one, and whoever gains traffic would look worse.
    """
    return criterion.delay <= 0.0 or found.time - found.seconds >= state.moved + criterion.delay


def _added(totals: Counts, counts: Counts) -> Counts:
    added = {v: dict(c) for v, c in totals.items()}
    for v, more in counts.items():
        mine = added.setdefault(v, {})
        for counter, n in more.items():
            mine[counter] = mine.get(counter, 0.0) + n
    return added


def _without(plan: Plan, state: State, why: Mapping[str, Finding]) -> tuple[State, tuple[Finding, ...]]:
    """The state with these candidates rolled back: their share goes to the baseline."""
    findings = {v: replace(finding, version=v) for v, finding in why.items()}
    earned = traffic.withdraw(plan, state.earned, findings)
    return (
        replace(state, rolled_back={**state.rolled_back, **findings}, earned=earned),
        tuple(findings.values()),
    )


def _rolled_back_at_once(plan: Plan, state: State, proven: Mapping[str, Finding], now: float) -> tuple[State, Decision]:
    """A reading has proven a violation: the candidate's weight goes to 0 now, and perhaps the experiment ends."""
    state, findings = _without(plan, state, proven)
    evidence = evidence_of(plan, state)
    standings = [
        decide.standing(plan, v, evidence, state.proofs, state.beaten) for v in plan.ids if v not in state.rolled_back
    ]
    left = [s for s in standings if s.version != BASELINE]
    verdict = Verdict(()) if left else policies.without_candidates(standings[0])
    weights = _in_effect(plan, state, state.earned, left)
    if verdict.outcome is not Outcome.RUNNING:
        weights = traffic.final_split(plan, verdict.outcome, verdict.winner, weights)
    state = _concluded(replace(state, weights=weights, moved=_moved(state, weights, now)), verdict)
    best = verdict.winner or decide.likeliest_best(plan, decide.win_chances(standings))
    findings = (*findings, *verdict.findings)
    return state, Decision(weights, verdict.outcome, False, False, verdict.winner, best, findings)


def _failed_out(plan: Plan, state: State, around: Surroundings) -> tuple[State, tuple[Finding, ...]]:
    """Candidates that can never take part any more are rolled back; what a reading proves was settled with it."""
    failed = [v for v in _alive(plan, state) if v in around.failed]
    why = {v: Finding(Reason.FAILED_TO_START, around.failed[v]) for v in failed}
    return _without(plan, state, why) if why else (state, ())


def _look(plan: Plan, state: State, now: float, around: Surroundings) -> Look:
    iteration = state.iteration + 1
    evidence = evidence_of(plan, state)
    if iteration >= plan.iterations:
        evidence = {v: {c: e.at_end() for c, e in by.items()} for v, by in evidence.items()}
    # found together and remembered: the words of the policies ask for some of them one by one
    worded = [evidence[v][c.id] for v in _alive(plan, state) for c in plan.limited]
    if len(worded) > 1:
        intervals.anytime([(e, plan.analysis.false_rollback) for e in worded])
    return Look(
        plan=plan,
        iteration=iteration,
        now=now,
        started=state.started,
        around=around,
        weights=state.weights,
        fresh=state.fresh,
        silent={v: state.requested.get(v) for v in plan.ids},
        standings=tuple(decide.standing(plan, v, evidence, state.proofs, state.beaten) for v in plan.ids),
        rolled_back=state.rolled_back,
        mismatched=_mismatched(plan, state),
        rates=per_second(state, now),
        gaps=state.gaps,
        gap=state.gap,
    )


def _most(plan: Plan, state: State, look: Look) -> dict[str, int]:
    """The largest weights that the exposure budget allows; empty without one."""
    if plan.analysis.exposure_budget is None:
        return {}
    second = sum(counts.get(plan.requests, 0.0) for counts in look.rates.values())
    alive = [s.version for s in look.alive]
    return exposure.largest_weights(plan, evidence_of(plan, state), alive, second * plan.interval)


def _held_back(plan: Plan, earned: Mapping[str, int], most: Mapping[str, int], look: Look) -> tuple[Finding, ...]:
    """Who has as much traffic as the exposure budget allows, and would have more without it."""
    at_the_limit = [v for v, weight in most.items() if earned[v] >= weight and weight < plan.percentage]
    extra = exposure.spent(plan, {s.version: s.evidence for s in look.standings}) if at_the_limit else 0.0
    return tuple(exposure.finding(plan, v, most[v], extra) for v in at_the_limit)


def _next_weights(
    plan: Plan, state: State, look: Look, verdict: Verdict, most: Mapping[str, int]
) -> tuple[dict[str, int], Mapping[str, float], dict[str, int]]:
    """Weights by the evidence, what rounding has cost, and the weights in effect."""
    here = [s for s in look.alive if s.version in look.around.ready]
    somebody = bool(here) or BASELINE in look.around.ready
    away = [s.version for s in look.alive if s not in here] if somebody else []
    earned, carry = traffic.withdraw(plan, state.earned, away), state.carry
    if verdict.outcome is Outcome.TERMINATED:
        refuge = decide.safest(plan, here)
        weights = traffic.all_on(plan, refuge) if refuge else dict(state.weights)
        return weights, carry, weights
    running = verdict.outcome is Outcome.RUNNING
    if running and not verdict.held and not decide.is_performance(plan):
        earned, carry = _progressed(plan, look, earned, carry, here, most)
    earned = traffic.lowered(plan, earned, most)  # also while everything else is held
    weights = _in_effect(plan, state, earned, here)
    if not running:
        earned = weights = traffic.final_split(plan, verdict.outcome, verdict.winner, weights)
    return earned, carry, weights


def _progressed(
    plan: Plan,
    look: Look,
    earned: Mapping[str, int],
    carry: Mapping[str, float],
    here: list[Standing],
    most: Mapping[str, int],
) -> tuple[dict[str, int], Mapping[str, float]]:
    """The weights after one more step in the direction of the evidence."""
    if not plan.criteria:
        return traffic.step_up(plan, earned, [s.version for s in here]), carry
    reward = plan.reward
    versions = shares.contenders(plan, [look.standings[0], *here])
    target = shares.shares(plan.strategy, versions, reward is not None and reward.measure.lower_is_better)
    rising = [
        s.version for s in here if earned[s.version] == 0 or decide.may_rise(plan, s, look.standings[0], look.fresh)
    ]
    cut_off = [s.version for s in here if s.cut_off is not None]
    found = traffic.split(plan, target, earned, carry, rising, cut_off, most)
    return found.weights, found.carry


def _in_effect(plan: Plan, state: State, earned: Mapping[str, int], here: list[Standing]) -> dict[str, int]:
    """`earned`, unless the baseline cannot take traffic: then it goes where it is safest, or stays where it is."""
    if BASELINE in state.ready:
        return dict(earned)
    refuge = decide.safest(plan, [s for s in here if s.version in state.ready])
    if refuge is None:
        return traffic.withdraw(plan, state.weights, state.rolled_back)
    return traffic.withdraw(plan, earned, [BASELINE], refuge)
