"""The evidence about a mean, or any ratio of two counters: t-tests over blocks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from typing import Any

from serin.core.evidence.block_t import Point, mean_point, mean_ratio_point
from serin.core.evidence.blocks import EMPTY, Blocks, Rule
from serin.core.evidence.contract import MIN_BLOCKS, NOTHING, Evidence, Sums, to_go
from serin.core.evidence.posterior import Posterior, Student, Unknown
from serin.core.model import Interval, Mode

# Trials, because of skewness. Simulated at an exact absolute limit, nominal 5 %, 120 blocks of lognormal values of
# log-sd 0.6 / 1.0 / 1.5, wrongly promoted in percent: blocks of 8 trials 4.7 / 8.8 / 26, of 30 3.0 / 5.8 / 14, of 100
# 2.0 / 2.4 / 8.1; wrongly rolled back with 8: 0.2 / 0.1 / 0. Very skewed values need more trials a block than anybody
# waits for: close to the limit the promise is weaker for them.
# Seconds, because counters may be read every second, and blocks shorter than the correlation time of the service look
# more independent than the guard can notice with few of them. Simulated at the exact relative limit, nominal 5 %, noise
# of each version with a correlation time of 22 s, 3 minutes / 30 minutes, wrongly promoted in percent:
#
#     noise 2 %, 10 requests/s    5 s 2.2 / 3.6     10 s 1.2 / 2.7     15 s 1.5 / 2.4     30 s 0.3 / 1.9
#     noise 5 %, 10 requests/s    5 s 5.3 / 11      10 s 3.1 / 8.1     15 s 3.0 / 5.8     30 s 0.4 / 3.8
#     noise 5 %, 50 requests/s    5 s 16  / 22      10 s 7.7 / 13      15 s 5.5 / 8.4     30 s 0.9 / 5.1
#
# 10 s lets a good candidate be proven in a minute and keeps the promise where sampling noise prevails. A scrape of 15 s
# is a block by itself.
COARSE_TRIALS, COARSE_SECONDS = 30.0, 10.0
FINE_TRIALS, FINE_SECONDS = 8.0, 5.0


@dataclass(frozen=True, slots=True)
class MeanRule:
    """How a mean is judged. `limit` None: only estimated. `lower`: compliance is below the limit."""

    limit: float | None
    lower: bool
    relative: bool
    mode: Mode

    @property
    def harm(self) -> int:
        """The side of the violation."""
        return 1 if self.lower else -1

    def own_point(self, own: Sums, _baseline: Sums, _scale: float) -> Point:
        """A block of this version alone; against 0 where the limit is relative or missing."""
        return mean_point(own, self.reference)

    def pair_point(self, own: Sums, baseline: Sums, scale: float) -> Point:
        """A block of both versions."""
        return mean_ratio_point(own, baseline, self.limit or 0.0, scale)

    @property
    def reference(self) -> float:
        """What a block of this version alone is compared with."""
        return 0.0 if self.relative or self.limit is None else self.limit


def _rule(trials: float, seconds: float, paired: bool) -> Rule:
    return Rule(trials, trials if paired else 0.0, -math.inf, seconds)


@dataclass(frozen=True, slots=True)
class MeanEvidence(Evidence):
    """Evidence about a mean.

    The same readings are cut twice. Coarse blocks decide for a promotion: skewed values make small blocks look too
    good, and correlation in time makes short ones look too many. Fine blocks decide for a rollback, where skewness
    errs on the other side and seconds count; strict mode waits for the coarse ones there too.

    alone     (fine, coarse) blocks of this version: its estimate, and what an absolute limit is judged by
    paired    (fine, coarse) blocks of it and the baseline, under a relative limit
    """

    rule: MeanRule
    counted: Sums = NOTHING
    alone: tuple[Blocks, Blocks] = (EMPTY, EMPTY)
    paired: tuple[Blocks, Blocks] | None = None

    def update(self, own: Sums, baseline: Sums | None = None, seconds: float = 15.0) -> MeanEvidence:
        """See `Evidence.update`."""
        other = baseline if baseline is not None and self.paired is not None else NOTHING
        if not (own.usable and other.usable) or (own.empty and other.empty):
            return self
        alone, paired = self.alone, self.paired
        if not own.empty:
            fine, coarse = _rule(FINE_TRIALS, FINE_SECONDS, False), _rule(COARSE_TRIALS, COARSE_SECONDS, False)
            reading, by_self = (own, NOTHING, seconds), self.rule.own_point
            alone = (alone[0].add(reading, fine, by_self), alone[1].add(reading, coarse, by_self))
        if paired is not None:
            fine, coarse = _rule(FINE_TRIALS, FINE_SECONDS, True), _rule(COARSE_TRIALS, COARSE_SECONDS, True)
            reading, in_pairs = (own, other, seconds), self.rule.pair_point
            paired = (paired[0].add(reading, fine, in_pairs, True), paired[1].add(reading, coarse, in_pairs, True))
        return replace(self, counted=self.counted + own, alone=alone, paired=paired)

    @property
    def _deciding(self) -> tuple[Blocks, Blocks]:
        return self.alone if self.paired is None else self.paired

    @property
    def log_for(self) -> float:
        """By the coarse blocks."""
        if self.rule.limit is None:
            return 0.0
        return float(self._deciding[1].track.log_evidence(-self.rule.harm)[0])

    @property
    def log_against(self) -> float:
        """By the fine blocks; in strict mode by the coarse ones."""
        if self.rule.limit is None:
            return 0.0
        blocks = self._deciding[1 if self.rule.mode is Mode.STRICT else 0]
        return float(blocks.track.log_evidence(self.rule.harm)[0])

    @property
    def value(self) -> float | None:
        """Numerator over denominator."""
        return self.counted.total / self.counted.trials if self.counted.trials else None

    @property
    def trials(self) -> float:
        """Trials so far."""
        return self.counted.trials

    @property
    def posterior(self) -> Posterior:
        """Student's t with the scatter of the fine blocks.

        Before there are two of them nothing is known of the scatter: one degree of freedom, and the estimate itself
        as its own standard error.
        """
        if self.value is None:
            return Unknown()
        track = self.alone[0].track
        least = 1e-9 * abs(self.value) + 1e-300
        if track.blocks < 2:
            return Student(1.0, self.value, max(abs(self.value), least))
        return Student(track.blocks - 1.0, self.value, max(track.estimate()[1], least))

    @property
    def enough(self) -> bool:
        """Six coarse blocks."""
        return self.rule.limit is None or self._deciding[1].track.blocks >= MIN_BLOCKS

    def anytime(self, alpha: float) -> Interval | None:
        """The side that a promotion rests on by the coarse blocks, the other one by the fine ones."""
        level = math.log(2.0 / alpha)
        fine, coarse = self.alone[0].track, self.alone[1].track
        if max(fine.blocks, coarse.blocks) < MIN_BLOCKS:
            return None
        below, above = (fine, coarse) if self.rule.lower else (coarse, fine)
        found = below.last_unrefuted(1, level), above.last_unrefuted(-1, level)
        return Interval(max(self.rule.reference + found[0], 0.0), self.rule.reference + found[1])

    def anytime_ratio(self, alpha: float) -> Interval | None:
        """The same of the ratio to the baseline."""
        if self.paired is None or self.rule.limit is None or self.paired[0].track.blocks < MIN_BLOCKS:
            return None
        level = math.log(2.0 / alpha)
        fine, coarse = self.paired[0].track, self.paired[1].track
        below, above = (fine, coarse) if self.rule.lower else (coarse, fine)
        found = below.last_unrefuted(1, level), above.last_unrefuted(-1, level)
        return Interval(max(self.rule.limit + found[0], 0.0), self.rule.limit + found[1])

    def missing(self, needed: float, rate: float) -> tuple[str, float | None]:
        """See `Evidence.missing`."""
        if self.rule.limit is None:
            return "", 0.0
        if not self.counted.trials:
            return "no requests yet", None
        reached = self.log_for
        if self.enough and reached >= needed:
            return "", 0.0
        if self.enough:
            growth = reached / self.counted.trials * rate
            wait = (needed - reached) / growth if growth > 0 else None
            return to_go(f"evidence {max(reached, 0.0):.1f} of {needed:.1f} nats", wait)
        coarse = self._deciding[1]
        left = MIN_BLOCKS - coarse.track.blocks
        text = f"{coarse.track.blocks} of {MIN_BLOCKS} blocks seen"
        if rate <= 0:
            return text, None
        by_trials = (left * COARSE_TRIALS - coarse.open.own.trials) / rate
        return to_go(text, max(by_trials, left * COARSE_SECONDS - coarse.open.seconds))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "kind": "mean",
            "counted": list(astuple(self.counted)),
            "alone": [b.to_json() for b in self.alone],
            "paired": None if self.paired is None else [b.to_json() for b in self.paired],
        }


def from_json(rule: MeanRule, state: Mapping[str, Any]) -> MeanEvidence:
    """What `MeanEvidence.to_json` gave."""
    fine, coarse = (Blocks.from_json(b) for b in state["alone"])
    paired = None
    if rule.relative:
        one, two = (Blocks.from_json(b) for b in state["paired"])
        paired = (one, two)
    return MeanEvidence(rule, Sums(*state["counted"]), (fine, coarse), paired)
