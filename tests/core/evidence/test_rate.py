"""Formulas of rates: golden values, laws, confidence sequences."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin.core.evidence import rate
from serin.core.evidence.rate import HARM, SAFE, _evidence_at_all, evidence_at

OWN = list(zip([150, 160, 140, 155], [4, 6, 5, 7], strict=True))
BASELINE = list(zip([450, 440, 460, 430], [5, 4, 6, 3], strict=True))
counts = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))
limits = st.floats(0.001, 0.5)


@pytest.mark.parametrize(
    ("events", "trials", "side", "nats"),
    [
        (2, 1000, SAFE, 3.817837692574756),
        (25, 1000, HARM, 6.36088723017842),
        (0, 300, SAFE, 1.9468227490409014),
        (0, 0, SAFE, 0.0),
        (0, 0, HARM, 0.0),
    ],
)
def test_evidence_about_a_rate_against_one_percent(events: int, trials: int, side: int, nats: float) -> None:
    assert rate.log_evidence_rate(events, trials, 0.01, side) == pytest.approx(nats, abs=1e-10)


def test_evidence_about_a_ratio_adds_up_over_readings() -> None:
    sums = capped = np.zeros(len(rate.RATIOS))
    harm, safe = [], []
    for own, baseline in zip(OWN, BASELINE, strict=True):
        factors = rate.log_factors_ratio(own, baseline, 1.5)
        sums, capped = sums + factors, capped + np.minimum(factors, rate.CAP)
        harm.append(rate.log_evidence_ratio(sums, HARM))
        safe.append(rate.log_evidence_ratio(sums, SAFE))
    assert harm == pytest.approx([-0.20108643, 0.65523572, 0.9682378, 2.67754929], abs=1e-8)
    assert safe == pytest.approx([-1.02072844, -1.79729891, -2.15536187, -2.74031189], abs=1e-8)
    assert rate.log_evidence_ratio(capped, HARM) == pytest.approx(2.28262677, abs=1e-8)


@given(counts, limits)
def test_one_more_error_never_speaks_for_the_version(count: tuple[int, int], limit: float) -> None:
    trials, events = count
    more = min(events + 1, trials)
    safe, harm = ([rate.log_evidence_rate(e, trials, limit, side) for e in (events, more)] for side in (SAFE, HARM))
    assert safe[1] <= safe[0] + 1e-9
    assert harm[1] >= harm[0] - 1e-9


@given(counts, counts, st.floats(0.5, 3.0))
def test_one_more_error_never_speaks_for_the_version_in_a_comparison(
    own: tuple[int, int], baseline: tuple[int, int], limit: float
) -> None:
    more = (own[0], own[1] + 1)
    before, after = (rate.log_factors_ratio(o, baseline, limit) for o in (own, more))
    assert rate.log_evidence_ratio(after, SAFE) <= rate.log_evidence_ratio(before, SAFE) + 1e-9
    assert rate.log_evidence_ratio(after, HARM) >= rate.log_evidence_ratio(before, HARM) - 1e-9


@given(counts, limits)
def test_both_sides_are_never_proven_at_once(count: tuple[int, int], limit: float) -> None:
    trials, events = count
    assert min(rate.log_evidence_rate(events, trials, limit, side) for side in (SAFE, HARM)) < 1.0


@given(counts, st.floats(0.02, 0.98))
def test_counting_the_others_says_the_same_of_the_mirrored_limit(count: tuple[int, int], limit: float) -> None:
    trials, events = count
    mirrored = rate.evidence_at(trials - events, trials, 1.0 - limit, HARM)
    if abs(limit - 0.5) > 1e-9:
        assert rate.evidence_at(events, trials, limit, SAFE) == pytest.approx(mirrored, abs=1e-6)


def test_a_silent_version_is_no_evidence_in_a_comparison() -> None:
    assert np.all(rate.log_factors_ratio((0, 0), (400, 12), 1.5) == 0.0)
    assert rate.log_factors_ratio((400, 12), (0, 0), 1.5) == pytest.approx(0.0, abs=1e-12)
    assert np.all(rate.log_factors_ratio((0, 0), (0, 0), 1.5) == 0.0)


@given(counts, st.floats(2.0, 8.0))
def test_the_interval_of_a_rate_is_what_the_tests_leave(count: tuple[int, int], level: float) -> None:
    trials, events = count
    found = rate.interval_of_rate(events, trials, level)
    assert 0.0 <= found.lower <= events / trials + 1e-9
    assert events / trials - 1e-9 <= found.upper <= 1.0
    if found.lower > 1e-6:
        assert rate.evidence_at(events, trials, found.lower * 0.999, HARM) >= level - 0.1
        assert rate.evidence_at(events, trials, found.lower * 1.0001, HARM) < level + 0.1
    if found.upper < 1 - 1e-6:
        assert rate.evidence_at(events, trials, 1 - (1 - found.upper) * 1.0001, SAFE) < level + 0.1


def test_nothing_counted_leaves_every_rate_possible() -> None:
    found = rate.interval_of_rate(0, 0, 3.0)
    assert (found.lower, found.upper) == (0.0, 1.0)


def test_the_interval_of_a_ratio_holds_what_was_seen_and_shrinks() -> None:
    sums, widths = np.zeros(len(rate.RATIOS)), []
    for _ in range(40):
        sums = sums + rate.log_factors_ratio((200, 6), (600, 12), 1.5)
        found = rate.interval_of_ratio(sums, 1.5, math.log(40))
        assert found.lower < 1.5 < found.upper
        widths.append(math.log(found.upper / found.lower) if found.lower > 0 else math.inf)
    assert widths[0] > 2.0
    assert widths[-1] < 1.0
    assert all(b <= a + 1e-9 for a, b in pairwise(widths))


def test_the_interval_of_a_ratio_agrees_with_the_decision_at_the_limit() -> None:
    sums = np.zeros(len(rate.RATIOS))
    for _ in range(60):
        sums = sums + rate.log_factors_ratio((200, 8), (600, 8), 1.5)
        proven = rate.log_evidence_ratio(sums, HARM) >= math.log(40)
        assert proven == (rate.interval_of_ratio(sums, 1.5, math.log(40)).lower > 1.5)


@pytest.mark.parametrize(("events", "trials"), [(0.0, 500.0), (3.0, 500.0), (250.0, 500.0), (499.0, 500.0)])
def test_many_limits_at_once_say_what_each_says_alone(events: float, trials: float) -> None:
    limits = np.linspace(0.001, 0.998, 41)
    for side in (HARM, SAFE):
        together = _evidence_at_all(np.full(41, events), np.full(41, trials), limits, np.full(41, side))
        alone = [evidence_at(events, trials, float(limit), side) for limit in limits]
        assert together == pytest.approx(alone, abs=1e-9)
