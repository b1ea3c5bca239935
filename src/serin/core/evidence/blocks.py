"""How readings become blocks, and what is remembered of the blocks: bounded, however long it goes on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtr

from serin.core.evidence.contract import NOTHING, Sums
from serin.core.evidence.inversion import Chosen, Memo, first_refuted
from serin.core.evidence.mean import EFFECTS, EQUAL, LEAST, LOG_WEIGHTS, Point, Scale, log_evidence_mean
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

_STARTED: Array = np.array(STARTS, dtype=float)
_WITH_EQUAL: Array = np.append(EFFECTS, 0.0)
_WEIGHTS_ALONE: Array = np.append(LOG_WEIGHTS, -np.inf)
_WEIGHTS_BESIDE_EQUAL: Array = np.append(LOG_WEIGHTS + math.log1p(-EQUAL), math.log(EQUAL))
SILENCE = 60.0
"""Seconds of silence of one version after which an open block is no comparison at the same time any more."""


@dataclass(frozen=True)
class Track:
    """Sums over closed blocks, from each of STARTS on, and how much neighbouring blocks resemble each other.

    Without slots: until the next block closes every reading asks for the same, by the hash of these sums.

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

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.blocks, self.sums, self.product, self.square, self.last))

    @cached_property
    def inflation(self) -> float:
        """k = (1+r)/(1-r): how many blocks count as one. r is shrunk to 0 and clipped to [0, 0.8]; a heuristic."""
        if self.blocks < _GUARDED:
            return 1.0
        r = min(max(self.product / (self.square + 4.0), 0.0), _MOST_CORRELATION)
        return (1.0 + r) / (1.0 - r)

    def log_evidence(self, limit: float, side: int, scale: Scale, relative: bool) -> float:
        """Nats for 'above' (1) or 'below' (-1) the limit, mixed over STARTS; starts that have not come count as 1."""
        return _evidence(self, limit, side, scale, relative) if self.blocks >= LEAST_BLOCKS else 0.0

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


@lru_cache(maxsize=1024)
def _evidence(track: Track, limit: float, side: int, scale: Scale, relative: bool) -> float:
    """`Track.log_evidence`: asked for several times in one iteration."""
    return float(track._all(np.array([limit]), side, scale, relative)[0])


@dataclass(frozen=True, slots=True)
class Edge:
    """One end of an interval: which limit a track leaves possible, see `Track.last_unrefuted`."""

    track: Track
    side: int
    level: float
    scale: Scale
    relative: bool


def _last_unrefuted(edges: Sequence[Edge]) -> list[float]:
    found = [0.0 if edge.side > 0 else math.inf for edge in edges]
    middles = [edge.track.estimate() for edge in edges]
    asked = [
        i
        for i, (edge, (centre, _)) in enumerate(zip(edges, middles, strict=True))
        if edge.track.blocks >= LEAST_BLOCKS and math.isfinite(centre) and centre > 0
    ]
    if not asked:
        return found
    centres, errors = np.array([middles[i] for i in asked]).T
    excess = _Excess.of([edges[i] for i in asked], centres)
    reach = first_refuted(excess, np.clip(errors / centres, 1e-6, 1.0), np.full(len(asked), _FARTHEST))
    for i, far in zip(asked, reach.tolist(), strict=True):
        if math.isfinite(far):
            found[i] = middles[i][0] * math.exp(-edges[i].side * far)
    return found


last_unrefuted = Memo(_last_unrefuted)
"""`Track.last_unrefuted` of many, all at once."""


@dataclass(frozen=True, slots=True)
class _Excess:
    """By how many nats the evidence of edges is over their levels, at any distance of the limit from the estimate.

    The same as `log_evidence_mean` with S and Delta multiplied by the limit, which changes no ratio of them: sums that
    are divided once serve every limit, fixed and relative ones alike. An entry, or a row, an edge.

    sums       [edge, 6, start] of (Sxx, Sxz, Szz, Sxv, Szv, Svv)/k; 0 for starts that have not come: evidence of 1
    halves     n'/2 [edge, start]
    prior      nu s0
    relative   whether there is an effect 'as the baseline', and the prior is in units of the ratio
    effects    exp(side u_j) - 1 [edge, effect], the last one left for 'as the baseline'
    """

    centres: Array
    sides: Array
    levels: Array
    sums: Array
    halves: Array
    prior: Array
    relative: NDArray[np.bool_]
    effects: Array

    @classmethod
    def of(cls, edges: Sequence[Edge], centres: Array) -> _Excess:
        sides = np.array([float(e.side) for e in edges])
        s0, worth, k = np.array([(e.scale.s0, e.scale.worth, e.scale.inflation) for e in edges]).T
        rows = [(*e.track.sums, *[(0.0,) * 6] * (len(STARTS) - len(e.track.sums))) for e in edges]
        blocks = np.maximum(np.array([[e.track.blocks] for e in edges]) - _STARTED, 0.0)
        return cls(
            centres=centres,
            sides=sides,
            levels=np.array([e.level for e in edges]),
            sums=np.swapaxes(np.array(rows), 1, 2) / k[:, None, None],
            halves=0.5 * (blocks / k[:, None] + worth[:, None]),
            prior=worth * s0,
            relative=np.array([e.relative for e in edges]),
            effects=np.expm1(np.multiply.outer(sides, _WITH_EQUAL)),
        )

    def __call__(self, which: Chosen, reach: Array) -> Array:
        """See `inversion.Excess`."""
        side, relative = self.sides[which], self.relative[which]
        limit = self.centres[which] * np.exp(-side * reach)
        by = limit[:, None]
        sxx, sxz, szz, sxv, szv, svv = self.sums[which].swapaxes(0, 1)
        unit = np.where(relative, 1.0, limit * limit)
        whole = np.maximum(szz - by * (2.0 * szv - by * svv), 0.0) + (self.prior[which] * unit)[:, None]
        steps = by * self.effects[which]
        steps[:, -1] = 1.0 - limit
        equal = relative & (steps[:, -1] * side > 0)
        weights = np.where(equal[:, None], _WEIGHTS_BESIDE_EQUAL, _WEIGHTS_ALONE)
        steps = steps[:, None, :]
        change = steps * (steps * sxx[..., None] - 2.0 * (sxz - by * sxv)[..., None]) / whole[..., None]
        nats = weights[:, None, :] - self.halves[which][..., None] * np.log(np.maximum(1.0 + change, LEAST))
        nats += _LOG_STARTS[:, None]
        found = log_sum_exp(nats.reshape(len(which), -1))
        return np.asarray(found - self.levels[which])


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
            return Blocks(block, self.track, self.past)
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
