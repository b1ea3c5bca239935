"""What an iteration concludes: an ordered chain of pure checks, each with its reasons in numbers.

`judge` asks them in order; the first that has something to say decides. What has happened to single candidates
(a violation that a reading has proven, a failed start) is settled before: here they are rolled back already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from serin.core import decide, words
from serin.core.budget import budget
from serin.core.decide import Standing
from serin.core.model import BASELINE, Criterion, Finding, Outcome, Plan, Reason

UNUSABLE_IN_A_ROW = 3
"""So many readings in a row that contradict themselves are more than an accident."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the world says about the versions at a step.

    ready     ids of versions that can take traffic now; others get weight 0 (held, not judged)
    failed    id -> why, for versions that can never take part any more (progress deadline): rolled back
    waiting   why nothing may be decided now (readings missing, source away), or None
    """

    ready: frozenset[str]
    failed: Mapping[str, str]
    waiting: str | None = None


@dataclass(frozen=True)
class Look:
    """All that the policies look at. Without slots: who is left is found once.

    iteration    the number this iteration has if it counts
    weights      in effect until now
    fresh        counted since the last iteration: version id -> counter -> count; absent is unknown
    silent       version id -> epoch seconds of its last request, None when none was ever seen
    standings    of every version, the baseline first
    mismatched   candidate id -> nats for 'its requests do not arrive in the share asked for', where that is proven
    rates        version id -> counter -> count per second at present
    """

    plan: Plan
    iteration: int
    now: float
    started: float
    around: Surroundings
    weights: Mapping[str, int]
    fresh: Mapping[str, Mapping[str, float]]
    silent: Mapping[str, float | None]
    standings: tuple[Standing, ...]
    rolled_back: Mapping[str, Finding]
    mismatched: Mapping[str, float]
    rates: Mapping[str, Mapping[str, float]]
    gaps: int = 0
    gap: str = ""

    @property
    def over(self) -> bool:
        """Whether this iteration is the last one."""
        return self.iteration >= self.plan.iterations

    @cached_property
    def alive(self) -> tuple[Standing, ...]:
        """Candidates that are not rolled back."""
        return tuple(s for s in self.standings if s.version != BASELINE and s.version not in self.rolled_back)

    @property
    def judged(self) -> tuple[Standing, ...]:
        """Who is judged: the candidates that are left; in Performance without any, the baseline."""
        return self.alive or (self.standings[:1] if not self.plan.candidates else ())


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an iteration concludes. `held`: traffic stays as it is; `counted`: the iteration counts."""

    findings: tuple[Finding, ...]
    outcome: Outcome = Outcome.RUNNING
    winner: str | None = None
    held: bool = False
    counted: bool = True


Policy = Callable[[Look], Verdict | None]


def baseline_gone(look: Look) -> Verdict | None:
    """The baseline can never take part any more: nothing is left to compare with and to go back to."""
    why = look.around.failed.get(BASELINE)
    if why is None:
        return None
    return Verdict((Finding(Reason.FAILED_TO_START, why, BASELINE),), Outcome.TERMINATED)


def nobody_left(look: Look) -> Verdict | None:
    """Every candidate is out: the baseline has won, unless it is itself proven to violate a criterion."""
    if look.judged and not (look.judged[0].version == BASELINE and look.judged[0].harm):
        return None
    return without_candidates(look.standings[0])


def without_candidates(baseline: Standing) -> Verdict:
    """How it ends when the last candidate is out."""
    harm = baseline.harm
    if harm is None:
        return Verdict((), Outcome.BASELINE_WON, winner=BASELINE)
    return Verdict((Finding(harm.reason, harm.text, BASELINE, harm.criterion),), Outcome.NOBODY)


def waiting(look: Look) -> Verdict | None:
    """What would be needed to decide is away: hold, and say what is waited for."""
    if look.around.waiting is None:
        return None
    return _hold(Finding(Reason.NO_DATA, look.around.waiting))


def not_ready(look: Look) -> Verdict | None:
    """A version cannot take traffic just now: nothing is judged until it can."""
    taking_part = (BASELINE, *(s.version for s in look.alive))
    away = [v for v in taking_part if v not in look.around.ready]
    if not away:
        return None
    return _hold(*(Finding(Reason.NO_DATA, "not ready, so it gets no traffic and is not judged", v) for v in away))


def timed(look: Look) -> Verdict | None:
    """Without any criterion time alone moves the traffic, and the candidate that holds the most is the winner."""
    if look.plan.criteria or decide.is_performance(look.plan):
        return None
    if not look.over:
        text = f"no criteria: each candidate gains {look.plan.max_increment} % an iteration, nothing is judged"
        return Verdict((Finding(Reason.NO_CRITERIA, text),))
    most = max(look.alive, key=lambda s: (look.weights[s.version], look.plan.name(s.version)))
    held = f"{look.weights[most.version]} % of the traffic at the end; there were no criteria to judge it by"
    return Verdict((Finding(Reason.NO_CRITERIA, held, most.version),), Outcome.PROMOTED, winner=most.version)


def unusable_readings(look: Look) -> Verdict | None:
    """Readings contradict themselves again and again: they are evidence of nothing."""
    if look.gaps < UNUSABLE_IN_A_ROW:
        return None
    return _hold(Finding(Reason.UNUSABLE_READING, f"{look.gaps} readings in a row could not be used: {look.gap}"))


def nothing_seen(look: Look) -> Verdict | None:
    """No requests at all, or a metric of which nothing came: hold, say who sends nothing and since when."""
    served = [v for v in look.plan.ids if look.weights[v] > 0]
    requests = {v: look.fresh.get(v, {}).get(look.plan.requests, 0.0) for v in served}
    if sum(requests.values()) <= 0.0:
        who = " and ".join(f"of {look.plan.name(v)} {words.since(look.silent[v])}" for v in served)
        return _hold(Finding(Reason.NO_DATA, f"no requests seen, {who}; traffic stays as it is"))
    busy = [v for v in served if requests[v] > 0.0]
    wanted = [c for c in look.plan.criteria if c.limit is not None or c.is_reward]
    blind = [c for c in wanted if not any(decide.measured(c, look.fresh.get(v, {})) for v in busy)]
    if not blind:
        return None
    return _hold(*(Finding(Reason.NO_DATA, _blindness(look, c, busy), criterion=c.id) for c in blind))


def sample_ratio_mismatch(look: Look) -> Verdict | None:
    """Requests do not arrive in the shares that were asked for: what is compared is not comparable.

    It holds a promotion and never rolls anybody back.
    """
    alive = {s.version for s in look.alive}
    findings = tuple(
        Finding(
            Reason.SAMPLE_RATIO_MISMATCH,
            f"its requests do not arrive in the share asked for (by accident: {words.one_in(nats)}); "
            "are requests lost on the way, or do users stick to a version?",
            v,
        )
        for v, nats in look.mismatched.items()
        if v in alive
    )
    if not findings:
        return None
    return Verdict(findings, Outcome.INCONCLUSIVE if look.over else Outcome.RUNNING, held=True)


def proven_best(look: Look) -> Verdict | None:
    """A candidate is proven to keep every limit, and it is time to end."""
    if not (look.over or look.plan.analysis.early_stop):
        return None
    best = decide.winner_among(look.plan, look.judged)
    if best is None and decide.baseline_is_best(look.plan, look.standings[0], look.alive):
        best = look.standings[0]
    if best is None or look.now - look.started < look.plan.analysis.min_duration:
        return None
    finding = Finding(Reason.PROVEN_SAFE, _proof(look, best), best.version)
    if best.version == BASELINE or decide.is_performance(look.plan):
        return Verdict((finding,), Outcome.BASELINE_WON, winner=BASELINE)
    return Verdict((finding,), Outcome.PROMOTED, winner=best.version)


def exhausted_without_proof(look: Look) -> Verdict | None:
    """The experiment has run its iterations and no candidate is proven safe: nobody is promoted.

    Absence of proof is not proof of harm, so the verdict is `Inconclusive`, never a rollback.
    """
    if not look.over:
        return None
    short = look.plan.analysis.min_duration - (look.now - look.started)
    if short > 0.0:
        text = f"the iterations are over {words.span(short)} before analysis.minDuration; nobody is promoted"
        return Verdict((Finding(Reason.NO_PROOF, text),), Outcome.INCONCLUSIVE)
    findings = tuple(Finding(Reason.NO_PROOF, progress(look, s), s.version) for s in look.judged)
    return Verdict(findings, Outcome.INCONCLUSIVE)


def progressing(look: Look) -> Verdict:
    """The experiment goes on: how far each candidate is, and what is missing."""
    return Verdict(tuple(_how_far(look, s) for s in look.judged))


POLICIES: tuple[Policy, ...] = (
    baseline_gone,
    nobody_left,
    waiting,
    not_ready,
    timed,
    unusable_readings,
    nothing_seen,
    sample_ratio_mismatch,
    proven_best,
    exhausted_without_proof,
    progressing,
)


def judge(look: Look) -> Verdict:
    """The first policy that has something to say."""
    return next(verdict for policy in POLICIES if (verdict := policy(look)) is not None)


def progress(look: Look, standing: Standing) -> str:
    """The criterion that is farthest from proof: what is seen, and what a proof still needs."""
    needed = budget(look.plan).promotion
    limits = look.plan.limited
    if not limits or (standing.proven and look.plan.reward is not None):
        return _race(look, standing)
    open_ = [c for c in limits if c.id not in standing.proofs]
    weakest = min(open_ or limits, key=lambda c: standing.evidence[c.id].log_for)
    evidence = standing.evidence[weakest.id]
    requested = look.silent.get(standing.version) is not None
    missing, _ = evidence.still_missing(needed, _rate(look, standing.version, weakest), requested)
    text = _seen(look, standing, weakest)
    if standing.cut_off is not None:
        return f"{_seen(look, standing, standing.cut_off)}; it gets no traffic while it probably violates this"
    return f"{text}; {missing}" if missing else text


def _how_far(look: Look, standing: Standing) -> Finding:
    if standing.proven and look.plan.reward is None:
        left = look.plan.iterations - look.iteration
        text = f"{_proof(look, standing)}; {left} of {look.plan.iterations} iterations to go"
        return Finding(Reason.PROVEN_SAFE, text, standing.version)
    judged = [standing.evidence[c.id] for c in look.plan.limited]
    reason = Reason.PROGRESSING if all(e.enough for e in judged) else Reason.NOT_ENOUGH_DATA
    return Finding(reason, progress(look, standing), standing.version)


def _proof(look: Look, standing: Standing) -> str:
    """Every limit with what was seen, and how strong the weakest proof is; with a reward, the weakest win too."""
    if look.plan.reward is not None and not decide.is_performance(look.plan):
        return f"{_best_reward(look, standing)}{_limits_kept(look, standing)}"
    needed = budget(look.plan).promotion
    seen = ", ".join(_seen(look, standing, c) for c in look.plan.limited)
    chance, enough = words.one_in(standing.margin + needed), words.one_in(needed)
    return f"proven, {seen}; a version that violates it shows this with a chance of at most {chance} ({enough} needed)"


def _best_reward(look: Look, standing: Standing) -> str:
    alive = {BASELINE, *(s.version for s in look.alive)} - {standing.version}
    weakest = min((standing.beaten[v] for v in alive), default=0.0)
    return (
        f"proven the best, {_rewards(look)}; a version that is not shows this with a chance of at most "
        f"{words.one_in(weakest)} ({words.one_in(budget(look.plan).winner)} needed)"
    )


def _limits_kept(look: Look, standing: Standing) -> str:
    limits = look.plan.limited if standing.version != BASELINE else ()
    return f"; {', '.join(_seen(look, standing, c) for c in limits)}" if limits else ""


def _rewards(look: Look) -> str:
    """The reward of every version that is left: `books 0.061 of v2, 0.05 of v1`."""
    criterion = look.plan.reward
    if criterion is None:
        return ""
    standings = (*look.alive, look.standings[0])
    values = [(s, s.evidence[criterion.id].value) for s in standings]
    told = [
        f"{'unknown' if x is None else words.amount(x, criterion.measure)} of {look.plan.name(s.version)}"
        for s, x in values
    ]
    return f"{words.metric(criterion)} {', '.join(told)}"


def _race(look: Look, standing: Standing) -> str:
    """Against whom it is still open who has the better reward."""
    if look.plan.reward is None:
        return "no criterion has a threshold: nothing can be proven"
    rivals = [v for v in (BASELINE, *(s.version for s in look.alive)) if v not in (standing.version, *standing.beaten)]
    if not rivals:
        return f"its reward is proven the best: {_rewards(look)}"
    against = " and ".join(look.plan.name(v) for v in rivals)
    return f"{_rewards(look)}; not proven yet to be better than {against}"


def _seen(look: Look, standing: Standing, criterion: Criterion) -> str:
    evidence = standing.evidence[criterion.id]
    baseline = look.standings[0].evidence[criterion.id].value
    interval = evidence.anytime(look.plan.analysis.false_rollback)
    return words.against_limit(criterion, evidence, interval, baseline)


def _rate(look: Look, version: str, criterion: Criterion) -> float:
    """Trials of a criterion per second at present: the counter it divides by, else the requests."""
    return look.rates.get(version, {}).get(criterion.measure.denominator or look.plan.requests, 0.0)


def _blindness(look: Look, criterion: Criterion, busy: list[str]) -> str:
    measure = criterion.measure
    counters = [n for n in (measure.numerator, measure.denominator) if n is not None]
    missing = [n for n in counters if not any(n in look.fresh.get(v, {}) for v in busy)] or counters
    names = " and ".join(look.plan.name(v) for v in busy)
    return f"no {words.metric(criterion)}: {' and '.join(missing)} of {names} is not counted; traffic stays as it is"


def _hold(*findings: Finding) -> Verdict:
    return Verdict(findings, held=True, counted=False)
