"""`.status.assessment` in the contract's words, and the columns printed from it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from serin.api.v1alpha2 import columns, status
from serin.core.model import (
    Assessment,
    CriterionAssessment,
    Decision,
    Finding,
    Interval,
    Outcome,
    Reason,
    VersionAssessment,
)

CRITERION = CriterionAssessment(
    criterion="0",
    metric="iter8_mean_latency",
    value=3.9421873,
    credible=Interval(3.5, 4.25),
    anytime=Interval(3.25, math.inf),
    improvement_over_baseline=Interval(-0.1, 0.2),
    probability_of_beating_baseline=0.4,
    probability_of_being_best=0.6,
    breached=False,
    probability_of_satisfying=0.9999999,
    evidence_for=math.log(3400),
    needed_for=math.log(100),
    evidence_against=0.0,
    needed_against=3.0,
    eta=12.0,
    missing="3 of 4 blocks seen",
)
ASSESSMENT = Assessment(
    versions=(
        VersionAssessment("baseline", "shop-v1", 80, 1234.0, 0.4),
        VersionAssessment("candidate-0", "shop-v2", 20, 56.5, 0.6, rollback=True, criteria=(CRITERION,)),
    ),
    best="candidate-0",
    probability_of_best=0.998,
)


def test_the_assessment_is_the_contracts() -> None:
    assert status.assessment(ASSESSMENT) == {
        "baseline": {
            "id": "baseline",
            "name": "shop-v1",
            "weight": 80,
            "request_count": 1234,
            "win_probability": 0.4,
            "criterion_assessments": [],
        },
        "candidates": [
            {
                "id": "candidate-0",
                "name": "shop-v2",
                "weight": 20,
                "request_count": 56.5,
                "win_probability": 0.6,
                "rollback": True,
                "criterion_assessments": [
                    {
                        "id": "0",
                        "metric_id": "iter8_mean_latency",
                        "statistics": {
                            "value": 3.94219,
                            "ratio_statistics": {
                                "credible_interval": {"lower": 3.5, "upper": 4.25},
                                "improvement_over_baseline": {"lower": -0.1, "upper": 0.2},
                                "probability_of_beating_baseline": 0.4,
                                "probability_of_being_best_version": 0.6,
                            },
                        },
                        "threshold_assessment": {
                            "threshold_breached": False,
                            "probability_of_satisfying_threshold": 1.0,
                        },
                        "anytime_interval": {"lower": 3.25, "upper": None},
                        "evidence_for": {"nats": 8.13153, "needed": 4.60517, "chance": "1 in 3400"},
                        "evidence_against": {"nats": 0, "needed": 3, "chance": "1 in 1"},
                        "missing": "3 of 4 blocks seen",
                        "eta_seconds": 12,
                    }
                ],
            }
        ],
        "winner": {
            "name": "shop-v2",
            "current_best_version": "candidate-0",
            "winning_version_found": False,
            "probability_of_winning_for_best_version": 0.998,
        },
    }


def test_what_is_not_known_is_null_and_what_says_nothing_of_ours_is_left_out() -> None:
    nothing = CriterionAssessment(criterion="0", metric="m", value=math.nan, credible=Interval(-math.inf, math.nan))
    version = replace(ASSESSMENT.versions[1], criteria=(nothing,), requests=math.nan, win_probability=None)
    told = status.assessment(replace(ASSESSMENT, versions=(ASSESSMENT.versions[0], version), probability_of_best=None))
    (criterion,) = told["candidates"][0]["criterion_assessments"]
    assert criterion == {
        "id": "0",
        "metric_id": "m",
        "statistics": {
            "value": None,
            "ratio_statistics": {
                "credible_interval": {"lower": None, "upper": None},
                "improvement_over_baseline": None,
                "probability_of_beating_baseline": None,
                "probability_of_being_best_version": None,
            },
        },
    }
    json.dumps(told, allow_nan=False)


@pytest.mark.parametrize(
    ("value", "told"),
    [(None, None), (math.nan, None), (math.inf, None), (-math.inf, None), (5.0, 5), (0.1 + 0.2, 0.3), (1e300, 1e300)],
)
def test_numbers_are_fit_for_json(value: float | None, told: float | None) -> None:
    assert status.number(value) == told


def test_the_winner_is_the_one_that_was_declared() -> None:
    won = status.assessment(replace(ASSESSMENT, winner="baseline"))["winner"]
    assert (won["name"], won["current_best_version"], won["winning_version_found"]) == ("shop-v1", "baseline", True)


def test_a_decision_tells_its_outcome_and_reasons() -> None:
    found = Finding(Reason.PROVEN_HARM, "mean latency is proven above 100 ms", "candidate-0", "0")
    decision = Decision({}, Outcome.RUNNING, findings=(found, Finding(Reason.PROGRESSING, "goes on")))
    assert status.outcome(decision) == {
        "outcome": "Running",
        "reasons": [
            {
                "reason": "ProvenHarm",
                "text": "mean latency is proven above 100 ms",
                "version": "candidate-0",
                "criterion": "0",
            },
            {"reason": "Progressing", "text": "goes on"},
        ],
    }


def test_after_the_end_the_weights_are_those_of_the_end() -> None:
    before = status.assessment(ASSESSMENT)
    kept = json.dumps(before)
    told: Any = status.ended(before, {"baseline": 100}, "baseline")
    assert [told["baseline"]["weight"], told["candidates"][0]["weight"]] == [100, 0]
    assert (told["winner"]["name"], told["winner"]["winning_version_found"]) == ("shop-v1", True)
    assert json.dumps(before) == kept


def test_an_end_by_hand_shows_no_winner_of_the_last_look() -> None:
    before = status.assessment(replace(ASSESSMENT, winner="candidate-0"))
    told: Any = status.ended(before, {"baseline": 60, "candidate-0": 40}, None)
    assert told["winner"]["winning_version_found"] is False
    assert [told["baseline"]["weight"], told["candidates"][0]["weight"]] == [60, 40]
    assert status.ended(None, {}, None) is None


EXPERIMENT = {
    "metadata": {"name": "rollout"},
    "spec": {"service": {"baseline": "shop-v1", "candidates": ["shop-v2", "shop-v3"]}},
    "status": {
        "experimentType": "A/B/N",
        "effectiveHosts": ["shop", "shop.com"],
        "phase": "Progressing",
        "message": "IterationUpdate: Iteration 3/8 completed",
        "assessment": {
            "winner": {
                "name": "shop-v2",
                "winning_version_found": False,
                "probability_of_winning_for_best_version": 0.998,
            }
        },
    },
}


def test_the_columns_are_the_contracts() -> None:
    assert columns.headings() == ["NAME", "TYPE", "HOSTS", "PHASE", "WINNER FOUND", "CURRENT BEST", "STATUS"]
    assert columns.row(EXPERIMENT) == [
        "rollout", "A/B/N", '["shop","shop.com"]', "Progressing", "false", "shop-v2",
        "IterationUpdate: Iteration 3/8 completed",
    ]  # fmt: skip


def test_the_wide_columns_stand_where_the_contract_puts_them() -> None:
    wide = dict(zip(columns.headings(wide=True), columns.row(EXPERIMENT, wide=True), strict=True))
    assert list(wide)[-4:] == ["CONFIDENCE", "STATUS", "BASELINE", "CANDIDATES"]
    assert (wide["CONFIDENCE"], wide["BASELINE"], wide["CANDIDATES"]) == ("0.998", "shop-v1", '["shop-v2","shop-v3"]')


def test_what_is_not_there_yet_is_blank() -> None:
    assert columns.row({"metadata": {"name": "new"}, "status": {"assessment": None}}) == ["new", *[""] * 6]
