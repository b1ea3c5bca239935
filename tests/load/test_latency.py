from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin.load.latency import Latencies


@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=200), st.sampled_from([0.0, 0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_within_one_percent_of_the_exact_one(values, share):
    latencies = Latencies()
    for value in values:
        latencies.add(value)
    exact = sorted(values)[max(1, math.ceil(share * len(values))) - 1]
    assert latencies.quantile(share) == pytest.approx(exact, rel=0.0101)
    assert latencies.most == max(values)
    assert latencies.mean == pytest.approx(sum(values) / len(values))


def test_nothing_has_no_quantile():
    assert Latencies().quantile(0.5) is None
    assert Latencies().mean is None


@pytest.mark.parametrize("value", [0.0, 1e-9, 1e6])
def test_what_is_out_of_range_is_counted_at_the_edge(value):
    latencies = Latencies()
    latencies.add(value)
    assert latencies.quantile(0.5) == value
