"""Mixtures: over how large an effect may be, and over when it may have begun.

A mixture of e-processes with fixed weights is an e-process (Robbins 1970; Howard et al. 2021, section 3): nobody needs
to know beforehand how bad a bad version is, or since when.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

STEP = 0.1
EFFECTS: Array = STEP * np.arange(1.0, 41.0)
"""Effects as log ratios to the limit: from 10 % to 55 times."""

_WEIGHTS: Array = np.power(1.0 + EFFECTS, -2.0)
LOG_WEIGHTS: Array = np.log(_WEIGHTS / _WEIGHTS.sum())

FIRST = 0.5
"""Weight of 'it was so from the first reading on'; the rest is spread over the later ones."""


def log_sum_exp(values: Array) -> Array:
    """log(sum(exp(values))) over the last axis; an axis of -inf only gives -inf."""
    top = np.maximum.reduce(values, axis=-1, keepdims=True)
    if np.logical_and.reduce(np.isfinite(top), axis=None):
        total: Array = np.log(np.add.reduce(np.exp(values - top), axis=-1)) + top[..., 0]
        return total
    with np.errstate(divide="ignore"):
        summed = np.add.reduce(np.exp(values - np.where(np.isfinite(top), top, 0.0)), axis=-1)
        return np.asarray(np.log(summed) + np.where(np.isfinite(top), top, 0.0)[..., 0])


@dataclass(frozen=True, slots=True)
class LateStart:
    """E-process for 'complies at every time', powerful against a violation that begins late.

    For each effect j the capital is M_t = (M_{t-1} + w_t) * f_t(j): at every reading a part w_t of the capital enters
    the game. w_1 = 1/2, the rest evenly over the `horizon`; what has not entered is kept. A mixture of e-processes
    that start later, hence an e-process for the null 'at every time' (2.7 of the design; Shin, Ramdas, Rinaldo 2022,
    e-detectors, use the same recursion with other weights).

    horizon   readings over which the starts are spread; later readings go on without new starts
    steps     readings taken so far
    log_m     log M for each effect; empty before the first reading
    """

    horizon: int
    steps: int = 0
    log_m: tuple[float, ...] = ()

    def add(self, log_factors: Array) -> LateStart:
        """One reading: the log of the factor f_t for each effect."""
        entering = self._weight(self.steps + 1)
        if not self.steps:
            grown = np.log(entering) + log_factors
        else:
            log_m = np.array(self.log_m)
            grown = (np.logaddexp(log_m, np.log(entering)) if entering > 0 else log_m) + log_factors
        return LateStart(self.horizon, self.steps + 1, tuple(grown.tolist()))

    def log_evidence(self, log_weights: Array) -> float:
        """Nats; `log_weights` of the effects. 0.0 before the first reading."""
        if not self.steps:
            return 0.0
        kept = self._kept()
        terms = log_weights + np.array(self.log_m)
        return float(log_sum_exp(np.concatenate((terms, [np.log(kept)])) if kept > 0 else terms))

    def _weight(self, step: int) -> float:
        if self.horizon <= 1:
            return 1.0 if step == 1 else 0.0
        if step == 1:
            return FIRST
        return (1.0 - FIRST) / (self.horizon - 1) if step <= self.horizon else 0.0

    def _kept(self) -> float:
        if self.horizon <= 1:
            return 0.0
        return (1.0 - FIRST) * max(0.0, 1.0 - (self.steps - 1) / (self.horizon - 1))
