"""The ends of intervals: exactly where the test that decides begins to refute, asked alone or together."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serin.core.evidence import intervals
from serin.core.evidence.blocks import Edge, Track, last_unrefuted
from serin.core.evidence.contract import Sums
from serin.core.evidence.criterion import start
from serin.core.evidence.inversion import TOLERANCE, Memo, first_refuted
from serin.core.evidence.mean import Scale, own_point, pair_point
from serin.core.evidence.rate import HARM, SAFE, evidence_at, interval_of_rate, intervals_of_rates
from serin.core.model import Analysis, LimitKind, Mode
from tests.core.simulation import ERROR_RATE, MEAN_LATENCY, limit_on

NEAR = 1e-6
"""Nats: `TOLERANCE`, and how differently the two ways of writing the formula round."""


def test_the_first_crossing_is_found_whatever_the_step() -> None:
    wanted = np.array([0.0, 0.01, 1.7, 3.0, 900.0])

    def excess(which, at):
        return at**3 - wanted[which] ** 3

    for step in (0.5, 1.0, 7.0):
        found = first_refuted(excess, np.full(5, step), np.full(5, 1e4))
        assert found**3 == pytest.approx(wanted**3, abs=2 * TOLERANCE)


def test_what_is_refuted_nowhere_has_no_end_and_a_jump_is_one() -> None:
    def excess(which, at):
        return np.where(which == 0, -1.0, np.where(at < math.pi, -1.0, 2.0))

    never, jump = first_refuted(excess, np.ones(2), np.full(2, 50.0))
    assert never == math.inf
    assert jump == pytest.approx(math.pi, rel=1e-9)


def test_a_memo_answers_as_what_it_remembers_and_stays_small() -> None:
    asked: list[int] = []

    def squares(numbers):
        asked.extend(numbers)
        return [n * n for n in numbers]

    memo = Memo(squares, most=10)
    assert memo([3, 4, 3]) == [9, 16, 9]
    assert memo([4, 5]) == [16, 25]
    assert asked == [3, 4, 5]
    for first in range(0, 100, 4):
        assert memo([first, first + 1, first + 2, first + 3]) == [n * n for n in range(first, first + 4)]
        assert len(memo) <= 10


@st.composite
def edges(draw: st.DrawFn) -> Edge:
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    relative, scatter = draw(st.booleans()), draw(st.sampled_from([0.01, 0.1, 0.5]))
    track = Track()
    for _ in range(draw(st.integers(4, 60))):
        own, base = 3.0 * np.exp(rng.normal(0.0, scatter, 2))
        track = track.add(
            pair_point(Sums(50, 50 * own), Sums(90, 90 * base), 1.2, 3.0, 0.5)
            if relative
            else own_point(Sums(50, 50 * own), 0.5)
        )
    scale = Scale(draw(st.floats(0.1, 3.0)), 6.0, track.inflation)
    return Edge(track, draw(st.sampled_from([1, -1])), draw(st.floats(1.0, 8.0)), scale, relative)


@settings(max_examples=60, deadline=None)
@given(st.lists(edges(), min_size=1, max_size=6))
def test_at_the_ends_for_means_the_evidence_is_at_its_level(asked: list[Edge]) -> None:
    for edge, end in zip(asked, last_unrefuted(asked), strict=True):
        assert [end] == pytest.approx(last_unrefuted([edge]), rel=1e-9)
        centre = edge.track.estimate()[0]
        if end == pytest.approx(centre, rel=1e-12):  # refuted itself, by what later blocks say
            assert edge.track.log_evidence(centre, edge.side, edge.scale, edge.relative) >= edge.level - NEAR
            continue
        if not 0.0 < end < math.inf:
            continue
        just_inside, at, beyond = (
            edge.track.log_evidence(end * math.exp(edge.side * by), edge.side, edge.scale, edge.relative)
            for by in (1e-9, 0.0, -1e-9)
        )
        continuous = abs(beyond - just_inside) < NEAR
        assert abs(at - edge.level) < NEAR if continuous else just_inside - NEAR < edge.level < beyond + NEAR


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 10**7), st.floats(0.0, 1.0), st.floats(1.0, 8.0))
def test_at_the_ends_for_rates_the_evidence_is_at_its_level(trials: int, share: float, level: float) -> None:
    events = float(round(trials * share))
    found = interval_of_rate(events, trials, level)
    assert found.lower <= events / trials <= found.upper
    for end, side in ((found.lower, HARM), (found.upper, SAFE)):
        if not 1e-8 < end < 1.0 - 1e-8:
            continue
        odds = math.log(end / (1.0 - end))
        inside, at, beyond = (
            evidence_at(events, trials, 1.0 / (1.0 + math.exp(-odds - side * by)), side) for by in (1e-9, 0.0, -1e-9)
        )
        slack = NEAR + 1e-12 * trials
        continuous = abs(beyond - inside) < 10.0 * slack
        assert abs(at - level) < 10.0 * slack if continuous else inside - slack < level < beyond + slack


def test_an_end_before_one_half_is_none_if_beyond_it_nothing_is_refuted() -> None:
    """Below one half events are counted, above it the others: the evidence is not the same on both sides of it."""
    for trials in range(4, 60):
        for events in range(trials + 1):
            found = interval_of_rate(events, trials, 3.0)
            for end, side in ((found.lower, HARM), (found.upper, SAFE)):
                if (end - 0.5) * side > 0.0 and abs(end - 0.5) < 0.3:
                    assert evidence_at(events, trials, 0.5 - side * 1e-9, side) >= 3.0 - NEAR


def test_rates_asked_together_have_the_intervals_that_each_has_alone() -> None:
    asked = [(0.0, 0.0, 3.0), (0.0, 90.0, 3.0), (9.0, 90.0, 3.0), (90.0, 90.0, 3.0), (9.0, 90.0, 5.0), (0.2, 0.3, 3.0)]
    for question, found in zip(asked, intervals_of_rates(asked), strict=True):
        alone = interval_of_rate(*question)
        assert (found.lower, found.upper) == pytest.approx((alone.lower, alone.upper), rel=1e-9)


@pytest.mark.parametrize("mode", list(Mode))
def test_evidence_of_every_kind_asked_together_says_what_each_says_alone(mode: Mode) -> None:
    rng = np.random.default_rng(7)
    kinds = [
        limit_on(metric, value, kind)
        for metric, kind, value in (
            (MEAN_LATENCY, LimitKind.ABSOLUTE, 5.0),
            (MEAN_LATENCY, LimitKind.RELATIVE, 1.2),
            (ERROR_RATE, LimitKind.ABSOLUTE, 0.05),
            (ERROR_RATE, LimitKind.ABSOLUTE, 0.95),
            (ERROR_RATE, LimitKind.RELATIVE, 1.5),
        )
    ]
    asked = [start(c, Analysis(mode=mode), 60) for c in kinds] + [start(kinds[0], Analysis(mode=mode), 60)]
    for _ in range(20):
        for i, evidence in enumerate(asked[:-1]):
            if i < 2:
                own, base = (Sums(200.0, float(rng.gamma(4.0, 1.0, 200).sum())) for _ in range(2))
            else:
                own, base = (Sums(200.0, float(rng.binomial(200, 0.02))) for _ in range(2))
            asked[i] = evidence.update(own, base, 15.0)
    values = intervals.anytime([(e, 0.05) for e in asked])
    ratios = intervals.ratios([(e, 0.05) for e in asked])
    assert values[-1] is None
    assert sum(r is not None for r in ratios) == 2
    for evidence, value, ratio in zip(asked, values, ratios, strict=True):
        assert value == evidence.anytime(0.05)
        assert ratio == evidence.anytime_ratio(0.05)
