"""The t-test over blocks: golden values, invariances, the guard against correlation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin.core.evidence import block_t
from serin.core.evidence.block_t import Point, log_evidence_blocks, mean_point, mean_ratio_point, rate_ratio_point
from serin.core.evidence.blocks import STARTS, Blocks, Rule, Track
from serin.core.evidence.contract import Sums

Z = np.array([-0.8, -1.3, -0.2, -1.1, -0.9, -1.6])
X = np.array([1, 1.1, 0.9, 1, 1.05, 0.95])


def test_evidence_from_six_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_t, "MIN_BLOCKS", 1)
    sums = np.arange(1.0, 7.0), np.cumsum(X * X), np.cumsum(X * Z), np.cumsum(Z * Z)
    safe = log_evidence_blocks(*sums, 1.0, -1)
    expected = [0.39670820, 1.17085324, 1.13699049, 2.03177961, 3.11912640, 3.54967701]
    assert safe == pytest.approx(expected, abs=1e-8)
    assert log_evidence_blocks(*sums, 1.0, 1)[-1] == pytest.approx(-1.69882764, abs=1e-8)


def test_fewer_than_six_blocks_say_nothing() -> None:
    track = Track()
    for x, z in zip(X[:5], Z[:5], strict=True):
        track = track.add(Point(x, z, x))
    assert track.log_evidence(-1)[0] == track.log_evidence(1)[0] == 0.0
    assert track.add(Point(X[5], Z[5], X[5])).log_evidence(-1)[0] > 2.0


def test_blocks_without_any_scatter_and_on_the_limit_say_nothing() -> None:
    track = Track()
    for _ in range(20):
        track = track.add(Point(3.0, 0.0, 3.0))
    assert track.log_evidence(-1)[0] == pytest.approx(0.0, abs=1e-12)


@given(st.floats(1e-3, 1e6), st.floats(1e-3, 1e6))
def test_the_units_of_value_and_trial_do_not_matter(unit: float, trial: float) -> None:
    plain, scaled = Track(), Track()
    for x, z in zip(np.tile(X, 3), np.tile(Z, 3), strict=True):
        plain, scaled = plain.add(Point(x, z, x)), scaled.add(Point(x * trial, z * unit, x * trial))
    for side in (-1, 1):
        assert scaled.log_evidence(side)[0] == pytest.approx(plain.log_evidence(side)[0], rel=1e-6, abs=1e-9)


def test_moving_the_limit_is_the_same_as_counting_against_another_limit() -> None:
    rng = np.random.default_rng(2)
    blocks = [Sums(n, float(rng.lognormal(0, 0.5, n).sum())) for n in rng.integers(30, 60, 45).tolist()]
    at_one, at_two = Track(), Track()
    for block in blocks:
        at_one, at_two = at_one.add(mean_point(block, 1.0)), at_two.add(mean_point(block, 2.0))
    moved = at_one.log_evidence(-1, np.array([0.0, 1.0]))
    assert moved[0] == at_one.log_evidence(-1)[0]
    assert moved[1] == pytest.approx(at_two.log_evidence(-1)[0], rel=1e-9)


def test_the_last_limit_that_is_not_refuted_is_where_the_evidence_crosses() -> None:
    rng = np.random.default_rng(3)
    track = Track()
    for _ in range(20):
        track = track.add(mean_point(Sums(50, float(rng.lognormal(0, 0.5, 50).sum())), 1.0))
    for side in (-1, 1):
        edge = track.last_unrefuted(side, 3.0)
        assert track.log_evidence(side, np.array([edge]))[0] == pytest.approx(3.0, abs=0.05)
    assert track.last_unrefuted(1, 3.0) < track.estimate()[0] < track.last_unrefuted(-1, 3.0)


def test_a_ratio_of_means_does_not_ask_for_the_unit() -> None:
    own, baseline = Sums(40, 5000.0), Sums(120, 12000.0)
    one = mean_ratio_point(own, baseline, 1.2, 100.0)
    other = mean_ratio_point(Sums(40, 5.0), Sums(120, 12.0), 1.2, 0.1)
    assert (one.x, one.z, one.v) == pytest.approx((other.x, other.z, other.v))
    assert one.z == pytest.approx(math.sqrt(1 / (1 / 40 + 1.44 / 120)) * (125 - 120) / 100)


def test_a_ratio_of_rates_compares_the_share_of_the_events() -> None:
    fair = rate_ratio_point(Sums(100, 5), Sums(300, 15), 1.0)
    assert fair.z == pytest.approx(0.0)
    assert rate_ratio_point(Sums(100, 15), Sums(300, 5), 1.0).z > 3.0


def noise(rng: np.random.Generator, blocks: int, correlation: float) -> list[float]:
    values = [float(rng.standard_normal())]
    for fresh in rng.standard_normal(blocks - 1).tolist():
        values.append(correlation * values[-1] + math.sqrt(1 - correlation**2) * fresh)
    return values


def test_correlated_blocks_count_for_fewer() -> None:
    def inflation(correlation: float) -> float:
        track = Track()
        for z in noise(np.random.default_rng(7), 200, correlation):
            track = track.add(Point(1.0, z, 1.0))
        return track.inflation

    assert inflation(0.0) < 1.4
    assert 2.0 < inflation(0.5) < 4.5
    assert inflation(0.9) > 5.0


def test_a_bad_beginning_is_outlived() -> None:
    rng = np.random.default_rng(11)
    track = Track()
    for i in range(40):
        z = float(rng.standard_normal()) + (8.0 if i < 4 else -1.5)
        track = track.add(Point(1.0, z, 1.0))
    assert len(track.sums) == len(STARTS)
    sxx, sxz, szz = (np.array([value]) for value in track.sums[0][:3])
    since_the_start = log_evidence_blocks(np.array([40.0]), sxx, sxz, szz, track.inflation, -1)
    assert since_the_start[0] < 0.0
    assert track.log_evidence(-1)[0] > 2.0


def test_memory_is_bounded() -> None:
    track = Track()
    for i in range(500):
        track = track.add(Point(1.0, float(i % 7), 1.0))
    assert len(track.sums) == len(STARTS)
    assert track.blocks == 500


def paired(blocks: Blocks, own: Sums, baseline: Sums, seconds: float = 1.0) -> Blocks:
    rule = Rule(trials=30, baseline=30, seconds=10.0)
    return blocks.add((own, baseline, seconds), rule, lambda o, b, m: mean_ratio_point(o, b, 1.1, m), True)


def test_a_block_waits_for_trials_of_both_and_for_its_time() -> None:
    blocks = Blocks()
    for _ in range(9):
        blocks = paired(blocks, Sums(10, 50.0), Sums(10, 50.0))
    assert blocks.track.blocks == 0
    assert paired(blocks, Sums(10, 50.0), Sums(10, 50.0)).track.blocks == 1
    blocks = Blocks()
    for _ in range(20):
        blocks = paired(blocks, Sums(10, 50.0), Sums(1, 5.0))
    assert blocks.track.blocks == 0


def test_a_block_in_which_one_version_is_silent_for_long_is_abandoned() -> None:
    blocks = paired(Blocks(), Sums(10, 50.0), Sums(10, 50.0))
    for _ in range(60):
        blocks = paired(blocks, Sums(0, 0.0), Sums(10, 80.0))
    assert blocks.open.baseline.trials == 610
    assert paired(blocks, Sums(0, 0.0), Sums(10, 80.0)).open.readings == 0


def test_slow_requests_that_end_in_a_quiet_second_are_counted() -> None:
    blocks = Blocks()
    for _ in range(15):
        blocks = paired(blocks, Sums(5, 50.0), Sums(0, 0.0))
        blocks = paired(blocks, Sums(0, 0.0), Sums(5, 5000.0))
    assert blocks.past.total / blocks.past.trials == pytest.approx(1000.0)
