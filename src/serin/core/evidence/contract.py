"""What a reading brings and what evidence can be asked: the words that all rules of this package share."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from serin.core.evidence.posterior import Posterior
from serin.core.model import Interval

CERTAIN = 500.0
"""Nats of what is no matter of chance (a counter above its limit). Finite, so that it stays plain JSON."""


UNIT = 15.0
"""Seconds of one unit of time. Readings are put together to units, so that what is learned of how values scatter does
not depend on how often somebody reads; 15 s is a usual interval of scrapes, and every table was measured with it."""

EARLY = 3.0
"""Seconds by which a unit may close early: scrapes are not punctual."""

_HUGE = 1e100

NO_REQUESTS = "no requests yet"
NONE_THAT_COUNT = "it has requests, but none that count for this metric yet"


@dataclass(frozen=True, slots=True)
class Sums:
    """What one version added between two readings.

    trials   increment of the denominator (requests), >= 0; not looked at for a counter
    total    increment of the numerator (events, milliseconds, …)
    """

    trials: float
    total: float

    @property
    def usable(self) -> bool:
        """Not negative, as increments of counters are, and not so large that a square could overflow."""
        return 0.0 <= self.trials < _HUGE and 0.0 <= self.total < _HUGE

    @property
    def empty(self) -> bool:
        """Whether nothing was counted."""
        return self.trials == 0 and self.total == 0

    def __add__(self, other: Sums) -> Sums:
        if other is NOTHING:
            return self
        return Sums(self.trials + other.trials, self.total + other.total)


NOTHING = Sums(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Dispersion:
    """How many events tell as much as one independent one: `factor` >= 1, and the time scale at which it peaks."""

    factor: float = 1.0
    seconds: float = UNIT


@dataclass(frozen=True, slots=True)
class Clock:
    """Time cut into units.

    seconds   that have passed, readings without requests included
    closed    units that are over
    """

    seconds: float = 0.0
    closed: int = 0

    def tick(self, seconds: float) -> tuple[Clock, int]:
        """`seconds` later: the clock, and how many units are over by now that were not before."""
        passed = self.seconds + seconds
        over = max(self.closed, int((passed + EARLY) // UNIT))
        return Clock(passed, over), over - self.closed


class Evidence(ABC):
    """What is known about one criterion of one version. One for each (version, criterion), the baseline's too.

    It never changes, and has no slots: an answer that takes a while is found once (`cached_property`), for a reading,
    an iteration and an assessment all ask for it.
    """

    @abstractmethod
    def update(self, own: Sums, baseline: Sums | None = None, seconds: float = 15.0) -> Evidence:
        """Take one reading in.

        own        what this version added
        baseline   what the baseline added in the same reading; needed by relative limits only, ignored by others
        seconds    how long the reading took; blocks last a minimum of time, whatever the cadence

        An empty reading (no trials) lets time pass and is no evidence; an unusable one (negative or not a number)
        changes nothing. Under a
        relative limit a reading in which one of the two versions is silent is no evidence by itself, but is counted
        when the other one's next requests come: slow requests must not drop out because they end in a quiet second.
        """

    @property
    @abstractmethod
    def log_for(self) -> float:
        """Nats for 'complies', by the rule that decides a promotion. 0 without a limit."""

    @property
    @abstractmethod
    def log_against(self) -> float:
        """Nats for 'violates', by the rule that decides a rollback. 0 without a limit."""

    @property
    @abstractmethod
    def value(self) -> float | None:
        """The estimate: a count, a rate, a mean. None before the first trial."""

    @property
    @abstractmethod
    def trials(self) -> float:
        """Trials of this version so far."""

    @property
    @abstractmethod
    def posterior(self) -> Posterior:
        """What a Bayesian believes about the value: for people and for the split, never for a decision."""

    @property
    @abstractmethod
    def enough(self) -> bool:
        """Whether the minimum of data is seen without which nobody is promoted. True without a limit."""

    @abstractmethod
    def anytime(self, alpha: float) -> Interval | None:
        """Interval of the version's own value that covers it at all looks together with a chance of 1 - `alpha`.

        It is what the rules that decide leave possible, `alpha`/2 a side. None where nothing can be said yet.
        """

    def anytime_ratio(self, alpha: float) -> Interval | None:  # noqa: ARG002 - the rules without a ratio
        """The same of the ratio to the baseline, under a relative limit. None elsewhere."""
        return None

    @property
    def dispersion(self) -> Dispersion:
        """How much more the values scatter than independent ones; 1 where nothing is learned of it."""
        return Dispersion()

    @property
    def history(self) -> float:
        """Seconds of the baseline's history that the evidence has learned from."""
        return 0.0

    @abstractmethod
    def missing(self, needed: float, rate: float) -> tuple[str, float | None]:
        """In words what a proof of compliance still needs, and in how many seconds to expect it.

        needed    nats at which compliance counts as proven
        rate      trials of this version per second at present
        returns   ("3 of 4 blocks seen, about 10 s to go", 10.0); ("", 0.0) when proven; seconds None when nobody knows
        """

    def still_missing(self, needed: float, rate: float, requested: bool) -> tuple[str, float | None]:
        """`missing` of a version of which somebody knows whether it has had requests at all.

        It may have had some that are unknown to the evidence: the metric is not counted, or a warm-up leaves them out.
        """
        text, wait = self.missing(needed, rate)
        return (NONE_THAT_COUNT if requested and text == NO_REQUESTS else text), wait

    def at_end(self) -> Evidence:
        """The same when no more readings come: what of a counter is known only at the end is known now."""
        return self

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The state as plain JSON values: a few kB, exact."""


def to_go(text: str, seconds: float | None) -> tuple[str, float | None]:
    """`text` with the time that is left, where it is known."""
    if seconds is None or not math.isfinite(seconds):
        return text, None
    return f"{text}, about {_duration(seconds)} to go", seconds


def _duration(seconds: float) -> str:
    whole = max(1, math.ceil(seconds))
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{round(whole / 60)} min"
    return f"{round(whole / 3600)} h"
