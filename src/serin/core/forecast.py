"""How long an experiment is to be expected to take, and how many requests, for what somebody assumes of the versions.

The engine itself is asked: its evidence is led along paths (`lives`) that are spread evenly over what may happen
(`paths`), with the weights that the strategy gives there (`ramp`), and the times at which proofs are reached are
counted. Nothing here knows a formula of the evidence, so the forecast follows it when it changes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from serin.core.budget import budget
from serin.core.lives import WIN, Aim, Assumed, Behaviour, Behaviours, Proof, Setting, lived, readings_of
from serin.core.model import Criterion, Plan

__all__ = ["Assumed", "Behaviour", "Behaviours", "CriterionForecast", "Expected", "Forecast", "forecast"]

PATHS = 16
"""Paths of a batch."""

EFFORT = 1500
"""Readings that are led through the evidence before no other batch is begun: quick proofs get more paths."""

_BATCHES = 8

_PATIENT = 5.0
"""Seconds of the shortest reading where a promotion is followed: nothing is proven for a version by a single second."""


@dataclass(frozen=True, slots=True)
class Expected:
    """When something is proven; infinite where it may never be.

    median, p90                     seconds from the start, within which it is with a chance of 50 and of 90 %
    median_requests, p90_requests   requests that the candidate has had by then
    in_time                         the chance that it is within the length of the experiment
    """

    median: float
    p90: float
    median_requests: float
    p90_requests: float
    in_time: float


@dataclass(frozen=True, slots=True)
class CriterionForecast:
    """One criterion; None where nothing is assumed of it."""

    criterion: Criterion
    promote: Expected | None
    rollback: Expected | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """The whole experiment.

    seconds    the length of the experiment
    followed   seconds for which it was followed; times beyond are estimated, and an infinite one is only known to be
               beyond
    win        the reward is proven to be better than the baseline's; None without a reward, or where nothing is
               assumed of it
    promote    every criterion is proven to be kept, at an iteration; None without a limit
    rollback   a violation is proven, whichever criterion it is of: the slowest of them
    """

    seconds: float
    followed: float
    criteria: tuple[CriterionForecast, ...] = ()
    win: Expected | None = None
    promote: Expected | None = None
    rollback: Expected | None = None


def forecast(plan: Plan, assumed: Assumed, count: int = PATHS, effort: int = EFFORT) -> Forecast:
    """What is to be expected, by batches of `count` paths, until `effort` is spent (0: one batch, a rough answer)."""
    limits, needed, length = plan.limited, budget(plan), plan.interval * plan.iterations
    kept, broken = ([c for c in limits if c.id in known] for known in (assumed.good, assumed.bad))
    keeping, breaking = Aim(needed.promotion, True), Aim(needed.rollback, False)
    slow = _Batches(plan, assumed, count, effort, max(assumed.reading, _PATIENT))
    quick = _Batches(plan, assumed, count, effort, assumed.reading)
    followed = kept or [c for c in plan.criteria if c.is_reward and c.id in assumed.good]
    good = slow.lives(assumed.good, kept, keeping) if followed else []
    promote = {c: _expected([life[c] for life in good], length) for c in (good[0] if good else ())}
    rollback = {
        c.id: _expected([life[c.id] for life in quick.lives(assumed.bad, [c], breaking)], length) for c in broken
    }
    return Forecast(
        length,
        sum(seconds for seconds, _ in readings_of(plan, assumed.reading)),
        tuple(CriterionForecast(c, promote.get(c.id), rollback.get(c.id)) for c in limits),
        promote.get(WIN),
        _expected([_at_an_iteration(plan, list(life.values())) for life in good], length) if good else None,
        max(rollback.values(), key=lambda e: (e.median, e.p90), default=None),
    )


def _at_an_iteration(plan: Plan, proofs: Sequence[Proof]) -> Proof:
    """All criteria are proven; that promotes at the next iteration, and not before `minDuration`."""
    last = max(proofs, key=lambda proof: proof.time)
    waited = max(last.time, plan.analysis.min_duration)
    if not math.isfinite(waited):
        return last
    return Proof(math.ceil(waited / plan.interval - 1e-9) * plan.interval, last.requests)


@dataclass(frozen=True, slots=True)
class _Batches:
    """How many paths are followed, and with readings not shorter than what."""

    plan: Plan
    assumed: Assumed
    count: int
    effort: int
    shortest: float

    def lives(self, candidate: Behaviours, criteria: Sequence[Criterion], aim: Aim) -> list[dict[str, Proof]]:
        """When the aim is reached for each criterion, on each path."""
        found: list[dict[str, Proof]] = []
        spent = batch = 0
        while batch == 0 or (spent < self.effort and batch < _BATCHES):
            setting = Setting.of(self.plan, self.assumed, self.count, self.shortest, batch)
            for path in range(self.count):
                life, readings = lived(setting, candidate, criteria, path, aim)
                found.append(life)
                spent += readings * max(1, len(criteria))
            batch += 1
        return found


def _expected(proofs: Sequence[Proof], length: float) -> Expected:
    """Quantiles over the paths."""
    times, requests = [p.time for p in proofs], [p.requests for p in proofs]
    return Expected(
        _quantile(times, 0.5),
        _quantile(times, 0.9),
        _quantile(requests, 0.5),
        _quantile(requests, 0.9),
        sum(t <= length + 1e-9 for t in times) / len(times),
    )


def _quantile(values: Sequence[float], p: float) -> float:
    """By interpolation; infinite where the upper of two neighbours is."""
    order, position = sorted(values), p * len(values) - 0.5
    below, above = max(0, math.floor(position)), min(len(values) - 1, math.ceil(position))
    if below == above or not math.isfinite(order[above]):
        return order[above]
    return order[below] + (position - below) * (order[above] - order[below])
