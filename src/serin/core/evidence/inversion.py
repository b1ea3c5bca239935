"""Confidence sequences by turning tests around: how far from an estimate the first value is that a test refutes.

Many questions are answered at once: an assessment asks for the ends of the intervals of all versions and criteria, and
numpy takes about as long for one of them as for fifty. (`scipy.optimize.elementwise.find_root` does the second half of
this, in 5 ms a call: its bookkeeping costs more than ten times as much as our functions.)
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from serin.core.evidence.mixture import Array

Chosen = NDArray[np.intp]
Excess = Callable[[Chosen, Array], Array]
"""(questions [m], a distance of each [m]) -> by how many nats each test is over its level there [m]."""

Question = TypeVar("Question", bound=Hashable)
Answer = TypeVar("Answer")

TOLERANCE = 1e-8
"""Nats by which the evidence at an end may differ from the level; rounding of very large evidence apart."""

_USUAL: Array = np.array([1.0, 2.0, 4.0, 8.0])
"""Standard errors between which the end lies nearly always."""

_ALL: Array = np.concatenate([[0.0], 2.0 ** np.arange(-1.0, 12.0)])
_SECANTS, _ROUNDS = 8, 60
_NARROW = 1e-11


@dataclass(slots=True)
class _Bracket:
    """Squared distances between which the excess changes its sign, and the excess there; an entry a question."""

    near: Array
    far: Array
    below: Array
    above: Array


class Memo(Generic[Question, Answer]):
    """What was found for the last questions, at most `most` of them: they come in bunches, `lru_cache` takes one.

    An iteration words some of the intervals that the assessment after it shows. The answers are those of a pure
    function, so nobody can tell whether one was remembered.
    """

    def __init__(self, find: Callable[[Sequence[Question]], Sequence[Answer]], most: int = 2048) -> None:
        self._find, self._most = find, most
        self._known: dict[Question, Answer] = {}

    def __call__(self, asked: Sequence[Question]) -> list[Answer]:
        """The answers, in order."""
        new = [q for q in dict.fromkeys(asked) if q not in self._known]
        if new:
            if len(self._known) + len(new) > self._most:
                self._known = {q: self._known[q] for q in asked if q in self._known}
            self._known.update(zip(new, self._find(new), strict=True))
        return [self._known[q] for q in asked]

    def __len__(self) -> int:
        return len(self._known)


def first_refuted(excess: Excess, steps: Array, farthest: Array) -> Array:
    """The smallest distance >= 0 at which the excess reaches 0, for every question; inf where it does nowhere.

    steps      a standard error of each estimate, or whatever is about a third of the distance
    farthest   how far to look

    Looked for at 0, 1/2, 1, 2, 4 … 2048 steps from the estimate outwards, then closed in upon: to `TOLERANCE` nats.
    """
    found = np.full(len(steps), np.inf)
    everyone = np.arange(len(steps))
    left, bracket = _scanned(excess, everyone, steps, farthest, _USUAL)
    if len(left) < len(everyone):
        doubtful = np.ones(len(everyone), dtype=bool)
        doubtful[left] = False
        more, wider = _scanned(excess, everyone[doubtful], steps, farthest, _ALL)
        left = np.concatenate([left, more])
        pairs = ((bracket.near, wider.near), (bracket.far, wider.far), (bracket.below, wider.below),
                 (bracket.above, wider.above))  # fmt: skip
        bracket = _Bracket(*(np.concatenate(pair) for pair in pairs))
    found[left] = np.sqrt(_closed_in(excess, left, bracket))
    return found


def _scanned(excess: Excess, asked: Chosen, steps: Array, farthest: Array, grid: Array) -> tuple[Chosen, _Bracket]:
    """Those of the questions `asked` whose first crossing lies on the grid, and the cells that it lies in."""
    distances = np.minimum(steps[asked, None] * grid, farthest[asked, None])
    seen = excess(np.repeat(asked, len(grid)), distances.ravel()).reshape(distances.shape)
    over = seen >= 0.0
    first = np.argmax(over, axis=1)
    crossed = over.any(axis=1) & ((first > 0) | (grid[0] == 0.0))
    rows, last = np.flatnonzero(crossed), first[crossed]
    before = np.maximum(last - 1, 0)
    squared = distances * distances
    bracket = _Bracket(squared[rows, before], squared[rows, last], seen[rows, before], seen[rows, last])
    return asked[rows], bracket


def _closed_in(excess: Excess, asked: Chosen, bracket: _Bracket) -> Array:
    """The squared distances at which the excess is 0: regula falsi (Anderson and Björck 1973).

    Evidence grows about as the square of the distance, so that over squares it is almost a straight line. Where it
    jumps (a limit beyond which another effect is mixed) halving does the rest.
    """
    found, last = bracket.far.copy(), np.zeros(len(asked), dtype=np.int8)
    open_ = np.flatnonzero((bracket.above > TOLERANCE) & (bracket.below < 0.0))
    for round_ in range(_ROUNDS):
        if not len(open_):
            break
        near, far, below, above = (x[open_] for x in (bracket.near, bracket.far, bracket.below, bracket.above))
        at = near + (far - near) * (below / (below - above) if round_ < _SECANTS else 0.5)
        seen = excess(asked[open_], np.sqrt(at))
        found[open_] = at
        side = np.where(seen >= 0.0, 1, -1).astype(np.int8)
        beyond, again = side > 0, side == last[open_]
        kept = 1.0 - seen / np.where(beyond, above, below)
        shrink = np.where(again, np.where(kept > 0.0, kept, 0.5), 1.0)  # of the end that stays for the second time
        bracket.far[open_], bracket.near[open_] = np.where(beyond, at, far), np.where(beyond, near, at)
        bracket.above[open_] = np.where(beyond, seen, above * shrink)
        bracket.below[open_] = np.where(beyond, below * shrink, seen)
        last[open_] = side
        open_ = open_[(np.abs(seen) > TOLERANCE) & (far - near > _NARROW * far)]
    return found
