"""The golden values of learned dispersion, and what must hold for every series of counts."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin.core.evidence import residuals as of_ratio
from serin.core.evidence.contract import Sums
from serin.core.evidence.dispersion import NO_SCATTER, Scatter, dispersion, scatter, surprise, trust
from serin.core.evidence.learning import RatePast
from serin.core.evidence.rate import HARM, SAFE, log_evidence_rate, log_evidence_ratio, log_factors_ratio
from serin.core.evidence.residuals import NO_RESIDUALS, NO_WHITE, Residuals, white

BASELINE = [
    Sums(n, e) for n, e in zip([450, 440, 460, 430, 455, 445, 450, 460], [2, 3, 1, 2, 10, 0, 2, 3], strict=True)
]
CANDIDATE = [
    Sums(n, e) for n, e in zip([150, 160, 140, 155, 150, 145, 152, 148], [0, 1, 0, 0, 5, 0, 0, 1], strict=True)
]
HISTORY = [Sums(600, e) for e in [3, 2, 4, 3, 8, 3, 2, 9, 1, 3, 2, 4, 0, 3, 3, 2]]
LIMIT, RHO = 0.01, 1.5


def against_the_limit(history: list[Sums]) -> tuple[list[float], list[float]]:
    past, baseline, own, factors, nats = scatter(history), NO_SCATTER, NO_SCATTER, [], []
    events = trials = 0.0
    for theirs, mine in zip(BASELINE, CANDIDATE, strict=True):
        baseline, own = baseline.add(theirs), own.add(mine)
        events, trials = events + mine.total, trials + mine.trials
        factor = dispersion(past, baseline, own, LIMIT * own.pace).factor
        factors.append(factor)
        nats.append(log_evidence_rate(events / factor, trials / factor, LIMIT, SAFE))
    return factors, nats


def test_golden_values_against_a_limit_without_history() -> None:
    factors, nats = against_the_limit([])
    assert factors == pytest.approx(
        [12.292544, 7.6614083, 6.19164403, 2.94059878, 18.78081772, 22.41470317, 20.6594851, 14.33538011], abs=1e-8
    )
    assert nats == pytest.approx(
        [0.06549591, 0.0742875, 0.2146204, 0.77176109, -0.11405355, -0.06588455, -0.03373696, -0.05481606], abs=1e-8
    )


def test_golden_values_against_a_limit_with_history() -> None:
    factors, nats = against_the_limit(HISTORY)
    assert factors == pytest.approx(
        [6.37004612, 5.78187575, 5.77877108, 5.27377715, 6.95448649, 7.50971172, 7.35674785, 6.11984903], abs=1e-8
    )
    assert nats == pytest.approx(
        [0.12751383, 0.09898119, 0.23026466, 0.41881997, -0.24209359, -0.14387548, -0.05073712, -0.06304299], abs=1e-8
    )


def test_golden_indices_of_the_baseline() -> None:
    live = scatter(BASELINE)
    assert [live.index(i) for i in range(3)] == [
        pytest.approx(x, abs=1e-8) for x in [(3.19406804, 7, 2.875), (1.53095188, 3, 2.875), (2.01504927, 1, 2.875)]
    ]
    both = scatter(HISTORY) + live
    assert [both.index(i) for i in range(3)] == [
        pytest.approx(x, abs=1e-8) for x in [(2.01181382, 23, 3.125), (1.35207994, 11, 3.125), (2.30942633, 5, 3.125)]
    ]
    assert white(BASELINE).index == pytest.approx((4.09982986, 4.66666667), abs=1e-8)


def test_golden_values_of_a_comparison() -> None:
    live, series, sums = NO_RESIDUALS, NO_WHITE, np.zeros(81)
    factors, safe, harm = [], [], []
    for theirs, mine in zip(BASELINE, CANDIDATE, strict=True):
        live, series = live.add(mine, theirs, RHO).close(), series.add(theirs)
        sums = sums + log_factors_ratio((mine.trials, mine.total), (theirs.trials, theirs.total), RHO)
        factor = of_ratio.dispersion(series, live).factor
        factors.append(factor)
        safe.append(log_evidence_ratio(sums / factor, SAFE))
        harm.append(log_evidence_ratio(sums / factor, HARM))
    assert factors == pytest.approx(
        [3.48832, 2.0896295, 1.57198495, 1.42316005, 2.41471352, 3.5734001, 3.5112162, 3.2781573], abs=1e-7
    )
    assert safe == pytest.approx(
        [0.1172692, 0.09909838, 0.25308825, 0.59116556, -0.21819524, -0.2015558, -0.1135144, -0.12795864], abs=1e-8
    )
    assert harm == pytest.approx(
        [-0.2816736, -0.66808811, -0.89412135, -1.15240876, -1.02134007, -0.84058062, -0.93644189, -1.02897455],
        abs=1e-8,
    )


units = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 40)).map(lambda t: Sums(t[0], min(t))), min_size=1, max_size=70
)


@given(units, units, units)
def test_dispersion_is_never_less_than_one(history: list[Sums], baseline: list[Sums], own: list[Sums]) -> None:
    past, theirs, mine = scatter(history), scatter(baseline), scatter(own)
    for surprised in (False, True):
        assert dispersion(past, theirs, mine, 2.0, live=True, surprised=surprised).factor >= 1.0
    pairs = list(zip(own, baseline, strict=False))
    found = of_ratio.dispersion(white(history) + white(baseline), of_ratio.residuals(pairs, 1.5))
    assert found.factor >= 1.0


@given(units, st.integers(1, 60))
def test_adding_scatters_is_adding_their_closed_blocks(series: list[Sums], cut: int) -> None:
    cut -= cut % 32  # where all blocks end together nothing is lost
    whole, parts = scatter(series), scatter(series[:cut]) + scatter(series[cut:])
    for one, other in zip(whole.sums, parts.sums, strict=True):
        assert one == pytest.approx(other)


@given(units)
def test_what_is_learned_survives_json(series: list[Sums]) -> None:
    pairs = [(one, other) for one, other in zip(series, reversed(series), strict=True)]
    past = RatePast.of(series, pairs)
    assert RatePast.from_json(json.loads(json.dumps(past.to_json()))) == past
    live = of_ratio.residuals(pairs).add(*pairs[0], 1.0)
    assert Residuals.from_json(json.loads(json.dumps(live.to_json()))) == live
    assert Scatter.from_json(json.loads(json.dumps(scatter(series).to_json()))) == scatter(series)


def test_independent_counts_have_the_index_one_and_bursts_have_their_size() -> None:
    rng = np.random.default_rng(1)
    single = scatter(Sums(600, int(e)) for e in rng.binomial(600, 0.01, 2000))
    bursts = scatter(Sums(600, 5 * int(e)) for e in rng.poisson(6 / 5, 2000))
    for i in range(4):
        assert single.index(i)[0] == pytest.approx(1.0, abs=0.2)
        assert bursts.index(i)[0] == pytest.approx(5.0, abs=1.0)


def test_a_slow_wave_shows_at_long_scales() -> None:
    rng = np.random.default_rng(2)
    wave = 0.01 * (1.0 + 0.6 * np.sin(2 * np.pi * np.arange(480) / 60))
    seen = scatter(Sums(600, int(e)) for e in rng.binomial(600, wave))
    assert seen.index(0)[0] < 3.0 < 6.0 < seen.index(4)[0]
    assert dispersion(seen, NO_SCATTER, NO_SCATTER, 1.5).seconds >= 240.0


def test_placebo_history_tells_noise_of_a_single_version() -> None:
    """Halves of the same pods that wander apart: without them the comparison looks as sure as chance alone makes it."""
    rng = np.random.default_rng(3)
    apart = np.exp(0.4 * np.repeat(rng.normal(size=60), 4))
    pairs = [(Sums(300, int(rng.poisson(6 * a))), Sums(300, int(rng.poisson(6)))) for a in apart]
    series = white(one + other for one, other in pairs)
    blind, told = (of_ratio.dispersion(series, NO_RESIDUALS, p) for p in (None, of_ratio.residuals(pairs)))
    assert told.factor > 1.5 * blind.factor


def test_bursts_that_history_has_not_shown_are_noticed() -> None:
    rng = np.random.default_rng(4)
    calm = scatter(Sums(600, int(e)) for e in rng.binomial(600, 0.01, 240))
    as_ever = scatter(Sums(450, int(e)) for e in rng.binomial(450, 0.01, 20))
    new = scatter(Sums(450, 10 * int(e)) for e in rng.poisson(0.45, 20))
    assert not surprise(calm, [as_ever])
    assert surprise(calm, [as_ever, new])
    assert not surprise(NO_SCATTER, [new])
    one, other = (dispersion(calm, new, NO_SCATTER, 1.5, live=True, surprised=s).factor for s in (False, True))
    assert other >= one > 1.0


def test_history_is_trusted_more_the_longer_it_is_up_to_half_an_hour() -> None:
    assert [trust(h) for h in (0, 60, 120, 960)] == pytest.approx([1.0, 0.9, 0.8, 0.8])
