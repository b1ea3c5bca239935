"""The engine itself on these readings: `serin.core`, one experiment after the other, as its lifecycle would ask it.

The split is the data's own here (an open loop), so what is judged is evidence and budget; `loop` has the whole
lifecycle. A promotion is what `decide.proofs` proves of every criterion, a rollback is what `decide.proven_harm` finds,
both at every look: stricter than an experiment with default settings, which promotes at its end only.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.decisions.readings import Readings
from benchmarks.decisions.scenarios import Case
from benchmarks.decisions.verdicts import PROMOTED, ROLLED_BACK, UNDECIDED, Verdicts
from serin.core import decide
from serin.core.evidence.criterion import Evidence, Past, Sums, learn
from serin.core.lifecycle import begin
from serin.core.model import BASELINE, Analysis, Criterion, Mode, Plan, candidate_id
from serin.core.reading import sums
from serin.core.state import evidence_of

ALPHA = 0.05
"""What the cases are judged at, on both sides; `robust, 1 %` has the defaults of the API: 0.01 and 0.05."""

MODES = {
    "robust": Analysis(Mode.ROBUST, ALPHA, ALPHA),
    "strict": Analysis(Mode.STRICT, ALPHA, ALPHA),
    "independent": Analysis(Mode.INDEPENDENT, ALPHA, ALPHA),
    "robust, 1 h of history": Analysis(Mode.ROBUST, ALPHA, ALPHA),
    "strict, 1 h of history": Analysis(Mode.STRICT, ALPHA, ALPHA),
    "robust, 1 %": Analysis(Mode.ROBUST, 0.01, ALPHA),
}
HISTORY = 240
"""Looks of the baseline before the start that `analysis.history` asks for by default: an hour."""


def alpha_of(rule: str) -> float:
    """The error rate of a promotion that a mode promises; of other rules the one they are measured by."""
    return MODES[rule].false_promotion if rule in MODES else ALPHA


@dataclass(frozen=True)
class Judged:
    """Verdicts, and how many readings were taken in and what they took."""

    verdicts: Verdicts
    readings: int
    seconds: float


def plan_of(case: Case, mode: str, versions: int = 2) -> Plan:
    """The experiment that asks what the case asks."""
    settings = MODES[mode]
    analysis = Analysis(
        settings.mode, settings.false_promotion, settings.false_rollback, warmup=case.warmup, min_duration=case.until
    )
    names = tuple(f"v{i + 2}" for i in range(versions - 1))
    return Plan("v1", names, case.criteria, "requests", 15.0, case.frame.looks, analysis=analysis)


def not_yet(case: Case) -> str:
    """Why the engine refuses such an experiment today; empty when it does not."""
    return "; ".join(decide.unsupported(plan_of(case, "robust")))


def is_relative(criterion: Criterion) -> bool:
    """Whether it compares with the baseline."""
    return decide.is_relative(criterion)


def modes_of(case: Case) -> tuple[str, ...]:
    """The modes that judge a case; those with history where the engine learns something from it."""
    some = [Sums(100.0, 10.0 + i % 3) for i in range(HISTORY)]
    learns = any(learn(c, some, [(s, s) for s in some]) is not None for c in case.criteria)
    return tuple(mode for mode in case.modes if learns or "history" not in mode)


def history(modes: Iterable[str]) -> int:
    """How many looks of the baseline's past these modes read before the start."""
    return HISTORY if any("history" in mode for mode in modes) else 0


def _learned(plan: Plan, readings: Readings, replication: int) -> dict[str, Past]:
    """What the past says about each criterion, as far as there is anything to learn for its kind."""
    found = {}
    for criterion in plan.criteria:
        trials, total = (readings.past[c][:, replication] for c in _counters(criterion))
        pods = [
            [Sums(float(n), float(x)) for n, x in zip(t, s, strict=True)] for t, s in zip(trials, total, strict=True)
        ]
        halves = list(zip(*pods, strict=True))
        past = learn(criterion, [one + two for one, two in halves], halves)
        if past is not None:
            found[criterion.id] = past
    return found


def judge(case: Case, readings: Readings, mode: str) -> Judged:
    """What the engine says of each experiment."""
    plan = plan_of(case, mode, readings.versions)
    began, taken = time.perf_counter(), 0
    verdicts, decided = [], []
    for r in range(readings.replications):
        past = _learned(plan, readings, r) if "history" in mode else {}
        verdict, look = _one(plan, past, list(_stream(plan, readings, r)))
        taken += min(look + 1, readings.looks)
        verdicts.append(verdict)
        decided.append(look)
    return Judged(Verdicts(np.array(verdicts), np.array(decided)), taken, time.perf_counter() - began)


Look = list[tuple[Sums | None, Sums | None]]
"""For each criterion: what candidate and baseline added; None where it cannot be told."""


def _stream(plan: Plan, readings: Readings, replication: int) -> Iterator[Look]:
    """Look by look, as the engine makes sums of a reading."""
    candidate, baseline = (
        {counter: counts[v, replication].tolist() for counter, counts in readings.counts.items()} for v in (1, 0)
    )
    for look in range(readings.looks):
        own, other = ({counter: x[look] for counter, x in of.items()} for of in (candidate, baseline))
        yield [(sums(c, own), sums(c, other)) for c in plan.criteria]


def _counters(criterion: Criterion) -> tuple[str, str]:
    return criterion.measure.denominator or "requests", criterion.measure.numerator


def _one(plan: Plan, past: dict[str, Past], stream: list[Look]) -> tuple[int, int]:
    """(verdict, look at which it was said) of one experiment."""
    started = evidence_of(plan, begin(plan, 0.0, past))
    candidate, baseline = candidate_id(0), started[BASELINE]
    own: dict[str, Evidence] = dict(started[candidate])
    proofs: dict[str, float] = {}
    seconds, warmup, until = plan.interval, plan.analysis.warmup, plan.analysis.min_duration
    for look, counted in enumerate(stream):
        if look * seconds < warmup:
            continue
        for criterion, (of_candidate, of_baseline) in zip(plan.criteria, counted, strict=True):
            if of_candidate is not None:
                own[criterion.id] = own[criterion.id].update(of_candidate, of_baseline, seconds)
        if decide.proven_harm(plan, own, baseline) is not None:
            return ROLLED_BACK, look
        proofs = decide.proofs(plan, own, proofs)
        if len(proofs) == len(plan.criteria) and (look + 1) * seconds >= until:
            return PROMOTED, look
    return UNDECIDED, len(stream)
