"""Whether requests arrive in the shares that were asked for: a sample ratio mismatch spoils every comparison.

A version that loses requests (crashes, time-outs that nobody counts) shows here first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from serin.core.evidence.contract import Sums
from serin.core.evidence.rate import HARM, SAFE, log_evidence_ratio, log_factors_ratio


@dataclass(frozen=True, slots=True)
class ShareEvidence:
    """Evidence that the split between a candidate and the baseline is not the one that is configured.

    `rate_ratio` with the requests as events, the configured weights as exposure and ratio 1, averaged over both sides
    (2.4 of the design). Exact for requests that are assigned independently; sticky users make it too sure of itself.
    """

    sums: tuple[float, ...] = ()

    def update(self, own: Sums, baseline: Sums) -> ShareEvidence:
        """One reading: `trials` is the configured weight, `total` the requests that came. Leave the first reading
        after a change of weights out: some of its requests were split the old way."""
        if not (own.usable and baseline.usable) or own.trials <= 0 or baseline.trials <= 0:
            return self
        factors = log_factors_ratio((own.trials, own.total), (baseline.trials, baseline.total), 1.0)
        return ShareEvidence(tuple((factors + np.array(self.sums or 0.0)).tolist()))

    @property
    def rounded(self) -> ShareEvidence:
        """To a thousandth of a nat, as it is kept from one reading to the next."""
        return ShareEvidence(tuple(round(nats, 3) for nats in self.sums))

    @property
    def log_against(self) -> float:
        """Nats for 'the shares differ'; an alarm by `Budget.mismatch`."""
        if not self.sums:
            return 0.0
        sums = np.array(self.sums)
        both = np.logaddexp(log_evidence_ratio(sums, HARM), log_evidence_ratio(sums, SAFE))
        return float(both) - math.log(2.0)

    def to_json(self) -> list[float]:
        """Plain JSON values."""
        return list(self.sums)

    @classmethod
    def from_json(cls, state: Sequence[float]) -> ShareEvidence:
        """What `to_json` gave."""
        return cls(tuple(state))
