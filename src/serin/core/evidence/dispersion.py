"""How much more errors scatter than independent ones would: learned at six time scales from counts over time.

Errors come in bursts and their rate wanders. Both make a count tell less than its size: `D` of them tell as much as one
independent error would. `D` is the largest index of dispersion over time scales of 1, 2, 4, … 32 units, shrunk
towards what the next shorter scale foretells as long as there is little data:

    history and baseline   J_1 = max(1, (3*2 + d_1 X_1)/(3 + d_1)),   J_b = max(1, (6 prior_b + d_b X_b)/(6 + d_b))
                           prior_b = 1 + 1.6 (J_{b/2} - 1) + 0.01 p0 nbar b/2
    candidate              C_b = (3 J_b + d_b X_b)/(3 + d_b),         its own counts; the live baseline L_b alike
    D = 1 + g (max over b of J_b, C_b, L_b  -  1),   g from 1 without history down to 0.8 with half an hour of it

X_b is the index of dispersion, d_b its degrees of freedom. Excess that is seen is taken to grow 1.6 times with each
doubling of the time scale until data at that scale say otherwise; a service without excess pays nothing.

With D fixed, errors in bursts of at most D make exp((log-likelihood ratio)/D) an e-process for the average rate while
it was observed (by convexity, see `rate.log_evidence_rate`). For the rate in the long run, and with D learned, it is
asymptotic and held by simulation: docs/guarantees.md has the tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from serin.core.evidence.contract import UNIT, Dispersion, Sums

SCALES = (1, 2, 4, 8, 16, 32)
"""Lengths of blocks in units: 15 s to 8 min."""

GROWTH = 1.6
WANDER = 0.01
FULL_HISTORY = 120
"""Units of history (half an hour) from which on the largest scale is trusted most."""

_FIRST = (3.0, 2.0)  # weight and value of the prior of J_1
_NEXT = 6.0
_OWN = 3.0
_MOST_RATIO = 20.0
_CHECKED = 3
_CHECK = 2.5

Index = tuple[float, float, float]
"""Index of dispersion, its degrees of freedom, expected events a unit."""

_SIX_ZEROS = (0.0,) * 6
_NO_SUMS = (_SIX_ZEROS,) * len(SCALES)


@dataclass(frozen=True, slots=True)
class Scatter:
    """Counts of one version over time, by time scale.

    units   that have passed
    open    (trials, events) of the block that is being filled, a scale each
    sums    over closed blocks with trials: (blocks, n, e, e^2, e n, n^2), a scale each
    """

    units: int = 0
    open: tuple[tuple[float, float], ...] = ((0.0, 0.0),) * len(SCALES)
    sums: tuple[tuple[float, ...], ...] = _NO_SUMS

    def add(self, unit: Sums) -> Scatter:
        """One more unit of time; an empty one only lets time pass."""
        passed = self.units + 1
        opened: list[tuple[float, float]] = []
        closed: list[tuple[float, ...]] = []
        for scale, (n, e), sums in zip(SCALES, self.open, self.sums, strict=True):
            n, e = n + unit.trials, e + unit.total
            if passed % scale:
                opened.append((n, e))
                closed.append(sums)
                continue
            opened.append((0.0, 0.0))
            k, sn, se, see, sen, snn = sums
            closed.append((k + 1, sn + n, se + e, see + e * e, sen + e * n, snn + n * n) if n else sums)
        return Scatter(passed, tuple(opened), tuple(closed))

    def __add__(self, later: Scatter) -> Scatter:
        """Closed blocks of both; what is open is the later one's."""
        sums = tuple(
            tuple(a + b for a, b in zip(one, two, strict=True)) for one, two in zip(self.sums, later.sums, strict=True)
        )
        return Scatter(self.units + later.units, later.open, sums)

    def index(self, i: int) -> Index:
        """The index of dispersion at `SCALES[i]`: 1 for independent counts. Dispersion about the mean share p:

        Q = sum (e - p n)^2 over blocks, M = p n (1 - 1/K), I = Q/M, df = min(K - 1, e).
        """
        k, sn, se, see, sen, snn = self.sums[i]
        if k <= 1 or se <= 0:
            return 1.0, 0.0, 0.0
        p = se / sn
        squares = see - 2.0 * p * sen + p * p * snn
        expected = p * sn * (1.0 - 1.0 / max(k, 1.5))
        return squares / expected, min(k - 1.0, se), expected / max(k - 1.0, 1.0) / SCALES[i]

    @property
    def pace(self) -> float:
        """Trials a unit, over the units that had any."""
        k, sn = self.sums[0][:2]
        return sn / k if k else 0.0

    def to_json(self) -> list[Any]:
        """Plain JSON values."""
        return [self.units, [list(o) for o in self.open], [list(s) for s in self.sums]]

    @classmethod
    def from_json(cls, state: Sequence[Any]) -> Scatter:
        """What `to_json` gave."""
        units, opened, sums = state
        return cls(int(units), tuple((n, e) for n, e in opened), tuple(tuple(s) for s in sums))


NO_SCATTER = Scatter()


def scatter(units: Iterable[Sums]) -> Scatter:
    """The scatter of counts, a unit each."""
    return reduce(Scatter.add, units, NO_SCATTER)


def _scaled(of: Scatter, expected: float) -> list[tuple[float, float]]:
    """(X_b, d_b) a scale: the excess that is slow grows with the number of events `expected` a unit, bursts do not."""
    found = []
    first = of.index(0)[0]
    for i in range(len(SCALES)):
        value, df, mu = of.index(i)
        white = first if i == 0 else min(first, value)
        ratio = min(max(expected / max(mu, 1e-9), 0.5), _MOST_RATIO)
        found.append((white + (value - white) * ratio, df if i == 0 else df / max(ratio, 1.0)))
    return found


def _chain(of: Scatter, expected: float) -> list[float]:
    """J_b of history and baseline together."""
    chain: list[float] = []
    for i, (value, df) in enumerate(_scaled(of, expected)):
        weight, prior = _FIRST
        if i:
            weight, prior = _NEXT, 1.0 + GROWTH * (chain[-1] - 1.0) + WANDER * expected * SCALES[i] / 2.0
        chain.append(max(1.0, (weight * prior + df * value) / (weight + df)))
    return chain


def _own_chain(of: Scatter, shared: Sequence[float], expected: float) -> list[float]:
    """C_b or L_b: a version's own counts, shrunk towards J_b."""
    return [(_OWN * j + df * x) / (_OWN + df) for j, (x, df) in zip(shared, _scaled(of, expected), strict=True)]


def trust(history: int) -> float:
    """g: how much of the excess counts, by units of history."""
    return 1.0 - 0.2 * min(1.0, history / FULL_HISTORY)


def _peak(chains: Sequence[Sequence[float]], history: int) -> Dispersion:
    tops = [max(values) for values in zip(*chains, strict=True)]
    best = max(range(len(tops)), key=lambda i: (tops[i], -i))
    return Dispersion(1.0 + trust(history) * (tops[best] - 1.0), SCALES[best] * UNIT)


def dispersion(
    history: Scatter, baseline: Scatter, own: Scatter, expected: float, *, live: bool = False, surprised: bool = False
) -> Dispersion:
    """D of a rate against a fixed limit.

    history     the baseline before the start, with `baseline` (since the start) the data of J
    own         the version that is judged; all there is to learn J from where there is no baseline
    expected    events that it would have in a unit at the limit, p0 nbar
    live        whether the live baseline has a chain of its own too (L): history must not drown it
    surprised   history was found not to be like what is seen now (see `surprise`): D is then at least what it would
                be without history
    """
    alone = not history.units and not baseline.pace
    shared = _chain(own if alone else history + baseline, expected)
    chains = [shared, _own_chain(own, shared, expected)]
    if live and history.units:
        chains.append(_own_chain(baseline, shared, expected))
    found = _peak(chains, history.units)
    if not surprised:
        return found
    fresh = dispersion(NO_SCATTER, baseline, own, expected)
    return fresh if fresh.factor > found.factor else found


def surprise(history: Scatter, now: Iterable[Scatter]) -> bool:
    """Whether counts scatter more now, at the three shortest scales, than history lets expect.

    I_b > Jh_b (1 + 2.5 sqrt(2/df_b)), Jh_b the index of history shrunk to 1. Asked at every unit, it is wrong for one
    in five of the quiet half-hours, and costs them some seconds; when it is right it saves from a history that lies.
    """
    if not history.units:
        return False
    for i in range(_CHECKED):
        value, df, _ = history.index(i)
        usual = max(1.0, (_NEXT + df * value) / (_NEXT + df))
        for each in now:
            seen, degrees, _ = each.index(i)
            if degrees >= 3.0 and seen > usual * (1.0 + _CHECK * (2.0 / degrees) ** 0.5):
                return True
    return False
