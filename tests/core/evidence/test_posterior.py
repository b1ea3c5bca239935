"""Posteriors: golden values, laws, agreement with simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from serin.core.evidence.criterion import Sums, start
from serin.core.evidence.posterior import (
    Beta,
    Exactly,
    Posterior,
    Student,
    Unknown,
    improvement,
    probabilities_of_best,
    probability_of_beating,
    probability_of_satisfying,
    rank_probabilities,
    win_probabilities,
)
from serin.core.model import Analysis, LimitKind
from tests.core.simulation import MEAN_LATENCY, limit_on

THREE = [Beta(50.5, 950.5), Beta(60.5, 940.5), Beta(30.5, 370.5)]
PI = [1.0, 0.9, 0.4]


def test_ranks_of_three_versions() -> None:
    ranks = rank_probabilities(THREE, PI)
    assert [r[0] for r in ranks] == pytest.approx([0.15570539, 0.50353128, 0.34076333], abs=1e-8)
    assert [r[1] for r in ranks] == pytest.approx([0.55030181, 0.34019373, 0.04950446], abs=1e-8)
    assert win_probabilities(PI, THREE) == pytest.approx([0.15570539, 0.50353128, 0.34076333], abs=1e-8)


def test_densities_and_quantiles_are_those_of_their_distributions() -> None:
    p = np.array([0.01, 0.3, 0.9])
    for ours, theirs in ((Beta(3.5, 90.5), stats.beta(3.5, 90.5)), (Student(4.0, 7.0, 2.0), stats.t(4.0, 7.0, 2.0))):
        x = theirs.ppf(p)
        assert ours.ppf(p) == pytest.approx(x)
        assert ours.cdf(x) == pytest.approx(p)
        assert ours.pdf(x) == pytest.approx(theirs.pdf(x))


posteriors = st.lists(
    st.one_of(
        st.builds(Beta, st.floats(0.5, 500.0), st.floats(0.5, 500.0)),
        st.builds(Student, st.floats(1.0, 50.0), st.floats(0.1, 2.0), st.floats(0.001, 1.0)),
    ),
    min_size=2,
    max_size=5,
)


@settings(max_examples=60)
@given(posteriors, st.data())
def test_chances_add_up_to_one_and_follow_their_versions(versions: list[Posterior], data: st.DataObject) -> None:
    pi = data.draw(st.lists(st.floats(0.0, 1.0), min_size=len(versions), max_size=len(versions)))
    ranks = rank_probabilities(versions, pi)
    nobody = float(np.prod([1.0 - p for p in pi]))
    assert sum(r[0] for r in ranks) + nobody == pytest.approx(1.0, abs=2e-4)
    assert [sum(r) for r in ranks] == pytest.approx(pi, abs=1e-9)
    order = data.draw(st.permutations(range(len(versions))))
    permuted = rank_probabilities([versions[i] for i in order], [pi[i] for i in order])
    for place, i in enumerate(order):
        assert permuted[place] == pytest.approx(ranks[i], abs=1e-9)


@settings(max_examples=30)
@given(posteriors)
def test_the_worst_when_higher_is_better_is_the_best_when_lower_is(versions: list[Posterior]) -> None:
    everybody = [1.0] * len(versions)
    high = rank_probabilities(versions, everybody, lower_is_better=False)
    low = rank_probabilities(versions, everybody, lower_is_better=True)
    for a, b in zip(high, low, strict=True):
        assert a == pytest.approx(b[::-1], abs=1e-7)


def test_chance_of_being_best_agrees_with_simulation() -> None:
    rng = np.random.default_rng(4)
    versions: list[Posterior] = [Student(9, 10.0, 0.5), Student(4, 9.8, 0.8), Student(20, 10.4, 0.3)]
    draws = np.array([v.location + v.scale * rng.standard_t(v.df, 200_000) for v in versions if isinstance(v, Student)])
    share = np.bincount(draws.argmin(axis=0), minlength=3) / 200_000
    assert probabilities_of_best(versions, True) == pytest.approx(share.tolist(), abs=0.005)


def test_a_candidate_that_complies_is_preferred_without_a_reward_and_a_later_one_most() -> None:
    assert win_probabilities([1.0, 0.9]) == pytest.approx([0.1, 0.9])
    assert win_probabilities([0.2, 0.5, 0.9]) == pytest.approx([0.05, 0.05, 0.9])
    assert sum(win_probabilities([0.0, 0.0, 0.0], THREE)) == pytest.approx(1.0)
    assert win_probabilities([0.0, 0.0, 0.0], THREE)[0] == pytest.approx(1.0)


def test_while_a_reward_is_unknown_the_order_is_a_matter_of_chance() -> None:
    assert win_probabilities([1.0, 1.0, 1.0], [THREE[0], Unknown(), THREE[1]]) == pytest.approx([1 / 3] * 3, abs=1e-8)


def test_chance_of_meeting_a_limit() -> None:
    own = Beta(5.5, 995.5)
    below = stats.beta(5.5, 995.5).cdf(0.01)
    assert probability_of_satisfying(own, 0.01) == pytest.approx(below)
    assert probability_of_satisfying(own, 0.01, lower_is_better=False) == pytest.approx(1 - below)
    assert probability_of_satisfying(Unknown(), 0.01) is None
    assert probability_of_satisfying(own, 1.2, True, Unknown()) is None


@pytest.mark.parametrize(
    ("count", "lower", "chance"), [(3, True, 1.0), (4, True, 0.0), (3, False, 1.0), (2, False, 0.0)]
)
def test_a_count_meets_its_limit_or_not(count: float, lower: bool, chance: float) -> None:
    assert probability_of_satisfying(Exactly(count), 3.0, lower) == chance


def test_chance_of_meeting_a_relative_limit_agrees_with_simulation() -> None:
    rng = np.random.default_rng(5)
    own, base = Beta(30.5, 970.5), Beta(25.5, 1975.5)
    drawn = float(np.mean(rng.beta(30.5, 970.5, 200_000) <= 2.5 * rng.beta(25.5, 1975.5, 200_000)))
    assert probability_of_satisfying(own, 2.5, True, base) == pytest.approx(drawn, abs=0.005)
    assert probability_of_beating(own, own, True) == pytest.approx(0.5, abs=1e-9)


def test_improvement_over_the_baseline_in_percent() -> None:
    base = Student(30, 100.0, 1.0)
    faster = improvement(Student(30, 80.0, 1.0), base, lower_is_better=True)
    assert faster is not None
    assert 15.0 < faster.lower < 20.0 < faster.upper < 25.0
    slower = improvement(Student(30, 80.0, 1.0), base, lower_is_better=False)
    assert slower is not None
    assert (slower.lower, slower.upper) == pytest.approx((-faster.upper, -faster.lower))
    assert improvement(base, Student(1.0, 5.0, 5.0), True) is None
    assert improvement(base, Unknown(), True) is None


@pytest.mark.parametrize(
    ("own", "base"),
    [
        (Beta(30.5, 970.5), Beta(25.5, 1975.5)),
        (Beta(300.5, 9700.5), Beta(5.5, 195.5)),
        (Student(4, 9.0, 0.9), Student(40, 10.0, 0.1)),
        (Student(40, 9.0, 0.1), Student(9, 10.0, 0.9)),
    ],
)
def test_the_improvement_agrees_with_simulation(own: Beta | Student, base: Beta | Student) -> None:
    rng = np.random.default_rng(8)
    drawn = [
        rng.beta(d.a, d.b, 400_000)
        if isinstance(d, Beta)
        else np.maximum(d.location + d.scale * rng.standard_t(d.df, 400_000), 1e-3)
        for d in (own, base)
    ]
    lower, upper = np.quantile(100.0 * (drawn[0] / drawn[1] - 1.0), [0.025, 0.975])
    found = improvement(own, base, lower_is_better=False)
    assert found is not None
    slack = 0.02 * (upper - lower)
    assert [found.lower, found.upper] == pytest.approx([lower, upper], abs=slack)


def test_chances_of_many_versions_are_those_of_a_far_finer_quadrature() -> None:
    versions = [Beta(0.5 + e, 0.5 + 1000.0 - e) for e in (40, 42, 43, 45, 47, 50, 51, 55, 60, 80)]
    x = (np.arange(200_000) + 0.5) / 200_000 * 0.2
    below, density = np.array([v.cdf(x) for v in versions]), np.array([v.pdf(x) for v in versions])
    for lower in (True, False):
        beaten = 1.0 - below if lower else below
        exact = [
            float(np.sum(density[v] * np.prod(np.delete(beaten, v, axis=0), axis=0))) * 0.2 / 200_000
            for v in range(len(versions))
        ]
        assert probabilities_of_best(versions, lower) == pytest.approx(exact, abs=1e-9)


def test_versions_that_are_alike_have_the_same_chances_to_the_last_digit() -> None:
    alike = [Student(9.0, 4.0, 0.3)] * 4
    assert len({row[0] for row in rank_probabilities(alike, [1.0] * 4)}) == 1
    assert len(set(probabilities_of_best(alike, True))) == 1
    assert rank_probabilities(alike[:2], [1.0, 1.0]) == [[0.5, 0.5], [0.5, 0.5]]


def test_a_mean_is_never_shown_below_zero() -> None:
    wide = Student(1.0, 5.0, 5.0).interval()
    assert wide is not None
    assert wide.lower == 0.0
    assert Unknown().interval() is None


def test_values_that_are_all_0_can_be_compared_with_others() -> None:
    criterion = limit_on(MEAN_LATENCY, 1.2, LimitKind.RELATIVE)
    nothing = start(criterion, Analysis(), horizon=10).update(Sums(1.0, 0.0), Sums(1.0, 1.0), 1.0)
    something = start(criterion, Analysis(), horizon=10, own_baseline=True).update(Sums(1.0, 1.0), None, 1.0)
    for own, other in ((nothing, something), (something, nothing), (nothing, nothing)):
        chance = probability_of_satisfying(own.posterior, 1.2, True, other.posterior)
        assert chance is not None
        assert 0.0 <= chance <= 1.0
