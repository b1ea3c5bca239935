"""The evidence about a share of requests: independent errors, guarded by blocks against errors that come in bursts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np

from serin.core.evidence import rate as formula
from serin.core.evidence.block_t import Point, mean_point, rate_ratio_point
from serin.core.evidence.blocks import EMPTY, Blocks, Rule
from serin.core.evidence.contract import CERTAIN, MIN_BLOCKS, NOTHING, Evidence, Sums, to_go
from serin.core.evidence.mixture import LOG_WEIGHTS, LateStart
from serin.core.evidence.posterior import Beta, Posterior
from serin.core.evidence.rate import CAP, HARM, SAFE
from serin.core.model import Interval, Mode

EXPECTED_EVENTS = 3.0
"""Events to be expected at a fixed limit in one block."""
COMPARED_EVENTS = 20.0
"""Events of both versions in one block of a comparison."""
# Bursts must fall into a block, not between two. At the exact limit of 2 %, 10 requests/s, 15 minutes, nominal 5 %,
# wrongly promoted (150 runs): independent errors 2 % and clusters of five 9 % with blocks of 15 s read every second;
# 0.7 % and 3 % with two scrapes of 15 s.
BLOCK_SECONDS = 15.0
BLOCK_READINGS = 2


@dataclass(frozen=True, slots=True)
class RateRule:
    """How a rate is judged.

    limit      None: only estimated. An absolute one above one half is turned around (`flipped`): the requests without
               the event are counted then, see `formula.evidence_at`
    lower      whether compliance is below the limit, after turning around
    """

    limit: float | None
    lower: bool
    relative: bool
    mode: Mode
    flipped: bool = False

    @classmethod
    def of(cls, limit: float | None, lower: bool, relative: bool, mode: Mode) -> RateRule:
        """Turned around where that is needed."""
        if limit is None or limit <= 0:
            return cls(None if limit is None else 0.0, lower, False, mode)
        if not relative and limit > 0.5:
            return cls(max(1.0 - limit, 0.0), not lower, False, mode, True)
        return cls(limit, lower, relative, mode)

    @property
    def harm(self) -> int:
        """The side of the violation."""
        return HARM if self.lower else SAFE

    @property
    def judged(self) -> float:
        """The limit where evidence is weighed against it; 0 where there is none or it leaves nothing to chance."""
        return self.limit or 0.0

    @property
    def block(self) -> Rule:
        """When a block is full."""
        if self.relative:
            return Rule(1, 1, COMPARED_EVENTS, BLOCK_SECONDS, BLOCK_READINGS)
        return Rule(EXPECTED_EVENTS / self.judged, 0, 0, BLOCK_SECONDS, BLOCK_READINGS)

    def seen(self, own: Sums) -> Sums:
        """The events that are counted."""
        return Sums(own.trials, own.trials - own.total) if self.flipped else own

    def point(self, own: Sums, baseline: Sums, _scale: float) -> Point:
        """The numbers of a full block."""
        return rate_ratio_point(own, baseline, self.judged) if self.relative else mean_point(own, self.judged)


@dataclass(frozen=True, slots=True)
class RateEvidence(Evidence):
    """Evidence about a rate.

    counted     all trials and events of this version
    held        (own, baseline) of readings that have more events than trials so far: their trials are still to come
    late        capped (not in `independent` mode) evidence of harm, mixed over its start
    ratios      under a relative limit the sums of `formula.log_factors_ratio`
    """

    rule: RateRule
    late: LateStart
    counted: Sums = NOTHING
    held: tuple[Sums, Sums] = (NOTHING, NOTHING)
    ratios: tuple[float, ...] = ()
    blocks: Blocks = EMPTY

    def update(self, own: Sums, baseline: Sums | None = None, seconds: float = 15.0) -> RateEvidence:
        """See `Evidence.update`."""
        other = baseline if baseline is not None and self.rule.relative else NOTHING
        if not (own.usable and other.usable) or (own.empty and other.empty):
            return self
        own, other = own + self.held[0], other + self.held[1]
        if own.total > own.trials or other.total > other.trials:
            return replace(self, held=(own, other))
        counted = self.counted + own
        if not self.rule.judged:
            return replace(self, held=(NOTHING, NOTHING), counted=counted)
        seen = self.rule.seen(own)
        late, ratios = self.late, self.ratios
        if self.rule.relative:
            factors = formula.log_factors_ratio(
                (seen.trials, seen.total), (other.trials, other.total), self.rule.judged
            )
            ratios = tuple((factors + np.array(ratios)).tolist()) if ratios else tuple(factors.tolist())
            against = formula.on_side(factors, self.rule.harm)
        else:
            against = formula.log_factors_rate(seen.total, seen.trials, self.rule.judged, self.rule.harm)
        if own.trials and (other.trials or not self.rule.relative):
            late = late.add(against if self.rule.mode is Mode.INDEPENDENT else np.minimum(against, CAP))
        blocks = self.blocks
        if self.rule.mode is not Mode.INDEPENDENT:
            blocks = blocks.add((seen, other, seconds), self.rule.block, self.rule.point, self.rule.relative)
        return replace(self, counted=counted, held=(NOTHING, NOTHING), late=late, ratios=ratios, blocks=blocks)

    @property
    def log_for(self) -> float:
        """As if errors were independent, and in the other modes also by blocks: the smaller of both."""
        if not self.rule.judged:
            return CERTAIN if self.rule.limit is not None and not self.rule.lower else 0.0
        independent = self._independent()
        if self.rule.mode is Mode.INDEPENDENT:
            return independent
        return min(independent, float(self.blocks.track.log_evidence(-self.rule.harm)[0]))

    @property
    def log_against(self) -> float:
        """Mixed over the start of the harm, capped a reading; in strict mode also by blocks: the smaller of both."""
        if not self.rule.judged:
            events = self.rule.seen(self.counted).total
            return CERTAIN if self.rule.limit is not None and self.rule.lower and events > 0 else 0.0
        weights = LOG_WEIGHTS
        if not self.rule.relative:
            weights = formula.alternatives(self.rule.judged, self.rule.harm)[0]
        capped = self.late.log_evidence(weights)
        if self.rule.mode is not Mode.STRICT:
            return capped
        return min(capped, float(self.blocks.track.log_evidence(self.rule.harm)[0]))

    def _independent(self) -> float:
        side = -self.rule.harm
        if self.rule.relative:
            return formula.log_evidence_ratio(np.array(self.ratios), side) if self.ratios else 0.0
        seen = self.rule.seen(self.counted)
        return formula.log_evidence_rate(seen.total, seen.trials, self.rule.judged, side)

    @property
    def value(self) -> float | None:
        """Events over trials."""
        return self.counted.total / self.counted.trials if self.counted.trials else None

    @property
    def trials(self) -> float:
        """Trials so far."""
        return self.counted.trials

    @property
    def posterior(self) -> Posterior:
        """Beta(1/2 + events, 1/2 + others)."""
        return Beta(0.5 + self.counted.total, 0.5 + self.counted.trials - self.counted.total)

    @property
    def enough(self) -> bool:
        """Six blocks, in the modes that use them."""
        if not self.rule.judged or self.rule.mode is Mode.INDEPENDENT:
            return True
        return self.blocks.track.blocks >= MIN_BLOCKS

    def anytime(self, alpha: float) -> Interval | None:
        """By independence; on the side that a promotion rests on also by the blocks, where there are any."""
        if not self.counted.trials:
            return None
        level = math.log(2.0 / alpha)
        found = formula.interval_of_rate(self.counted.total, self.counted.trials, level)
        if not self.rule.judged or self.rule.relative or self.rule.mode is Mode.INDEPENDENT:
            return found
        bound = self.rule.judged + self.blocks.track.last_unrefuted(-self.rule.harm, level)
        bound = min(max(1.0 - bound if self.rule.flipped else bound, 0.0), 1.0)
        if self.rule.lower != self.rule.flipped:
            return Interval(found.lower, max(found.upper, bound))
        return Interval(min(found.lower, bound), found.upper)

    def anytime_ratio(self, alpha: float) -> Interval | None:
        """By independence."""
        if not self.rule.relative or not self.ratios:
            return None
        return formula.interval_of_ratio(np.array(self.ratios), self.rule.judged, math.log(2.0 / alpha))

    def missing(self, needed: float, rate: float) -> tuple[str, float | None]:
        """See `Evidence.missing`."""
        if not self.rule.judged:
            sure = self.rule.limit is None or not self.rule.lower
            return ("", 0.0) if sure else ("a limit of 0 can be broken but never proven to be kept", None)
        if self.held[0].total > self.held[0].trials:
            return "more events than trials counted: not a share of them", None
        if not self.counted.trials:
            return "no requests yet", None
        reached = self.log_for
        if self.enough and reached >= needed:
            return "", 0.0
        growth = (self._independent() if not self.enough else reached) / self.counted.trials * rate
        wait = (needed - (reached if self.enough else self._independent())) / growth if growth > 0 else None
        if self.enough:
            return to_go(f"evidence {max(reached, 0.0):.1f} of {needed:.1f} nats", wait)
        blocks = self._blocks_to_go(rate)
        both = None if blocks is None or wait is None else max(blocks, wait)
        return to_go(f"{self.blocks.track.blocks} of {MIN_BLOCKS} blocks seen", both)

    def _blocks_to_go(self, rate: float) -> float | None:
        """Seconds until the blocks are there, at this rate of trials."""
        left, block = MIN_BLOCKS - self.blocks.track.blocks, self.blocks.open
        if self.rule.relative:
            events = self.blocks.past.total + block.baseline.total + block.own.total
            pace = events / self.counted.trials * rate
            have, full = block.own.total + block.baseline.total, COMPARED_EVENTS
        else:
            pace, have, full = rate, block.own.trials, self.rule.block.trials
        if pace <= 0:
            return None
        return max((left * full - have) / pace, left * BLOCK_SECONDS - block.seconds)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "kind": "rate",
            "counted": list(astuple(self.counted)),
            "held": [*astuple(self.held[0]), *astuple(self.held[1])],
            "late": [self.late.horizon, self.late.steps, list(self.late.log_m)],
            "ratios": list(self.ratios),
            "blocks": self.blocks.to_json(),
        }


def from_json(rule: RateRule, state: Mapping[str, Any]) -> RateEvidence:
    """What `RateEvidence.to_json` gave."""
    horizon, steps, log_m = state["late"]
    n_c, e_c, n_b, e_b = state["held"]
    return RateEvidence(
        rule,
        LateStart(horizon, steps, tuple(log_m)),
        Sums(*state["counted"]),
        (Sums(n_c, e_c), Sums(n_b, e_b)),
        tuple(state["ratios"]),
        Blocks.from_json(state["blocks"]),
    )
