"""The promises, by simulation at the exact boundary: small, with fixed seeds; the benchmark has the large ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from serin.core.evidence.criterion import Evidence
from serin.core.model import MeasureKind, Mode
from tests.core.evidence.readings import Reading, begun, mean_readings, rate_readings

RATE, MEAN = MeasureKind.RATE, MeasureKind.MEAN
ALPHA = 0.05
RUNS = 100


def ever(evidence: Evidence, readings: list[Reading]) -> tuple[bool, bool]:
    """Whether it was ever proven safe, ever proven harmful, at ALPHA."""
    safe = harm = False
    for own, baseline, seconds in readings:
        evidence = evidence.update(own, baseline, seconds)
        safe = safe or (evidence.enough and evidence.log_for >= math.log(1 / ALPHA))
        harm = harm or evidence.log_against >= math.log(1 / ALPHA)
    return safe, harm


def most(rate: float) -> int:
    """So many of RUNS that a true rate of `rate` exceeds them once in 10,000 times."""
    return int(stats.binom.ppf(1 - 1e-4, RUNS, rate))


@pytest.mark.parametrize("mode", [Mode.ROBUST, Mode.INDEPENDENT])
def test_a_rate_exactly_at_its_limit(mode: Mode) -> None:
    found = [
        ever(begun(RATE, 0.02, mode=mode), rate_readings(np.random.default_rng(s), 0.02, 150, 60)) for s in range(RUNS)
    ]
    assert sum(s for s, _ in found) <= most(ALPHA)
    assert sum(h for _, h in found) <= most(ALPHA)


def test_a_ratio_of_rates_exactly_at_its_limit() -> None:
    found = [
        ever(begun(RATE, 1.5, True), rate_readings(np.random.default_rng(s), 0.03, 150, 60, base=0.02))
        for s in range(RUNS)
    ]
    assert sum(s for s, _ in found) <= most(ALPHA)
    assert sum(h for _, h in found) <= most(ALPHA)


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize(("seconds", "count"), [(15.0, 60), (1.0, 150)])
def test_a_mean_exactly_at_its_limit(relative: bool, seconds: float, count: int) -> None:
    limit = 1.1 if relative else 110.0
    found = [
        ever(
            begun(MEAN, limit, relative),
            mean_readings(np.random.default_rng(s), 110.0, 10 * seconds, count, seconds, base=100.0, spread=0.8),
        )
        for s in range(RUNS)
    ]
    assert sum(s for s, _ in found) <= most(ALPHA)
    assert sum(h for _, h in found) <= most(ALPHA)


def test_good_versions_are_proven_good_and_bad_ones_bad() -> None:
    good = [ever(begun(RATE, 0.02), rate_readings(np.random.default_rng(s), 0.004, 150, 60)) for s in range(30)]
    bad = [ever(begun(RATE, 0.02), rate_readings(np.random.default_rng(s), 0.06, 150, 60)) for s in range(30)]
    assert good == [(True, False)] * 30
    assert bad == [(False, True)] * 30


def test_the_interval_covers_at_all_looks() -> None:
    missed = 0
    for seed in range(RUNS):
        evidence, outside = begun(RATE, 0.05, mode=Mode.INDEPENDENT), False
        for own, _, seconds in rate_readings(np.random.default_rng(seed), 0.03, 100, 12):
            evidence = evidence.update(own, None, seconds)
            found = evidence.anytime(ALPHA)
            outside = outside or (found is not None and not found.lower <= 0.03 <= found.upper)
        missed += outside
    assert missed <= most(ALPHA)
