"""Numbers as people read them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin.core import words
from serin.core.evidence.criterion import Sums, start
from serin.core.model import Analysis, Interval, LimitKind, Measure, MeasureKind
from tests.core.simulation import ERROR_RATE, MEAN_LATENCY, limit_on


@pytest.mark.parametrize(
    ("x", "text"),
    [(3.94159, "3.94"), (0.012345, "0.0123"), (1234.5, "1234"), (100, "100"), (0, "0"), (-2.5, "-2.5"), (9.999, "10")],
)
def test_numbers_have_three_digits_and_no_exponent(x, text):
    assert words.number(x) == text


@pytest.mark.parametrize(
    ("nats", "text"),
    [
        (-3.0, "1 in 1"),
        (0.0, "1 in 1"),
        (math.log(20), "1 in 20"),
        (math.log(3456), "1 in 3400"),
        (math.log(2.19e6), "1 in 2.1 million"),
        (math.log(5e9), "1 in 5 billion"),
        (500.0, "1 in a million million"),
    ],
)
def test_evidence_is_shown_as_odds_that_are_never_rounded_up(nats, text):
    assert words.one_in(nats) == text


@given(st.floats(0.0, 13.0))
def test_odds_never_claim_more_than_the_evidence(nats):
    assert float(words.one_in(nats).removeprefix("1 in ")) <= math.exp(nats) * (1 + 1e-6)


def test_limits_are_said_in_the_units_of_the_metric():
    assert words.limit(limit_on(MEAN_LATENCY, 100)) == "a limit of 100 ms"
    assert words.limit(limit_on(ERROR_RATE, 0.015)) == "a limit of 1.5 %"
    relative = limit_on(MEAN_LATENCY, 1.2, LimitKind.RELATIVE)
    assert words.limit(relative, 3.9) == "a limit of 1.2 times the baseline's 3.9 ms"
    assert words.limit(relative) == "a limit of 1.2 times the baseline's value"


def test_an_end_of_an_interval_that_is_next_to_nothing_is_0():
    seen = start(limit_on(ERROR_RATE, 0.05), Analysis(), horizon=10).update(Sums(100.0, 12.0))
    assert words.estimate(limit_on(ERROR_RATE, 0.05), seen, Interval(1e-12, 0.638)) == "error rate 12 % (0 to 63.8)"


def test_a_metric_without_units_has_none():
    assert words.amount(12.0, Measure(MeasureKind.COUNTER, "books")) == "12"


@pytest.mark.parametrize(("seconds", "text"), [(12.2, "12 s"), (180, "3 min"), (9000, "2.5 h"), (-1, "0 s")])
def test_spans_of_time(seconds, text):
    assert words.span(seconds) == text
