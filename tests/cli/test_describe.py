import json
import math
from pathlib import Path

import pytest

from serin.api.v1alpha2.status import number
from serin.cli.layout import WIDTH
from tests.cli.conftest import Cli, FakeHome
from tests.cli.scenes import (
    NAME,
    assessed,
    deployment,
    destination_rule,
    event,
    experiment,
    seen,
    virtual_service,
)

GOLDEN = Path(__file__).parent / "golden"
STARTED = "2023-11-14T22:12:20Z"
CONDITIONS = [
    {"type": "TargetsProvided", "status": "True", "reason": "TargetsFound", "lastTransitionTime": STARTED},
    {
        "type": "ExperimentCompleted",
        "status": "False",
        "reason": "IterationUpdate",
        "message": "Iteration 3/12 completed",
        "lastTransitionTime": STARTED,
    },
]


def running() -> dict[str, object]:
    why = (
        "fashionmnist-v2 held at 20%: mean latency 4.1 ms (3.69 to 4.51) against a limit of 100 ms; "
        "3 of 4 blocks seen, about 12 s to go"
    )
    return seen(
        "Progressing",
        "IterationUpdate: Iteration 3/12 completed",
        currentIteration=3,
        startTimestamp=STARTED,
        outcome="Running",
        reasons=[{"reason": "NotEnoughData", "text": why, "version": "candidate-0"}],
        assessment=assessed(20, False, "fashionmnist-v2", 0.88),
        conditions=CONDITIONS,
    )


def test_an_experiment_is_told_with_its_numbers(cli: Cli, home: FakeHome) -> None:
    about = ("Experiment", NAME)
    home.seed(
        experiment(**running()),
        virtual_service(),
        destination_rule(),
        event("e1", about, "Iteration 2/12 completed", at="2023-11-14T22:12:50Z", count=2),
        event("e2", about, "Iteration 3/12 completed", at="2023-11-14T22:13:05Z"),
        event("e3", ("Experiment", "another"), "not ours", at="2023-11-14T22:13:05Z"),
    )
    result = cli("describe", "experiment", NAME)
    assert result.out == (GOLDEN / "describe.txt").read_text()
    assert (result.code, result.err) == (0, "")
    assert max(map(len, result.out.splitlines())) <= WIDTH


def test_an_experiment_that_nobody_has_looked_at_is_described_too(cli: Cli, home: FakeHome) -> None:
    home.seed(experiment())
    out = cli("describe", "exp", NAME).out
    assert "Phase:       not looked at yet" in out
    assert "iter8_mean_latency, at most 100 ms" in out
    assert "fashionmnist-v2   candidate-0" in out
    assert out.endswith("Events:   none\n")


def test_a_reason_names_its_version(cli: Cli, home: FakeHome) -> None:
    reasons = [{"reason": "NotEnoughData", "text": "mean latency 4 ms", "version": "candidate-0"}]
    home.seed(experiment(**seen("Progressing", "x", reasons=reasons)))
    assert "  - fashionmnist-v2: mean latency 4 ms\n" in cli("describe", "exp", NAME).out


def test_a_proof_and_a_winner_are_named(cli: Cli, home: FakeHome) -> None:
    assessment = assessed(100, True, "fashionmnist-v2", 0.999)
    proven = assessment["candidates"][0]["criterion_assessments"][0]
    proven["evidence_for"] = {"nats": 5.0, "needed": 4.605, "chance": "1 in 148"}
    ended = seen(
        "Completed",
        "ExperimentCompleted: Traffic To Winner",
        assessment=assessment,
        outcome="Promoted",
        startTimestamp=STARTED,
        endTimestamp="2023-11-14T22:13:10Z",
    )
    home.seed(experiment(**ended))
    out = cli("describe", "exp", NAME).out
    assert "1 in 148 (proven)" in out
    assert "Outcome:     Promoted: fashionmnist-v2" in out
    assert "winner" in next(line for line in out.splitlines() if "candidate-0" in line)
    assert "after 50s" in out


def test_a_rolled_back_candidate_is_named(cli: Cli, home: FakeHome) -> None:
    assessment = assessed(0, True, "fashionmnist-v1")
    assessment["candidates"][0]["rollback"] = True
    home.seed(experiment(**seen("Completed", "x", assessment=assessment, outcome="BaselineWon")))
    out = cli("describe", "exp", NAME).out
    assert "rolled back" in next(line for line in out.splitlines() if "candidate-0" in line)
    assert "Outcome:     BaselineWon: fashionmnist-v1" in out


def test_any_other_object_is_shown_as_it_is(cli: Cli, home: FakeHome) -> None:
    home.seed(deployment("fashionmnist-v1"), event("e", ("Deployment", "fashionmnist-v1"), "Scaled up", at=STARTED))
    out = cli("describe", "deployment/fashionmnist-v1").out
    assert out.startswith("Name:        fashionmnist-v1\nNamespace:   default\nKind:        Deployment\n")
    assert "Labels:      app=fashionmnist, version=v1\n" in out
    assert "      - image: example/fashionmnist-v1:1\n" in out
    assert "  60s         Normal   IterationUpdate   Scaled up\n" in out


def test_programs_get_the_object_its_rules_and_its_events(cli: Cli, home: FakeHome) -> None:
    home.seed(experiment(**running()), virtual_service(), event("e", ("Experiment", NAME), "x", at=STARTED))
    items = json.loads(cli("describe", "exp", NAME, "-o", "json").out)["items"]
    assert [item["kind"] for item in items] == ["Experiment", "VirtualService", "Event"]


def test_what_is_not_there_is_an_error(cli: Cli) -> None:
    assert cli("describe", "exp", "x").code == 4
    assert cli("describe", "pods").err == "No resources found in default namespace.\n"
    assert cli("describe", "pod", "x", "-l", "a=b").code == 2


def test_what_is_too_wide_for_a_table_is_told_row_by_row(cli: Cli, home: FakeHome) -> None:
    status = running()
    long = "a-version-whose-name-tells-the-whole-story-of-how-it-came-to-be"
    for version in (status["assessment"]["baseline"], *status["assessment"]["candidates"]):  # type: ignore[index]
        version["name"] = f"{long}-{version['id']}"
    home.seed(experiment(**status))
    out = cli("describe", "exp", NAME).out
    assert max(map(len, out.splitlines())) <= WIDTH
    assert f"    {long}-candidate-0\n      Estimate:           4.1 ms\n" in out
    assert "      Evidence for:       1 in 40 of 1 in 100\n" in out


@pytest.mark.parametrize(("alpha", "shown"), [(0.01, "1 in 100"), (0.05, "1 in 20"), (0.001, "1 in 1000")])
def test_what_makes_a_proof_is_told_as_the_error_rate_that_was_asked_for(
    cli: Cli, home: FakeHome, alpha: float, shown: str
) -> None:
    status = running()
    found = status["assessment"]["candidates"][0]["criterion_assessments"][0]  # type: ignore[index]
    found["evidence_against"]["needed"] = number(math.log(1 / alpha))  # as the status keeps it
    home.seed(experiment(**status))
    assert f"1 in 1 of {shown} " in cli("describe", "exp", NAME).out
