"""Mixtures over effects and over start times."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp

from serin.core.evidence.mixture import EFFECTS, LOG_WEIGHTS, LateStart, log_sum_exp


@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=50))
def test_log_sum_exp(values: list[float]) -> None:
    assert log_sum_exp(np.array(values)) == pytest.approx(float(logsumexp(values)), rel=1e-12, abs=1e-12)


def test_log_sum_exp_of_nothing_is_nothing() -> None:
    assert log_sum_exp(np.array([-np.inf, -np.inf])) == -np.inf


def test_the_weights_of_the_effects_add_up_to_one() -> None:
    assert np.exp(LOG_WEIGHTS).sum() == pytest.approx(1.0)
    assert (EFFECTS[0], EFFECTS[-1]) == pytest.approx((0.1, 4.0))


@pytest.mark.parametrize("horizon", [1, 2, 7, 100])
def test_readings_that_say_nothing_leave_the_evidence_at_one(horizon: int) -> None:
    late = LateStart(horizon)
    for _ in range(horizon + 5):
        late = late.add(np.zeros_like(EFFECTS))
        assert late.log_evidence(LOG_WEIGHTS) == pytest.approx(0.0, abs=1e-12)


def test_the_mixture_is_the_sum_over_all_starts() -> None:
    rng = np.random.default_rng(1)
    factors = rng.normal(0, 0.3, (6, len(EFFECTS)))
    late = LateStart(10)
    for row in factors:
        late = late.add(row)
    weights = [0.5, *[0.5 / 9] * 9]
    by_hand = sum(weights[s] * np.exp(LOG_WEIGHTS + factors[s:].sum(axis=0)).sum() for s in range(6)) + sum(weights[6:])
    assert late.log_evidence(LOG_WEIGHTS) == pytest.approx(float(np.log(by_hand)), rel=1e-12)


def test_a_violation_that_begins_late_is_found_sooner() -> None:
    good, bad = np.full_like(EFFECTS, -0.5), np.full_like(EFFECTS, 0.5)
    late, plain = LateStart(120), 0.0
    for _ in range(60):
        late, plain = late.add(good), plain - 0.5
    for _ in range(20):
        late, plain = late.add(bad), plain + 0.5
    assert late.log_evidence(LOG_WEIGHTS) >= 3.0
    assert plain == -20.0
