"""How the promised error rates are divided."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from serin.core.budget import budget
from serin.core.model import Analysis, Criterion, Limit, LimitKind, Measure, MeasureKind, Plan

MEAN = Measure(MeasureKind.MEAN, "latency", "requests")
LIMITED = Criterion("0", "mean_latency", MEAN, Limit(LimitKind.ABSOLUTE, 100.0))
REWARD = Criterion("1", "books", replace(MEAN, numerator="books", lower_is_better=False), is_reward=True)


def test_one_candidate_with_one_limit() -> None:
    found = budget(Plan("v1", ("v2",), (LIMITED,)))
    assert found.promotion == pytest.approx(math.log(100))
    assert found.rollback == pytest.approx(math.log(20))
    assert found.mismatch == pytest.approx(math.log(1000))
    assert found.spent == pytest.approx(0.061)


def test_the_number_of_criteria_costs_a_promotion_nothing_and_a_rollback_its_share() -> None:
    three = tuple(replace(LIMITED, id=str(i)) for i in range(3))
    found = budget(Plan("v1", ("v2",), (*three, REWARD)))
    assert found.promotion == pytest.approx(math.log(1 / 0.01))
    assert found.rollback == pytest.approx(math.log(3 / 0.05))


def test_candidates_share_all_of_it() -> None:
    plan = Plan("v1", ("v2", "v3"), (LIMITED, REWARD), analysis=Analysis(false_promotion=0.02, false_rollback=0.1))
    found = budget(plan)
    assert found.promotion == found.winner == pytest.approx(math.log(2 / 0.02))
    assert found.rollback == pytest.approx(math.log(2 / 0.1))
    assert found.spent == pytest.approx(0.02 + 0.02 + 0.1 + 0.001)


def test_an_experiment_without_candidates_or_limits_has_a_budget_too() -> None:
    assert budget(Plan("v1", ())).rollback == pytest.approx(math.log(20))
