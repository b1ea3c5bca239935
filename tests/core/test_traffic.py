"""Weights: whole, adding up to 100, never faster than allowed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin.core.model import BASELINE, Analysis, OnInconclusive, OnTermination, Outcome, Plan, Strategy
from serin.core.shares import Contender, shares
from serin.core.traffic import final_split, lowered, split, step_up, withdraw
from serin.errors import InvalidInput

anything = st.floats(allow_nan=True, allow_infinity=True)


def plan_of(candidates=1, **more):
    return Plan("v1", tuple(f"v{i + 2}" for i in range(candidates)), **more)


@st.composite
def situations(draw):
    plan = plan_of(
        draw(st.integers(0, 10)),
        max_increment=draw(st.integers(1, 100)),
        percentage=draw(st.integers(1, 100)),
        strategy=draw(st.sampled_from(Strategy)),
    )
    cuts = sorted(draw(st.lists(st.integers(0, 100), min_size=len(plan.candidates), max_size=len(plan.candidates))))
    edges = [0, *cuts, 100]
    last = {v: edges[i + 1] - edges[i] for i, v in enumerate(plan.ids)}
    here = [v for v in plan.ids if v == BASELINE or draw(st.booleans())]
    chances = {v: draw(anything) for v in here}
    carry = {v: draw(st.floats(-1, 1)) for v in plan.ids}
    target = shares(plan.strategy, {v: Contender(chance) for v, chance in chances.items()})
    return plan, last, target, carry, frozenset(draw(st.sets(st.sampled_from(plan.ids))))


@given(situations())
def test_weights_are_whole_percents_that_add_up_to_100_for_every_input(situation):
    plan, last, target, carry, rising = situation
    found = split(plan, target, last, carry, rising)
    assert sum(found.weights.values()) == 100
    assert all(isinstance(w, int) and 0 <= w <= 100 for w in found.weights.values())
    assert set(found.weights) == set(plan.ids)
    assert all(found.weights[v] == 0 for v in plan.ids if v not in target)
    assert all(abs(c) <= 1.0 for c in found.carry.values())


@given(situations())
def test_no_candidate_gains_more_than_the_largest_increment_and_none_that_may_not_rise_gains(situation):
    plan, last, target, carry, rising = situation
    found = split(plan, target, last, carry, rising)
    for v in target:
        if v != BASELINE:
            allowed = plan.max_increment if v in rising else 0
            assert found.weights[v] <= last[v] + allowed


@given(situations())
def test_candidates_together_get_no_more_than_the_percentage(situation):
    plan, last, target, _, rising = situation
    found = split(plan, target, last, {}, rising)
    assert 100 - found.weights[BASELINE] <= plan.percentage + 0.5 * len(plan.ids)


@given(situations(), st.data())
def test_nobody_gets_more_than_the_exposure_budget_allows_whatever_was_before(situation, data):
    plan, last, target, carry, rising = situation
    most = {v: data.draw(st.integers(0, 100)) for v in plan.ids if v != BASELINE}
    for weights in (split(plan, target, last, carry, rising, most=most).weights, lowered(plan, last, most)):
        assert sum(weights.values()) == 100
        assert all(weights[v] <= most[v] for v in most)


def test_five_percent_are_spread_over_all_for_exploration():
    plan = plan_of(1, max_increment=100)
    found = split(plan, {"baseline": 0.0, "candidate-0": 1.0}, {"baseline": 100}, {}, ["candidate-0"])
    assert found.weights == {"baseline": 2, "candidate-0": 98}
    assert found.carry == {"baseline": 0.5, "candidate-0": -0.5}


def test_what_rounding_has_cost_is_made_good_when_the_weights_move_next():
    plan = plan_of(2, max_increment=100)
    thirds = {"baseline": 0.34, "candidate-0": 0.33, "candidate-1": 0.33}
    owed = {"candidate-0": -0.6, "candidate-1": 0.6}
    found = split(plan, thirds, {"baseline": 100}, owed, plan.ids)
    assert found.weights["candidate-1"] > found.weights["candidate-0"]


def test_weights_that_would_move_by_less_than_a_percent_stay():
    plan = plan_of(6, max_increment=100)
    target = dict.fromkeys(plan.ids, 1 / 7)
    first = split(plan, target, {"baseline": 100}, {}, plan.ids)
    assert split(plan, target, first.weights, first.carry, plan.ids).weights == first.weights


def averages(plan, target, times):
    """Version -> its mean weight over so many splits of the same target."""
    last: dict[str, int] = {"baseline": 100}
    carry: dict[str, float] = {}
    given = dict.fromkeys(plan.ids, 0)
    for _ in range(times):
        last, carry = (found := split(plan, target, last, carry, plan.ids)).weights, found.carry
        given = {v: given[v] + last[v] for v in plan.ids}
    return {v: total / times for v, total in given.items()}


@pytest.mark.parametrize("candidates", [1, 4, 9, 19])
@pytest.mark.parametrize("percentage", [100, 20])
def test_of_a_share_below_one_percent_everybody_gets_a_turn(candidates, percentage):
    """Ten versions explore half a percent each, two of 20 % as little: rounded down for good they would get nothing."""
    plan = plan_of(candidates, max_increment=100, percentage=percentage)
    target = {v: 1.0 if v == BASELINE else 0.0 for v in plan.ids}
    share = 0.05 * percentage / (candidates + 1)
    found = averages(plan, target, times=200)
    assert all(0.75 * min(1.0, share) <= found[v] <= max(1.0, 1.25 * share) for v in plan.ids[1:])


def test_what_the_cap_holds_back_goes_to_the_baseline():
    plan = plan_of(2, max_increment=5)
    target = {"baseline": 0.0, "candidate-0": 0.5, "candidate-1": 0.5}
    found = split(plan, target, {"baseline": 90, "candidate-0": 10, "candidate-1": 0}, {}, ["candidate-0"])
    assert found.weights == {"baseline": 85, "candidate-0": 15, "candidate-1": 0}


def test_a_candidate_that_is_cut_off_gets_not_even_the_exploration_share():
    plan = plan_of(1, max_increment=20)
    found = split(plan, {"baseline": 0.97, "candidate-0": 0.03}, {"candidate-0": 20}, {}, [], ["candidate-0"])
    assert found.weights == {"baseline": 100, "candidate-0": 0}


def test_without_criteria_each_candidate_steps_up_until_the_baseline_has_none_left():
    plan = plan_of(2, max_increment=20)
    weights, seen = {"baseline": 100, "candidate-0": 0, "candidate-1": 0}, []
    for _ in range(4):
        weights = step_up(plan, weights, plan.ids)
        seen.append(tuple(weights.values()))
    assert seen == [(60, 20, 20), (20, 40, 40), (0, 50, 50), (0, 50, 50)]


@given(st.integers(1, 10), st.integers(1, 100), st.integers(1, 100))
def test_stepping_up_ends_with_whole_percents_within_the_percentage(candidates, increment, percentage):
    plan = plan_of(candidates, max_increment=increment, percentage=percentage)
    weights = {v: 100 * (v == BASELINE) for v in plan.ids}
    for _ in range(101):
        before, weights = weights, step_up(plan, weights, plan.ids)
        assert sum(weights.values()) == 100
        assert all(0 <= w <= 100 and w - before[v] <= increment for v, w in weights.items() if v != BASELINE)
    assert weights[BASELINE] == 100 - percentage


def test_withdrawn_weight_goes_to_the_baseline_or_to_the_refuge():
    plan = plan_of(2)
    last = {"baseline": 50, "candidate-0": 30, "candidate-1": 20}
    assert withdraw(plan, last, ["candidate-0"]) == {"baseline": 80, "candidate-0": 0, "candidate-1": 20}
    assert withdraw(plan, last, [BASELINE], "candidate-1") == {"baseline": 0, "candidate-0": 30, "candidate-1": 70}


P, B, L = {"baseline": 0, "candidate-0": 100}, {"baseline": 100, "candidate-0": 0}, {"baseline": 40, "candidate-0": 60}
ENDS = [
    (Outcome.PROMOTED, "to_winner", "baseline", P),
    (Outcome.PROMOTED, "to_baseline", "baseline", B),
    (Outcome.PROMOTED, "keep_last", "baseline", L),
    (Outcome.BASELINE_WON, "to_winner", "baseline", B),
    (Outcome.INCONCLUSIVE, "to_winner", "baseline", B),
    (Outcome.INCONCLUSIVE, "to_winner", "keep", L),
    (Outcome.INCONCLUSIVE, "to_baseline", "keep", B),
    (Outcome.INCONCLUSIVE, "keep_last", "baseline", L),
    (Outcome.NOBODY, "keep_last", "keep", B),
    (Outcome.TERMINATED, "keep_last", "keep", B),
]


@pytest.mark.parametrize(("outcome", "on_termination", "on_inconclusive", "weights"), ENDS)
def test_the_split_after_the_end(outcome, on_termination, on_inconclusive, weights):
    plan = plan_of(
        1,
        on_termination=OnTermination(on_termination),
        analysis=Analysis(on_inconclusive=OnInconclusive(on_inconclusive)),
    )
    winner = {Outcome.PROMOTED: "candidate-0", Outcome.BASELINE_WON: BASELINE}.get(outcome)
    assert final_split(plan, outcome, winner, L) == weights


def test_a_split_by_hand_is_by_name():
    found = final_split(plan_of(1), Outcome.TERMINATED, None, L, {"v2": 30, "v1": 70})
    assert found == {"baseline": 70, "candidate-0": 30}


REFUSED = [
    ({"v1": 50, "v2": 40}, "adds up to 90"),
    ({"v1": 50, "v3": 50}, "'v3' is no version of this experiment (v1, v2)"),
    ({"v1": -1, "v2": 101}, "write a whole number 0 to 100"),
    ({"v1": 99.5, "v2": 0.5}, "write a whole number 0 to 100"),
    ({"v1": True, "v2": 99}, "write a whole number 0 to 100"),
]


@pytest.mark.parametrize(("override", "sentence"), REFUSED)
def test_an_impossible_split_by_hand_is_refused_with_its_place(override, sentence):
    with pytest.raises(InvalidInput) as refused:
        final_split(plan_of(1), Outcome.TERMINATED, None, L, override)
    assert sentence in str(refused.value)
    assert str(refused.value).startswith("spec.manualOverride.trafficSplit")


def test_who_gets_the_last_percent_does_not_depend_on_the_order_of_the_candidates():
    splits = []
    for names in (("v2", "v3", "v4"), ("v4", "v2", "v3")):
        plan = Plan("v1", names, max_increment=100)
        found = split(plan, dict.fromkeys(plan.ids, 1 / 4), {}, {"baseline": -0.5, "candidate-0": 0.0}, plan.ids)
        splits.append({plan.name(v): w for v, w in found.weights.items()})
    assert splits[0] == splits[1]
    plan = Plan("v1", ("v2", "v3"), max_increment=100)
    found = split(plan, {"baseline": 0.0, "candidate-0": 0.5, "candidate-1": 0.5}, {}, {}, plan.ids)
    turned = split(
        replace(plan, candidates=("v3", "v2")),
        {"baseline": 0.0, "candidate-0": 0.5, "candidate-1": 0.5},
        {},
        {},
        plan.ids,
    )
    assert (found.weights["candidate-0"], found.weights["candidate-1"]) == (
        turned.weights["candidate-1"],
        turned.weights["candidate-0"],
    )
