"""The evidence about means: golden values, what must hold for every series, and what history adds."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from serin.core.evidence.blocks import LEAST_BLOCKS, Track
from serin.core.evidence.contract import Sums
from serin.core.evidence.mean import (
    V0,
    Scale,
    _steps,
    log_bayes_factor,
    log_evidence_mean,
    own_point,
    pair_point,
    weight,
)
from serin.core.evidence.spread import MeanPast, Noise

PLAIN = Scale(1.0, 6.0, 1.0)


@pytest.mark.parametrize(
    ("side", "inflation", "nats"),
    [(-1, 1.0, 1.83527682), (-1, 1.5, 1.1264917), (1, 1.0, -2.2898004), (1, 1.5, -1.85844199)],
)
def test_golden_values(side: int, inflation: float, nats: float) -> None:
    steps, log_weights = _steps(1.1, side, True)
    n, sxx, sxz, szz = (np.array([x]) for x in (6.0, 600.0, -55.0, 9.0))
    found = log_bayes_factor(n, sxx, sxz, szz, steps, log_weights, Scale(1.0, 4.0, inflation))
    assert found == pytest.approx([nats], abs=1e-8)


def test_the_weights_of_the_effects_add_up_to_one() -> None:
    for limit in (0.8, 1.0, 1.1):
        for side in (-1, 1):
            for relative in (True, False):
                steps, log_weights = _steps(limit, side, relative)
                assert np.exp(log_weights).sum() == pytest.approx(1.0)
                assert np.all(np.sign(steps) == side)
    assert _steps(1.1, -1, True)[0][-1] == pytest.approx(-0.1)  # as the baseline
    assert _steps(0.9, 1, True)[0][-1] == pytest.approx(0.1)
    assert len(_steps(1.1, 1, True)[0]) == len(_steps(1.1, -1, False)[0]) == 11


def test_no_block_tells_more_than_what_its_requests_have_in_common_leaves() -> None:
    assert weight(100.0, 1.0) ** 2 == pytest.approx(100.0 / 1.4)
    assert weight(1e12, 1.0) ** 2 == pytest.approx(1.0 / V0, rel=1e-3)


def of_blocks(points) -> Track:
    track = Track()
    for point in points:
        track = track.add(point)
    return track


def test_a_mean_scaled_with_its_limit_is_the_same_evidence() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(90.0, 5.0, 20)
    plain = of_blocks(own_point(Sums(50, 50 * v), 1.0) for v in values)
    scaled = of_blocks(own_point(Sums(50, 50_000 * v), 1.0) for v in values)
    for side in (-1, 1):
        one = plain.log_evidence(100.0, side, PLAIN, False)
        assert scaled.log_evidence(100_000.0, side, PLAIN, False) == pytest.approx(one, rel=1e-9)


def test_the_limit_leaves_the_interval_when_the_evidence_crosses() -> None:
    rng = np.random.default_rng(2)
    track = Track()
    for i in range(60):
        own, base = rng.normal(1.0, 0.02, 2)
        track = track.add(pair_point(Sums(100, 100 * own), Sums(300, 300 * base), 1.1, 1.0, 1.0))
        if i + 1 < LEAST_BLOCKS:
            assert track.last_unrefuted(-1, 3.0, PLAIN, True) == math.inf
            continue
        for side in (-1, 1):
            bound = track.last_unrefuted(side, 3.0, PLAIN, True)
            if 0.0 < bound < math.inf:
                assert track.log_evidence(bound * math.exp(-side * 1e-3), side, PLAIN, True) >= 3.0
                assert track.log_evidence(bound * math.exp(side * 2e-3), side, PLAIN, True) < 3.0 + 1e-2
    assert 0.9 < track.last_unrefuted(1, 3.0, PLAIN, True) < 1.0 < track.last_unrefuted(-1, 3.0, PLAIN, True) < 1.1


def test_at_the_limit_the_mean_of_e_is_one_for_normal_blocks() -> None:
    """With the variance drawn from its prior, an inverse gamma, the ratio is a likelihood ratio: E[E] = 1."""
    rng = np.random.default_rng(3)
    n, x = 4, 1.0
    variance = 3.0 * 1.0 / rng.gamma(3.0, 1.0, 40_000)  # nu/2 = 3, nu s0/2 = 3
    z = rng.normal(0.0, 1.0, (40_000, n)) * np.sqrt(variance)[:, None]
    rows = np.column_stack([np.full(40_000, n * x * x), x * z.sum(1), (z * z).sum(1), *np.zeros((3, 40_000))])
    for side in (-1, 1):
        e = np.exp(log_evidence_mean(np.full(40_000, float(n)), rows, np.array([1.1]), side, PLAIN, True))
        assert e.mean() == pytest.approx(1.0, abs=5 * e.std() / math.sqrt(len(e)))


def test_blocks_that_resemble_their_neighbours_count_less() -> None:
    rng = np.random.default_rng(4)
    wave = np.repeat(rng.normal(1.0, 0.05, 15), 4)
    alike = of_blocks(own_point(Sums(100, 100 * v), 1.0) for v in wave)
    mixed = of_blocks(own_point(Sums(100, 100 * v), 1.0) for v in rng.permutation(wave))
    assert mixed.inflation < 1.5 < 2.0 < alike.inflation


def test_the_scatter_of_values_is_found_whatever_their_slow_course() -> None:
    rng = np.random.default_rng(5)
    course = 100.0 * (1.0 + 0.5 * np.sin(np.arange(400) / 40))
    noise = Noise()
    for mean in course:
        n = int(rng.integers(50, 200))
        noise = noise.add(Sums(n, float(rng.gamma(2.0, mean / 2.0, n).sum())))
    assert noise.cv2() == pytest.approx(0.5, rel=0.15)
    assert Noise().cv2() == 1.0


def test_placebo_halves_show_noise_that_belongs_to_one_version() -> None:
    rng = np.random.default_rng(6)

    def halves(own: float, slow: float):
        course = np.repeat(rng.normal(0.0, slow, (60, 2)), 4, axis=0)
        for one, other in 1.0 + rng.normal(0.0, own, (240, 2)) + course:
            yield Sums(200, 200 * one), Sums(200, 200 * other)

    def scale(own: float, slow: float) -> Scale:
        pairs = list(halves(own, slow))
        return MeanPast.of([a + b for a, b in pairs], pairs).scale(1.0, 1.0)

    calm, fast, slow = scale(0.05, 0.0), scale(0.2, 0.0), scale(0.05, 0.2)
    assert calm.worth == fast.worth == 30.0
    assert 4.0 * calm.s0 < fast.s0
    assert fast.inflation < 2.0 < 2.5 < slow.inflation


def test_history_survives_json() -> None:
    pairs = [(Sums(40, 50.0 + i), Sums(45, 49.0 - i)) for i in range(40)]
    past = MeanPast.of([a + b for a, b in pairs], pairs)
    assert MeanPast.from_json(json.loads(json.dumps(past.to_json()))) == past
