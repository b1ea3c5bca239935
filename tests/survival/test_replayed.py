"""A real experiment, cut off by `kill -9`, is lived through again to the same bytes; and its baseline is planned by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from serin.control.memory import Memory
from serin.core.recording import digest
from tests.survival.house import eventually
from tests.survival.manifests import deployment, experiment
from tests.survival.scene import Scene

pytestmark = pytest.mark.real


async def test_a_recording_survives_a_kill_and_leads_to_the_stored_state(scene: Scene, short: Path) -> None:
    house = scene.house
    traffic = scene.traffic()
    await scene.play(deployment("v2"), experiment(iterations=6))
    said = await scene.iteration(2)
    await house.kill()
    await house.up()
    await scene.iteration(said.iteration + 1)
    await scene.completed()

    code, output, errors = await house.serin("replay", "rollout", "-o", "json")
    assert (code, errors) == (0, "")
    told = json.loads(output)
    stored = Memory.from_json((await house.experiment())["analysisState"]).core
    assert stored is not None
    assert told["same"] is True
    assert told["state"] == digest(stored)
    assert told["holes"] == 0
    assert sum(bool(step.get("counted")) for step in told["steps"]) == stored.iteration

    file = short / "recording.json"
    code, output, errors = await house.serin("replay", "rollout", "--save", str(file))
    assert code == 0, errors
    code, output, errors = await house.serin("replay", "-f", str(file))
    assert code == 0, errors
    assert f"all as recorded; state {digest(stored)}" in output

    planned = short / "next.yaml"
    wanted = experiment("next", candidates=("v3",), iterations=6)
    wanted["spec"]["service"]["baseline"] = "answer-v2"
    planned.write_text(yaml.safe_dump(wanted))

    async def plan() -> Any:
        code, output, errors = await house.serin("plan", "-f", str(planned), "--from-baseline", "-o", "json")
        assert code in (0, 3), errors
        return json.loads(output) if code == 0 else None

    found = await eventually("the home has counted enough of the baseline to plan by", plan, pause=1.0)
    assert 10.0 < found["rate"] < 1000.0
    assert found["criteria"][0]["metric"] == "iter8_error_rate"
    await traffic.stop()
