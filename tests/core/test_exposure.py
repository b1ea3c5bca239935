"""The exposure budget: extra failures stay within what was accepted."""

import math
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin.core.evidence.criterion import Sums, start
from serin.core.evidence.rate import interval_of_rate
from serin.core.exposure import largest_weights, most_requests, spent
from serin.core.lifecycle import unsupported
from serin.core.model import Analysis, Criterion, Limit, LimitKind, Measure, MeasureKind, Plan, Reason
from tests.core.simulation import ERROR_RATE, ERRORS, MEAN_LATENCY, REQUESTS, Service, Version, experiment, limit_on

ERRORS_AT_1 = limit_on(ERROR_RATE, 0.01)


def plan_of(budget=20.0, candidates=1, criteria=(ERRORS_AT_1,), **more):
    names = tuple(f"v{i + 2}" for i in range(candidates))
    return Plan("v1", names, criteria, interval=30.0, analysis=Analysis(exposure_budget=budget), **more)


def evidence_of(plan, **seen):
    """Evidence of every version, `candidate_0=(requests, errors)`."""
    found = {}
    for v in plan.ids:
        trials, events = seen.get(v.replace("-", "_"), (0.0, 0.0))
        own = {c.id: start(c, plan.analysis, 100, own_baseline=v == "baseline") for c in plan.criteria}
        for _ in range(10):
            own = {c: e.update(Sums(trials / 10, events / 10), Sums(100.0, 1.0), 15.0) for c, e in own.items()}
        found[v] = own
    return found


@given(st.floats(0, 1e4), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_extra_failures_to_be_expected_never_exceed_what_is_left(left, allowed, at_most, share):
    requests = most_requests(left, allowed, at_most)
    true_share = min(share, at_most)
    if math.isfinite(requests):
        assert requests * (true_share - allowed) <= max(0.0, left - 1.0) * (1 + 1e-9)
    else:
        assert true_share <= allowed


def test_before_anything_is_known_the_first_step_is_as_many_requests_as_failures_are_accepted():
    plan = plan_of(20.0)
    assert largest_weights(plan, evidence_of(plan), ["candidate-0"], 1200.0) == {"candidate-0": 1}  # 19.2 of 1200
    assert largest_weights(plan, evidence_of(plan), ["candidate-0"], 400.0) == {"candidate-0": 4}
    assert largest_weights(plan_of(None), evidence_of(plan), ["candidate-0"], 400.0) == {}


def test_what_is_proven_to_keep_its_limit_costs_nothing():
    plan = plan_of(1.0)
    good = evidence_of(plan, candidate_0=(50_000.0, 50.0))
    assert good["candidate-0"]["0"].anytime(0.05).upper < 0.01
    assert largest_weights(plan, good, ["candidate-0"], 1e9) == {"candidate-0": 100}


def test_who_has_spent_the_budget_gets_nothing_more_and_so_does_everybody_else_at_risk():
    plan = plan_of(20.0, candidates=2)
    evidence = evidence_of(plan, candidate_0=(100.0, 30.0), candidate_1=(100.0, 2.0))
    assert spent(plan, evidence) == pytest.approx(29.0 + 1.0)
    assert largest_weights(plan, evidence, ["candidate-0", "candidate-1"], 1000.0) == dict.fromkeys(plan.ids[1:], 0)
    assert largest_weights(plan, evidence, ["candidate-1"], 1000.0) == {"candidate-1": 0}


def test_the_budget_is_shared_by_the_candidates_that_may_cost_something():
    plan = plan_of(22.0, candidates=2)
    both = largest_weights(plan, evidence_of(plan), plan.ids[1:], 100.0)
    assert both == {"candidate-0": 10, "candidate-1": 10}
    one_is_safe = largest_weights(plan, evidence_of(plan, candidate_0=(50_000.0, 50.0)), plan.ids[1:], 100.0)
    assert one_is_safe == {"candidate-0": 100, "candidate-1": 21}


def test_where_higher_is_better_the_requests_without_the_event_are_the_failures():
    measure = Measure(MeasureKind.RATE, "fast", REQUESTS, lower_is_better=False)
    plan = plan_of(20.0, criteria=(Criterion("0", "fast", measure, Limit(LimitKind.ABSOLUTE, 0.99)),))
    evidence = evidence_of(plan, candidate_0=(100.0, 80.0))
    assert spent(plan, evidence) == pytest.approx(20.0 - 1.0)


def test_while_a_limit_relative_to_the_baseline_cannot_be_told_every_failure_is_extra():
    plan = plan_of(20.0, criteria=(limit_on(ERROR_RATE, 1.5, LimitKind.RELATIVE),))
    evidence = evidence_of(plan, candidate_0=(100.0, 5.0))
    assert spent(plan, evidence) == pytest.approx(5.0)
    assert spent(plan, evidence_of(plan, candidate_0=(100.0, 5.0), baseline=(1000.0, 20.0))) == pytest.approx(2.0)


@pytest.mark.parametrize("budget", [3.0, 10.0, 50.0])
@pytest.mark.parametrize("share", [0.02, 0.05, 0.2])
def test_the_budget_is_not_exceeded_in_expectation_over_many_intervals(budget, share):
    rng, allowed, level = np.random.default_rng(7), 0.01, math.log(2 / 0.05)
    at_most = lru_cache(None)(lambda events, trials: interval_of_rate(events, trials, level).upper)
    extra = []
    for _ in range(40):
        n, e, requests = 0, 0.0, 1
        while requests and n < 8000:
            left = budget - max(0.0, e - allowed * n)
            requests = math.floor(min(1000.0, most_requests(left, allowed, at_most(e, n))))
            n, e = n + requests, e + float(rng.binomial(requests, share))
        extra.append(e - allowed * n)
    error = float(np.std(extra)) / math.sqrt(len(extra))
    assert float(np.mean(extra)) <= budget + 2.0 * error


def test_an_experiment_with_a_budget_gives_a_bad_candidate_less_and_says_why():
    first = {}
    for budget in (None, 70.0):
        plan = replace(plan_of(budget, max_increment=50), iterations=3)
        service = Service({"baseline": Version(), "candidate-0": Version(errors=0.04)}, rate=200.0)
        run = experiment(plan, service, reading=15.0)
        first[budget] = run.decisions[0].weights["candidate-0"]
    assert first == {None: 9, 70.0: 1}
    assert service.counters["candidate-0"][ERRORS] <= 70.0
    held = [f for d in run.decisions for f in d.findings if f.reason is Reason.EXPOSURE_BUDGET]
    assert held[0].text.startswith("no more than 1 % of the traffic for now, by analysis.exposureBudget: 0 of 70 extra")


def test_a_budget_that_nothing_counts_against_is_refused_with_the_way_out():
    assert unsupported(plan_of(20.0)) == []
    (text,) = unsupported(plan_of(20.0, criteria=(limit_on(MEAN_LATENCY, 100.0),)))
    assert text.startswith("spec.analysis.exposureBudget: no criterion counts failures; give one")
