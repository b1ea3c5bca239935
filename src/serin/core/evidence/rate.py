"""Evidence about shares of requests (errors, requests within a time, conversions): pure formulas.

Against a fixed limit (binomial mixture), against the baseline (conditional mixture, nothing assumed about how the
baseline's rate moves), and the confidence sequences that come from turning the tests around.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.special import expit, logit

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
    ratios = limit * np.exp(RATIOS)
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
    if trials <= 0:
        return Interval(0.0, 1.0)
    estimate = min(max(events / trials, _TINY), 1.0 - _TINY)
    lower = 0.0 if events <= 0 else _last_unrefuted(events, trials, estimate, level, HARM)
    upper = 1.0 if events >= trials else _last_unrefuted(events, trials, estimate, level, SAFE)
    return Interval(lower if lower > 2.0 * _TINY else 0.0, upper if upper < 1.0 - 2.0 * _TINY else 1.0)


_POINTS: Array = np.arange(1.0, 17.0) / 16.0
_ROUNDS = 5
"""Each round looks at 16 limits at once between the last that is not refuted and the first that is."""


def _last_unrefuted(events: float, trials: float, estimate: float, level: float, side: int) -> float:
    """The limit that is just not refuted, over the log odds, from the estimate outwards."""
    inside, outside = float(logit(estimate)), float(logit(_TINY if side == HARM else 1.0 - _TINY))
    for _ in range(_ROUNDS):
        odds = inside + (outside - inside) * _POINTS
        refuted = _evidence_at_all(events, trials, np.asarray(expit(odds)), side) >= level
        if not refuted.any():
            return float(expit(outside))
        first = int(np.argmax(refuted))
        inside, outside = (float(odds[first - 1]) if first else inside), float(odds[first])
    return float(expit(inside))


def _evidence_at_all(events: float, trials: float, limits: Array, side: int) -> Array:
    """`evidence_at` for many limits at once."""
    found = np.empty(len(limits))
    for flipped in (False, True):
        chosen = (limits > 0.5) == flipped
        if not chosen.any():
            continue
        count, p, toward = (
            (events, limits[chosen], side) if not flipped else (trials - events, 1 - limits[chosen], -side)
        )
        rates = p[:, None] * np.exp(toward * EFFECTS)
        kept = rates < _CEILING
        weights = np.where(kept, LOG_WEIGHTS, -np.inf)
        weights = weights - log_sum_exp(weights)[:, None]
        inside = np.where(kept, rates, 0.5)
        quiet = np.log1p(-inside) - np.log1p(-p)[:, None]
        found[chosen] = log_sum_exp(weights + count * toward * EFFECTS + (trials - count) * quiet)
    return found


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
