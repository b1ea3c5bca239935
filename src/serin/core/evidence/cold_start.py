"""Whether a version is slow because it is cold: a violation that dies away is no evidence about the long run.

A fresh process fills caches and compiles. Against 'it keeps the limit' stands 'it is beyond the limit by as much all
the time'; a third explanation is 'it keeps the limit but for its first minute',

    excess at time t = a exp(-t/T),    a ~ N(0, A^2),    T one of DECAYS

and evidence of harm is measured against the better one of the two that keep the limit: with S = nu s0 + Szz/k, as in
`mean.log_evidence_mean`, and G = sum x g z the part of the deviations that goes with g(t) = exp(-t/T),

    log p_T/p_0 = n'/2 [log S - log(S - (G/k)^2/(Sgg/k + s0/A^2))] - 1/2 log(1 + Sgg A^2/(k s0))

and one version in ten is taken to start cold. The largest of several nulls in the denominator leaves an e-process for
a version that keeps the limit (universal inference: Wasserman, Ramdas, Balakrishnan 2020), and against a cold one one
that is at most ten times as large. Of a violation that stays it takes little, because a decay explains it worse with
every block. Once a decay explains what was seen far better than either of the others, the version was cold, and what
was counted until then is left out as `analysis.warmup` would have done.

Simulated, limit 1.1 times the baseline's latency, good versions (1 + a exp(-t/T)) times as slow at first, looks
of 15 s, 60 runs each, rolled back in percent: a = 2 and T = 10, 20 or 30 s, a = 1 or 4 and T = 30 s, none (without this
module 42 with a = 2 and T = 30 s); a = 2 and T = 60 s, 20. With looks of 5 s, where a proof may come after 20 s, 15 of
a = 2 and T = 30 s: two such blocks more would let one that is steadily 1.5 times as slow stay twice as long.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from serin.core.evidence.blocks import Track
from serin.core.evidence.mean import Point, Scale

DECAYS = (10.0, 30.0)
"""Seconds T in which what is left of a cold start falls to a third."""

_AMPLITUDE = 1.0
"""A: a cold start of this order, as a part of the limit or of the baseline's value, is taken to be usual."""

_UNUSUAL = math.log(10.0)
"""Nats that a cold start has to explain before it counts: one version in ten is taken to have one. What is left of one
that was found counts at once."""

_FOUND = 3.0
"""Nats by which a cold start has to explain what was seen better than both a kept limit and a steady violation."""

_LATEST = 300.0
"""Seconds after which none is found any more: what would be left out is then mostly not cold."""

_NO_SUMS = ((0.0, 0.0, 0.0),) * len(DECAYS)


@dataclass(frozen=True, slots=True)
class ColdStart:
    """The closed blocks of one version, as far as they go with a decay from its first request on.

    seconds    since its first request
    since      when the open block was begun
    sums       for each of DECAYS the sums of x^2 g^2, x g z0, x g v over closed blocks; see `mean` for x, z0, v
    left_out   seconds that turned out to be a cold start
    """

    seconds: float = 0.0
    since: float = 0.0
    sums: tuple[tuple[float, float, float], ...] = _NO_SUMS
    left_out: float = 0.0

    def passed(self, seconds: float, requested: bool) -> ColdStart:
        """Time goes on from the first request on."""
        if not self.seconds and not requested:
            return self
        return ColdStart(self.seconds + seconds, self.since, self.sums, self.left_out)

    def add(self, point: Point) -> ColdStart:
        """One more closed block, the last moment of which is now."""
        begun, ended = self.since, self.seconds
        sums = []
        for decay, (gg, gz, gv) in zip(DECAYS, self.sums, strict=True):
            g = decay * (math.exp(-begun / decay) - math.exp(-ended / decay)) / max(ended - begun, 1e-9)
            xg = point.x * g
            sums.append((gg + xg * xg, gz + xg * point.z, gv + xg * point.v))
        return ColdStart(self.seconds, self.seconds, tuple(sums), self.left_out)

    def explains(self, track: Track, limit: float, harm: int, scale: Scale, relative: bool) -> float:
        """Nats, at least 0, by which a cold start fits the blocks better than a limit that is kept all the time.

        track   of the same blocks
        harm    the side of the limit that a cold version is on
        """
        if not track.blocks:
            return 0.0
        _, _, szz, _, szv, svv = track.sums[0]
        unit = 1.0 if relative else 1.0 / limit
        k, prior = scale.inflation, scale.s0 / _AMPLITUDE**2
        whole = max(szz - 2.0 * limit * szv + limit * limit * svv, 0.0) * unit * unit / k + scale.worth * scale.s0
        half = 0.5 * (track.blocks / k + scale.worth)
        best = 0.0  # of log p_T/p_0
        for gg, gz, gv in self.sums:
            along = (gz - limit * gv) * unit * harm / k
            if along <= 0.0:
                continue
            left = max(whole - along * along / (gg / k + prior), 1e-300)
            best = max(best, half * math.log(whole / left) - 0.5 * math.log1p(gg / k / prior))
        return max(best - (0.0 if self.left_out else _UNUSUAL), 0.0)

    def found(self, explained: float, against: float) -> bool:
        """Whether it was one. `against`: nats for a steady violation over a kept limit."""
        return self.seconds <= _LATEST and explained >= _FOUND + max(against, 0.0)

    @property
    def told(self) -> str:
        """What was left out, in words; empty where nothing was."""
        return f"its first {self.left_out:.0f} s are left out as a cold start" if self.left_out else ""

    def over(self) -> ColdStart:
        """The same for what comes after it."""
        return ColdStart(self.seconds, self.seconds, _NO_SUMS, self.seconds)

    def to_json(self) -> list[Any]:
        """Plain JSON values."""
        return [self.seconds, self.since, [list(s) for s in self.sums], self.left_out]

    @classmethod
    def from_json(cls, state: Sequence[Any]) -> ColdStart:
        """What `to_json` gave."""
        seconds, since, sums, left_out = state
        return cls(seconds, since, tuple((a, b, c) for a, b, c in sums), left_out)
