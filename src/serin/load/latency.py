"""Quantiles of latencies in constant memory, to one percent."""

from __future__ import annotations

import math

_STEP = math.log(1.02)
_SMALLEST = 1e-6
_BUCKETS = 1 + math.ceil(math.log(1e4 / _SMALLEST) / _STEP)


class Latencies:
    """Counts latencies (seconds) in buckets of 2% from a microsecond to 10,000 s; count, sum, extremes are exact."""

    def __init__(self) -> None:
        self.count, self.total, self.least, self.most = 0, 0.0, math.inf, 0.0
        self._buckets = [0] * _BUCKETS

    def add(self, seconds: float) -> None:
        """Count one."""
        self.count += 1
        self.total += seconds
        self.least, self.most = min(self.least, seconds), max(self.most, seconds)
        self._buckets[_bucket(seconds)] += 1

    def quantile(self, share: float) -> float | None:
        """The smallest latency that at least `share` of all do not exceed, within 1%; None when there is none."""
        if not self.count:
            return None
        rank = max(1, math.ceil(share * self.count))
        seen = 0
        for bucket, number in enumerate(self._buckets):
            seen += number
            if seen >= rank:
                middle = _SMALLEST * math.exp((bucket + 0.5) * _STEP)
                return min(max(middle, self.least), self.most)
        return self.most

    @property
    def mean(self) -> float | None:
        """The exact mean; None when there is none."""
        return self.total / self.count if self.count else None


def _bucket(seconds: float) -> int:
    return min(max(int(math.log(max(seconds, _SMALLEST) / _SMALLEST) / _STEP), 0), _BUCKETS - 1)
