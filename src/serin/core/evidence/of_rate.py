"""The evidence about a share of requests: likelihood ratios, tempered by how much more than chance errors scatter.

    log E = logsumexp_j( log w_j + (log-likelihood ratio of effect j)/D )

with D from `learning` (1 in the mode `independent`). A rollback has a faster rule: nothing is learned, but no reading
may add more than `CAP` nats, and a violation may have begun at any reading (`LateStart`). `strict` asks for both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from serin.core.evidence import rate as formula
from serin.core.evidence.contract import (
    CERTAIN,
    NO_REQUESTS,
    NOTHING,
    UNIT,
    Clock,
    Dispersion,
    Evidence,
    Sums,
    to_go,
)
from serin.core.evidence.learning import OfLimit, OfRatio
from serin.core.evidence.mixture import FIRST, LOG_WEIGHTS, Array, LateStart, log_sum_exp
from serin.core.evidence.posterior import Beta, Posterior
from serin.core.evidence.rate import CAP
from serin.core.evidence.rate_rule import RateRule
from serin.core.model import Interval, Mode

STARTS = (0, 4, 8, 16, 32)
"""Units from which on the tempered evidence of harm is also counted afresh: a violation may begin late."""

_LOG_STARTS: Array = np.log([FIRST, *[(1.0 - FIRST) / (len(STARTS) - 1)] * (len(STARTS) - 1)])


@dataclass(frozen=True)
class RateEvidence(Evidence):
    """Evidence about a rate.

    counted     all trials and events of this version
    held        (own, baseline) of readings that have more events than trials so far: their trials are still to come
    late        capped (not in `independent` mode) evidence of harm, mixed over its start
    ratios      under a relative limit the sums of `formula.log_factors_ratio`, over closed units where D is learned
    open        (own, baseline) of the unit that is being filled, events as they are judged
    learned     the scatter of errors
    marks       in strict mode what was counted when each of STARTS came
    """

    rule: RateRule
    late: LateStart
    counted: Sums = NOTHING
    held: tuple[Sums, Sums] = (NOTHING, NOTHING)
    ratios: tuple[float, ...] = ()
    clock: Clock = field(default_factory=Clock)
    open: tuple[Sums, Sums] = (NOTHING, NOTHING)
    learned: OfLimit | OfRatio = field(default_factory=OfLimit)
    marks: tuple[tuple[float, ...], ...] = ()

    def update(self, own: Sums, baseline: Sums | None = None, seconds: float = 15.0) -> RateEvidence:
        """See `Evidence.update`."""
        other = baseline if baseline is not None else NOTHING
        if not (own.usable and other.usable):
            return self
        own, other = own + self.held[0], other + self.held[1]
        if own.total > own.trials or (self.rule.relative and other.total > other.trials):
            later = replace(self, held=(own, other))
            return later._passed(NOTHING, NOTHING, seconds) if self.rule.tempered else later
        counted = self.counted + own
        if not self.rule.judged:
            return replace(self, held=(NOTHING, NOTHING), counted=counted)
        seen, other = self.rule.seen(own), self.rule.seen(other)
        late, ratios = self.late, self.ratios
        if own.trials and (other.trials or not self.rule.relative):
            factors = self.rule.factors(seen, other)
            if self.rule.relative and not self.rule.tempered:
                ratios = _added(ratios, factors)
            against = formula.on_side(factors, self.rule.harm) if self.rule.relative else factors
            late = late.add(np.minimum(against, CAP) if self.rule.tempered else against)
        none_held = (NOTHING, NOTHING)  # `replace` takes four times as long as a new one
        later = RateEvidence(
            self.rule, late, counted, none_held, ratios, self.clock, self.open, self.learned, self.marks
        )
        return later._passed(seen, other, seconds) if self.rule.tempered else later

    def _passed(self, own: Sums, baseline: Sums, seconds: float) -> RateEvidence:
        """Time goes on; units that are over are learned from."""
        clock, over = self.clock.tick(seconds)
        own, baseline = self.open[0] + own, self.open[1] + baseline
        if not over:
            return RateEvidence(
                self.rule, self.late, self.counted, self.held, self.ratios, clock, (own, baseline), self.learned,
                self.marks,
            )  # fmt: skip
        learned = self.learned.add(own, baseline, over, self.rule.judged, self.rule.past)
        ratios, marks = self.ratios, self.marks
        if self.rule.mode is Mode.STRICT:
            missing = sum(start <= self.clock.closed for start in STARTS) - len(marks)
            marks = (*marks, *[self._mark] * missing)
        if self.rule.relative:
            ratios = _added(ratios, self.rule.factors(own, baseline))
        return replace(self, clock=clock, open=(NOTHING, NOTHING), learned=learned, ratios=ratios, marks=marks)

    @property
    def _told(self) -> Sums:
        """Trials and events in closed units; all of them where no units are made."""
        seen, late = self.rule.seen(self.counted), self.open[0]
        return Sums(seen.trials - late.trials, seen.total - late.total)

    @property
    def _mark(self) -> tuple[float, ...]:
        if not self.rule.relative:
            told = self._told
            return (told.trials, told.total)
        return tuple(round(x, 4) for x in formula.on_side(np.array(self.ratios), self.rule.harm)) if self.ratios else ()

    @cached_property
    def log_for(self) -> float:
        """Tempered; in the mode `independent` as if errors were independent."""
        if not self.rule.judged:
            return CERTAIN if self.rule.limit is not None and not self.rule.lower else 0.0
        return self._tempered(-self.rule.harm)

    @cached_property
    def log_against(self) -> float:
        """Mixed over the start of the harm, capped a reading; in strict mode also tempered: the smaller of both."""
        if not self.rule.judged:
            events = self.rule.seen(self.counted).total
            return CERTAIN if self.rule.limit is not None and self.rule.lower and events > 0 else 0.0
        weights = LOG_WEIGHTS
        if not self.rule.relative:
            weights = formula.alternatives(self.rule.judged, self.rule.harm)[0]
        capped = self.late.log_evidence(weights)
        return capped if self.rule.mode is not Mode.STRICT else min(capped, self._tempered_harm(weights))

    def _tempered(self, side: int) -> float:
        factor = self.dispersion.factor
        if self.rule.relative:
            return formula.log_evidence_ratio(np.array(self.ratios) / factor, side) if self.ratios else 0.0
        told = self._told
        return formula.log_evidence_rate(told.total / factor, told.trials / factor, self.rule.judged, side)

    def _tempered_harm(self, weights: Array) -> float:
        """Over each of STARTS that has come, the others still wait; all with the D of today."""
        if not self.marks:
            return 0.0
        factor, harm, now = self.dispersion.factor, self.rule.harm, np.array(self._mark)
        since = [now - np.array(mark or np.zeros_like(now)) for mark in self.marks]
        if self.rule.relative:
            sums = np.array(since) / factor
        else:
            sums = np.array([formula.log_factors_rate(e, n, self.rule.judged, harm) for n, e in since]) / factor
        waiting = np.zeros(len(STARTS) - len(self.marks))
        return float(log_sum_exp(_LOG_STARTS + np.append(log_sum_exp(weights + sums), waiting)))

    @property
    def value(self) -> float | None:
        """Events over trials."""
        return self.counted.total / self.counted.trials if self.counted.trials else None

    @property
    def trials(self) -> float:
        """Trials so far."""
        return self.counted.trials

    @cached_property
    def posterior(self) -> Posterior:
        """Beta(1/2 + events, 1/2 + others)."""
        return Beta(0.5 + self.counted.total, 0.5 + self.counted.trials - self.counted.total)

    @property
    def enough(self) -> bool:
        """So many units of time, and so many events to be expected at the limit; at once in `independent` mode."""
        if not self.rule.tempered:
            return True
        return self.learned.floor(self.rule.past) == 0 and self._expected >= self.rule.events

    @property
    def _expected(self) -> float:
        """Events that a version exactly at the limit would have had by now."""
        if isinstance(self.learned, OfRatio):
            return self.rule.judged * self.learned.due
        return self.rule.judged * self._told.trials

    @property
    def dispersion(self) -> Dispersion:
        """D as it is learned so far."""
        return self.learned.found

    @property
    def history(self) -> float:
        """Seconds of history."""
        return self.rule.past.units * UNIT

    def anytime(self, alpha: float) -> Interval | None:
        """All rates that the tempered evidence leaves possible on either side."""
        if not self.counted.trials:
            return None
        return self.turned(formula.interval_of_rate(*self.weighed, math.log(2.0 / alpha)))

    @property
    def weighed(self) -> tuple[float, float]:
        """(events, trials) as they are judged, a D-th of what was counted in closed units: what intervals are of."""
        told, factor = self._told, self.dispersion.factor
        return told.total / factor, told.trials / factor

    def turned(self, found: Interval) -> Interval:
        """An interval of what is judged as one of the value: they differ where the events are turned around."""
        return Interval(1.0 - found.upper, 1.0 - found.lower) if self.rule.flipped else found

    def anytime_ratio(self, alpha: float) -> Interval | None:
        """The same of the ratio to the baseline's rate."""
        if not self.rule.relative or not self.ratios:
            return None
        sums = np.array(self.ratios) / self.dispersion.factor
        return formula.interval_of_ratio(sums, self.rule.judged, math.log(2.0 / alpha))

    def missing(self, needed: float, rate: float) -> tuple[str, float | None]:
        """See `Evidence.missing`."""
        if not self.rule.judged:
            sure = self.rule.limit is None or not self.rule.lower
            return ("", 0.0) if sure else ("a limit of 0 can be broken but never proven to be kept", None)
        if self.held[0].total > self.held[0].trials:
            return "more events than trials counted: not a share of them", None
        if not self.counted.trials:
            return NO_REQUESTS, None
        reached, enough = self.log_for, self.enough
        if enough and reached >= needed:
            return "", 0.0
        wait = self._wait(reached, needed, rate)
        if not enough and (short := self._short(rate)) is not None:
            text, seconds = short
            return to_go(text, None if wait is None or seconds is None else max(wait, seconds))
        return to_go(f"evidence {max(reached, 0.0):.1f} of {needed:.1f} nats", wait)

    def _wait(self, reached: float, needed: float, rate: float) -> float | None:
        """Seconds until the evidence is there if it grows as it has, with fewer events than that by its likelihood."""
        if reached >= needed:
            return 0.0
        growth = reached / self.counted.trials * rate
        return (needed - reached) / growth if growth > 0 else None

    def _short(self, rate: float) -> tuple[str, float | None] | None:
        """What minimum is not there yet, in words and in seconds."""
        expected, events = self._expected, self.rule.events
        if expected < events:
            pace = expected / self.counted.trials * rate
            text = f"{math.floor(expected)} of {math.ceil(events)} events to be expected at the limit"
            return text, (events - expected) / pace if pace > 0 else None
        left = self.learned.floor(self.rule.past)
        if left:
            done = self.clock.seconds - self.clock.closed * UNIT
            return "how errors scatter over time is not known yet", left * UNIT - done
        return None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "kind": "rate",
            "counted": list(astuple(self.counted)),
            "held": [*astuple(self.held[0]), *astuple(self.held[1])],
            "late": [self.late.horizon, self.late.steps, list(self.late.log_m)],
            "ratios": list(self.ratios),
            "clock": list(astuple(self.clock)),
            "open": [*astuple(self.open[0]), *astuple(self.open[1])],
            "learned": self.learned.to_json(),
            "marks": [list(mark) for mark in self.marks],
        }


def begin(rule: RateRule, horizon: int) -> RateEvidence:
    """Before the first reading."""
    return RateEvidence(rule, LateStart(max(1, horizon)), learned=OfRatio() if rule.relative else OfLimit())


def from_json(rule: RateRule, state: Mapping[str, Any]) -> RateEvidence:
    """What `RateEvidence.to_json` gave."""
    horizon, steps, log_m = state["late"]
    learned = OfRatio.from_json if rule.relative else OfLimit.from_json
    seconds, closed = state["clock"]
    return RateEvidence(
        rule,
        LateStart(horizon, steps, tuple(log_m)),
        Sums(*state["counted"]),
        _two(state["held"]),
        tuple(state["ratios"]),
        Clock(seconds, int(closed)),
        _two(state["open"]),
        learned(state["learned"]),
        tuple(tuple(mark) for mark in state["marks"]),
    )


def _two(four: list[float]) -> tuple[Sums, Sums]:
    n_c, e_c, n_b, e_b = four
    return Sums(n_c, e_c), Sums(n_b, e_b)


def _added(sums: tuple[float, ...], factors: Array) -> tuple[float, ...]:
    return tuple((factors + np.array(sums)).tolist()) if sums else tuple(factors.tolist())
