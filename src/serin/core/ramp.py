"""How weights move along one path of a forecast: the strategy at work on what the evidence says there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from serin.core import decide, exposure, shares, traffic
from serin.core.decide import Standing
from serin.core.evidence.criterion import Evidence
from serin.core.model import BASELINE, Plan

ByCriterion = Mapping[str, Evidence]

_CALM = 4


@dataclass(slots=True)
class Ramp:
    """The weights on one path. All candidates are alike, so what one of them shows stands for all.

    rate       requests a second of all versions together
    followed   ids of the criteria of which there is evidence; the others are met for certain
    weights    in effect, by version id
    """

    plan: Plan
    rate: float
    followed: frozenset[str]
    weights: dict[str, int] = field(default_factory=dict)
    _carry: Mapping[str, float] = field(default_factory=dict)
    _calm: int = 0

    def __post_init__(self) -> None:
        self.weights = traffic.all_on(self.plan, BASELINE)

    @property
    def share(self) -> float:
        """The share of one candidate; in Performance that of the baseline, which is the one that is judged."""
        return self.weights[self.plan.ids[1]] / 100.0 if not decide.is_performance(self.plan) else 1.0

    @property
    def rest(self) -> float:
        """The share of the baseline."""
        return self.weights[BASELINE] / 100.0

    def iterate(self, own: ByCriterion, baseline: ByCriterion) -> None:
        """One more iteration, with the evidence about one candidate and about the baseline."""
        plan = self.plan
        if decide.is_performance(plan):
            return
        if self._calm >= _CALM and self._calm % _CALM:  # where nothing moves, looking now and then is enough
            self._calm += 1
            return
        if not plan.criteria:
            self.weights = traffic.step_up(plan, self.weights, plan.ids)
            return
        evidence = {v: baseline if v == BASELINE else own for v in plan.ids}
        standings = [self._standing(v, evidence) for v in plan.ids]
        reward = plan.reward
        lower = reward is not None and reward.measure.lower_is_better
        target = shares.shares(plan.strategy, shares.contenders(plan, standings), lower)
        rising = [s.version for s in standings if self._may_rise(s)]
        cut_off = [s.version for s in standings if s.cut_off is not None]
        most = exposure.largest_weights(plan, evidence, plan.ids[1:], self.rate * plan.interval)
        found = traffic.split(plan, target, self.weights, self._carry, rising, cut_off, most)
        moved = max(abs(found.weights[v] - self.weights[v]) for v in plan.ids)
        self._calm = self._calm + 1 if moved <= 1 else 0
        self.weights, self._carry = found.weights, found.carry

    def _may_rise(self, standing: Standing) -> bool:
        """As `decide.may_rise`, where every criterion is measured in every interval."""
        return self.weights[standing.version] == 0 or standing.satisfying is None or standing.satisfying >= 0.5

    def _standing(self, version: str, evidence: Mapping[str, ByCriterion]) -> Standing:
        own, baseline = evidence[version], evidence[BASELINE]
        judged = [c for c in self.plan.limited if version != BASELINE or not decide.is_relative(c)]
        chances = [decide.satisfying(c, own[c.id], baseline[c.id]) for c in judged if c.id in self.followed]
        known = [p for p in chances if p is not None]
        met = math.prod(known) if len(known) == len(chances) else None
        competing = any(c.is_reward for c in self.plan.criteria)
        return Standing(version, own, satisfying=met if judged or competing else None)
