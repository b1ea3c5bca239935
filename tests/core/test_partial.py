"""An experiment in which only some requests take part: the others are counted for the baseline, and prove nothing."""

from __future__ import annotations

from dataclasses import replace

from serin.core.lifecycle import begin, iterate, observe
from serin.core.model import Outcome, Plan, Reason
from serin.core.policies import Surroundings
from tests.core.simulation import MEAN_LATENCY, Service, Version, limit_on

PLAN = Plan("v1", ("v2",), (limit_on(MEAN_LATENCY, 100.0),), interval=15.0, iterations=12, max_increment=20)
EVERYBODY = Surroundings(frozenset(PLAN.ids), {})


def lived(plan: Plan) -> tuple[Outcome, set[Reason]]:
    """The end of an experiment by whose rules every second request goes, and why."""
    state, now = begin(plan, 1000.0), 1000.0
    service = Service({v: Version() for v in plan.ids}, 40.0, 1)
    while True:
        for _ in range(15):
            now += 1.0
            service.run(1.0, state.weights)
            service.run(1.0, {"baseline": 100})
            state, _ = observe(plan, state, service.snapshot(now))
        state, decision = iterate(plan, state, now, EVERYBODY)
        if decision.outcome is not Outcome.RUNNING:
            return decision.outcome, {finding.reason for finding in decision.findings}


def test_where_all_take_part_too_many_requests_at_the_baseline_are_a_mismatch() -> None:
    assert lived(PLAN) == (Outcome.INCONCLUSIVE, {Reason.SAMPLE_RATIO_MISMATCH})


def test_where_only_some_take_part_they_are_the_requests_of_the_others() -> None:
    assert lived(replace(PLAN, partial=True)) == (Outcome.PROMOTED, {Reason.PROVEN_SAFE})
