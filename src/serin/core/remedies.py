"""What to change in a plan that is not to be proven in time: the least of each kind of change, found by asking anew."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from serin.core.forecast import Assumed, Forecast, forecast
from serin.core.model import Criterion, LimitKind, Plan

T = TypeVar("T")

IN_TIME = 0.9
"""An experiment is long enough when a good candidate is proven within it with this chance."""

_FEW = 10
_MOST_ITERATIONS = 100_000
_INCREMENTS = (1, 2, 5, 10, 20, 30, 50, 75, 100)
_WIDER = (1.05, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Change:
    """One field of the spec, as it is and as it would do."""

    field: str
    now: float
    then: float


def least_changes(plan: Plan, assumed: Assumed, found: Forecast) -> list[Change]:
    """The least change of each kind that makes a good candidate proven in time; empty when it is, or nothing helps.

    More iterations by the forecast itself; a larger increment and a wider limit of the slowest criterion by asking
    with `_FEW` paths, in steps that people would take.
    """
    if found.promote is None or found.promote.in_time >= IN_TIME:
        return []
    changes = []
    iterations = found.promote.p90 / plan.interval
    if math.isfinite(iterations) and iterations <= _MOST_ITERATIONS:
        changes.append(Change("spec.duration.maxIterations", plan.iterations, _rounded(iterations)))
    asked = replace(assumed, bad={})

    def reached(changed: Plan) -> bool:
        promote = forecast(changed, asked, _FEW, 0).promote
        return promote is not None and promote.in_time >= IN_TIME

    larger = [step for step in _INCREMENTS if step > plan.max_increment]
    increment = _first(larger, lambda step: reached(replace(plan, max_increment=step)))
    if increment is not None:
        changes.append(Change("spec.trafficControl.maxIncrement", plan.max_increment, increment))
    slowest = max((c for c in found.criteria if c.promote), key=lambda c: c.promote.p90 if c.promote else 0.0)
    wider = _limit(plan, slowest.criterion, reached)
    return [*changes, wider] if wider else changes


def _limit(plan: Plan, criterion: Criterion, reached: Callable[[Plan], bool]) -> Change | None:
    limit = criterion.limit
    if limit is None or limit.value <= 0.0:
        return None

    def widened(factor: float) -> float:
        return _wider(criterion, limit.value, factor)

    def with_limit(factor: float) -> Plan:
        changed = replace(criterion, limit=replace(limit, value=widened(factor)))
        return replace(plan, criteria=tuple(changed if c.id == criterion.id else c for c in plan.criteria))

    factor = _first([f for f in _WIDER if widened(f) != limit.value], lambda f: reached(with_limit(f)))
    place = f"spec.criteria[{criterion.id}].threshold.value"
    return None if factor is None else Change(place, limit.value, widened(factor))


def _wider(criterion: Criterion, value: float, factor: float) -> float:
    """The limit with more room: for a share near 1 it is the failures that get the room."""
    if criterion.measure.lower_is_better:
        return float(f"{value * factor:.3g}")
    share_of_failures = criterion.limit is not None and criterion.limit.kind is LimitKind.ABSOLUTE and 0.5 < value < 1.0
    return float(f"{1.0 - (1.0 - value) * factor if share_of_failures else value / factor:.3g}")


def _first(steps: Sequence[T], enough: Callable[[T], bool]) -> T | None:
    """The first step that is enough, where what follows such a one is enough as well: by halving."""
    below, above = 0, len(steps)
    while below < above:
        middle = (below + above) // 2
        if enough(steps[middle]):
            above = middle
        else:
            below = middle + 1
    return steps[below] if below < len(steps) else None


def _rounded(iterations: float) -> int:
    """Up to two digits: what nobody can know better."""
    whole = math.ceil(iterations - 1e-9)
    step = int(10 ** max(0, len(str(whole)) - 2))
    return -(-whole // step) * step
