"""What a play reports: when an outcome is the one expected, and what counts as lost."""

from __future__ import annotations

import json

import pytest

from serin.demo.report import Moment, Report, as_json
from serin.demo.scenarios import ERRORS, SUCCESS, Scenario, play
from serin.errors import UsageError
from serin.load.report import Answer, LoadReport, Tally
from serin.ports import Object

V1, V2 = "fashionmnist-v1", "fashionmnist-v2"


def traffic(failing: str | None = None, failures: int = 0) -> LoadReport:
    """100 requests, 60 of them to the baseline; some that one version answers with 500."""
    tally = Tally("http://127.0.0.1:8080/")
    for version, count in ((V1, 60), (V2, 40)):
        for number in range(count):
            status = 500 if version == failing and number < failures else 200
            tally.add(Answer(0.004, status, version))
    return tally.report(10.0, 100)


CLEAN = traffic()


def ended(winner: str, found: bool = True, phase: str = "Completed") -> Object:
    assessment = {"winner": {"name": winner, "winning_version_found": found}}
    return {
        "status": {
            "phase": phase,
            "message": "ExperimentCompleted: Traffic To Winner",
            "currentIteration": 6,
            "assessment": assessment,
            "outcome": "Promoted",
            "reasons": [{"text": "proven"}],
        }
    }


def report(scenario: Scenario, experiment: Object, final: dict[str, int], sent: LoadReport) -> Report:
    return Report(scenario, experiment, 12.3, sent, (Moment(1.0, {"fashionmnist-v1": 100}), Moment(12.0, final)))


@pytest.mark.parametrize(
    ("scenario", "experiment", "final", "sent", "expected"),
    [
        (SUCCESS, ended(V2), {V1: 0, V2: 100}, CLEAN, True),
        (SUCCESS, ended(V2, found=False), {V1: 0, V2: 100}, CLEAN, False),
        (SUCCESS, ended(V1), {V1: 100, V2: 0}, CLEAN, False),
        (SUCCESS, ended(V2), {V1: 2, V2: 98}, CLEAN, False),
        (SUCCESS, ended(V2, phase="Progressing"), {V1: 0, V2: 100}, CLEAN, False),
        (SUCCESS, ended(V2), {V1: 0, V2: 100}, traffic(V2, 1), False),
        (ERRORS, ended(V1), {V1: 100, V2: 0}, traffic(V2, 7), True),
        (ERRORS, ended(V1), {V1: 100, V2: 0}, traffic(V1, 1), False),
    ],
)
def test_only_the_scenarios_own_end_without_a_lost_request_is_expected(
    scenario: Scenario, experiment: Object, final: dict[str, int], sent: LoadReport, expected: bool
) -> None:
    assert report(scenario, experiment, final, sent).as_expected is expected


def test_one_scenario_stands_at_the_top_and_several_only_in_the_list() -> None:
    one = report(SUCCESS, ended(V2), {V1: 0, V2: 100}, CLEAN)
    alone = json.loads(json.dumps(as_json([one])))
    assert alone["scenario"] == "success"
    assert alone["requests"]["by_version"] == {V1: 60, V2: 40}
    assert alone["candidate_share"] == 0.4
    assert [entry["scenario"] for entry in alone["scenarios"]] == ["success"]
    assert list(as_json([one, one])) == ["scenarios"]


def test_errors_that_a_failing_candidate_answers_itself_are_said_apart() -> None:
    sent = traffic(V2, 7)
    told = "\n".join(report(ERRORS, ended(V1), {V1: 100, V2: 0}, sent).summary())
    assert "100 sent, 7 failed, 0 lost" in told
    assert "7 were answered with an error by the failing candidate itself" in told


def test_an_unknown_scenario_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="there is no scenario 'nope'; choose one of success, slow"):
        play("nope")
    assert [scenario.name for scenario in play("failing")] == ["slow", "errors", "crash"]
