"""What a forecast says is what happens when the engine itself runs on drawn traffic."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, norm, poisson

from serin.core import paths
from serin.core.forecast import EFFORT, PATHS, Assumed, Behaviour, Expected, forecast
from serin.core.model import Analysis, Criterion, Limit, LimitKind, MeasureKind, Outcome, Plan, Strategy
from serin.core.remedies import IN_TIME, Change, least_changes
from tests.core.simulation import (
    ERROR_COUNT,
    ERROR_RATE,
    MEAN_LATENCY,
    REQUESTS,
    Service,
    Version,
    experiment,
    limit_on,
)

RATE = 40.0
ERRORS = limit_on(ERROR_RATE, 0.01)
LATENCY = limit_on(MEAN_LATENCY, 1.2, LimitKind.RELATIVE)
RUNS = 30


def plan_of(*criteria: Criterion, **more) -> Plan:
    return Plan("v1", ("v2",), criteria, **{"interval": 15.0, "iterations": 60, "max_increment": 20, **more})


def behaviours(plan: Plan, version: Version) -> dict[str, Behaviour]:
    """What a simulated version does, in the words of a forecast."""
    mean, cv = version.latency * math.exp(version.spread**2 / 2), math.sqrt(math.exp(version.spread**2) - 1)
    of = {MeasureKind.RATE: Behaviour(version.errors), MeasureKind.MEAN: Behaviour(mean, cv)}
    return {c.id: of[c.measure.kind] for c in plan.criteria}


def assumed(plan: Plan, baseline: Version, good: Version, bad: Version, **more) -> Assumed:
    one, two, three = (behaviours(plan, version) for version in (baseline, good, bad))
    return Assumed(RATE, one, two, three, **{"reading": 5.0, **more})


def simulated(plan: Plan, baseline: Version, candidate: Version) -> tuple[list[float], list[float]]:
    """When the engine decides, and the requests that the candidate has had by then, in RUNS runs."""
    times, requests = [], []
    for seed in range(RUNS):
        service = Service({"baseline": baseline, "candidate-0": candidate}, RATE, seed + 100)
        run = experiment(plan, service, reading=5.0, longest=900.0)
        decided = run.state.outcome in (Outcome.PROMOTED, Outcome.BASELINE_WON)
        times.append(run.seconds if decided else math.inf)
        requests.append(run.state.totals["candidate-0"][REQUESTS])
    return times, requests


def agrees(expected: float, seen: list[float]) -> bool:
    """Whether the median of what was seen is within 25 % of the expected one, as far as so few runs can tell."""
    few = binom.ppf(0.005, len(seen), 0.5)
    return sum(x <= 1.25 * expected for x in seen) >= few and sum(x >= expected / 1.25 for x in seen) >= few


SCENES = [
    pytest.param(ERRORS, Version(errors=0.001), Version(errors=0.001), Version(errors=0.05), id="errors"),
    pytest.param(LATENCY, Version(), Version(), Version(latency=6.0), id="latency"),
]
BOUGHT = Criterion("0", "bought", replace(ERROR_RATE, lower_is_better=False), is_reward=True)


@pytest.mark.parametrize(("criterion", "baseline", "good", "bad"), SCENES)
def test_half_of_the_real_experiments_need_as_long_as_forecast(criterion, baseline, good, bad):
    plan = plan_of(criterion, analysis=Analysis(early_stop=True))
    found = proofs(plan, assumed(plan, baseline, good, bad), PATHS, EFFORT)
    for expected, candidate in zip(found, (good, bad), strict=True):
        times, requests = simulated(plan, baseline, candidate)
        assert agrees(expected.median, times), (expected, sorted(times))
        assert agrees(expected.median_requests, requests), (expected, sorted(requests))


def test_a_better_reward_wins_when_it_is_forecast_to():
    plan = plan_of(BOUGHT, analysis=Analysis(early_stop=True), strategy=Strategy.UNIFORM)
    asked = Assumed(RATE, {"0": Behaviour(0.2)}, {"0": Behaviour(0.3)}, {}, reading=5.0)
    found = forecast(plan, asked)
    times, requests = simulated(plan, Version(errors=0.2), Version(errors=0.3))
    assert found.promote
    assert agrees(found.promote.median, times), (found.promote, sorted(times))
    assert agrees(found.promote.median_requests, requests)
    worse = forecast(plan, replace(asked, good={"0": Behaviour(0.1)}), 4, 0)
    assert worse.win
    assert worse.win.median == math.inf


def test_the_check_would_notice_a_forecast_that_is_wrong_by_half():
    seen = [float(x) for x in norm.ppf((np.arange(RUNS) + 0.5) / RUNS) * 30 + 100]
    assert agrees(100.0, seen)
    assert not agrees(50.0, seen)
    assert not agrees(200.0, seen)


def proofs(plan: Plan, asked: Assumed, count: int = 8, effort: int = 0) -> tuple[Expected, Expected]:
    """When a good candidate is promoted and a bad one rolled back."""
    found = forecast(plan, asked, count, effort)
    assert found.promote is not None
    assert found.rollback is not None
    return found.promote, found.rollback


def one(criterion: Criterion, value: float, bad: float, **more) -> tuple[Plan, Assumed]:
    plan = plan_of(criterion, **more)
    return plan, Assumed(RATE, {"0": Behaviour(value)}, {"0": Behaviour(value)}, {"0": Behaviour(bad)}, reading=5.0)


def test_the_same_question_has_the_same_answer():
    plan, asked = one(ERRORS, 0.003, 0.03)
    assert forecast(plan, asked, 4, 0) == forecast(plan, asked, 4, 0)


def test_what_is_nearer_to_its_limit_takes_longer_and_more_traffic_takes_less():
    far, near = (proofs(*one(ERRORS, value, 0.05))[0] for value in (0.001, 0.005))
    assert far.median < near.median
    plan, asked = one(ERRORS, 0.003, 0.03)
    for quick, slow in zip(proofs(plan, replace(asked, rate=400.0)), proofs(plan, asked), strict=True):
        assert quick.median < slow.median


def test_a_known_history_makes_a_proof_quicker():
    plan, asked = one(ERRORS, 0.003, 0.03)
    assert proofs(plan, replace(asked, history=3600.0))[0].median < proofs(plan, asked)[0].median


def test_what_does_not_keep_its_limit_is_never_proven_to():
    plan, asked = one(ERRORS, 0.02, 0.05, iterations=10)
    promote, _ = proofs(plan, asked, 6)
    assert (promote.median, promote.in_time) == (math.inf, 0.0)


def test_all_criteria_have_to_be_proven_and_the_slowest_violation_counts():
    plan = plan_of(ERRORS, replace(LATENCY, id="1"))
    both = assumed(plan, Version(errors=0.001), Version(errors=0.001), Version(errors=0.05, latency=12.0))
    found = forecast(plan, both, 6, 0)
    promotes, rollbacks = (
        [e for e in each if e] for each in zip(*((c.promote, c.rollback) for c in found.criteria), strict=False)
    )
    assert len(promotes) == len(rollbacks) == 2
    assert found.promote
    assert found.promote.median >= max(e.median for e in promotes)
    assert found.rollback == max(rollbacks, key=lambda e: (e.median, e.p90))


def test_a_promotion_waits_for_an_iteration_and_for_the_least_duration():
    plan, asked = one(ERRORS, 0.0001, 0.1, analysis=Analysis(min_duration=500.0))
    found = forecast(plan, asked, 4, 0)
    (criterion,) = found.criteria
    assert found.promote
    assert found.promote.median == 510.0
    assert criterion.promote
    assert criterion.promote.median < 500.0


def test_a_counter_is_known_to_have_kept_its_limit_at_the_end_only():
    plan, asked = one(limit_on(ERROR_COUNT, 500.0), 0.001, 0.5, iterations=10)
    promote, rollback = proofs(plan, asked, 4)
    assert promote.median == 150.0
    assert rollback.median < 150.0


def test_the_baseline_as_its_own_candidate_has_all_the_traffic_from_the_start():
    plan = replace(plan_of(ERRORS), candidates=("v1",))
    performance, _ = proofs(plan, one(ERRORS, 0.003, 0.03)[1], 4)
    canary, _ = proofs(*one(ERRORS, 0.003, 0.03), 4)
    assert performance.median < canary.median
    assert performance.median_requests == pytest.approx(RATE * performance.median, rel=0.2)


@pytest.mark.parametrize("strategy", Strategy)
def test_every_strategy_has_a_forecast(strategy):
    plan, asked = one(ERRORS, 0.001, 0.05, strategy=strategy)
    assert math.isfinite(proofs(replace(plan, candidates=("v2", "v3")), asked, 3)[0].median)


def test_the_least_changes_are_those_that_make_it_likely():
    plan, asked = one(ERRORS, 0.001, 0.05, iterations=28, max_increment=2)
    changes = {change.field: change for change in least_changes(plan, asked, forecast(plan, asked))}
    more = changes["spec.duration.maxIterations"]
    assert more.now == 28
    assert proofs(replace(plan, iterations=int(more.then)), asked)[0].in_time >= 0.75
    steeper = changes["spec.trafficControl.maxIncrement"]
    assert steeper.now == 2
    assert proofs(replace(plan, max_increment=int(steeper.then)), asked)[0].in_time >= 0.75
    assert proofs(plan, asked, PATHS)[0].in_time < IN_TIME


def test_a_wider_limit_is_found_where_it_helps_and_nothing_is_changed_where_all_is_well():
    plan, asked = one(limit_on(MEAN_LATENCY, 4.2), 4.0, 12.0, iterations=12)
    wider = next(c for c in least_changes(plan, asked, forecast(plan, asked)) if "threshold" in c.field)
    assert wider == Change("spec.criteria[0].threshold.value", 4.2, wider.then)
    assert wider.then > 4.2
    plan, asked = one(limit_on(MEAN_LATENCY, 100.0), 4.0, 200.0, iterations=12)
    assert least_changes(plan, asked, forecast(plan, asked)) == []


def test_where_higher_is_better_a_share_near_one_gets_room_for_its_failures():
    fast = Criterion(
        "0", "fast", replace(ERROR_RATE, numerator="fast", lower_is_better=False), Limit(LimitKind.ABSOLUTE, 0.99)
    )
    plan, asked = one(fast, 0.993, 0.9, iterations=12, max_increment=50)
    wider = [c for c in least_changes(plan, asked, forecast(plan, asked, 8, 0)) if "threshold" in c.field]
    assert all(0.9 <= c.then < 0.99 for c in wider)


@given(st.floats(1e-4, 500.0), st.floats(-6.0, 6.0))
def test_a_count_is_the_poisson_count_at_the_same_quantile(mean, score):
    found, quantile = paths.count(mean, score), norm.cdf(score)
    assert poisson.cdf(found, mean) >= quantile - 1e-9
    assert poisson.cdf(found - 1.0, mean) <= quantile + 1e-9
    assert paths.count(5.0 * mean, score, 5.0) == 5.0 * paths.count(mean, score)


@given(st.integers(1, 500), st.floats(0.05, 0.95), st.floats(-4.0, 4.0))
def test_a_share_is_the_binomial_count_at_the_same_quantile(trials, chance, score):
    found, quantile = paths.share(trials, chance, score), norm.cdf(score)
    assert binom.cdf(found, trials, chance) >= quantile - 1e-9
    assert binom.cdf(found - 1.0, trials, chance) <= quantile + 1e-9


@settings(deadline=None)
@given(st.integers(4, 40), st.integers(8, 120), st.integers(0, 50))
def test_the_sums_over_a_stretch_take_evenly_spaced_quantiles(count, readings, stream):
    weights = np.linspace(1.0, 4.0, readings)
    found = paths.scores(count, weights, stream)
    for members in np.array_split(np.arange(readings), paths.BLOCKS):
        root = np.sqrt(weights[members])
        sums = np.sort(found[:, members] @ root / np.linalg.norm(root))
        assert sums == pytest.approx(norm.ppf((np.arange(count) + 0.5) / count))
