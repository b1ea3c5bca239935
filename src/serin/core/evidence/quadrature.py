"""Where to integrate: Gauss-Legendre between quantiles of distributions that are compared, Gauss-Hermite over one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import special

from serin.core.evidence.mixture import Array

_HALF_CUTS = (1e-10, 1e-8, 1e-6, 1e-4, 1e-3, 1e-2, 0.05, 0.15, 0.3)
CUTS: Array = np.array([*_HALF_CUTS, 0.5, *[1.0 - p for p in reversed(_HALF_CUTS)]])
"""The probabilities at whose quantiles a distribution is cut."""

_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(8)
_PLACES: Array = np.arange(float(len(CUTS)))
_CELLS = 1.5
"""Distances of neighbouring cuts that a panel may span: with 8 nodes the chances to win are exact to 1e-12."""

_NORMAL, _RAW_WEIGHTS = np.polynomial.hermite_e.hermegauss(20)
NORMAL_AT: Array = special.ndtr(_NORMAL)
"""The probabilities at whose quantiles a mean over a distribution is taken, with NORMAL_WEIGHTS: 20 normal scores."""
NORMAL_WEIGHTS: Array = _RAW_WEIGHTS / _RAW_WEIGHTS.sum()


@lru_cache(maxsize=256)
def student_cuts(df: float) -> Array:
    """The quantiles of Student's t itself at CUTS: versions have about the same number of blocks."""
    return np.asarray(special.stdtrit(df, CUTS))


def quadrature(cuts: Sequence[Array]) -> tuple[Array, Array]:
    """Nodes and weights of Gauss-Legendre on panels between the cuts of distributions.

    cuts   the quantiles at CUTS, of each

    A panel is as long as it may be without being longer than `_CELLS` distances of neighbouring cuts of any of them:
    of versions that are alike one set of cuts is enough.
    """
    edges = np.sort(np.concatenate(cuts))  # `np.unique` and `np.diff` take as long as all the rest
    edges = edges[np.concatenate([[True], edges[1:] != edges[:-1]])]
    places = np.array([np.interp(edges, own, _PLACES) for own in cuts])
    steps = np.maximum.reduce(places[:, 1:] - places[:, :-1], axis=0)
    along = [0.0, *np.where(steps > 0.0, steps, 1.0).cumsum().tolist()]
    at, kept = 0, [0]
    while at < len(along) - 1:
        at = max(bisect_right(along, along[at] + _CELLS) - 1, at + 1)
        kept.append(at)
    edges = edges[kept]
    half = 0.5 * (edges[1:] - edges[:-1])
    x = (edges[:-1] + half)[:, None] + half[:, None] * _NODES
    return x.ravel(), (half[:, None] * _NODE_WEIGHTS).ravel()
