"""What a decision sees of the evidence, for every kind of criterion, limit and mode."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serin.core.evidence.criterion import CERTAIN, Evidence, Sums, from_json, start
from serin.core.evidence.of_mean import MeanEvidence
from serin.core.evidence.rate import SAFE, log_evidence_rate
from serin.core.model import Analysis, MeasureKind, Mode
from serin.errors import InvalidInput
from tests.core.evidence.readings import (
    Reading,
    after,
    as_bytes,
    begun,
    criterion,
    mean_readings,
    rate_readings,
)

RATE, MEAN, COUNTER = MeasureKind.RATE, MeasureKind.MEAN, MeasureKind.COUNTER
PROVEN_SAFE, PROVEN_HARM = math.log(100), math.log(20)
KINDS = [
    pytest.param(kind, limit, relative, lower, mode, id=f"{kind}-{limit}-{relative}-{lower}-{mode}")
    for kind, limit, relative in [
        (RATE, 0.05, False),
        (RATE, 0.95, False),
        (RATE, 1.5, True),
        (RATE, None, False),
        (MEAN, 0.05, False),
        (MEAN, 1.2, True),
        (MEAN, None, False),
        (COUNTER, 50.0, False),
    ]
    for lower in (True, False)
    for mode in Mode
]
BASE_RATE = 0.04


def mixed(seed: int, count: int = 60) -> list[Reading]:
    return rate_readings(np.random.default_rng(seed), 0.05, 60, count, base=BASE_RATE)


@pytest.mark.parametrize(("kind", "limit", "relative", "lower", "mode"), KINDS)
def test_state_survives_json_exactly_at_every_reading(
    kind: MeasureKind, limit: float | None, relative: bool, lower: bool, mode: Mode
) -> None:
    analysis = Analysis(mode=mode)
    subject = criterion(kind, limit, relative, lower)
    evidence = start(subject, analysis, 30)
    for own, baseline, seconds in mixed(1):
        again = from_json(subject, analysis, json.loads(as_bytes(evidence)))
        assert again == evidence
        evidence, again = evidence.update(own, baseline, seconds), again.update(own, baseline, seconds)
        assert as_bytes(again) == as_bytes(evidence)
    assert len(as_bytes(evidence)) < 6000


@pytest.mark.parametrize(("kind", "limit", "relative", "lower", "mode"), KINDS)
def test_an_empty_reading_is_no_evidence(
    kind: MeasureKind, limit: float | None, relative: bool, lower: bool, mode: Mode
) -> None:
    evidence = after(begun(kind, limit, relative, lower, mode), mixed(2))
    before = evidence.log_for, evidence.log_against, evidence.value, evidence.dispersion
    for _ in range(40):
        evidence = evidence.update(Sums(0, 0), Sums(0, 0), 15.0)
        assert (evidence.log_for, evidence.log_against, evidence.value, evidence.dispersion) == before


@pytest.mark.parametrize(("kind", "limit", "relative", "lower", "mode"), KINDS)
def test_an_unusable_reading_changes_nothing(
    kind: MeasureKind, limit: float | None, relative: bool, lower: bool, mode: Mode
) -> None:
    evidence = after(begun(kind, limit, relative, lower, mode), mixed(2))
    before = as_bytes(evidence), evidence.log_for, evidence.log_against, evidence.value
    for own in (
        Sums(math.nan, 1),
        Sums(10, math.nan),
        Sums(-3, 0),
        Sums(10, -1),
        Sums(math.inf, 0),
        Sums(3, 1e300),
    ):
        evidence = evidence.update(own, Sums(0, 0), 15.0)
        assert (as_bytes(evidence), evidence.log_for, evidence.log_against, evidence.value) == before


@pytest.mark.parametrize(("kind", "limit", "relative", "lower", "mode"), KINDS)
def test_before_the_first_reading_nothing_is_known(
    kind: MeasureKind, limit: float | None, relative: bool, lower: bool, mode: Mode
) -> None:
    evidence = begun(kind, limit, relative, lower, mode)
    assert (evidence.log_for, evidence.log_against, evidence.value, evidence.trials) == (0.0, 0.0, None, 0.0)
    assert evidence.anytime(0.05) is None
    text, seconds = evidence.missing(PROVEN_SAFE, 10.0)
    assert (text == "") == (seconds == 0.0) == (limit is None)


@pytest.mark.parametrize(("kind", "limit", "relative", "lower", "mode"), KINDS)
def test_both_sides_are_not_proven_together(
    kind: MeasureKind, limit: float | None, relative: bool, lower: bool, mode: Mode
) -> None:
    evidence = begun(kind, limit, relative, lower, mode)
    for own, baseline, seconds in mixed(3):
        evidence = evidence.update(own, baseline, seconds)
        assert min(evidence.log_for, evidence.log_against) < 5.0


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 59))
def test_cutting_a_reading_in_two_leaves_the_evidence_for_a_rate_as_it_is(seed: int, cut: int) -> None:
    readings = mixed(seed, 20)
    whole = begun(RATE, 0.05, mode=Mode.INDEPENDENT)
    parts = begun(RATE, 0.05, mode=Mode.INDEPENDENT)
    for own, _, seconds in readings:
        first = Sums(min(cut, own.trials), min(cut, own.trials, own.total))
        rest = Sums(own.trials - first.trials, own.total - first.total)
        whole = whole.update(own, None, seconds)
        parts = parts.update(first, None, seconds / 2).update(rest, None, seconds / 2)
    assert parts.log_for == whole.log_for
    assert parts.anytime(0.05) == whole.anytime(0.05)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_the_order_of_readings_does_not_matter_to_independent_errors(seed: int, shuffler: object) -> None:
    readings = mixed(seed, 20)
    shuffled = list(readings)
    shuffler.shuffle(shuffled)  # type: ignore[attr-defined]
    for limit, relative in ((0.05, False), (1.5, True)):
        one, other = (
            after(begun(RATE, limit, relative, mode=Mode.INDEPENDENT), r).log_for for r in (readings, shuffled)
        )
        assert one == pytest.approx(other, abs=1e-9)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(0, 19))
def test_one_more_error_never_speaks_for_the_version(seed: int, place: int) -> None:
    readings = [(own, base, s) for own, base, s in mixed(seed, 20) if own.total < own.trials]
    place %= len(readings)
    own, base, seconds = readings[place]
    worse = [*readings[:place], (Sums(own.trials, own.total + 1), base, seconds), *readings[place + 1 :]]
    for limit, relative in ((0.05, False), (1.5, True)):
        fewer, more = (after(begun(RATE, limit, relative, mode=Mode.INDEPENDENT), r) for r in (readings, worse))
        assert more.log_for <= fewer.log_for + 1e-9
        assert more.log_against >= fewer.log_against - 1e-9


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("unit", [1e-3, 3600.0])
def test_the_unit_of_a_mean_does_not_matter(unit: float, relative: bool) -> None:
    readings = mean_readings(np.random.default_rng(4), 95.0, 40, 40, base=90.0)
    in_units = [(Sums(o.trials, o.total * unit), Sums(b.trials, b.total * unit), s) for o, b, s in readings if b]
    limit = 1.2 if relative else 100.0
    plain = after(begun(MEAN, limit, relative), readings)
    scaled = after(begun(MEAN, limit if relative else limit * unit, relative), in_units)
    assert scaled.log_for == pytest.approx(plain.log_for, rel=1e-6)
    assert scaled.log_against == pytest.approx(plain.log_against, rel=1e-6)
    one, other = plain.anytime(0.05), scaled.anytime(0.05)
    assert one is not None
    assert other is not None
    assert (other.lower / unit, other.upper / unit) == pytest.approx((one.lower, one.upper), rel=1e-5)


MIRRORED: list[tuple[MeasureKind, float, float, Callable[[Sums], Sums]]] = [
    (RATE, 0.03, 0.97, lambda s: Sums(s.trials, s.trials - s.total)),
]


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize(("kind", "limit", "other", "mirror"), MIRRORED)
def test_higher_is_better_is_the_same_seen_from_the_other_side(
    kind: MeasureKind, limit: float, other: float, mirror: Callable[[Sums], Sums], mode: Mode
) -> None:
    few, many = begun(kind, limit, mode=mode), begun(kind, other, lower_is_better=False, mode=mode)
    for own, _, seconds in rate_readings(np.random.default_rng(5), 0.01, 100, 60):
        few, many = few.update(own, None, seconds), many.update(mirror(own), None, seconds)
        assert many.log_for == pytest.approx(few.log_for, abs=1e-6)
        assert many.log_against == pytest.approx(few.log_against, abs=1e-6)
    assert few.log_for > PROVEN_SAFE
    errors, successes = few.anytime(0.05), many.anytime(0.05)
    assert errors is not None
    assert successes is not None
    assert (1 - successes.upper, 1 - successes.lower) == pytest.approx((errors.lower, errors.upper), abs=1e-6)


def test_a_mean_that_should_be_high_is_proven_from_the_other_side() -> None:
    readings = mean_readings(np.random.default_rng(6), 5.0, 60, 30)
    assert after(begun(MEAN, 4.0, lower_is_better=False), readings).log_for > PROVEN_SAFE
    assert after(begun(MEAN, 6.0, lower_is_better=False), readings).log_against > PROVEN_HARM


# -- how fast: the article's setting, a reading a second --------------------------------------------------------------


def first_second(evidence: Evidence, readings: list[Reading], proven: Callable[[Evidence], bool]) -> float:
    elapsed = 0.0
    for own, baseline, seconds in readings:
        evidence, elapsed = evidence.update(own, baseline, seconds), elapsed + seconds
        if proven(evidence):
            return elapsed
    return math.inf


def is_safe(evidence: Evidence) -> bool:
    return evidence.enough and evidence.log_for >= PROVEN_SAFE


def is_harmful(evidence: Evidence) -> bool:
    return evidence.log_against >= PROVEN_HARM


@pytest.mark.parametrize("rate", [4, 10])
@pytest.mark.parametrize("mean", [4.0, 10.0])
def test_a_fast_candidate_is_proven_safe_within_90_seconds(rate: int, mean: float) -> None:
    found = [
        first_second(begun(MEAN, 100.0), mean_readings(np.random.default_rng(seed), mean, rate, 180, 1.0), is_safe)
        for seed in range(20)
    ]
    assert np.median(found) <= 70
    assert np.mean(np.array(found) <= 90) >= 0.85
    assert max(found) < 180


@pytest.mark.parametrize(("rate", "spread"), [(4, 0.2), (10, 0.2), (10, 0.5)])
def test_a_slow_candidate_is_proven_harmful_within_40_seconds(rate: int, spread: float) -> None:
    found = [
        first_second(
            begun(MEAN, 100.0),
            mean_readings(np.random.default_rng(seed), 150.0, rate, 180, 1.0, spread=spread),
            is_harmful,
        )
        for seed in range(20)
    ]
    assert np.median(found) <= 35
    assert np.mean(np.array(found) <= 45) >= 0.85


@pytest.mark.parametrize("rate", [4, 10])
def test_a_failing_candidate_is_proven_harmful_within_seconds(rate: int) -> None:
    found = [
        first_second(begun(RATE, 0.05), rate_readings(np.random.default_rng(seed), 0.2, rate, 180, 1.0), is_harmful)
        for seed in range(20)
    ]
    assert np.median(found) <= 100 / rate
    assert max(found) <= 60


@pytest.mark.parametrize(("base", "within"), [(0.0, 240), (0.01, 120)])
def test_a_candidate_without_errors_is_proven_safe_against_five_percent_within_minutes(
    base: float, within: float
) -> None:
    """Where nobody has any errors nothing is learned of how they scatter, which costs a minute."""
    readings = rate_readings(np.random.default_rng(7), 0.0, 10, 240, 1.0, base=base)
    assert first_second(begun(RATE, 0.05), readings, is_safe) <= within


def test_at_the_cadence_of_a_cluster_a_scrape_is_a_block_of_a_mean() -> None:
    readings = mean_readings(np.random.default_rng(8), 7.0, 100, 12, 15.0)
    assert first_second(begun(MEAN, 100.0), readings, is_safe) <= 120


def test_a_violation_that_begins_late_is_found_all_the_same() -> None:
    rng = np.random.default_rng(9)
    good, bad = rate_readings(rng, 0.005, 150, 40), rate_readings(rng, 0.05, 150, 80)
    evidence = after(begun(RATE, 0.01), good)
    assert not is_harmful(evidence)
    assert first_second(evidence, bad, is_harmful) <= 150


# -- modes -------------------------------------------------------------------------------------------------------------


def test_one_burst_does_not_condemn_unless_errors_count_as_independent() -> None:
    quiet = [(Sums(100, 0), None, 15.0)] * 5
    burst: list[Reading] = [*quiet, (Sums(100, 30), None, 15.0)]
    assert is_harmful(after(begun(RATE, 0.05, mode=Mode.INDEPENDENT), burst))
    assert not is_harmful(after(begun(RATE, 0.05), burst))


def test_strict_is_never_faster_than_robust() -> None:
    robust, strict = begun(RATE, 0.05), begun(RATE, 0.05, mode=Mode.STRICT)
    for own, _, seconds in rate_readings(np.random.default_rng(10), 0.15, 50, 40):
        robust, strict = robust.update(own, None, seconds), strict.update(own, None, seconds)
        assert strict.log_against <= robust.log_against + 1e-12
        assert strict.log_for == robust.log_for
    assert is_harmful(strict)


def test_robust_asks_for_time_and_events_where_independence_is_content_at_once() -> None:
    readings: list[Reading] = [(Sums(200, 0), None, 15.0)] * 3
    robust, independent = (after(begun(RATE, 0.02, mode=m), readings) for m in (Mode.ROBUST, Mode.INDEPENDENT))
    assert independent.log_for == log_evidence_rate(0, 600, 0.02, SAFE)
    assert 0.0 < robust.log_for < independent.log_for
    assert independent.enough
    assert not robust.enough
    few, many = (after(robust, [(Sums(n, 0), None, 15.0)] * 3) for n in (100, 120))
    assert not few.enough  # 18 events would be expected at the limit: unseen bursts of 4 show nothing 1 time in 90
    assert many.enough


def test_events_in_bursts_tell_less_than_single_ones() -> None:
    """Twenty events, evenly or in bursts of ten, and the baseline likewise: the second says less for and against."""
    single: list[Reading] = [(Sums(200, 1), Sums(600, 3), 15.0)] * 20
    bursts: list[Reading] = [
        (Sums(200, 10 if i % 10 == 0 else 0), Sums(600, 30 if i % 10 == 5 else 0), 15.0) for i in range(20)
    ]
    even, clustered = (after(begun(RATE, 0.01, mode=Mode.STRICT), r) for r in (single, bursts))
    assert (even.value, even.trials) == (clustered.value, clustered.trials)
    assert even.dispersion.factor < 2.0 < 5.0 < clustered.dispersion.factor
    assert clustered.log_for < even.log_for / 3


@pytest.mark.parametrize("mode", [Mode.ROBUST, Mode.STRICT])
@pytest.mark.parametrize(("limit", "relative"), [(0.05, False), (1.5, True)])
def test_what_is_learned_does_not_depend_on_how_often_somebody_reads(mode: Mode, limit: float, relative: bool) -> None:
    """Every second or every 15 s: the same units, so the same D and the same evidence for a promotion."""
    rng = np.random.default_rng(3)
    fast = rate_readings(rng, 0.03, 10, 12 + 15 * 40, 1.0, base=0.03)
    slow: list[Reading] = []
    for first, last in [(0, 12), *((12 + 15 * i, 27 + 15 * i) for i in range(40))]:  # a unit may close 3 s early
        own, baseline = Sums(0, 0), Sums(0, 0)
        for mine, theirs, _ in fast[first:last]:
            assert theirs is not None
            own, baseline = own + mine, baseline + theirs
        slow.append((own, baseline, float(last - first)))
    one, other = (after(begun(RATE, limit, relative, mode=mode), readings) for readings in (fast, slow))
    assert one.dispersion == other.dispersion
    assert one.log_for == pytest.approx(other.log_for, abs=1e-12)


def test_a_reading_that_took_long_is_so_many_units_of_time() -> None:
    often = begun(RATE, 0.05)
    seldom = begun(RATE, 0.05)
    for own, base, _ in mixed(5, 32):
        assert base is not None
        often = often.update(Sums(0, 0), Sums(0, 0), 45.0).update(own, base, 15.0)
        seldom = seldom.update(own, base, 60.0)
    assert seldom.log_for == often.log_for
    assert seldom.dispersion == often.dispersion


# -- corners -----------------------------------------------------------------------------------------------------------


def test_a_rate_may_have_its_events_before_their_trials_are_counted() -> None:
    evidence = begun(RATE, 0.05).update(Sums(2, 5)).update(Sums(98, 0))
    assert evidence.trials == 100
    assert evidence.value == 0.05
    text, _ = evidence.update(Sums(2, 5)).missing(PROVEN_SAFE, 10.0)
    assert text == "more events than trials counted: not a share of them"


@pytest.mark.parametrize(
    ("limit", "lower", "reading", "log_for", "log_against"),
    [
        (0.0, True, Sums(100, 0), 0.0, 0.0),
        (0.0, True, Sums(100, 1), 0.0, CERTAIN),
        (1.0, True, Sums(100, 100), CERTAIN, 0.0),
        (5.0, True, Sums(100, 50), CERTAIN, 0.0),
        (0.0, False, Sums(100, 0), CERTAIN, 0.0),
        (1.0, False, Sums(100, 100), 0.0, 0.0),
        (1.0, False, Sums(100, 99), 0.0, CERTAIN),
    ],
)
def test_limits_that_leave_nothing_to_chance(
    limit: float, lower: bool, reading: Sums, log_for: float, log_against: float
) -> None:
    evidence = begun(RATE, limit, lower_is_better=lower).update(reading)
    assert (evidence.log_for, evidence.log_against) == (log_for, log_against)


def test_a_count_breaks_at_most_at_once_and_keeps_it_at_the_end() -> None:
    evidence = begun(COUNTER, 10).update(Sums(0, 10))
    assert (evidence.value, evidence.log_for, evidence.log_against) == (10, 0.0, 0.0)
    assert evidence.missing(PROVEN_SAFE, 5.0) == ("10 of at most 10, known at the end", None)
    assert evidence.at_end().log_for == CERTAIN
    assert evidence.update(Sums(0, 1)).log_against == CERTAIN
    assert evidence.update(Sums(0, 1)).at_end().log_for == 0.0


def test_a_count_reaches_at_least_at_once_and_misses_it_at_the_end() -> None:
    evidence = begun(COUNTER, 10, lower_is_better=False).update(Sums(0, 9))
    assert (evidence.log_for, evidence.log_against, evidence.at_end().log_against) == (0.0, 0.0, CERTAIN)
    assert evidence.update(Sums(0, 1)).log_for == CERTAIN


def test_a_count_that_nobody_read_is_no_zero() -> None:
    assert begun(COUNTER, 10).at_end().log_for == 0.0


def test_a_relative_limit_on_a_counter_is_refused_with_what_to_do() -> None:
    with pytest.raises(InvalidInput, match=r"relative limit.*write an absolute one, or use a ratio metric"):
        begun(COUNTER, 1.5, relative=True)


def test_the_baseline_is_only_estimated_under_a_relative_limit() -> None:
    evidence = start(criterion(MEAN, 1.2, relative=True), Analysis(), 10, own_baseline=True)
    evidence = after(evidence, mean_readings(np.random.default_rng(12), 5.0, 50, 20))
    assert (evidence.log_for, evidence.log_against, evidence.enough) == (0.0, 0.0, True)
    assert evidence.value == pytest.approx(5.0, rel=0.1)


@pytest.mark.parametrize("state", [{}, {"kind": "mean"}, {"kind": "rate"}, {"kind": "rate", "late": 3}])
def test_a_state_that_is_none_is_refused(state: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match="a_metric"):
        from_json(criterion(RATE, 0.05), Analysis(), state)


# -- what people see ---------------------------------------------------------------------------------------------------


def test_what_is_missing_counts_blocks_first() -> None:
    readings = mean_readings(np.random.default_rng(13), 7.0, 10, 25, 1.0)
    text, seconds = after(begun(MEAN, 100.0), readings).missing(PROVEN_SAFE, 10.0)
    assert text == "2 of 4 blocks seen, about 15 s to go"
    assert seconds == pytest.approx(15.0)


def test_what_is_missing_then_counts_evidence() -> None:
    readings = rate_readings(np.random.default_rng(14), 0.014, 100, 25)
    evidence = after(begun(RATE, 0.02), readings)
    text, seconds = evidence.missing(PROVEN_SAFE, 100 / 15)
    assert text.startswith("evidence ")
    assert " of 4.6 nats" in text
    assert seconds is None or seconds > 0
    assert after(begun(RATE, 0.02), [(Sums(200, 0), None, 15.0)] * 30).missing(PROVEN_SAFE, 10.0) == ("", 0.0)


def test_without_requests_nobody_knows_how_long() -> None:
    assert begun(MEAN, 100.0).missing(PROVEN_SAFE, 0.0) == ("no requests yet", None)
    stalled = after(begun(MEAN, 100.0), mean_readings(np.random.default_rng(1), 7.0, 10, 30, 1.0))
    assert stalled.missing(PROVEN_SAFE, 0.0) == ("3 of 4 blocks seen", None)


@pytest.mark.parametrize(("relative", "limit"), [(False, 100.0), (True, 1.2)])
def test_the_limit_leaves_the_interval_when_the_evidence_crosses(relative: bool, limit: float) -> None:
    evidence, crossed = begun(MEAN, limit, relative), 0
    for own, baseline, seconds in mean_readings(np.random.default_rng(15), 90.0, 40, 80, base=88.0):
        evidence = evidence.update(own, baseline, seconds)
        found = evidence.anytime_ratio(0.02) if relative else evidence.anytime(0.02)
        if found is not None:
            assert (evidence.log_for >= math.log(100)) == (found.upper < limit)
            crossed += found.upper < limit
    assert 0 < crossed < 75


def test_the_interval_of_a_mean_holds_the_truth_and_the_estimate() -> None:
    evidence = after(begun(MEAN, 100.0), mean_readings(np.random.default_rng(16), 40.0, 50, 60))
    found, credible = evidence.anytime(0.05), evidence.posterior.interval()
    assert found is not None
    assert credible is not None
    assert evidence.value is not None
    assert found.lower < credible.lower < evidence.value < credible.upper < found.upper
    assert found.lower < 40.0 < found.upper
    assert found.upper - found.lower < 8.0


def test_before_two_blocks_a_mean_is_its_own_uncertainty() -> None:
    evidence = begun(MEAN, 100.0).update(Sums(6, 42.0), None, 1.0)
    assert isinstance(evidence, MeanEvidence)
    credible = evidence.posterior.interval()
    assert credible is not None
    assert credible.upper > 50.0
    assert 0.9 < evidence.posterior.below(100.0) < 1.0
