"""Which of two versions has the better reward: blocks of both, at any ratio of their means.

The same sums serve every question (is it more than 1.05 times the other's? less?), in either direction. Shares of
requests are judged as means too: conversions are neither rare nor independent enough for anything sharper.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace
from typing import Any

from serin.core.evidence.blocks import EMPTY, Blocks, Edge, Rule, last_unrefuted
from serin.core.evidence.contract import Sums
from serin.core.evidence.mean import Point, Scale, pair_point
from serin.core.evidence.spread import Noise
from serin.core.model import Interval

TRIALS, SECONDS = 30.0, 10.0
EVENTS = 10.0
"""Events that are expected of each version in one block where the reward is a share of requests."""

_WORTH = 6.0
_RULE = Rule(TRIALS, SECONDS, paired=True)


@dataclass(frozen=True, slots=True)
class Duel:
    """Evidence about the ratio of the rewards of two versions, `own` over `other`.

    blocks    of both
    steady    how the other's values scatter from block to block
    """

    blocks: Blocks = EMPTY
    steady: Noise = field(default_factory=Noise)

    def update(self, own: Sums, other: Sums, seconds: float, share: bool) -> Duel:
        """One reading. `share`: the reward is a share of requests, 0 to 1."""
        if not (own.usable and other.usable) or (own.empty and other.empty):
            return self
        past = self.blocks.past
        rule, cv2 = _RULE, self._cv2(share)
        if share and past.total > 0:  # by what was seen before, never by what is being seen
            rule = replace(rule, trials=max(TRIALS, EVENTS * past.trials / past.total))

        def point(mine: Sums, theirs: Sums, mean: float) -> Point:
            return pair_point(mine, theirs, 1.0, mean, cv2)

        if past.total <= 0 and rule.full(self.blocks.open.add(own, other, seconds, True)):
            first = self.blocks.open.own + own, self.blocks.open.baseline + other
            if min(s.total for s in first) < (EVENTS if share else math.ulp(0.0)):  # no scale yet: go on filling
                return Duel(replace(self.blocks, open=self.blocks.open.add(own, other, seconds, True)), self.steady)
        before, theirs = self.blocks.track.blocks, self.blocks.open.baseline + other
        blocks = self.blocks.add((own, other, seconds), rule, point)
        closed = blocks.track.blocks > before
        return Duel(blocks, self.steady.add(theirs) if closed else self.steady)

    def _cv2(self, share: bool) -> float:
        past = self.blocks.past
        if share and 0 < past.total < past.trials:
            return past.trials / past.total - 1.0
        return self.steady.cv2()

    def log_evidence(self, ratio: float, side: int, share: bool) -> float:
        """Nats for 'the ratio is above `ratio`' (`side` 1) or below it (-1)."""
        return self.blocks.track.log_evidence(ratio, side, self._scale(share), relative=True)

    def interval(self, alpha: float, share: bool) -> Interval:
        """Ratios that are left possible at all looks together with a chance of 1 - `alpha`."""
        return Interval(*last_unrefuted(self.edges(alpha, share)))

    def edges(self, alpha: float, share: bool) -> tuple[Edge, Edge]:
        """What the ends of `interval` are made of."""
        level, scale, track = math.log(2.0 / alpha), self._scale(share), self.blocks.track
        return Edge(track, 1, level, scale, True), Edge(track, -1, level, scale, True)

    def _scale(self, share: bool) -> Scale:
        return Scale(self._cv2(share), _WORTH, self.blocks.track.inflation)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"blocks": self.blocks.to_json(), "steady": list(astuple(self.steady))}

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Duel:
        """What `to_json` gave."""
        return cls(Blocks.from_json(state["blocks"]), Noise(*state["steady"]))
