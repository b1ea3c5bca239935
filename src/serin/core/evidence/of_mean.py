"""The evidence about a mean, or any ratio of two counters: blocks against a mixture of effects."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, field, replace
from functools import cached_property
from typing import Any

from serin.core.evidence.blocks import EMPTY, LEAST_BLOCKS, Blocks, Edge, Rule, Track, last_unrefuted
from serin.core.evidence.cold_start import ColdStart
from serin.core.evidence.contract import CERTAIN, NO_REQUESTS, NOTHING, UNIT, Dispersion, Evidence, Sums, to_go
from serin.core.evidence.mean import Point, Scale, own_point, pair_point
from serin.core.evidence.posterior import Posterior, Student, Unknown
from serin.core.evidence.spread import MeanPast, Noise
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


Reading = tuple[Sums, Sums, float]
"""(own, baseline, seconds)."""

Made = Callable[[Sums, Sums, float], Point]
"""Makes of a full block (own, baseline, scale) its numbers."""


@dataclass(frozen=True, slots=True)
class MeanRule:
    """How a mean is judged.

    limit    None: only estimated
    lower    whether compliance is below the limit
    past     what the baseline's history says
    """

    limit: float | None
    lower: bool
    relative: bool
    mode: Mode
    past: MeanPast = field(default_factory=MeanPast)

    @property
    def harm(self) -> int:
        """The side of the violation."""
        return 1 if self.lower else -1


_FINE, _COARSE = Rule(FINE_TRIALS, FINE_SECONDS), Rule(COARSE_TRIALS, COARSE_SECONDS)
_FINE_PAIRS, _COARSE_PAIRS = replace(_FINE, paired=True), replace(_COARSE, paired=True)


@dataclass(frozen=True)
class MeanEvidence(Evidence):
    """Evidence about a mean.

    The same readings are cut twice. Coarse blocks decide for a promotion: skewed values make small blocks look too
    good, and correlation in time makes short ones look too many. Fine blocks decide for a rollback, where skewness
    errs on the other side and seconds count; strict mode waits for the coarse ones there too.

    alone     (fine, coarse) blocks of this version: its estimate, and what an absolute limit is judged by
    paired    (fine, coarse) blocks of it and the baseline, under a relative limit
    steady    how the baseline's values scatter (its own where there is no baseline), in blocks of `waiting`
    cold      whether the blocks that decide for a rollback look like a cold start; one that is found is left out
    """

    rule: MeanRule
    counted: Sums = NOTHING
    alone: tuple[Blocks, Blocks] = (EMPTY, EMPTY)
    paired: tuple[Blocks, Blocks] | None = None
    steady: Noise = field(default_factory=Noise)
    waiting: tuple[float, float, float] = (0.0, 0.0, 0.0)
    cold: ColdStart = field(default_factory=ColdStart)

    def update(self, own: Sums, baseline: Sums | None = None, seconds: float = 15.0) -> MeanEvidence:
        """See `Evidence.update`."""
        other = baseline if baseline is not None else NOTHING
        if not (own.usable and other.usable) or (own.empty and other.empty):
            return self
        alone, paired, cv2, limit = self.alone, self.paired, self._cv2, self.rule.limit
        deciding: list[Point] = []
        if not own.empty:

            def by_self(mine: Sums, _: Sums, __: float) -> Point:
                return own_point(mine, cv2)

            noted = deciding if paired is None else []
            alone = self._added(alone, (own, NOTHING, seconds), (_FINE, _COARSE), by_self, noted)
        if paired is not None and limit is not None:

            def in_pairs(mine: Sums, theirs: Sums, mean: float) -> Point:
                return pair_point(mine, theirs, limit, mean, cv2)

            paired = self._added(paired, (own, other, seconds), (_FINE_PAIRS, _COARSE_PAIRS), in_pairs, deciding)
        steady, waiting = self._steadied(own if baseline is None else other, seconds)
        cold = self.cold.passed(seconds, own.trials > 0)
        for point in deciding:
            cold = cold.add(point)
        later = MeanEvidence(self.rule, self.counted + own, alone, paired, steady, waiting, cold)
        return later._warmed() if deciding else later

    def _added(
        self, blocks: tuple[Blocks, Blocks], reading: Reading, rules: tuple[Rule, Rule], point: Made, noted: list[Point]
    ) -> tuple[Blocks, Blocks]:
        """(fine, coarse) with one more reading; what closes of those that decide for a rollback is `noted` too."""

        def noting(own: Sums, baseline: Sums, mean: float) -> Point:
            noted.append(point(own, baseline, mean))
            return noted[-1]

        makes = (point, noting) if self._harmful else (noting, point)
        return blocks[0].add(reading, rules[0], makes[0]), blocks[1].add(reading, rules[1], makes[1])

    def _warmed(self) -> MeanEvidence:
        """After a block has closed: as if anew where what was counted so far was a cold start."""
        enough = self._deciding[self._harmful].track.blocks >= LEAST_BLOCKS
        if not enough or not self.cold.found(self._explained, self._against):
            return self
        paired = None if self.paired is None else (EMPTY, EMPTY)
        return MeanEvidence(self.rule, NOTHING, (EMPTY, EMPTY), paired, self.steady, self.waiting, self.cold.over())

    def _steadied(self, seen: Sums, seconds: float) -> tuple[Noise, tuple[float, float, float]]:
        trials, total, passed = self.waiting
        trials, total, passed = trials + seen.trials, total + seen.total, passed + seconds
        if trials < COARSE_TRIALS or passed < COARSE_SECONDS:
            return self.steady, (trials, total, passed)
        return self.steady.add(Sums(trials, total)), (0.0, 0.0, 0.0)

    @property
    def _cv2(self) -> float:
        return self.steady.cv2(self.rule.past.noise)

    def _scale(self, track: Track) -> Scale:
        return self.rule.past.scale(self._cv2, track.inflation)

    @property
    def _deciding(self) -> tuple[Blocks, Blocks]:
        return self.alone if self.paired is None else self.paired

    def _log_evidence(self, track: Track, side: int) -> float:
        limit = self.rule.limit
        if limit is None:
            return 0.0
        if limit <= 0.0:  # a ratio of two counters is never negative
            surely = self.counted.total > 0 if side == self.rule.harm == 1 else side == -self.rule.harm == 1
            return CERTAIN if surely else 0.0
        return track.log_evidence(limit, side, self._scale(track), self.rule.relative)

    @cached_property
    def log_for(self) -> float:
        """By the coarse blocks."""
        return self._log_evidence(self._deciding[1].track, -self.rule.harm)

    @cached_property
    def log_against(self) -> float:
        """By the fine blocks, in strict mode by the coarse ones; less what a cold start explains of it."""
        against = self._against
        return against - self._explained if against > 0.0 else against

    @property
    def _harmful(self) -> int:
        """Which of (fine, coarse) blocks decide for a rollback."""
        return 1 if self.rule.mode is Mode.STRICT else 0

    @property
    def _against(self) -> float:
        """Nats for a violation from some block on that stays as it is."""
        return self._log_evidence(self._deciding[self._harmful].track, self.rule.harm)

    @property
    def _explained(self) -> float:
        """Nats by which 'it keeps the limit but was cold' is better than 'it keeps the limit'."""
        track, limit = self._deciding[self._harmful].track, self.rule.limit
        if limit is None or limit <= 0.0:
            return 0.0
        return self.cold.explains(track, limit, self.rule.harm, self._scale(track), self.rule.relative)

    @property
    def value(self) -> float | None:
        """Numerator over denominator."""
        return self.counted.total / self.counted.trials if self.counted.trials else None

    @property
    def trials(self) -> float:
        """Trials so far."""
        return self.counted.trials

    @cached_property
    def posterior(self) -> Posterior:
        """Student's t with the scatter of the fine blocks.

        Before there are two of them nothing is known of the scatter: one degree of freedom, and the estimate itself
        as its own standard error.
        """
        if self.value is None:
            return Unknown()
        track = self.alone[0].track
        least = 1e-9 * abs(self.value) + 1e-12  # values that are all 0 scatter by something, or comparisons overflow
        if track.blocks < 2:
            return Student(1.0, self.value, max(abs(self.value), least))
        return Student(track.blocks - 1.0, self.value, max(track.estimate()[1], least))

    @property
    def enough(self) -> bool:
        """So many coarse blocks."""
        return self.rule.limit is None or self._deciding[1].track.blocks >= LEAST_BLOCKS

    @property
    def dispersion(self) -> Dispersion:
        """How many coarse blocks count as one because they resemble their neighbours."""
        track = self._deciding[1].track
        return Dispersion(self._scale(track).inflation if self.rule.limit is not None else 1.0)

    @property
    def history(self) -> float:
        """Seconds of history."""
        return self.rule.past.units * UNIT

    def anytime(self, alpha: float) -> Interval | None:
        """The side that a promotion rests on by the coarse blocks, the other one by the fine ones."""
        return self._interval(self.alone, alpha, relative=False)

    def anytime_ratio(self, alpha: float) -> Interval | None:
        """The same of the ratio to the baseline."""
        return None if self.paired is None else self._interval(self.paired, alpha, relative=True)

    def _interval(self, blocks: tuple[Blocks, Blocks], alpha: float, relative: bool) -> Interval | None:
        edges = self.edges(blocks, alpha, relative)
        return None if edges is None else Interval(*last_unrefuted(edges))

    def edges(self, blocks: tuple[Blocks, Blocks], alpha: float, relative: bool) -> tuple[Edge, Edge] | None:
        """What an interval's ends are made of: `alone`, or (`relative`) of `paired`; None before there are any."""
        level = math.log(2.0 / alpha)
        fine, coarse = blocks[0].track, blocks[1].track
        if self.rule.mode is Mode.STRICT:
            fine = coarse
        if max(fine.blocks, coarse.blocks) < LEAST_BLOCKS:
            return None
        below, above = (fine, coarse) if self.rule.lower else (coarse, fine)
        explained = self._explained if relative == self.rule.relative else 0.0  # the limit leaves as it is refuted
        least, most = (level + explained, level) if self.rule.lower else (level, level + explained)
        return (
            Edge(below, 1, least, self._scale(below), relative),
            Edge(above, -1, most, self._scale(above), relative),
        )

    def missing(self, needed: float, rate: float) -> tuple[str, float | None]:
        """See `Evidence.missing`."""
        if self.rule.limit is None:
            return "", 0.0
        if not self.counted.trials:
            return self.cold.told or NO_REQUESTS, None
        reached = self.log_for
        if self.enough and reached >= needed:
            return "", 0.0
        text, wait = self._short(reached, needed, rate)
        return (f"{text}; {self.cold.told}" if self.cold.told else text), wait

    def _short(self, reached: float, needed: float, rate: float) -> tuple[str, float | None]:
        if self.enough:
            growth = reached / self.counted.trials * rate
            wait = (needed - reached) / growth if growth > 0 else None
            return to_go(f"evidence {max(reached, 0.0):.1f} of {needed:.1f} nats", wait)
        coarse = self._deciding[1]
        left = LEAST_BLOCKS - coarse.track.blocks
        text = f"{coarse.track.blocks} of {LEAST_BLOCKS} blocks seen"
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
            "steady": list(astuple(self.steady)),
            "waiting": list(self.waiting),
            "cold": self.cold.to_json(),
        }


def from_json(rule: MeanRule, state: Mapping[str, Any]) -> MeanEvidence:
    """What `MeanEvidence.to_json` gave."""
    fine, coarse = (Blocks.from_json(b) for b in state["alone"])
    paired = None
    if rule.relative:
        one, two = (Blocks.from_json(b) for b in state["paired"])
        paired = (one, two)
    trials, total, seconds = state["waiting"]
    steady, counted, waiting = Noise(*state["steady"]), Sums(*state["counted"]), (trials, total, seconds)
    cold = ColdStart.from_json(state["cold"]) if "cold" in state else ColdStart()  # older states know of none
    return MeanEvidence(rule, counted, (fine, coarse), paired, steady, waiting, cold)
