"""What the baseline's counters from before the start teach, and what an experiment does with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from serin.core.evidence.learning import RatePast
from serin.core.history import learned
from serin.core.lifecycle import State, begin, observe
from serin.core.model import Analysis, LimitKind, Plan
from serin.core.observation import Series, Snapshot
from tests.core.simulation import ERROR_RATE, ERRORS, MEAN_LATENCY, REQUESTS, limit_on

PLAN = Plan("v1", ("v2",), (limit_on(ERROR_RATE, 0.01), limit_on(ERROR_RATE, 1.5, LimitKind.RELATIVE, id="1")))
FAMILIES = frozenset({REQUESTS, ERRORS})


def past(errors, requests=100, step=15.0, instances=1, start=1000.0):
    """Snapshots of a baseline whose instances count so many errors a step."""
    totals, found = np.zeros((instances, 2)), []
    for i, failed in enumerate([np.zeros(instances), *errors]):
        if i:
            totals += np.column_stack([np.full(instances, requests), np.broadcast_to(failed, instances)])
        series = tuple(
            Series("baseline", counter, f"pod-{k}", float(totals[k, j]), start)
            for k in range(instances)
            for j, counter in enumerate((REQUESTS, ERRORS))
        )
        found.append(Snapshot(start + i * step, series, FAMILIES))
    return found


def rate_past(kept) -> RatePast:
    assert isinstance(kept, RatePast)
    return kept


def test_units_of_history_are_what_was_counted_in_them():
    found = rate_past(learned(PLAN, past([1, 0, 2, 0, 0, 1, 3, 1]))["0"])
    assert found.units == 8
    k, trials, events, squares, *_ = found.scatter.sums[0]
    assert (k, trials, events, squares) == (8, 800, 8, 16)


def test_the_step_of_the_source_does_not_matter():
    fine = past([1, 0, 0] * 8, 50, step=5.0)
    coarse = [s for i, s in enumerate(fine) if i % 3 == 0]
    one, other = (rate_past(learned(PLAN, s)["0"]).scatter for s in (fine, coarse))
    assert one.sums[0][1:3] == other.sums[0][1:3] == (1200, 8)


def test_order_repetition_and_a_hole_do_no_harm():
    whole = past([1, 0, 2, 0, 0, 1, 3, 1])
    shuffled = [*reversed(whole), whole[3]]
    assert learned(PLAN, shuffled) == learned(PLAN, whole)
    found = rate_past(learned(PLAN, [s for i, s in enumerate(whole) if i not in (3, 4)])["0"])
    assert found.units == 8
    assert found.scatter.sums[0][:3] == (6, 800, 8)


def test_a_reset_within_history_loses_only_what_was_lost():
    snapshots = past([1, 1, 1, 1])
    fallen = [
        replace(s, series=tuple(replace(x, value=x.value * (0.1 if s.time > 1030.0 else 1.0)) for x in s.series))
        for s in snapshots
    ]
    found = rate_past(learned(PLAN, fallen)["0"])
    assert found.units == 4
    assert 0 < found.scatter.sums[0][1] < 400


@pytest.mark.parametrize("snapshots", [[], past([])], ids=["nothing", "a single snapshot"])
def test_no_history_is_no_error(snapshots):
    assert learned(PLAN, snapshots) == {}


def test_two_halves_of_the_pods_are_a_placebo_where_instances_are_pods():
    snapshots = past([np.array([1, 0, 2, 1])] * 40, instances=4)
    together, apart = (rate_past(learned(PLAN, snapshots, pods)["1"]) for pods in (False, True))
    assert together.placebo is None
    assert apart.placebo is not None
    assert apart.placebo.sums[0][2] > 30
    assert rate_past(learned(PLAN, past([1] * 40), pods=True)["1"]).placebo is None  # one pod has no halves


def test_an_experiment_remembers_what_it_has_learned_and_so_do_its_candidates():
    kept = learned(PLAN, past([1, 0, 2, 0] * 30))
    state = State.from_json(begin(PLAN, 5000.0, kept).to_json())
    assert State.from_json(state.to_json()).to_json() == state.to_json()
    for second, count in ((5001.0, 0.0), (5016.0, 100.0), (5031.0, 220.0)):
        series = tuple(Series(v, c, "envoy", count, 0.0) for v in PLAN.ids for c in (REQUESTS,))
        state, _ = observe(PLAN, state, Snapshot(second, series, FAMILIES))
    evidence = state.evidence["candidate-0"]["0"]
    assert not isinstance(evidence, dict)
    assert evidence.history == 1800.0  # type: ignore[union-attr]


def test_history_makes_a_proof_faster():
    """The same readings, with half an hour of quiet history and without."""
    kept = learned(PLAN, past([1, 0, 0, 1, 2, 0, 0, 0] * 15, 200))
    rng = np.random.default_rng(1)
    found = {}
    counted = [(rng.poisson(150), rng.poisson(450)) for _ in range(60)]
    for name, known in (("with", kept), ("without", None)):
        plan = replace(PLAN, criteria=PLAN.criteria[:1], analysis=Analysis(burst=2.5))
        state, totals = begin(plan, 5000.0, known), np.zeros(2)
        for i, (own, base) in enumerate(counted):
            totals += (base, own)
            series = tuple(Series(v, REQUESTS, "envoy", float(n), 0.0) for v, n in zip(plan.ids, totals, strict=True))
            state, _ = observe(plan, state, Snapshot(5000.0 + 15.0 * (i + 1), series, FAMILIES))
            if state.proofs.get("candidate-0"):
                found[name] = i + 1
                break
    assert found["with"] <= 0.7 * found["without"]


def test_a_mean_learns_from_history_too_or_says_that_it_does_not():
    plan = replace(PLAN, criteria=(limit_on(MEAN_LATENCY, 100.0),))
    assert learned(plan, past([1] * 10)) == {}
