"""Ways in which an experiment's counts may go, for a forecast: spread evenly over what may happen.

A path is a row of normal scores, one a reading. The sums over each of BLOCKS stretches of the experiment take evenly
spaced quantiles over the paths (a Latin hypercube; McKay, Beckman, Conover 1979), so that few paths do the work of
many; what is left within a stretch comes from a fixed seed, so that the same question has the same answer.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import bdtrik, ndtr, ndtri, pdtrik

from serin.core.evidence.mixture import Array

BLOCKS = 8
"""Stretches of an experiment whose sums are spread evenly over the paths."""

_LEAST, _MOST = 1e-12, 1.0 - 1e-12


def scores(paths: int, weights: Array, stream: int) -> Array:
    """Normal scores, (paths, readings).

    weights   (readings,) how much each reading counts in a sum: its expected number of events
    stream    another number is another, unrelated set of scores
    """
    numbers = np.random.Generator(np.random.PCG64([7, stream % 2**32]))
    found: Array = numbers.standard_normal((paths, len(weights)))
    evenly = ndtri((np.arange(paths) + 0.5) / paths)
    root = np.sqrt(np.maximum(weights, _LEAST))
    for members in np.array_split(np.arange(len(weights)), min(BLOCKS, len(weights))):
        direction = root[members] / np.linalg.norm(root[members])
        wanted = evenly[numbers.permutation(paths)]
        found[:, members] += (wanted - found[:, members] @ direction)[:, None] * direction
    return found


def count(mean: float, score: float, burst: float = 1.0) -> float:
    """The Poisson count at the same quantile as a normal score; in bursts of `burst` at once."""
    chance, mean = float(ndtr(score)), mean / burst
    if mean <= 0.0 or chance <= math.exp(-mean):
        return 0.0
    return burst * max(1.0, math.ceil(float(pdtrik(min(chance, _MOST), mean)) - 1e-9))


def share(trials: float, chance: float, score: float) -> float:
    """The binomial count at the same quantile as a normal score; `trials` are made whole."""
    whole, quantile = round(trials), min(float(ndtr(score)), _MOST)
    if whole <= 0 or quantile <= (1.0 - chance) ** whole:
        return 0.0
    return float(min(whole, max(1, math.ceil(float(bdtrik(quantile, whole, chance)) - 1e-9))))
