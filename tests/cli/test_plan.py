import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from serin.cli.assuming import Pair, violating
from serin.cli.layout import WIDTH
from serin.core.model import Criterion, Limit, LimitKind
from serin.core.observation import Snapshot
from serin.core.recording import Read, Writer
from serin.ports import Object
from tests.cli.conftest import Cli, FakeHome
from tests.core.simulation import ERROR_RATE, MEAN_LATENCY, REQUESTS, Service, Version, limit_on
from tests.core.simulation import LATENCY as LATENCY_SUM

LATENCY = {"metric": "iter8_mean_latency", "threshold": {"type": "absolute", "value": 100}}
ERRORS = {"metric": "iter8_error_rate", "threshold": {"type": "absolute", "value": 0.01}}


def experiment(*criteria: dict[str, Any], **spec: Any) -> Object:
    return {
        "apiVersion": "iter8.tools/v1alpha2",
        "kind": "Experiment",
        "metadata": {"name": "rollout"},
        "spec": {
            "service": {"name": "shop", "baseline": "shop-v1", "candidates": ["shop-v2"]},
            "criteria": list(criteria),
            "duration": {"interval": "15s", "maxIterations": 12},
            "trafficControl": {"maxIncrement": 20},
            **spec,
        },
    }


def file_of(folder: Path, *documents: Object) -> str:
    file = folder / "experiment.yaml"
    file.write_text(yaml.safe_dump_all(documents))
    return str(file)


def test_an_experiment_is_told_by_criterion_and_as_a_whole(cli: Cli, tmp_path: Path) -> None:
    file = file_of(tmp_path, experiment(LATENCY, ERRORS, duration={"interval": "15s", "maxIterations": 60}))
    result = cli("plan", "-f", file, "--rate", "40", "--error-rate", "0.1%", "--latency", "4", "--cv", "0.6")
    lines = result.out.splitlines()
    assert (result.code, result.err, cli.connections) == (0, "", 0)
    assert lines[0] == "rollout: 60 iterations of 15 s, 15 min in all; 40 requests/s"
    assert " ".join(lines[2].split()) == "CRITERION PROMOTE (90 %) REQUESTS ROLL BACK (90 %) REQUESTS"
    assert [line.strip().split("  ")[0] for line in lines[3:6]] == [
        "mean latency, at most 100 ms",
        "error rate, at most 1 %",
        "all of them",
    ]
    assert "  Assumed: error rate 0.1 %, a bad candidate 2 %." in lines
    assert "A proof is an accident of at most 1 in 100 to promote, 1 in 40 to roll back" in result.out
    assert max(map(len, lines)) <= WIDTH


def test_what_is_not_to_be_proven_in_time_is_warned_of_with_the_least_change(cli: Cli, tmp_path: Path) -> None:
    file = file_of(tmp_path, experiment(ERRORS))
    result = cli("plan", "-f", file, "--rate", "40", "--error-rate", "0.3%", "-o", "json")
    told = json.loads(result.out)
    assert result.code == 0
    assert told["promote"]["in_time"] < 0.9
    assert "a good candidate is proven within the 3 min of the experiment in" in told["warnings"][-1]
    iterations = next(each for each in told["changes"] if each["field"] == "spec.duration.maxIterations")
    assert iterations["now"] == 12
    text = cli("plan", "-f", file, "--rate", "40", "--error-rate", "0.3%").out
    assert "  Any one of these makes it likely (90 %) in time:\n  - spec.duration.maxIterations: " in text
    enough = int(iterations["then"])
    file_of(tmp_path, experiment(ERRORS, duration={"interval": "15s", "maxIterations": enough}))
    again = json.loads(cli("plan", "-f", file, "--rate", "40", "--error-rate", "0.3%", "-o", "json").out)
    assert again["promote"]["in_time"] >= 0.75


def test_what_cannot_be_proven_at_all_is_said_with_the_way_out(cli: Cli, tmp_path: Path) -> None:
    equal = {"metric": "iter8_mean_latency", "threshold": {"type": "relative", "value": 1.0}}
    result = cli("plan", "-f", file_of(tmp_path, experiment(equal)), "--rate", "40")
    assert "a candidate that is as assumed is not within the limit, so that is not to be proven; leave room" in (
        " ".join(result.out.split())
    )
    assert "can never be proven to be within 1 times its value" in result.err
    over = cli("plan", "-f", file_of(tmp_path, experiment(ERRORS)), "--rate", "40", "--error-rate", "2%")
    assert "a candidate with 2 % does not keep the limit of 1 %" in " ".join(over.out.split())


def test_programs_get_times_and_requests(cli: Cli, tmp_path: Path) -> None:
    file = file_of(tmp_path, experiment(LATENCY))
    told = json.loads(cli("plan", "-f", file, "--rate", "40", "--latency", "4:5", "--bad", "3", "-o", "json").out)
    (criterion,) = told["criteria"]
    assert (criterion["baseline"], criterion["good"], criterion["bad"]) == (4.0, 5.0, 300.0)
    assert set(told["promote"]) == {"median_seconds", "p90_seconds", "median_requests", "p90_requests", "in_time"}
    assert told["seconds"] == 180.0
    assert (told["warnings"], told["changes"]) == ([], [])


def test_several_experiments_are_told_one_after_the_other(cli: Cli, tmp_path: Path) -> None:
    second = experiment(LATENCY)
    second["metadata"] = {"name": "another"}
    file = file_of(tmp_path, experiment(LATENCY), second)
    result = cli("plan", "-f", file, "--rate", "40", "--latency", "4")
    assert [line.split(":")[0] for line in result.out.splitlines() if "iterations of" in line] == ["rollout", "another"]
    told = json.loads(cli("plan", "-f", file, "--rate", "40", "--latency", "4", "-o", "json").out)
    assert [each["name"] for each in told["experiments"]] == ["rollout", "another"]


def test_without_a_threshold_nothing_is_to_be_proven(cli: Cli, tmp_path: Path) -> None:
    out = cli("plan", "-f", file_of(tmp_path, experiment()), "--rate", "40").out
    assert "no criterion has a threshold: nothing is to be proven" in out


def counted(seconds: float, rate: float = 40.0, **version: float) -> list[Object]:
    """What a home has counted of the baseline, every 15 seconds."""
    service, writer = Service({"baseline": Version(**version)}, rate, seed=3), Writer()
    steps = []
    for i in range(int(seconds // 15) + 1):
        snapshot: Snapshot = service.snapshot(1000.0 + 15.0 * i)
        timed = tuple(replace(s, counter=f"{LATENCY_SUM}:count") for s in snapshot.series if s.counter == REQUESTS)
        steps.append(writer.write(Read(replace(snapshot, series=(*snapshot.series, *timed)))))
        service.run(15.0, {"baseline": 100})
    return steps


def test_what_is_not_typed_is_taken_from_the_counters_of_the_home(cli: Cli, home: FakeHome, tmp_path: Path) -> None:
    home.counted = counted(1800.0, rate=40.0, errors=0.004, latency=5.0)
    file = file_of(tmp_path, experiment(LATENCY, ERRORS))
    told = json.loads(cli("plan", "-f", file, "--from-baseline", "-o", "json").out)
    latency, errors = told["criteria"]
    assert told["rate"] == pytest.approx(40.0, rel=0.05)
    assert errors["baseline"] == errors["good"] == pytest.approx(0.004, rel=0.2)
    assert latency["baseline"] == pytest.approx(5.0 * 1.197, rel=0.05)
    typed = json.loads(cli("plan", "-f", file, "--from-baseline", "--rate", "7", "--latency", "9", "-o", "json").out)
    assert (typed["rate"], typed["criteria"][0]["baseline"]) == (7.0, 9.0)
    text = cli("plan", "-f", file, "--from-baseline").out
    assert "  Measured: error rate 0." in text
    assert "single values scatter 6" in text  # log-sd 0.6 is a cv of 0.66


def test_a_home_that_has_counted_too_little_is_no_ground_for_a_forecast(
    cli: Cli, home: FakeHome, tmp_path: Path
) -> None:
    home.counted = counted(30.0, rate=0.1)
    result = cli("plan", "-f", file_of(tmp_path, experiment(ERRORS)), "--from-baseline")
    assert result.code == 3
    assert "requests of shop-v1 in the last 30 s, which is too little to go by; send some for a minute" in result.err


WRONG = [
    (["--rate", "40"], "nothing is assumed of iter8_error_rate; give --error-rate VALUE, or --from-baseline"),
    ([], "give --rate, or --from-baseline"),
    (["--rate", "40", "--error-rate", "lots"], "'lots' is no number; write for example 0.002, 0.2% or 4.5"),
    (["--rate", "40", "--error-rate", "1:2:3"], "has more than two values"),
    (["--rate", "40", "--metric", "x"], "write NAME=VALUE or NAME=BASELINE:CANDIDATE"),
    (["--rate", "40", "--error-rate", "0.1%", "--reading", "0s"], "--reading must be above 0s"),
]


@pytest.mark.parametrize(("arguments", "sentence"), WRONG)
def test_what_is_missing_or_wrong_is_said(cli: Cli, tmp_path: Path, arguments: list[str], sentence: str) -> None:
    result = cli("plan", "-f", file_of(tmp_path, experiment(ERRORS)), *arguments)
    assert result.code == 2
    assert sentence in result.err


def test_files_without_an_experiment_are_refused(cli: Cli, tmp_path: Path) -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"ports": [{"port": 1}]}}
    result = cli("plan", "-f", file_of(tmp_path, service), "--rate", "1")
    assert (result.code, result.err) == (2, "serin: none of the files holds an Experiment; give one with -f\n")


def test_values_are_read_as_people_write_them() -> None:
    assert Pair.parse("0.2%") == Pair.parse("0.002") == Pair(0.002, 0.002)
    assert Pair.parse("4.5:5") == Pair(4.5, 5.0)
    with pytest.raises(ValueError, match="not a number from 0 on"):
        Pair.parse("-1")


FAST = replace(ERROR_RATE, lower_is_better=False)
VIOLATIONS = [
    (limit_on(ERROR_RATE, 0.01), 0.002, 0.02),
    (limit_on(ERROR_RATE, 0.8), 0.002, 0.9),
    (limit_on(MEAN_LATENCY, 1.2, LimitKind.RELATIVE), 5.0, 12.0),
    (Criterion("0", "fast", FAST, Limit(LimitKind.ABSOLUTE, 0.99)), 0.995, 0.98),
    (Criterion("0", "bought", FAST, Limit(LimitKind.ABSOLUTE, 0.2)), 0.3, 0.1),
]


@pytest.mark.parametrize(("criterion", "baseline", "value"), VIOLATIONS)
def test_a_bad_candidate_is_so_many_times_over_its_limit(criterion: Criterion, baseline: float, value: float) -> None:
    assert violating(criterion, baseline, 2.0) == pytest.approx(value)
