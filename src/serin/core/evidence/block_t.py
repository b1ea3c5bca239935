"""Evidence from blocks: a t-test that may be looked at after every block. Pure formulas.

A block is a stretch of readings with enough trials that its mean is close to normal. From each block come

    x    how much the block tells (root of its effective size)
    z    its deviation from the limit, scaled so that its scatter is the same in all blocks
    v    by how much z falls when the limit rises by one

for a ratio of any two counters, which needs nothing but the two sums, so that no delta method is needed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from serin.core.evidence.contract import MIN_BLOCKS, Sums
from serin.core.evidence.mixture import Array, log_sum_exp

PHI: Array = np.array([0.1, 0.5, 2.5, 12.5])
"""Prior precisions of the effect, in units of a block's own precision; averaged."""

_LEAST = 1e-300


@dataclass(frozen=True, slots=True)
class Point:
    """One closed block."""

    x: float
    z: float
    v: float


def mean_point(own: Sums, limit: float) -> Point:
    """A block against a fixed limit: z = (s - limit n)/sqrt(n), x = sqrt(n). The robust form of rates too."""
    x = math.sqrt(own.trials)
    return Point(x, (own.total - limit * own.trials) / x, x)


def mean_ratio_point(own: Sums, baseline: Sums, limit: float, scale: float) -> Point:
    """A block against the baseline's mean times `limit`.

    z = x (s_c/n_c - rho s_b/n_b)/m, x = sqrt(h), h = 1/(1/n_c + rho^2/n_b); m, the baseline's mean in earlier blocks,
    is only a scale.
    """
    x = math.sqrt(1.0 / (1.0 / own.trials + limit * limit / baseline.trials))
    mean = baseline.total / baseline.trials
    return Point(x, x * (own.total / own.trials - limit * mean) / scale, x * mean / scale)


def rate_ratio_point(own: Sums, baseline: Sums, limit: float) -> Point:
    """A block of events of both versions: the share that hit this version against the share that it may have.

    z = (e_c - e th)/sqrt(e th (1-th)), x = sqrt(e), e = e_c + e_b, th = rho n_c/(rho n_c + n_b).
    """
    events = own.total + baseline.total
    share = limit * own.trials / (limit * own.trials + baseline.trials)
    x = math.sqrt(events)
    return Point(x, (own.total - events * share) / math.sqrt(events * share * (1.0 - share)), 0.0)


def log_evidence_blocks(n: Array, sxx: Array, sxz: Array, szz: Array, inflation: float, side: int) -> Array:
    """Log of the e-process for 'the mean is above the limit' (`side` 1) or below it (-1), from sums over blocks.

    Model z_i = x_i mu + sigma eps_i. With N blocks, N' = N/k, S' = S/k, R = Szz' - Sxz'^2/(phi + Sxx'),
    m = Sxz'/(phi + Sxx'), sd = sqrt(R/(N'(phi + Sxx'))):

        log E_phi = -1/2 log(1 + Sxx'/phi) + N'/2 (log Szz' - log R) + log(2 T_N'(m/sd)),   averaged over PHI

    The right-Haar Bayes factor (Berger, Pericchi, Varshavsky 1998; Hendriksen, de Heide, Grünwald 2021) with a
    half-normal prior N+(0, sigma^2/phi) on the effect: exact for normal blocks at mu = 0 when the split depends on the
    data only through scale-free statistics; by simulation smaller on the other side of the limit. Asymptotic for
    blocks of skewed values: the fewer trials a block has, the worse on the promotion side.

    n, sxx, sxz, szz   arrays of one shape: blocks, and sums of x^2, x z, z^2 with x in units of the first block's
    inflation          k >= 1, how many blocks count as one (autocorrelation)
    returns            nats, same shape; 0 where there are fewer than MIN_BLOCKS blocks
    """
    counted = n >= MIN_BLOCKS
    told = counted & (szz > 0)
    blocks = np.where(told, n, MIN_BLOCKS)[..., None] / inflation
    xx, zz = np.where(told, sxx, 1.0)[..., None] / inflation, np.where(told, szz, 1.0)[..., None] / inflation
    xz = side * np.where(told, sxz, 0.0)[..., None] / inflation
    precision = PHI + xx
    rest = np.maximum(zz - xz * xz / precision, 1e-14 * zz)
    t = xz / np.sqrt(rest * precision / blocks)
    log_e = (
        -0.5 * np.log1p(xx / PHI)
        + 0.5 * blocks * (np.log(zz) - np.log(rest))
        + np.log(np.maximum(2.0 * stdtr(blocks, t), _LEAST))
    )
    return np.where(told, log_sum_exp(log_e) - math.log(len(PHI)), 0.0)
