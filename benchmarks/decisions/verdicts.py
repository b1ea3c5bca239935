"""What a rule has made of a batch of experiments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.decisions.readings import Array

ROLLED_BACK, UNDECIDED, PROMOTED = -1, 0, 1


@dataclass(frozen=True)
class Verdicts:
    """Of N experiments.

    verdict      ROLLED_BACK, UNDECIDED or PROMOTED, (N,)
    decided      the look (from 0) at which it was said; the number of looks where nothing was, (N,)
    winner       the version that was promoted, where there are several; else 1
    """

    verdict: NDArray[np.int64]
    decided: NDArray[np.int64]
    winner: NDArray[np.int64] | None = None

    @classmethod
    def at_first(
        cls, promotes: NDArray[np.bool_], rolls_back: NDArray[np.bool_], looks: int, every: int = 1
    ) -> Verdicts:
        """The first of both that says something, each (N, checks); a check after `every` looks. Rollback first."""
        says = np.where(rolls_back, ROLLED_BACK, np.where(promotes, PROMOTED, UNDECIDED))
        any_said = (says != UNDECIDED).any(axis=1)
        first = np.argmax(says != UNDECIDED, axis=1)
        verdict = np.where(any_said, np.take_along_axis(says, first[:, None], axis=1)[:, 0], UNDECIDED)
        return cls(verdict.astype(np.int64), np.where(any_said, every * (first + 1) - 1, looks).astype(np.int64))

    @classmethod
    def joined(cls, parts: list[Verdicts]) -> Verdicts:
        """Of several batches, in their order."""
        winners = [p.winner for p in parts if p.winner is not None]
        return cls(
            np.concatenate([p.verdict for p in parts]),
            np.concatenate([p.decided for p in parts]),
            np.concatenate(winners) if winners else None,
        )


def both(verdicts: list[Verdicts], looks: int) -> Verdicts:
    """Several criteria: rolled back when any says so, promoted when all have, whichever comes first."""
    if len(verdicts) == 1:
        return verdicts[0]
    harm = np.min([np.where(v.verdict == ROLLED_BACK, v.decided, looks + 1) for v in verdicts], axis=0)
    safe = np.max([np.where(v.verdict == PROMOTED, v.decided, looks + 1) for v in verdicts], axis=0)
    verdict = np.where(np.minimum(harm, safe) > looks, UNDECIDED, np.where(harm <= safe, ROLLED_BACK, PROMOTED))
    return Verdicts(verdict.astype(np.int64), np.minimum(np.minimum(harm, safe), looks).astype(np.int64))


def as_seconds(decided: NDArray[np.int64], seconds: float) -> Array:
    """When it was said: at the end of its look."""
    return np.asarray(seconds * (decided + 1), dtype=np.float64)
