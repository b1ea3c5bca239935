"""What the counters of a home say about the baseline of an experiment: how many requests, how good, how scattered."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from serin.cli.assuming import Assumptions, Pair
from serin.cli.target import Scope
from serin.core import words
from serin.core.evidence.contract import UNIT, Sums
from serin.core.history import learned
from serin.core.model import BASELINE, Criterion, MeasureKind, Plan
from serin.core.observation import Increments, Snapshot, increments, origin
from serin.core.reading import sums
from serin.core.recording import Read, read
from serin.errors import InvalidInput

if TYPE_CHECKING:
    from serin.ports import Object

ENOUGH = 100.0
"""Requests without which nothing is said."""


def measured(scope: Scope, experiment: Object, plan: Plan, typed: Assumptions) -> Assumptions:
    """What was typed, and the rest from the home. Raises InvalidInput when it has counted too little."""
    steps = scope.run(lambda home: home.history(experiment))
    snapshots = [step.snapshot for step in read(steps) if isinstance(step, Read)]
    seen = list(_steps(plan, snapshots))
    busy = [step for step in seen if step.counts.get(BASELINE, {}).get(plan.requests, 0.0) > 0.0]
    requests = sum(step.counts[BASELINE][plan.requests] for step in busy)
    seconds = sum(step.seconds for step in busy)
    if requests < ENOUGH:
        raise InvalidInput(
            f"the home has counted {words.number(requests)} requests of {plan.baseline} in the last "
            f"{words.span(sum(step.seconds for step in seen))}, which is too little to go by; send some for a minute, "
            "or give --rate and what is assumed"
        )
    found = {c.metric: _Measured.of(c, busy) for c in plan.criteria}
    values = {name: Pair(m.value, m.value) for name, m in found.items() if m.value is not None}
    return replace(
        typed,
        rate=typed.rate or requests / seconds,
        values={**values, **typed.values},
        cvs={name: m.cv for name, m in found.items() if m.cv is not None},
        history=min(seconds, plan.analysis.history),
        past=learned(plan, snapshots) if plan.analysis.history > 0.0 else {},
    )


@dataclass(frozen=True, slots=True)
class _Measured:
    """One metric of the baseline; None where it was not counted."""

    value: float | None = None
    cv: float | None = None

    @classmethod
    def of(cls, criterion: Criterion, steps: Sequence[Increments]) -> _Measured:
        """From the increments of each step."""
        parts = [found for step in steps if (found := sums(criterion, step.counts.get(BASELINE, {}))) is not None]
        if criterion.measure.kind is MeasureKind.COUNTER:
            return cls()
        whole = sum(parts, Sums(0.0, 0.0))
        if whole.trials <= 0.0:
            return cls()
        value = whole.total / whole.trials
        return cls(value, _cv(parts, value) if criterion.measure.kind is MeasureKind.MEAN else None)


def _cv(parts: Sequence[Sums], mean: float) -> float | None:
    """By how the means of the steps scatter: what a comparison will meet, waves of the service included."""
    used = [part for part in parts if part.trials > 0.0]
    if len(used) < 3 or mean <= 0.0:
        return None
    squares = sum((part.total - part.trials * mean) ** 2 / part.trials for part in used)
    return math.sqrt(squares / (len(used) - 1)) / mean


def _steps(plan: Plan, snapshots: Sequence[Snapshot]) -> Iterator[Increments]:
    """What was counted from snapshot to snapshot."""
    last: Snapshot | None = None
    for snapshot in sorted(snapshots, key=lambda s: s.time):
        step = increments(last, snapshot, (BASELINE,), [c.measure for c in plan.criteria])
        if last is not None and (step.gap is not None or step.seconds < 0.5 * UNIT):
            continue
        last = origin(last, snapshot, step)
        if step.seconds > 0.0:
            yield step
