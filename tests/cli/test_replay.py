import copy
import json
from pathlib import Path
from typing import Any

import pytest

from serin.api.v1alpha2 import convert, validation
from serin.core.lifecycle import Surroundings, begin, iterate, observe
from serin.core.model import Plan
from serin.core.recording import Iterated, Planned, Read, Restored, Writer, digest
from serin.metrics.definitions import built_in
from serin.ports import Object
from tests.cli.conftest import Cli, FakeHome
from tests.core.simulation import Service, Version

NAME = "rollout"
SPEC: dict[str, Any] = {
    "service": {"name": "shop", "baseline": "shop-v1", "candidates": ["shop-v2"]},
    "criteria": [{"metric": "iter8_error_rate", "threshold": {"type": "absolute", "value": 0.05}}],
    "duration": {"interval": "15s", "maxIterations": 6},
    "trafficControl": {"maxIncrement": 20},
    "metrics": built_in().to_spec(),
}
EXPERIMENT = {
    "apiVersion": "iter8.tools/v1alpha2",
    "kind": "Experiment",
    "metadata": {"name": NAME, "namespace": "default"},
    "spec": SPEC,
}


def plan_of(document: Object) -> Plan:
    experiment = validation.load(document)
    return convert.plan(experiment, convert.definitions(experiment) or built_in())


def recorded(**candidate: float) -> list[Object]:
    plan, writer = plan_of(EXPERIMENT), Writer()
    service = Service({"baseline": Version(), "candidate-0": Version(**candidate)}, rate=80.0)
    state, now = begin(plan, 43_200.0), 43_200.0
    steps = [writer.write(Planned(EXPERIMENT)), writer.write(Restored(state.to_json()))]
    while not state.ended:
        for _ in range(3):
            now += 5.0
            service.run(5.0, state.weights)
            snapshot = service.snapshot(now)
            state, urgent = observe(plan, state, snapshot)
            steps.append(writer.write(Read(snapshot, urgent, digest(state) if urgent else None)))
            if state.ended:
                return steps
        around = Surroundings(frozenset(plan.ids), {})
        state, decision = iterate(plan, state, now, around)
        steps.append(writer.write(Iterated(now, around, decision, digest(state))))
    return steps


@pytest.fixture(scope="module")
def steps() -> list[Object]:
    return recorded(errors=0.5)


def test_each_decision_is_told_with_its_reasons(cli: Cli, home: FakeHome, steps: list[Object]) -> None:
    home.recordings["default", NAME] = steps
    result = cli("replay", NAME)
    lines = result.out.splitlines()
    assert (result.code, result.err) == (0, "")
    first = next(step["decision"]["weights"] for step in steps if "iterate" in step)
    shown = f"shop-v1 {first['baseline']}%, shop-v2 {first['candidate-0']}%"
    assert lines[0] == f"12:00:15   iteration 1: Running; {shown}"
    assert "at once: BaselineWon, winner shop-v1; shop-v1 100%, shop-v2 0%" in result.out
    assert "- shop-v2: error rate" in result.out
    assert "decisions, all as recorded; state " in lines[-1]


def test_a_recording_that_was_saved_is_replayed_without_a_home(
    cli: Cli, home: FakeHome, steps: list[Object], tmp_path: Path
) -> None:
    home.recordings["default", NAME] = steps
    file = tmp_path / "recording.json"
    saved = cli("replay", NAME, "--save", str(file))
    assert (saved.code, saved.out) == (0, f"{len(steps)} steps saved in {file}\n")
    asked = cli("replay", NAME).out
    before = cli.connections
    assert cli("replay", "-f", str(file)).out == asked
    assert cli.connections == before


def test_a_difference_is_said_and_is_the_exit_code(cli: Cli, home: FakeHome, steps: list[Object]) -> None:
    changed = copy.deepcopy(steps)
    first = next(step for step in changed if "iterate" in step)
    was = first["decision"]["weights"]
    first["decision"]["weights"] = {"baseline": 50, "candidate-0": 50}
    home.recordings["default", NAME] = changed
    result = cli("replay", NAME)
    now = f"baseline {was['baseline']}, candidate-0 {was['candidate-0']}"
    assert f"           DIFFERS: weights is {now}, recorded is baseline 50" in result.out
    assert result.code == 9
    assert result.err.startswith("serin: 1 of ")
    assert "decisions come out otherwise than they were recorded; was the recording changed" in result.err
    told = json.loads(cli("replay", NAME, "-o", "json").out)
    assert (told["same"], len(told["steps"][0]["differs"])) == (False, 1)


def test_programs_get_the_same_as_a_document(cli: Cli, home: FakeHome, steps: list[Object]) -> None:
    home.recordings["default", NAME] = steps
    told = json.loads(cli("replay", NAME, "-o", "json").out)
    assert told["same"] is True
    assert told["holes"] == 0
    assert told["readings"] == sum("read" in step for step in steps)
    assert told["steps"][-1]["winner"] == "baseline"
    assert told["steps"][-1]["reasons"][0]["reason"] == "ProvenHarm"


REFUSED = [
    ("", "is no recording; 'serin replay NAME --save FILE' makes one"),
    ('{"format": 1, "steps": [1]}', "is no recording"),
    ('{"format": 2, "steps": []}', "has format 2, this serin reads 1; use a newer serin"),
    ('{"format": 1, "steps": []}', "the recording holds no experiment; record anew"),
    ('{"format": 1, "steps": [{"read": 1}]}', "step 1 of the recording cannot be read"),
]


@pytest.mark.parametrize(("content", "sentence"), REFUSED)
def test_what_is_no_recording_is_refused(cli: Cli, tmp_path: Path, content: str, sentence: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(content)
    result = cli("replay", "-f", str(file))
    assert result.code == 3
    assert sentence in result.err


def test_what_cannot_be_meant_is_said(cli: Cli, tmp_path: Path) -> None:
    assert cli("replay").code == 2
    assert cli("replay", "x", "-f", "y").code == 2
    assert cli("replay", "x").code == 4
    assert cli("replay", "-f", str(tmp_path / "absent")).code == 3
