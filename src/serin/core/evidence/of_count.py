"""The evidence about a plain count: no matter of chance. It is above its limit or it is not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from typing import Any

from serin.core.evidence.contract import CERTAIN, NOTHING, Evidence, Sums, to_go
from serin.core.evidence.posterior import Exactly, Posterior, Unknown
from serin.core.model import Interval


@dataclass(frozen=True, slots=True)
class CountRule:
    """How a count is judged: at most `limit`, or at least (`lower` false). None: only shown."""

    limit: float | None
    lower: bool


@dataclass(frozen=True, slots=True)
class CountEvidence(Evidence):
    """Evidence about a count: breaking 'at most' is known at once, keeping it only at the end; 'at least' the reverse.

    read       whether any reading was usable
    ended      no more will come
    """

    rule: CountRule
    counted: Sums = NOTHING
    read: bool = False
    ended: bool = False

    def update(self, own: Sums, baseline: Sums | None = None, seconds: float = 15.0) -> CountEvidence:  # noqa: ARG002
        """See `Evidence.update`. A reading in which nothing was counted is a reading all the same: 0 is a count."""
        if not own.usable:
            return self
        return replace(self, counted=self.counted + own, read=True)

    @property
    def _within(self) -> bool:
        limit = self.rule.limit
        assert limit is not None
        return self.counted.total <= limit if self.rule.lower else self.counted.total >= limit

    @property
    def log_for(self) -> float:
        """CERTAIN or 0."""
        if self.rule.limit is None or not self.read or not self._within:
            return 0.0
        return CERTAIN if self.ended or not self.rule.lower else 0.0

    @property
    def log_against(self) -> float:
        """CERTAIN or 0."""
        if self.rule.limit is None or not self.read or self._within:
            return 0.0
        return CERTAIN if self.ended or self.rule.lower else 0.0

    @property
    def value(self) -> float | None:
        """The count."""
        return self.counted.total if self.read else None

    @property
    def trials(self) -> float:
        """Trials so far, as far as the readings name any."""
        return self.counted.trials

    @property
    def posterior(self) -> Posterior:
        """The count itself."""
        return Exactly(self.counted.total) if self.read else Unknown()

    @property
    def enough(self) -> bool:
        """A count needs no minimum."""
        return True

    def anytime(self, alpha: float) -> Interval | None:  # noqa: ARG002
        """The count itself."""
        return Interval(self.counted.total, self.counted.total) if self.read else None

    def missing(self, needed: float, rate: float) -> tuple[str, float | None]:
        """See `Evidence.missing`."""
        limit = self.rule.limit
        if limit is None or self.log_for >= needed:
            return "", 0.0
        if self.rule.lower:
            return f"{self.counted.total:g} of at most {limit:g}, known at the end", None
        pace = self.counted.total / self.counted.trials * rate if self.counted.trials else 0.0
        return to_go(f"{self.counted.total:g} of {limit:g}", (limit - self.counted.total) / pace if pace else math.nan)

    def at_end(self) -> CountEvidence:
        """No more readings come."""
        return replace(self, ended=True)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"kind": "count", "counted": list(astuple(self.counted)), "read": self.read, "ended": self.ended}


def from_json(rule: CountRule, state: Mapping[str, Any]) -> CountEvidence:
    """What `CountEvidence.to_json` gave."""
    return CountEvidence(rule, Sums(*state["counted"]), state["read"], state["ended"])
