"""What is learned while an experiment runs about how errors scatter, beside what history has taught.

One object for each (version, criterion). It takes whole units of time and tells D; see `dispersion` (against a fixed
limit) and `residuals` (against the baseline) for what D is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from serin.core.evidence import residuals
from serin.core.evidence.contract import NOTHING, Dispersion, Sums
from serin.core.evidence.dispersion import NO_SCATTER, SCALES, Scatter, dispersion, scatter, surprise
from serin.core.evidence.residuals import NO_RESIDUALS, NO_WHITE, Residuals, White, white

FLOOR = 6
"""Units, history included, before a version is promoted. Twice as many protect no better: wrongly promoted in percent
at the exact limit of 1 %, without history, 400 runs, 6 / 12 units: bursts of 5 in slow waves 2.2 / 2.2, waves alone
12.8 / 11.8, bursts of 2 in larger and slower waves 19.8 / 19.0; a version with 0.1 % takes 135 / 180 s. Against the
baseline, waves of one version alone (S4 at x1.5, 150 runs), 6 / 12 / 20 units: 12 / 10 / 6; with 20 no experiment of
less than five minutes could prove anything."""

_STILL = 2 * SCALES[-1]


@dataclass(frozen=True, slots=True)
class RatePast:
    """What the baseline's history says about its events: constants of an experiment.

    units     of history
    scatter   of its counts
    series    their scatter from one unit to the next
    placebo   residuals of one half of its pods against the other; None where it has no two pods
    """

    units: int = 0
    scatter: Scatter = NO_SCATTER
    series: White = NO_WHITE
    placebo: Residuals | None = None

    @classmethod
    def of(cls, units: Sequence[Sums], halves: Sequence[tuple[Sums, Sums]] = ()) -> RatePast:
        """From counts, a unit each: of the whole service, and of two halves of its pods."""
        placebo = residuals.residuals(halves) if halves else None
        return cls(len(units), scatter(units), white(units), placebo)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "kind": "rate",
            "units": self.units,
            "scatter": self.scatter.to_json(),
            "series": self.series.to_json(),
            "placebo": None if self.placebo is None else self.placebo.to_json(),
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> RatePast:
        """What `to_json` gave."""
        placebo = state["placebo"]
        return cls(
            int(state["units"]),
            Scatter.from_json(state["scatter"]),
            White.from_json(state["series"]),
            None if placebo is None else Residuals.from_json(placebo),
        )


@dataclass(frozen=True, slots=True)
class OfLimit:
    """Against a fixed limit: counts of the version and of the baseline.

    surprised   history was found to be unlike what is seen; it stays so
    found       D by the last unit in which this version had trials
    """

    own: Scatter = NO_SCATTER
    baseline: Scatter = NO_SCATTER
    surprised: bool = False
    found: Dispersion = field(default_factory=Dispersion)

    def add(self, own: Sums, baseline: Sums, passed: int, limit: float, past: RatePast) -> OfLimit:
        """`passed` units are over; the counts belong to the last of them."""
        mine, theirs = self.own, self.baseline
        for _ in range(min(passed - 1, _STILL)):
            mine, theirs = mine.add(NOTHING), theirs.add(NOTHING)
        mine, theirs = mine.add(own), theirs.add(baseline)
        if not own.trials:
            return OfLimit(mine, theirs, self.surprised, self.found)
        surprised = self.surprised or surprise(past.scatter, (theirs, mine))
        expected = limit * mine.pace
        found = dispersion(past.scatter, theirs, mine, expected, live=True, surprised=surprised)
        return OfLimit(mine, theirs, surprised, found)

    def floor(self, past: RatePast) -> int:
        """Units that are still missing before anybody is promoted."""
        return max(FLOOR - self.own.units - (0 if self.surprised else past.units), 2 - self.own.units, 0)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "own": self.own.to_json(),
            "baseline": self.baseline.to_json(),
            "surprised": self.surprised,
            "found": [self.found.factor, self.found.seconds],
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> OfLimit:
        """What `to_json` gave."""
        own, baseline = Scatter.from_json(state["own"]), Scatter.from_json(state["baseline"])
        return cls(own, baseline, bool(state["surprised"]), Dispersion(*state["found"]))


@dataclass(frozen=True, slots=True)
class OfRatio:
    """Against the baseline: residuals of the comparison, and the baseline's own series.

    due     events that this version would have had with the baseline's rate
    """

    residuals: Residuals = NO_RESIDUALS
    series: White = NO_WHITE
    due: float = 0.0
    found: Dispersion = field(default_factory=Dispersion)

    def add(self, own: Sums, baseline: Sums, passed: int, limit: float, past: RatePast) -> OfRatio:
        """`passed` units are over; the counts belong to the last of them."""
        live, series = self.residuals, self.series
        for _ in range(min(passed - 1, _STILL)):
            live, series = live.close(), series.add(NOTHING)
        live, series = live.add(own, baseline, limit).close(), series.add(baseline)
        if not own.trials or not baseline.trials:
            return OfRatio(live, series, self.due, self.found)
        due = self.due + baseline.total * own.trials / baseline.trials
        return OfRatio(live, series, due, residuals.dispersion(past.series + series, live, past.placebo))

    def floor(self, past: RatePast) -> int:
        """Units that are still missing before anybody is promoted."""
        return max(FLOOR - self.residuals.units - past.units, 2 - self.residuals.units, 0)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "residuals": self.residuals.to_json(),
            "series": self.series.to_json(),
            "due": self.due,
            "found": [self.found.factor, self.found.seconds],
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> OfRatio:
        """What `to_json` gave."""
        live, series = Residuals.from_json(state["residuals"]), White.from_json(state["series"])
        return cls(live, series, float(state["due"]), Dispersion(*state["found"]))
