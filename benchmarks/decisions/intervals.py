"""Whether the intervals that people see cover the truth at all looks together, as they say."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from benchmarks.decisions import ours
from benchmarks.decisions.measures import Share
from benchmarks.decisions.readings import Readings
from benchmarks.decisions.scenarios import CASES, Case
from serin.core.evidence.criterion import Evidence, Sums
from serin.core.lifecycle import begin
from serin.core.model import Interval, candidate_id
from serin.core.state import evidence_of

ALPHA = 0.05
ASKED = (
    ("S1 0.5 %", "independent", 0.005),
    ("S1 0.5 %", "robust", 0.005),
    ("S1 1 %", "robust", 0.01),
    ("S1lo 3 %", "robust", 0.03),
    ("S4 x1", "robust", 1.0),
    ("S4 x1.5", "robust", 1.5),
    ("S2 x1.05", "robust", 1.05),
    ("S2 x1.1", "robust", 1.1),
)
"""Case, mode, and the true value: of the candidate, or of its ratio to the baseline."""


@dataclass(frozen=True)
class Coverage:
    """Of one case: `missed` experiments, where it excluded the truth at any look; `width` of the last/truth."""

    case: str
    mode: str
    missed: Share
    width: float


@functools.lru_cache(maxsize=1)
def _by_key() -> dict[str, Case]:
    return {c.key: c for c in CASES}


def coverage(seed: int, replications: int, number: int) -> Coverage:
    """Of one of ASKED, by its number."""
    key, mode, truth = ASKED[number]
    case = _by_key()[key]
    random = np.random.default_rng(np.random.SeedSequence([seed, 12, number]))
    readings = case.make(random, replications, 0)
    found = [_one(case, mode, readings, r, truth) for r in range(replications)]
    widths = [w for _, w in found if np.isfinite(w)]
    return Coverage(
        key, mode, Share(sum(m for m, _ in found), replications), float(np.median(widths)) if widths else np.inf
    )


def _one(case: Case, mode: str, readings: Readings, replication: int, truth: float) -> tuple[bool, float]:
    plan = ours.plan_of(case, mode)
    (criterion,) = plan.criteria
    evidence: Evidence = evidence_of(plan, begin(plan, 0.0))[candidate_id(0)][criterion.id]
    relative, width = ours.is_relative(criterion), np.inf
    for look in range(min(readings.looks, 120)):
        own, baseline = (
            Sums(float(readings.counts["requests"][v, replication, look]),
                 float(readings.counts[criterion.measure.numerator][v, replication, look]))
            for v in (1, 0)
        )  # fmt: skip
        evidence = evidence.update(own, baseline, readings.seconds)
        interval: Interval | None = evidence.anytime_ratio(ALPHA) if relative else evidence.anytime(ALPHA)
        if interval is None:
            continue
        if not interval.lower <= truth <= interval.upper:
            return True, width
        width = (interval.upper - interval.lower) / truth
    return False, width
