"""One path of a forecast: the engine's own evidence, led through counts as they may come, until a proof is reached."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from serin.core import contest, decide, paths
from serin.core.budget import budget
from serin.core.evidence.contract import UNIT
from serin.core.evidence.criterion import Evidence, Past, Sums, learn
from serin.core.evidence.mixture import Array
from serin.core.lifecycle import begin
from serin.core.model import BASELINE, Criterion, MeasureKind, Plan
from serin.core.ramp import Ramp
from serin.core.state import evidence_of

WIN = "win"
"""Stands for the win of a reward among the criteria."""

_RARE = 0.05
"""Events that are not rarer scatter less than single ones do: their count is binomial."""

_FARTHEST = 4.0
"""In lengths of the experiment, how far paths are followed; beyond, the evidence's own estimate of the rest counts."""

_READINGS = 240
"""The most readings of one path."""

_COARSEST = UNIT
"""Seconds of the longest reading on a path: the evidence learns from stretches of this length."""

_FINENESS = 12.0
"""A reading is at most about this part of the time since the candidate had its first requests."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What one version does by one criterion.

    value   the share of requests, the mean, or counts a request of a counter
    cv      standard deviation over mean of single values, of a mean
    burst   how many events come at once, of a share: 1 is independent
    """

    value: float
    cv: float = 1.0
    burst: float = 1.0


Behaviours = Mapping[str, Behaviour]
"""Criterion id -> behaviour; a criterion without an entry is left out."""


@dataclass(frozen=True, slots=True)
class Assumed:
    """What is assumed.

    rate        requests a second of all versions together
    baseline    how the baseline behaves
    good, bad   how a candidate behaves that is to be promoted, and one that is to be rolled back
    reading     seconds between two readings of the counters
    history     seconds of the baseline's counters that are known at the start
    past        what they say by criterion, where they have been read; else what is to be expected of them
    """

    rate: float
    baseline: Behaviours
    good: Behaviours
    bad: Behaviours
    reading: float = 1.0
    history: float = 0.0
    past: Mapping[str, Past] | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    """When a proof was reached on a path, and how many requests the candidate had had."""

    time: float
    requests: float


@dataclass(frozen=True, slots=True)
class Aim:
    """What is to be proven: that a limit is kept, or (`for_it` false) that it is violated, with so many nats."""

    needed: float
    for_it: bool

    def reached(self, evidence: Evidence) -> bool:
        """Whether the engine would say so."""
        if self.for_it:
            return evidence.enough and evidence.log_for >= self.needed
        return evidence.log_against >= self.needed

    def to_go(self, evidence: Evidence, time: float, pace: float) -> float:
        """Seconds after a path that is too short: what the evidence says itself, or by its growth so far."""
        if self.for_it:
            _, eta = evidence.missing(self.needed, pace)
            return math.inf if eta is None else eta
        return _growing(evidence.log_against, self.needed, time)


@dataclass(frozen=True, slots=True)
class Setting:
    """What all paths of a forecast share.

    readings   (seconds, whether an iteration follows) of each
    scores     criterion id -> normal scores of the candidate and of the baseline, (paths, readings) each
    begun      the evidence before the first reading, of every version by criterion
    """

    plan: Plan
    assumed: Assumed
    readings: tuple[tuple[float, bool], ...]
    scores: Mapping[str, tuple[Array, ...]]
    begun: Mapping[str, Mapping[str, Evidence]]

    @classmethod
    def of(cls, plan: Plan, assumed: Assumed, count: int, shortest: float, batch: int) -> Setting:
        """For one batch of so many paths."""
        readings = tuple(readings_of(plan, shortest))
        seconds = np.array([length for length, _ in readings])
        scores = {
            c.id: tuple(paths.scores(count, seconds, 1000 * batch + 2 * i + side) for side in (0, 1))
            for i, c in enumerate(plan.criteria)
        }
        past = _past(assumed, plan.criteria) if assumed.past is None else assumed.past
        return cls(plan, assumed, readings, scores, evidence_of(plan, begin(plan, 0.0, past)))


def _past(assumed: Assumed, criteria: Sequence[Criterion]) -> dict[str, Past]:
    """What the baseline's history is to be expected to say."""
    units = round(assumed.history / UNIT)
    found = {}
    for i, c in enumerate(criteria):
        if units == 0 or c.id not in assumed.baseline:
            continue
        scores = paths.scores(1, np.ones(units), -1 - i)[0]
        counted = [_sums(c, assumed.baseline[c.id], assumed.rate * UNIT, float(score)) for score in scores]
        if (past := learn(c, counted)) is not None:
            found[c.id] = past
    return found


def readings_of(plan: Plan, shortest: float) -> Iterator[tuple[float, bool]]:
    """As many as the evidence can tell apart: short ones first, where a proof may hang on a single one."""
    interval, made = 0, 0
    while interval < plan.iterations * _FARTHEST and made < _READINGS:
        since = (interval - 1) * plan.interval
        step = max(shortest, min(_COARSEST, since / _FINENESS if interval else _COARSEST))
        parts = max(1, math.ceil(plan.interval / step - 1e-9))
        for part in range(parts):
            yield plan.interval / parts, part == parts - 1
        interval, made = interval + 1, made + parts


def lived(
    setting: Setting, candidate: Behaviours, criteria: Sequence[Criterion], path: int, aim: Aim
) -> tuple[dict[str, Proof], int]:
    """When the aim is reached for each of the criteria (others are met for certain), and how many readings it took."""
    plan, assumed = setting.plan, setting.assumed
    rewards = [c for c in plan.criteria if c.is_reward and c.id in assumed.good]
    doing = {**{c.id: assumed.good[c.id] for c in rewards}, **candidate}
    begun, ramp = setting.begun, Ramp(plan, assumed.rate, frozenset(c.id for c in criteria))
    judged = BASELINE if decide.is_performance(plan) else plan.ids[1]
    own, baseline = dict(begun[judged]), dict(begun[BASELINE])
    contests = bool(rewards) and aim.for_it and judged != BASELINE
    duels: contest.Duels = {}
    found: dict[str, Proof] = {}
    time = requests = 0.0
    for k, (seconds, iterates) in enumerate(setting.readings):
        time += seconds
        pace = assumed.rate * ramp.share, assumed.rate * ramp.rest
        requests += pace[0] * seconds
        for c in (*criteria, *(r for r in rewards if r not in criteria)):
            if c.id in found and not c.is_reward:  # what is proven stays proven, and steers traffic no more
                continue
            mine, other = (
                _sums(c, behaviours[c.id], n * seconds, float(scores[path, k]))
                for behaviours, n, scores in zip((doing, assumed.baseline), pace, setting.scores[c.id], strict=True)
            )
            if judged == BASELINE:
                other = mine
            if time - seconds >= plan.analysis.warmup:
                own[c.id] = own[c.id].update(mine, other, seconds)
            if decide.is_relative(c) or c.is_reward:
                baseline[c.id] = baseline[c.id].update(other, other, seconds)
            ended = iterates and time >= plan.interval * plan.iterations - 1e-9
            if c.is_reward and contests and WIN not in found:
                duels = contest.updated(plan, duels, (BASELINE, judged), _counts(c, judged, mine, other), seconds)
                if BASELINE in contest.beaten(plan, duels, {}).get(judged, {}):
                    found[WIN] = Proof(time + c.delay, requests)
            if c in criteria and c.id not in found and aim.reached(own[c.id].at_end() if ended else own[c.id]):
                found[c.id] = Proof(time, requests)
        if len(found) == len(criteria) + contests:
            return found, k + 1
        if iterates:
            ramp.iterate(own, baseline)
    pace_now = assumed.rate * ramp.share
    rest = {c.id: aim.to_go(own[c.id], time, pace_now) for c in criteria if c.id not in found}
    if contests and WIN not in found:
        rest[WIN] = _growing(contest.nats(plan, duels, judged, BASELINE), budget(plan).winner, time)
    for name, to_go in rest.items():
        found[name] = Proof(time + to_go, requests + (pace_now * to_go if math.isfinite(to_go) else math.inf))
    return found, len(setting.readings)


def _counts(criterion: Criterion, judged: str, own: Sums, baseline: Sums) -> dict[str, dict[str, float]]:
    """Two versions' sums as the counters that they come from."""
    measure = criterion.measure
    return {
        v: {measure.numerator: seen.total, str(measure.denominator): seen.trials}
        for v, seen in ((judged, own), (BASELINE, baseline))
    }


def _growing(reached: float, needed: float, time: float) -> float:
    """Seconds until evidence is there that goes on growing as it has."""
    return (needed - reached) * time / reached if reached > 0.0 else math.inf


def _sums(criterion: Criterion, behaviour: Behaviour, requests: float, score: float) -> Sums:
    """What is counted of so many requests at this quantile of what may be."""
    if criterion.measure.kind is MeasureKind.MEAN:
        spread = behaviour.value * behaviour.cv * math.sqrt(requests)
        return Sums(requests, max(requests * behaviour.value + spread * score, 0.0))
    if criterion.measure.kind is MeasureKind.RATE and behaviour.value >= _RARE and behaviour.burst <= 1.0:
        return Sums(requests, min(paths.share(requests, behaviour.value, score), requests))
    events = paths.count(requests * behaviour.value, score, behaviour.burst)
    if criterion.measure.kind is MeasureKind.COUNTER:
        return Sums(0.0, events)
    return Sums(requests, min(events, float(math.ceil(requests))))
