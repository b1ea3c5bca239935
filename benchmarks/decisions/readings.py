"""What a batch of simulated experiments shows: the increments of each counter at each look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

REQUESTS, ERRORS, LATENCY, REWARD = "requests", "errors", "latency", "reward"
SCRAPE = 15.0
"""Seconds between two looks."""


def up_to(edge: float) -> str:
    """The counter of requests that took at most `edge` milliseconds."""
    return f"up_to_{edge:g}"


def above(edge: float) -> str:
    """The counter of requests that took longer than `edge` milliseconds."""
    return f"above_{edge:g}"


@dataclass(frozen=True)
class Readings:
    """N experiments of one kind, T looks each.

    counts    counter -> increments since the look before, shape (versions, N, T); the baseline is version 0
    past      counter -> the same of both halves of the baseline's pods before the start, (2, N, H), the oldest first
    """

    counts: Mapping[str, Array]
    past: Mapping[str, Array] = field(default_factory=dict)
    seconds: float = SCRAPE

    @property
    def versions(self) -> int:
        return int(self.counts[REQUESTS].shape[0])

    @property
    def replications(self) -> int:
        return int(self.counts[REQUESTS].shape[1])

    @property
    def looks(self) -> int:
        return int(self.counts[REQUESTS].shape[2])

    def so_far(self, counter: str) -> Array:
        """Cumulative counts, shape (versions, N, T)."""
        return np.cumsum(self.counts[counter], axis=2)

    def in_windows(self, counter: str, looks: int) -> Array:
        """Counts in whole windows of `looks` looks, shape (versions, N, T // looks); a rest at the end is left out."""
        counts = self.counts[counter]
        whole = counts.shape[2] // looks
        found: Array = counts[:, :, : whole * looks].reshape(*counts.shape[:2], whole, looks).sum(axis=3)
        return found
