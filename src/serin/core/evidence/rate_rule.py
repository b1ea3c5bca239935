"""How a share of requests is judged: its limit, the side of a violation, and what counts add to the evidence."""

from __future__ import annotations

from dataclasses import dataclass, field

from serin.core.evidence import rate as formula
from serin.core.evidence.contract import Sums
from serin.core.evidence.learning import RatePast
from serin.core.evidence.mixture import Array
from serin.core.evidence.rate import HARM, SAFE
from serin.core.model import Mode


@dataclass(frozen=True, slots=True)
class RateRule:
    """How a rate is judged.

    limit      None: only estimated. An absolute one above one half is turned around (`flipped`): the requests without
               the event are counted then, see `formula.evidence_at`
    lower      whether compliance is below the limit, after turning around
    events     expected events at the limit without which nobody is promoted: burst * log(C/alpha). An unseen kind of
               bursts of this size shows none of them with a chance of exp(-events/burst)
    past       what the baseline's history says
    """

    limit: float | None
    lower: bool
    relative: bool
    mode: Mode
    flipped: bool = False
    events: float = 0.0
    past: RatePast = field(default_factory=RatePast)

    @classmethod
    def of(
        cls,
        limit: float | None,
        lower: bool,
        relative: bool,
        mode: Mode,
        events: float = 0.0,
        past: RatePast | None = None,
    ) -> RateRule:
        """Turned around where that is needed."""
        past = past or RatePast()
        if limit is None or limit <= 0:
            return cls(None if limit is None else 0.0, lower, False, mode)
        if not relative and limit > 0.5:
            return cls(max(1.0 - limit, 0.0), not lower, False, mode, True, events, past)
        return cls(limit, lower, relative, mode, False, events, past)

    @property
    def harm(self) -> int:
        """The side of the violation."""
        return HARM if self.lower else SAFE

    @property
    def judged(self) -> float:
        """The limit where evidence is weighed against it; 0 where there is none or it leaves nothing to chance."""
        return self.limit or 0.0

    @property
    def tempered(self) -> bool:
        """Whether the scatter of errors is learned."""
        return self.judged > 0 and self.mode is not Mode.INDEPENDENT

    def seen(self, own: Sums) -> Sums:
        """The events that are counted."""
        return Sums(own.trials, own.trials - own.total) if self.flipped else own

    def factors(self, own: Sums, baseline: Sums) -> Array:
        """What counts add at each ratio, or at each alternative of harm."""
        if self.relative:
            pair = (own.trials, own.total), (baseline.trials, baseline.total)
            return formula.log_factors_ratio(*pair, self.judged)
        return formula.log_factors_rate(own.total, own.trials, self.judged, self.harm)
