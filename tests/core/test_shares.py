"""The strategies: shares that add up to 1, from chances, ranks and beliefs about the reward."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_ndtr, ndtr

from serin.core.evidence.posterior import Beta, Student, Unknown, rank_probabilities
from serin.core.model import BASELINE, Strategy
from serin.core.shares import Contender, shares

ANYTHING = st.floats(allow_nan=True, allow_infinity=True)
IDS = (BASELINE, "candidate-0", "candidate-1", "candidate-2")
THREE = (Beta(50.5, 950.5), Beta(60.5, 940.5), Beta(30.5, 370.5))

beliefs = st.one_of(
    st.builds(Beta, st.floats(0.5, 500.0), st.floats(0.5, 5000.0)),
    st.builds(Student, st.integers(1, 50).map(float), st.floats(0.0, 10.0), st.floats(0.001, 3.0)),
    st.just(Unknown()),
)


@st.composite
def fields(draw):
    rewarded = draw(st.booleans())
    return {
        v: Contender(draw(ANYTHING), draw(st.floats(0.0, 1.0)), draw(beliefs) if rewarded else None)
        for v in IDS[: draw(st.integers(1, 4))]
    }


@settings(deadline=None)
@given(fields(), st.sampled_from(Strategy), st.booleans())
def test_shares_add_up_to_one_for_every_input(versions, strategy, lower):
    found = shares(strategy, versions, lower)
    assert set(found) == set(versions)
    assert math.fsum(found.values()) == pytest.approx(1.0)
    assert all(-1e-12 <= share <= 1.0 + 1e-9 for share in found.values())


@settings(deadline=None)
@given(fields(), st.sampled_from(Strategy), st.permutations(IDS[1:]))
def test_permuting_the_candidates_permutes_the_shares(versions, strategy, order):
    found = shares(strategy, versions)
    turned = shares(strategy, {v: versions[v] for v in (BASELINE, *order) if v in versions})
    assert turned == pytest.approx(found, abs=1e-9)


def test_chances_too_large_to_add_up_are_equal():
    versions = {v: Contender(1.7e308) for v in IDS[:2]}
    assert shares(Strategy.PROGRESSIVE, versions) == {IDS[0]: 0.5, IDS[1]: 0.5}


def test_progressive_follows_the_chance_and_uniform_is_equal():
    versions = {v: Contender(p) for v, p in zip(IDS, (0.001, 0.6, 0.399), strict=False)}
    assert shares(Strategy.PROGRESSIVE, versions) == pytest.approx({v: c.win for v, c in versions.items()})
    assert set(shares(Strategy.UNIFORM, versions).values()) == {1 / 3}


def test_top_2_is_half_the_chance_to_be_among_the_best_two():
    versions = {v: Contender(1.0, pi, r) for v, pi, r in zip(IDS, (1.0, 0.9, 0.4), THREE, strict=False)}
    ranks = rank_probabilities(THREE, [1.0, 0.9, 0.4])
    found = shares(Strategy.TOP_2, versions)
    assert found["candidate-0"] == pytest.approx((0.50353128 + 0.34019373) / 2, abs=1e-7)
    assert found["candidate-1"] == pytest.approx((0.34076333 + 0.04950446) / 2, abs=1e-7)
    assert found[BASELINE] >= sum(ranks[0][:2]) / 2  # it keeps the place of whoever does not meet its criteria


def test_top_2_converges_to_a_half_each_for_the_best_two():
    sure = [Beta(5_000.0, 95_000.0), Beta(6_000.0, 94_000.0), Beta(7_000.0, 93_000.0)]
    versions = {v: Contender(1.0, 1.0, r) for v, r in zip(IDS, sure, strict=False)}
    assert shares(Strategy.TOP_2, versions) == pytest.approx({IDS[0]: 0.0, IDS[1]: 0.5, IDS[2]: 0.5}, abs=1e-9)


@pytest.mark.parametrize(
    ("meets", "wanted"),
    [
        ((1.0,), (0.5, 0.5)),
        ((0.2,), (0.9, 0.1)),
        ((1.0, 1.0), (0.0, 0.5, 0.5)),
        ((1.0, 1.0, 1.0), (0.0, 1 / 3, 1 / 3, 1 / 3)),
        ((1.0, 0.0), (0.5, 0.5, 0.0)),
    ],
)
def test_without_a_reward_candidates_that_meet_their_criteria_come_before_the_baseline(meets, wanted):
    versions = {BASELINE: Contender(0.1)} | {v: Contender(0.1, pi) for v, pi in zip(IDS[1:], meets, strict=False)}
    assert tuple(shares(Strategy.TOP_2, versions).values()) == pytest.approx(wanted)


def test_top_two_ts_without_a_reward_is_the_closed_form_of_russo():
    versions = {v: Contender(p) for v, p in zip(IDS, (0.15570539, 0.50353128, 0.34076333), strict=False)}
    found = shares(Strategy.TOP_TWO_TS, versions)
    assert tuple(found.values()) == pytest.approx((0.19705541, 0.42833558, 0.37460901), abs=1e-7)


def test_top_two_ts_gives_the_leader_a_half_and_the_rest_to_who_may_overtake_it():
    rewards = (Student(1e9, 1.0, 0.1), Student(1e9, 1.2, 0.1), Student(1e9, 1.1, 0.1))
    versions = {v: Contender(w, pi, r) for v, w, pi, r in zip(IDS, (0.1, 0.7, 0.2), (1, 1, 0.5), rewards, strict=False)}
    found = shares(Strategy.TOP_TWO_TS, versions)
    odds = [1.0 * ndtr(-0.2 / math.hypot(0.1, 0.1)), 0.5 * ndtr(-0.1 / math.hypot(0.1, 0.1))]
    assert found["candidate-0"] == 0.5
    assert found[BASELINE] == pytest.approx(0.5 * odds[0] / sum(odds), rel=1e-6)
    assert found["candidate-1"] == pytest.approx(0.5 * odds[1] / sum(odds), rel=1e-6)


def test_top_two_ts_keeps_challengers_apart_that_no_draw_would_ever_show():
    rewards = (Student(1e9, 0.0, 1.0), Student(1e9, 100.0, 1.0), Student(1e9, 1.0, 1.0))
    versions = {v: Contender(w, 1.0, r) for v, w, r in zip(IDS, (0.0, 1.0, 0.0), rewards, strict=False)}
    found = shares(Strategy.TOP_TWO_TS, versions)
    ahead = math.exp(log_ndtr(-100.0 / math.sqrt(2.0)) - log_ndtr(-99.0 / math.sqrt(2.0)))
    assert ndtr(-99.0 / math.sqrt(2.0)) == 0.0  # what plain probabilities would say
    assert found["candidate-1"] == pytest.approx(0.5 / (1.0 + ahead))
    assert 0.0 < found[BASELINE] < 1e-20


def test_where_lower_rewards_are_better_the_challenger_is_the_lower_one():
    rewards = (Student(1e9, 3.0, 1.0), Student(1e9, 1.0, 1.0), Student(1e9, 2.0, 1.0))
    versions = {v: Contender(w, 1.0, r) for v, w, r in zip(IDS, (0.1, 0.8, 0.1), rewards, strict=False)}
    found = shares(Strategy.TOP_TWO_TS, versions, lower_is_better=True)
    assert found["candidate-1"] > found[BASELINE]


def test_a_challenger_that_meets_no_criterion_gets_nothing():
    versions = {v: Contender(w, 1.0, r) for v, w, r in zip(IDS, (0.4, 0.6, 0.0), THREE, strict=False)}
    versions["candidate-1"] = replace(versions["candidate-1"], meets=0.0)
    assert shares(Strategy.TOP_TWO_TS, versions)["candidate-1"] == 0.0
