"""How values scatter, learned from the baseline: what the evidence about means starts from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from serin.core.evidence.contract import Sums
from serin.core.evidence.mean import Scale, weight

_GUESSED, _GUESS = 2.0, 1.0
"""Before anything is seen the squared coefficient of variation is taken to be 1, as of waiting times, and that counts
as two blocks."""

_WORTH = 6.0
_MOST_WORTH = 30.0
_GROWTH = 1.2
_SCALES = (1, 2, 4, 8, 16)
_LEAST_TRIALS = 30.0


@dataclass(frozen=True, slots=True)
class Noise:
    """Squared differences of one version's mean from one block to the next: blind to whatever changes slowly.

        sum of (a_i - a_{i-1})^2 h / a^2,    h = 1/(1/n_i + 1/n_{i-1}), a their common mean,

    is `pairs` times the squared coefficient of variation of a value.
    """

    trials: float = 0.0
    mean: float = 0.0
    squares: float = 0.0
    pairs: int = 0

    def add(self, block: Sums) -> Noise:
        """One more block."""
        if not block.trials:
            return self
        mean = block.total / block.trials
        if not self.trials:
            return Noise(block.trials, mean, self.squares, self.pairs)
        together = (self.trials * self.mean + block.total) / (self.trials + block.trials)
        if together <= 0:
            return Noise(block.trials, mean, self.squares, self.pairs)
        size = 1.0 / (1.0 / self.trials + 1.0 / block.trials)
        return Noise(block.trials, mean, self.squares + (mean - self.mean) ** 2 * size / together**2, self.pairs + 1)

    def cv2(self, earlier: Noise | None = None) -> float:
        """The squared coefficient of variation of a value, with what was known `earlier`."""
        squares, pairs = self.squares, self.pairs
        if earlier is not None:
            squares, pairs = squares + earlier.squares, pairs + earlier.pairs
        return (_GUESSED * _GUESS + squares) / (_GUESSED + pairs)


@dataclass(frozen=True, slots=True)
class MeanPast:
    """What the baseline's history says about the values of a metric: constants of an experiment.

    units     of history
    noise     of the whole service
    placebo   (I_b, K_b) a scale of 1, 2, 4, 8, 16 units: variance of one half of the pods against the other, and from
              how many blocks; empty where there are no two pods
    """

    units: int = 0
    noise: Noise = Noise()
    placebo: tuple[tuple[float, float], ...] = ()

    @classmethod
    def of(cls, units: Sequence[Sums], halves: Sequence[tuple[Sums, Sums]] = ()) -> MeanPast:
        """From sums, a unit each: of the whole service, and of two halves of its pods."""
        noise = Noise()
        for unit in units:
            noise = noise.add(unit)
        return cls(len(units), noise, _placebo(halves, noise.cv2()) if halves else ())

    def scale(self, cv2: float, inflation: float) -> Scale:
        """Prior of the variance of a block's deviation. `inflation` is what the blocks so far show themselves."""
        if not self.placebo:
            return Scale(cv2, _WORTH, inflation)
        first, blocks = self.placebo[0]
        s0 = (_WORTH * cv2 + blocks * first) / (_WORTH + blocks)
        j = start = s0
        for seen, count in self.placebo[1:]:
            foretold = start + _GROWTH * (j - start)
            j = max(start, (_WORTH * foretold + count * seen) / (_WORTH + count))
        return Scale(s0, min(_WORTH + blocks, _MOST_WORTH), max(inflation, j / start))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "kind": "mean",
            "units": self.units,
            "noise": list(astuple(self.noise)),
            "placebo": [list(p) for p in self.placebo],
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> MeanPast:
        """What `to_json` gave."""
        return cls(int(state["units"]), Noise(*state["noise"]), tuple((i, k) for i, k in state["placebo"]))


def _placebo(halves: Sequence[tuple[Sums, Sums]], cv2: float) -> tuple[tuple[float, float], ...]:
    """R = sum (x z - x^2 mu) over blocks of b units, I_b = sum R^2/(1 - 1/K) / sum x^2; mu the mean difference."""
    points = []
    for one, other in halves:
        if min(one.trials, other.trials) < _LEAST_TRIALS or one.total + other.total <= 0:
            points.append((0.0, 0.0))
            continue
        x = weight(1.0 / (1.0 / one.trials + 1.0 / other.trials), cv2)
        mean = (one.total + other.total) / (one.trials + other.trials)
        points.append((x, x * (one.total / one.trials - other.total / other.trials) / mean))
    whole = math.fsum(x * x for x, _ in points)
    if whole <= 0:
        return ()
    mu = math.fsum(x * z for x, z in points) / whole
    found = []
    for scale in _SCALES:
        blocks = [points[i : i + scale] for i in range(0, len(points) - scale + 1, scale)]
        sizes = [math.fsum(x * x for x, _ in block) for block in blocks]
        rests = [math.fsum(x * z - x * x * mu for x, z in block) for block in blocks]
        k = sum(size > 0 for size in sizes)
        total = math.fsum(sizes)
        if k < 2 or total <= 0:
            found.append((0.0, 0.0))
            continue
        found.append((math.fsum(r * r for r in rests) / (1.0 - 1.0 / k) / total, k - 1.0))
    return tuple(found)
