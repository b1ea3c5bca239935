"""Pauses that grow and are never the same for two: so that those whom one failure has hit do not come back together."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Seconds: `first`, doubled each time up to `cap`, and of that a random half less."""

    first: float
    cap: float
    random: Callable[[], float] = random.random
    _failures: int = field(default=0, init=False)

    def pause(self, at_least: float | None = None) -> float:
        """The next pause; not shorter than `at_least`, which the other side has asked for."""
        wanted = min(self.first * 2.0 ** min(self._failures, 32), self.cap)
        self._failures += 1
        jittered = wanted * (0.5 + 0.5 * self.random())
        return jittered if at_least is None else max(jittered, at_least * (1.0 + 0.25 * self.random()))

    def reset(self) -> None:
        """It has worked: begin with `first` the next time."""
        self._failures = 0
