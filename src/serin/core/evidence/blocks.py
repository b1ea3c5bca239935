"""How readings become blocks, and what is remembered of the blocks: bounded, however long it goes on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import Any

import numpy as np
from scipy.special import ndtri, stdtr

from serin.core.evidence.contract import NOTHING, Sums
from serin.core.evidence.inversion import Chosen, first_refuted
from serin.core.evidence.mean import Point, Scale, Scales, log_evidence_mean
from serin.core.evidence.mixture import Array, log_sum_exp

STARTS = (0, 4, 8, 16, 32)
"""Blocks from which on the evidence is also counted afresh, so that a bad beginning can be outlived."""

LEAST_BLOCKS = 4
"""Blocks without which nothing is said: fewer tell too little of how the values scatter."""

_AT_ONCE = 0.8
"""Weight of 'from the first block on'."""
_LOG_STARTS: Array = np.log([_AT_ONCE, *[(1.0 - _AT_ONCE) / (len(STARTS) - 1)] * (len(STARTS) - 1)])
_GUARDED = 4
_CLIP = 4.0
_MOST_CORRELATION = 0.8
_FARTHEST = 30.0
SILENCE = 60.0
"""Seconds of silence of one version after which an open block is no comparison at the same time any more."""


@dataclass(frozen=True, slots=True)
class Track:
    """Sums over closed blocks, from each of STARTS on, and how much neighbouring blocks resemble each other.

    blocks        closed so far
    sums          for each start that has come: (Sxx, Sxz, Szz, Sxv, Szv, Svv)
    product, square, last
                  of the normal scores e_i of a block's deviation from those before it: sum e_i e_{i-1}, sum e_i^2, e_i
    """

    blocks: int = 0
    sums: tuple[tuple[float, ...], ...] = ()
    product: float = 0.0
    square: float = 0.0
    last: float = 0.0

    def add(self, point: Point) -> Track:
        """One more closed block."""
        x, z, v = point.x, point.z, point.v
        new = (x * x, x * z, z * z, x * v, z * v, v * v)
        begun = [*self.sums, *[(0.0,) * 6] * (sum(s <= self.blocks for s in STARTS) - len(self.sums))]
        deviation = self._deviation(point)
        return Track(
            blocks=self.blocks + 1,
            sums=tuple(tuple(a + b for a, b in zip(old, new, strict=True)) for old in begun),
            product=self.product + deviation * self.last,
            square=self.square + deviation * deviation,
            last=deviation,
        )

    def _deviation(self, point: Point) -> float:
        """How far the next block is from what the earlier ones foretell, as a normal score, clipped.

        A recursive residual is Student's t with N-1 degrees of freedom if the blocks are normal and independent; turned
        into a normal score, the first few weigh no more than the later ones.
        """
        if self.blocks < 2:
            return 0.0
        _, _, szz, _, szv, svv = self.sums[0]
        if svv <= 0:
            return 0.0
        variance = max(szz - szv * szv / svv, 0.0) / (self.blocks - 1)
        spread = math.sqrt(variance * (1.0 + point.v * point.v / svv))
        if spread <= 1e-12 * math.sqrt(szz / self.blocks):
            return 0.0
        score = float(ndtri(stdtr(self.blocks - 1, (point.z - point.v * szv / svv) / spread)))
        return min(max(score, -_CLIP), _CLIP)

    @property
    def inflation(self) -> float:
        """k = (1+r)/(1-r): how many blocks count as one. r is shrunk to 0 and clipped to [0, 0.8]; a heuristic."""
        if self.blocks < _GUARDED:
            return 1.0
        r = min(max(self.product / (self.square + 4.0), 0.0), _MOST_CORRELATION)
        return (1.0 + r) / (1.0 - r)

    def log_evidence(self, limit: float, side: int, scale: Scale, relative: bool) -> float:
        """Nats for 'above' (1) or 'below' (-1) the limit, mixed over STARTS; starts that have not come count as 1."""
        if self.blocks < LEAST_BLOCKS:
            return 0.0
        return float(self._all(np.array([limit]), side, scale, relative)[0])

    def _all(self, limits: Array, side: int, scale: Scale, relative: bool) -> Array:
        counts = self.blocks - np.array(STARTS[: len(self.sums)], dtype=float)
        per_start = log_evidence_mean(counts, np.array(self.sums), limits, side, scale, relative)
        waiting = np.zeros((len(limits), len(STARTS) - len(self.sums)))
        return log_sum_exp(_LOG_STARTS + np.concatenate([per_start, waiting], axis=1))

    def estimate(self) -> tuple[float, float]:
        """(the mean or ratio, its standard error) by all blocks; (nan, inf) before there are two."""
        if self.blocks < 2:
            return math.nan, math.inf
        _, _, szz, _, szv, svv = self.sums[0]
        if svv <= 0:
            return math.nan, math.inf
        variance = max(szz - szv * szv / svv, 0.0) / (self.blocks - 1)
        return szv / svv, math.sqrt(variance * self.inflation / svv)

    def last_unrefuted(self, side: int, level: float, scale: Scale, relative: bool) -> float:
        """The lowest (`side` 1) or highest (-1) limit that is not refuted at `level` nats; 0 or inf where none is."""
        return last_unrefuted([Edge(self, side, level, scale, relative)])[0]

    def to_json(self) -> list[Any]:
        """A list in the order of the fields."""
        return [self.blocks, [list(s) for s in self.sums], self.product, self.square, self.last]

    @classmethod
    def from_json(cls, state: Sequence[Any]) -> Track:
        """What `to_json` gave."""
        blocks, sums, product, square, last = state
        return cls(int(blocks), tuple(tuple(s) for s in sums), product, square, last)


@dataclass(frozen=True, slots=True)
class Edge:
    """One end of an interval: which limit a track leaves possible, see `Track.last_unrefuted`."""

    track: Track
    side: int
    level: float
    scale: Scale
    relative: bool


def last_unrefuted(edges: Sequence[Edge]) -> list[float]:
    """`Track.last_unrefuted` of many, all at once."""
    found = [0.0 if edge.side > 0 else math.inf for edge in edges]
    for relative in (False, True):
        asked = [i for i, e in enumerate(edges) if e.relative is relative and e.track.blocks >= LEAST_BLOCKS]
        middles = {i: edges[i].track.estimate() for i in asked}
        asked = [i for i in asked if math.isfinite(middles[i][0]) and middles[i][0] > 0]
        if asked:
            reach = _reaches([edges[i] for i in asked], [middles[i] for i in asked], relative)
            for i, far in zip(asked, reach.tolist(), strict=True):
                if math.isfinite(far):
                    found[i] = middles[i][0] * math.exp(-edges[i].side * far)
    return found


def _reaches(edges: Sequence[Edge], middles: Sequence[tuple[float, float]], relative: bool) -> Array:
    """The logs of estimate over limit (or limit over estimate) at which the evidence reaches the level."""
    rows = len(STARTS)
    sums = np.array([[*e.track.sums, *[(0.0,) * 6] * (rows - len(e.track.sums))] for e in edges])
    blocks = np.maximum(np.array([[e.track.blocks] for e in edges], dtype=float) - np.array(STARTS), 0.0)
    sides, levels = np.array([float(e.side) for e in edges]), np.array([e.level for e in edges])
    scales = np.array([(e.scale.s0, e.scale.worth, e.scale.inflation) for e in edges])
    centres, errors = np.array(middles).T

    def excess(which: Chosen, reach: Array) -> Array:
        limits = centres[which] * np.exp(-sides[which] * reach)
        scale = Scales(*(scales[which, i, None] for i in range(3)))
        found = log_evidence_mean(blocks[which], sums[which], limits, sides[which], scale, relative)
        return np.asarray(log_sum_exp(_LOG_STARTS + found) - levels[which])

    steps = np.clip(errors / centres, 1e-6, 1.0)
    return first_refuted(excess, steps, np.full(len(edges), _FARTHEST))


@dataclass(frozen=True, slots=True)
class Open:
    """The block that is being filled."""

    own: Sums = NOTHING
    baseline: Sums = NOTHING
    seconds: float = 0.0
    silence: float = 0.0

    def add(self, own: Sums, baseline: Sums, seconds: float, paired: bool) -> Open:
        """One more reading. `paired`: both versions are wanted; a long silence of one abandons the block."""
        quiet = paired and (own.trials == 0 or baseline.trials == 0)
        silence = self.silence + seconds if quiet else 0.0
        if silence > SILENCE:
            return Open()
        return Open(self.own + own, self.baseline + baseline, self.seconds + seconds, silence)


@dataclass(frozen=True, slots=True)
class Rule:
    """When a block is full: trials of one version, or of both where they are `paired`, and seconds."""

    trials: float
    seconds: float
    paired: bool = False

    def full(self, block: Open) -> bool:
        """Whether all minima are met."""
        enough = block.own.trials >= self.trials and block.seconds >= self.seconds
        return enough and (not self.paired or block.baseline.trials >= self.trials)


@dataclass(frozen=True, slots=True)
class Blocks:
    """A stream of readings cut into blocks, with what is remembered of it.

    past    the baseline's sums in closed blocks: the scale of the next one
    """

    open: Open = field(default_factory=Open)
    track: Track = field(default_factory=Track)
    past: Sums = NOTHING

    def add(self, reading: tuple[Sums, Sums, float], rule: Rule, point: Callable[[Sums, Sums, float], Point]) -> Blocks:
        """One reading (own, baseline, seconds); `point` makes of a full block (own, baseline, scale) its numbers."""
        block = self.open.add(*reading, rule.paired)
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
            "open": [*astuple(block.own), *astuple(block.baseline), block.seconds, block.silence],
            "track": self.track.to_json(),
            "past": list(astuple(self.past)),
        }

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Blocks:
        """What `to_json` gave."""
        n_c, s_c, n_b, s_b, seconds, silence = state["open"]
        block = Open(Sums(n_c, s_c), Sums(n_b, s_b), seconds, silence)
        return cls(block, Track.from_json(state["track"]), Sums(*state["past"]))


EMPTY = Blocks()
