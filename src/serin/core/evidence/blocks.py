"""How readings become blocks, and what is remembered of the blocks: bounded, however long it goes on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import Any

import numpy as np
from scipy.special import ndtri, stdtr

from serin.core.evidence.block_t import Point, log_evidence_blocks
from serin.core.evidence.contract import MIN_BLOCKS, NOTHING, Sums
from serin.core.evidence.mixture import FIRST, Array, log_sum_exp

STARTS = (0, 4, 8, 16, 32)
"""Blocks from which on the evidence is also counted afresh, so that a bad beginning can be outlived."""

_LOG_STARTS: Array = np.log([FIRST, *[(1.0 - FIRST) / (len(STARTS) - 1)] * (len(STARTS) - 1)])
_GUARDED = 4
_CLIP = 4.0
_MOST_CORRELATION = 0.8
SILENCE = 60.0
"""Seconds of silence of one version after which an open block is no comparison at the same time any more."""


@dataclass(frozen=True, slots=True)
class Track:
    """Sums over closed blocks, from each of STARTS on, and how much neighbouring blocks resemble each other.

    first         x of the first block: the unit of x; 0 before it
    blocks        closed so far
    sums          for each start that has come: (Sxx, Sxz, Szz, Sxv, Szv, Svv), x in units of `first`
    product, square, last
                  of the normal scores e_i of a block's deviation from those before it: sum e_i e_{i-1}, sum e_i^2, e_i
    """

    first: float = 0.0
    blocks: int = 0
    sums: tuple[tuple[float, ...], ...] = ()
    product: float = 0.0
    square: float = 0.0
    last: float = 0.0

    def add(self, point: Point) -> Track:
        """One more closed block."""
        first = self.first or point.x
        x, z, v = point.x / first, point.z, point.v
        new = (x * x, x * z, z * z, x * v, z * v, v * v)
        begun = [*self.sums, *[(0.0,) * 6] * (sum(s <= self.blocks for s in STARTS) - len(self.sums))]
        deviation = self._deviation(x, z)
        return Track(
            first=first,
            blocks=self.blocks + 1,
            sums=tuple(tuple(a + b for a, b in zip(old, new, strict=True)) for old in begun),
            product=self.product + deviation * self.last,
            square=self.square + deviation * deviation,
            last=deviation,
        )

    def _deviation(self, x: float, z: float) -> float:
        """How far the next block is from what the earlier ones foretell, as a normal score, clipped.

        A recursive residual is Student's t with N-1 degrees of freedom if the blocks are normal and independent; turned
        into a normal score, the first few weigh no more than the later ones.
        """
        if self.blocks < 2:
            return 0.0
        sxx, sxz, szz = self.sums[0][:3]
        variance = max(szz - sxz * sxz / sxx, 0.0) / (self.blocks - 1)
        spread = math.sqrt(variance * (1.0 + x * x / sxx))
        if spread <= 1e-12 * math.sqrt(szz / self.blocks):
            return 0.0
        score = float(ndtri(stdtr(self.blocks - 1, (z - x * sxz / sxx) / spread)))
        return min(max(score, -_CLIP), _CLIP)

    @property
    def inflation(self) -> float:
        """k = (1+r)/(1-r): how many blocks count as one. r is shrunk to 0 and clipped to [0, 0.8]; a heuristic."""
        if self.blocks < _GUARDED:
            return 1.0
        r = min(max(self.product / (self.square + 4.0), 0.0), _MOST_CORRELATION)
        return (1.0 + r) / (1.0 - r)

    def log_evidence(self, side: int, shifts: Array | None = None) -> Array:
        """Nats for 'above' (1) or 'below' (-1) the limit, mixed over STARTS; starts that have not come count as 1.

        shifts    differences to the limit that the blocks were scaled for: one answer for each
        """
        delta = np.zeros(1) if shifts is None else shifts
        if self.blocks < MIN_BLOCKS:
            return np.zeros(len(delta))
        sxx, sxz, szz, sxv, szv, svv = np.array(self.sums).T[:, None, :]
        by = delta[:, None]
        moved = np.maximum(szz - 2.0 * by * szv + by * by * svv, 0.0)
        counts = (self.blocks - np.array(STARTS[: len(self.sums)], dtype=float))[None, :]
        shape = moved.shape
        per_start = log_evidence_blocks(
            np.broadcast_to(counts, shape), np.broadcast_to(sxx, shape), sxz - by * sxv, moved, self.inflation, side
        )
        waiting = np.zeros((len(delta), len(STARTS) - len(self.sums)))
        return log_sum_exp(_LOG_STARTS + np.concatenate([per_start, waiting], axis=1))

    def estimate(self) -> tuple[float, float]:
        """(difference to the limit, its standard error) by all blocks; (nan, inf) before there are two."""
        if self.blocks < 2:
            return math.nan, math.inf
        sxx, sxz, szz, sxv = self.sums[0][:4]
        if sxv <= 0:
            return math.nan, math.inf
        variance = max(szz - sxz * sxz / sxx, 0.0) / (self.blocks - 1)
        return sxz / sxv, math.sqrt(variance * sxx * self.inflation) / sxv

    def last_unrefuted(self, side: int, level: float) -> float:
        """How far from the limit, downwards (`side` 1) or upwards (-1), a limit is not yet refuted at `level` nats."""
        outwards = -float(side)
        centre, error = self.estimate()
        if self.blocks < MIN_BLOCKS or not math.isfinite(centre):
            return outwards * math.inf
        step = max(error, 1e-9 * abs(centre), 1e-300)
        reach = np.concatenate([[0.0], step * 2.0 ** np.arange(-2, 21)])
        for _ in range(4):
            refuted = self.log_evidence(side, centre + outwards * reach) >= level
            if not refuted.any():
                return outwards * math.inf
            index = max(int(np.argmax(refuted)), 1)
            reach = np.linspace(reach[index - 1], reach[index], 17)
        return centre + outwards * float(reach[-1])

    def to_json(self) -> list[Any]:
        """A list in the order of the fields."""
        return [self.first, self.blocks, [list(s) for s in self.sums], self.product, self.square, self.last]

    @classmethod
    def from_json(cls, state: Sequence[Any]) -> Track:
        """What `to_json` gave."""
        first, blocks, sums, product, square, last = state
        return cls(first, blocks, tuple(tuple(s) for s in sums), product, square, last)


@dataclass(frozen=True, slots=True)
class Open:
    """The block that is being filled."""

    own: Sums = NOTHING
    baseline: Sums = NOTHING
    seconds: float = 0.0
    readings: int = 0
    silence: float = 0.0

    def add(self, own: Sums, baseline: Sums, seconds: float, paired: bool) -> Open:
        """One more reading. `paired`: both versions are wanted; a long silence of one abandons the block."""
        quiet = paired and (own.trials == 0 or baseline.trials == 0)
        silence = self.silence + seconds if quiet else 0.0
        if silence > SILENCE:
            return Open()
        return Open(self.own + own, self.baseline + baseline, self.seconds + seconds, self.readings + 1, silence)


@dataclass(frozen=True, slots=True)
class Rule:
    """When a block is full."""

    trials: float = 0.0
    baseline: float = 0.0
    events: float = 0.0
    seconds: float = 0.0
    readings: int = 1

    def full(self, block: Open) -> bool:
        """Whether all minima are met."""
        return (
            block.own.trials >= self.trials
            and block.baseline.trials >= self.baseline
            and block.own.total + block.baseline.total >= self.events
            and block.seconds >= self.seconds
            and block.readings >= self.readings
        )


@dataclass(frozen=True, slots=True)
class Blocks:
    """A stream of readings cut into blocks, with what is remembered of it.

    past    the baseline's sums in closed blocks: the scale of the next one
    """

    open: Open = field(default_factory=Open)
    track: Track = field(default_factory=Track)
    past: Sums = NOTHING

    def add(
        self,
        reading: tuple[Sums, Sums, float],
        rule: Rule,
        point: Callable[[Sums, Sums, float], Point],
        paired: bool = False,
    ) -> Blocks:
        """One reading (own, baseline, seconds); `point` makes of a full block (own, baseline, scale) its numbers."""
        block = self.open.add(*reading, paired)
        if not rule.full(block):
            return replace(self, open=block)
        past = self.past if self.past.trials else block.baseline
        scale = abs(past.total / past.trials) if past.trials and past.total else 1.0
        made = point(block.own, block.baseline, scale)
        return Blocks(Open(), self.track.add(made), self.past + block.baseline)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        block = self.open
        return {
            "open": [*astuple(block.own), *astuple(block.baseline), block.seconds, block.readings, block.silence],
            "track": self.track.to_json(),
            "past": list(astuple(self.past)),
        }

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Blocks:
        """What `to_json` gave."""
        n_c, s_c, n_b, s_b, seconds, readings, silence = state["open"]
        block = Open(Sums(n_c, s_c), Sums(n_b, s_b), seconds, readings, silence)
        return cls(block, Track.from_json(state["track"]), Sums(*state["past"]))


EMPTY = Blocks()
