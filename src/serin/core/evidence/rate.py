"""Evidence about shares of requests (errors, requests within a time, conversions): pure formulas.

Against a fixed limit (binomial mixture), against the baseline (conditional mixture, nothing assumed about how the
baseline's rate moves), and the confidence sequences that come from turning the tests around.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from serin.core.evidence.inversion import Chosen, Excess, Memo, first_refuted
from serin.core.evidence.mixture import EFFECTS, LOG_WEIGHTS, STEP, Array, log_sum_exp
from serin.core.model import Interval

CAP = 1.5
"""Nats that one reading may add against a version, so that one burst cannot condemn it. Capping only lowers the
evidence, so it stays valid."""

HARM = 1
SAFE = -1

_CEILING = 0.999
_TINY = 1e-9
_REACH = len(EFFECTS)
RATIOS: Array = STEP * np.arange(-_REACH, _REACH + 1, dtype=np.float64)
"""Log ratios, relative to the limit, at which evidence about a ratio is kept; the limit is in the middle."""
_TIMES: Array = np.exp(RATIOS)


def _alternatives(limit: float, side: int) -> tuple[Array, Array, Array]:
    """For each effect: log of its weight, nats of one event, nats of one trial without event.

    An alternative is r = limit * exp(side * u); those above 0.999 are left out and the weights made to add up again.
    """
    rates = limit * np.exp(side * EFFECTS)
    kept = rates < _CEILING
    rates, weights = rates[kept], LOG_WEIGHTS[kept]
    weights = weights - log_sum_exp(weights)
    return weights, np.log(rates / limit), np.log1p(-rates) - np.log1p(-limit)


alternatives = lru_cache(maxsize=256)(_alternatives)
"""The same, remembered: a criterion asks for its own limit at every reading."""


@lru_cache(maxsize=1024)
def log_evidence_rate(events: float, trials: float, limit: float, side: int) -> float:
    """Log of the e-process for 'the rate is above the limit' (`side` HARM) or below it (SAFE), from totals.

    log E = logsumexp_j( log w_j + e log(r_j/p0) + (n-e) log((1-r_j)/(1-p0)) ), a mixture of likelihood ratios over
    log-spaced alternatives (Robbins 1970; Howard, Ramdas, McAuliffe, Sekhon 2021, section 3).
    Valid at every look for independent events whose rate may move in time: P(ever >= log(1/a)) <= a while the rate is
    on the other side of the limit throughout, and even while only its running average is (p -> log(1 + p(e^l - 1)) is
    concave).

    events, trials   cumulative, 0 <= events <= trials
    limit            in (0, 1)
    returns          nats; 0.0 without trials
    """
    weights, event, quiet = alternatives(limit, side)
    return float(log_sum_exp(weights + events * event + (trials - events) * quiet))


def log_factors_rate(events: float, trials: float, limit: float, side: int) -> Array:
    """What one reading adds to each alternative of `log_evidence_rate`, in nats."""
    _, event, quiet = alternatives(limit, side)
    factors: Array = events * event + (trials - events) * quiet
    return factors


def log_factors_ratio(own: tuple[float, float], baseline: tuple[float, float], limit: float) -> Array:
    """What one reading adds at each of `RATIOS`, in nats, relative to the limit rho. Each side is (trials, events).

    d(r) = e_c log(r/rho) - (e_c+e_b) log((r n_c + n_b)/(rho n_c + n_b)): the conditional test of 'which version did
    this event hit', added over readings. With independent binomials (or Poisson counts) and p_c <= rho p_b in every
    reading, exp(d(r)) has mean <= exp(p_b (rho n_c m_c + n_b m_b - rho n_c - n_b)) = 1 for r > rho, where
    m_b = (rho n_c + n_b)/(r n_c + n_b), m_c = m_b r/rho; likewise for >= and r < rho. Nothing is assumed about p_b in
    time, nor about the split as long as it comes from the past. Conservative for rates above 5 % (Poisson bound).
    """
    (n_c, e_c), (n_b, e_b) = own, baseline
    ratios = limit * _TIMES
    base = limit * n_c + n_b
    if base <= 0:
        return np.zeros_like(RATIOS)
    factors: Array = e_c * RATIOS - (e_c + e_b) * (np.log(ratios * n_c + n_b) - np.log(base))
    return factors


def log_evidence_ratio(sums: Array, side: int) -> float:
    """Log of the e-process for 'the ratio is above the limit' (HARM) or below it (SAFE); `sums` of the factors."""
    beyond = sums[_REACH + 1 :] if side == HARM else sums[_REACH - 1 :: -1]
    return float(log_sum_exp(LOG_WEIGHTS + beyond))


def on_side(factors: Array, side: int) -> Array:
    """The factors of the ratios beyond the limit, the nearest first."""
    return factors[_REACH + 1 :] if side == HARM else factors[_REACH - 1 :: -1]


def evidence_at(events: float, trials: float, limit: float, side: int) -> float:
    """`log_evidence_rate` at any limit: above one half the events that did not happen are counted instead.

    Both say the same of the same null, but alternatives are log-spaced and would otherwise have no room below 1.
    """
    if limit > 0.5:
        events, limit, side = trials - events, 1.0 - limit, -side
    weights, event, quiet = _alternatives(limit, side)
    return float(log_sum_exp(weights + events * event + (trials - events) * quiet))


def interval_of_rate(events: float, trials: float, level: float) -> Interval:
    """All rates against which neither side of `evidence_at` reaches `level` nats: a confidence sequence.

    It covers the running average of the rate at all looks together with a chance of 1 - 2 exp(-level).
    """
    return intervals_of_rates([(events, trials, level)])[0]


def _intervals_of_rates(asked: Sequence[tuple[float, float, float]]) -> list[Interval]:
    found = [Interval(0.0, 1.0)] * len(asked)
    known = [i for i, (_, trials, _) in enumerate(asked) if trials > 0]
    if not known:
        return found
    counts = np.array([asked[i] for i in known]).repeat(2, axis=0)
    events_, trials_, levels = counts.T
    ends = _last_unrefuted(events_, trials_, levels, np.tile([HARM, SAFE], len(known))).reshape(-1, 2)
    for i, (lower, upper) in zip(known, ends.tolist(), strict=True):
        events, trials, _ = asked[i]
        found[i] = Interval(
            0.0 if events <= 0 or lower <= 2.0 * _TINY else lower,
            1.0 if events >= trials or upper >= 1.0 - 2.0 * _TINY else upper,
        )
    return found


intervals_of_rates = Memo(_intervals_of_rates)
"""`interval_of_rate` of many (events, trials, level), all at once."""


def _last_unrefuted(events: Array, trials: Array, level: Array, sides: NDArray[np.int_]) -> Array:
    """The limits that are just not refuted, over the log odds, from the estimate outwards; 0 or 1 where none is."""
    least = 0.5 / (trials + 1.0)
    centre = logit(np.clip(events / trials, np.maximum(least, _TINY), 1.0 - np.maximum(least, _TINY)))
    steps = np.sqrt(1.0 / (events + 0.5) + 1.0 / (np.maximum(trials - events, 0.0) + 0.5))
    farthest = np.abs(centre - logit(np.where(sides == HARM, _TINY, 1.0 - _TINY)))

    def excess(which: Chosen, reach: Array) -> Array:
        limits = expit(centre[which] - sides[which] * reach)
        return np.asarray(_evidence_at_all(events[which], trials[which], limits, sides[which]) - level[which])

    steps = np.clip(steps, 1e-6, 4.0)
    reach = first_refuted(excess, steps, farthest)
    _go_on_beyond_one_half(excess, centre * sides, steps, farthest, reach)
    return np.where(np.isfinite(reach), expit(centre - sides * reach), np.where(sides == HARM, 0.0, 1.0))


def _go_on_beyond_one_half(excess: Excess, half: Array, steps: Array, farthest: Array, reach: Array) -> None:
    """Ends before one half are none if just beyond it, where other alternatives are mixed, nothing is refuted yet.

    half    the distances at which the limit is one half
    reach   is changed
    """
    nearly = np.flatnonzero(np.isfinite(reach) & (reach < half) & (half - reach < _NEARLY))
    if not len(nearly):
        return
    beyond = half * (1.0 + 1e-12) + 1e-12
    again = nearly[excess(nearly, beyond[nearly]) < 0.0]
    if len(again):
        reach[again] = beyond[again] + first_refuted(
            lambda which, more: excess(again[which], beyond[again][which] + more), steps[again],
            farthest[again] - beyond[again],
        )  # fmt: skip


_NEARLY = 1.5
"""Log odds before one half within which it is asked what is beyond: both mixtures agree to a few nats there."""

_OF_SIDE: Array = np.exp(np.multiply.outer([HARM, SAFE], EFFECTS))
_WEIGHT_OF_FIRST: Array = np.logaddexp.accumulate(LOG_WEIGHTS)
"""The log of what the first 1, 2, 3 … effects weigh together."""


def _evidence_at_all(events: Array, trials: Array, limits: Array, sides: NDArray[np.int_]) -> Array:
    """`evidence_at` for many at once."""
    flipped = limits > 0.5
    count, p = np.where(flipped, trials - events, events), np.where(flipped, 1.0 - limits, limits)
    toward = np.where(flipped, -sides, sides)
    rates = p[:, None] * _OF_SIDE[np.where(toward == HARM, 0, 1)]
    kept = rates < _CEILING
    quiet = np.log1p(-np.minimum(rates, _CEILING)) - np.log1p(-p)[:, None]
    nats = LOG_WEIGHTS + (count * toward)[:, None] * EFFECTS + (trials - count)[:, None] * quiet
    return np.asarray(log_sum_exp(np.where(kept, nats, -np.inf)) - _WEIGHT_OF_FIRST[kept.sum(axis=1) - 1])


@lru_cache(maxsize=1)
def _between() -> Array:
    """[m, k]: log weight of the effect that leads from ratio m up to ratio k; -inf where k is not above m."""
    steps = np.arange(len(RATIOS))
    distance = steps[None, :] - steps[:, None]
    inside = (distance >= 1) & (distance <= _REACH)
    return np.where(inside, LOG_WEIGHTS[np.clip(distance - 1, 0, _REACH - 1)], -np.inf)


def interval_of_ratio(sums: Array, limit: float, level: float) -> Interval:
    """All ratios to the baseline that `sums` leaves possible at `level` nats a side; linear between grid points.

    log E(rho') for 'above rho'' is logsumexp_{r > rho'}( log w(log(r/rho')) + A(r) ) - A(rho'): the same sums serve
    every limit. Beyond the grid (55 times either way) nothing is excluded.
    """
    above = log_sum_exp(_between() + sums[None, :]) - sums
    below = log_sum_exp(_between() + sums[None, ::-1]) - sums[::-1]
    lower = _crossing(above, level)
    upper = _crossing(below, level)
    return Interval(
        0.0 if lower is None else limit * float(np.exp(lower)),
        np.inf if upper is None else limit * float(np.exp(-upper)),
    )


def _crossing(evidence: Array, level: float) -> float | None:
    """The first log ratio, seen from the low end, at which the evidence for 'above' is less than `level`."""
    if not evidence[0] >= level:
        return None
    index = int(np.argmax(evidence < level))
    if index == 0:
        return float(RATIOS[-1])
    before, after = float(evidence[index - 1]), float(max(evidence[index], -1e9))
    return float(RATIOS[index - 1] + STEP * (before - level) / (before - after))
