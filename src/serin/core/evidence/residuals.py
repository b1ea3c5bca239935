"""How much more the share of events that hits the candidate scatters than by chance: dispersion of a comparison.

What hits both versions at once cancels in a comparison, so what is looked at is where events fall, not how many. With
e events of both in a unit, and r the ratio that the earlier units show, the candidate's residual and its variance are

    th = r n_c/(r n_c + n_b),     R = e_c - e th,     V = e th (1 - th)

and R^2/V over blocks of 1, 2, 4, … 32 units is an index of dispersion. Bursts within one version show in the baseline's
own series as well, from one unit to the next, whatever both share: its white index `W` is the prior of the first scale.

    J_0 = max(1, (3*2 + d_W W)/(3 + d_W))
    J_b = max(1, (6 prior_b + K_b I_b)/(6 + K_b)),   prior_1 = J_0,  prior_b = 1 + 1.2 (J_{b/2} - 1) + 0.03 mu_b b/2

D = max over all of them. With halves of the baseline's own pods in history (a placebo: both are the same version)
their residuals warm J up, and the live ones alone make a second chain L_b = (3 J_b + K_b I_b)/(3 + K_b).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from serin.core.evidence.contract import UNIT, Dispersion, Sums
from serin.core.evidence.dispersion import SCALES

GROWTH = 1.2
WANDER = 0.03
_FIRST = (3.0, 2.0)
_NEXT = 6.0
_LIVE = 3.0


@dataclass(frozen=True, slots=True)
class White:
    """Scatter of one series from one unit to the next: sums of squares, of expected squares, pairs with events, events.

    With s = n_i/(n_i + n_{i-1}) and t = e_i + e_{i-1}: W = sum (e_i - t s)^2 / sum t s (1 - s).
    """

    last: tuple[float, float] = (0.0, 0.0)
    squares: float = 0.0
    expected: float = 0.0
    pairs: float = 0.0
    events: float = 0.0

    def add(self, unit: Sums) -> White:
        """One more unit."""
        (n, e), trials = self.last, unit.trials
        told = e + unit.total
        if not n or not trials or not told:
            return White((trials, unit.total), self.squares, self.expected, self.pairs, self.events)
        share = trials / (trials + n)
        return White(
            (trials, unit.total),
            self.squares + (unit.total - told * share) ** 2,
            self.expected + told * share * (1.0 - share),
            self.pairs + 1.0,
            self.events + told,
        )

    def __add__(self, later: White) -> White:
        return White(
            later.last,
            self.squares + later.squares,
            self.expected + later.expected,
            self.pairs + later.pairs,
            self.events + later.events,
        )

    @property
    def index(self) -> tuple[float, float]:
        """W and its degrees of freedom."""
        if not self.expected:
            return 1.0, 0.0
        return self.squares / self.expected, min(2.0 / 3.0 * self.pairs, self.events / 2.0)

    def to_json(self) -> list[Any]:
        """Plain JSON values."""
        return [list(self.last), self.squares, self.expected, self.pairs, self.events]

    @classmethod
    def from_json(cls, state: Sequence[Any]) -> White:
        """What `to_json` gave."""
        last, squares, expected, pairs, events = state
        return cls((last[0], last[1]), squares, expected, pairs, events)


NO_WHITE = White()


def white(units: Iterable[Sums]) -> White:
    """The white scatter of a series."""
    return reduce(White.add, units, NO_WHITE)


@dataclass(frozen=True, slots=True)
class Residuals:
    """Residuals of a comparison by time scale.

    units    that have passed
    above    A = sum e_c n_b/n and B = sum e_b n_c/n: the estimate of the ratio is (A + rho)/(B + 1)
    unit     (R, V, A, B) of the unit that is being filled
    open     (R, V, v0) of the block that is being filled, v0 the total V at its start, a scale each
    sums     (Q, M, K) over closed blocks: squares, expected squares, number
    total    V so far
    """

    units: int = 0
    above: tuple[float, float] = (0.0, 0.0)
    unit: tuple[float, float, float, float] = (0.0,) * 4
    open: tuple[tuple[float, float, float], ...] = ((0.0,) * 3,) * len(SCALES)
    sums: tuple[tuple[float, float, float], ...] = ((0.0,) * 3,) * len(SCALES)
    total: float = 0.0

    def add(self, own: Sums, baseline: Sums, rho: float) -> Residuals:
        """A reading within the unit. Differences are taken a reading each, so that a moving split does no harm."""
        trials = own.trials + baseline.trials
        if not own.trials or not baseline.trials:
            return self
        ratio = (self.above[0] + rho) / (self.above[1] + 1.0)
        share = ratio * own.trials / (ratio * own.trials + baseline.trials)
        events = own.total + baseline.total
        r, v, a, b = self.unit
        unit = (
            r + own.total - events * share,
            v + events * share * (1.0 - share),
            a + own.total * baseline.trials / trials,
            b + baseline.total * own.trials / trials,
        )
        return Residuals(self.units, self.above, unit, self.open, self.sums, self.total)

    def close(self) -> Residuals:
        """The unit is over."""
        r, v, a, b = self.unit
        passed, total = self.units + 1, self.total + v
        opened: list[tuple[float, float, float]] = []
        closed: list[tuple[float, float, float]] = []
        for scale, (residual, variance, before), sums in zip(SCALES, self.open, self.sums, strict=True):
            residual, variance = residual + r, variance + v
            if passed % scale:
                opened.append((residual, variance, before))
                closed.append(sums)
                continue
            opened.append((0.0, 0.0, total))
            if before <= 0 or variance <= 0:
                closed.append(sums)
                continue
            q, m, k = sums
            closed.append((q + residual * residual / (1.0 + variance / (before + 1.0)), m + variance, k + 1.0))
        return Residuals(
            passed, (self.above[0] + a, self.above[1] + b), (0.0,) * 4, tuple(opened), tuple(closed), total
        )

    def to_json(self) -> list[Any]:
        """Plain JSON values."""
        return [self.units, list(self.above), list(self.unit), *([list(x) for x in y] for y in (self.open, self.sums)),
                self.total]  # fmt: skip

    @classmethod
    def from_json(cls, state: Sequence[Any]) -> Residuals:
        """What `to_json` gave."""
        units, above, (r, v, a, b), opened, sums, total = state
        return cls(
            int(units),
            (above[0], above[1]),
            (r, v, a, b),
            tuple((x, y, z) for x, y, z in opened),
            tuple((x, y, z) for x, y, z in sums),
            total,
        )


NO_RESIDUALS = Residuals()


def residuals(units: Iterable[tuple[Sums, Sums]], rho: float = 1.0) -> Residuals:
    """The residuals of two series, a unit each."""
    return reduce(lambda found, unit: found.add(*unit, rho).close(), units, NO_RESIDUALS)


def dispersion(series: White, live: Residuals, placebo: Residuals | None = None) -> Dispersion:
    """D of a comparison.

    series    the baseline's, history included
    live      since the start
    placebo   of two halves of the baseline's pods in history, None where there are none
    """
    index, df = series.index
    weight, prior = _FIRST
    chain: list[float] = []
    own: list[float] = []
    within = last = max(1.0, (weight * prior + df * index) / (weight + df))
    for i, scale in enumerate(SCALES):
        (q, m, k), (q0, m0, k0) = live.sums[i], placebo.sums[i] if placebo else (0.0, 0.0, 0.0)
        squares, expected, blocks = q + q0, m + m0, k + k0
        foretold = last
        if i:
            pace = expected / blocks / scale if blocks else 0.0
            foretold = 1.0 + GROWTH * (last - 1.0) + WANDER * pace * scale / 2.0
        seen = blocks * squares / expected if expected else 0.0
        last = max(1.0, (_NEXT * foretold + seen) / (_NEXT + blocks))
        chain.append(last)
        own.append((_LIVE * last + (k * q / m if m else 0.0)) / (_LIVE + k) if placebo else last)
    tops = [max(pair) for pair in zip(chain, own, strict=True)]
    best = max(range(len(tops)), key=lambda i: (tops[i], -i))
    return Dispersion(max(within, tops[best]), SCALES[best] * UNIT)
