"""Evidence about a mean, or any ratio of two counters, from blocks of readings: pure formulas.

From each block come x, its root weight, and z0, v so that z(L) = z0 - L v is its standardised deviation from a limit L:

    fixed limit              z0 = x s/n,               v = x,                z(L) in units of L
    against the baseline     z0 = x (s_c/n_c)/m,       v = x (s_b/n_b)/m,    L the ratio, m the baseline's mean so far
    weight                   x = sqrt(h/(1 + h V0/cv2)),   h = n,  or  1/(1/n_c + L^2/n_b)

V0 is the variance that values share within a block: without it a block of very many requests would count for more than
it can tell, and a split that reacts to the data could be played against the evidence. The sums need no delta method.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from serin.core.evidence.contract import Sums
from serin.core.evidence.mixture import Array, log_sum_exp

V0 = 0.004
"""Relative variance that is common to all requests of a block: 6 % of standard deviation."""

EFFECTS: Array = 0.02 * np.power(1.5, np.arange(11.0))
_RAW: Array = np.power(EFFECTS + 0.1, -0.5)
LOG_WEIGHTS: Array = np.log(_RAW / _RAW.sum())
EQUAL = 0.3
"""Weight of 'exactly as the baseline' where that is on the right side of the limit: it is what most candidates are."""

LEAST = 1e-300


@dataclass(frozen=True, slots=True)
class Point:
    """One closed block."""

    x: float
    z: float
    v: float


@dataclass(frozen=True, slots=True)
class Scale:
    """What is known beforehand of how the deviations scatter.

    s0          variance of z of an independent block
    worth       nu, how many blocks this knowledge counts as
    inflation   k >= 1, how many blocks count as one, because they resemble their neighbours
    """

    s0: float = 1.0
    worth: float = 6.0
    inflation: float = 1.0


def weight(h: float, cv2: float) -> float:
    """x of a block of effective size h, for values with a squared coefficient of variation cv2."""
    return math.sqrt(h / (1.0 + h * V0 / max(cv2, 1e-12)))


def own_point(own: Sums, cv2: float) -> Point:
    """A block of one version."""
    x = weight(own.trials, cv2)
    return Point(x, x * own.total / own.trials, x)


def pair_point(own: Sums, baseline: Sums, ratio: float, mean: float, cv2: float) -> Point:
    """A block of two versions; `ratio` is what they are compared at, `mean` only a scale."""
    x = weight(1.0 / (1.0 / own.trials + ratio * ratio / baseline.trials), cv2)
    return Point(x, x * own.total / own.trials / mean, x * baseline.total / baseline.trials / mean)


@lru_cache(maxsize=512)
def _steps(limit: float, side: int, relative: bool) -> tuple[Array, Array]:
    """Effects Delta_j, and the logs of their weights."""
    steps, log_weights = _all_steps(np.array([limit]), side, relative)
    kept = np.isfinite(log_weights[0])
    return steps[0][kept], log_weights[0][kept]


def _all_steps(limits: Array, side: int, relative: bool) -> tuple[Array, Array]:
    """The same for many limits, a row each; what does not apply to a limit has the log weight -inf."""
    steps = np.expm1(side * EFFECTS)
    if not relative:
        shape = (len(limits), len(EFFECTS))
        return np.broadcast_to(steps, shape), np.broadcast_to(LOG_WEIGHTS, shape)
    equal = 1.0 - limits
    applies = equal * side > 0
    all_steps = np.column_stack([limits[:, None] * steps, np.where(applies, equal, 0.0)])
    rest = np.where(applies, math.log1p(-EQUAL), 0.0)
    weights = np.column_stack([rest[:, None] + LOG_WEIGHTS, np.where(applies, math.log(EQUAL), -np.inf)])
    return all_steps, weights


def log_evidence_mean(blocks: Array, sums: Array, limits: Array, side: int, scale: Scale, relative: bool) -> Array:
    """Log of the e-process for 'the mean (or ratio) is above the limit' (`side` 1) or below it (-1).

        n' = N/k + nu,   S = Szz/k + nu s0
        log E = logsumexp_j( log w_j + n'/2 [log S - log(S - 2 Delta_j Sxz/k + Delta_j^2 Sxx/k)] )

    For normal blocks and an inverse-gamma prior of their variance this is a Bayes factor between the limit and a
    mixture of effects, hence an e-process at the limit (Robbins 1970; Lai 1976; Grünwald, de Heide, Koolen 2024); on
    the far side of the limit it is smaller by simulation. Asymptotic for blocks of skewed values.

    blocks     N, one for each row of `sums`
    sums       rows of (Sxx, Sxz0, Szz0, Sxv, Szv, Svv)
    limits     above 0
    relative   whether effects are differences of ratios; else parts of the limit
    returns    nats: [limit, row]
    """
    sxx, sxz, szz, sxv, szv, svv = sums.T
    by = limits[:, None]
    unit = np.ones_like(by) if relative else 1.0 / by
    xz = (sxz - by * sxv) * unit
    zz = np.maximum(szz - 2.0 * by * szv + by * by * svv, 0.0) * unit * unit
    steps, log_weights = _all_steps(limits, side, relative)
    return log_bayes_factor(blocks, sxx, xz, zz, steps[:, None, :], log_weights[:, None, :], scale)


def log_bayes_factor(
    blocks: Array, sxx: Array, sxz: Array, szz: Array, steps: Array, log_weights: Array, scale: Scale
) -> Array:
    """The formula of `log_evidence_mean` from its sums at the limit; effects lie along the last axis."""
    k = scale.inflation
    degrees = blocks / k + scale.worth
    whole = szz / k + scale.worth * scale.s0
    left = whole[..., None] - 2.0 * steps * (sxz / k)[..., None] + steps * steps * (sxx / k)[..., None]
    gain = np.log(whole)[..., None] - np.log(np.maximum(left, LEAST))
    return log_sum_exp(log_weights + 0.5 * degrees[..., None] * gain)
