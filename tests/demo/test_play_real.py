"""The whole demo on real parts, with an example that plays in seconds: what it prints, reports and leaves behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.survival.house import eventually, processes_of

pytestmark = pytest.mark.real


async def demo(example: Path, *words: str) -> asyncio.subprocess.Process:
    """`serin demo` in a folder of its own, for the example; what it makes on the way lies in the example's folder."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "serin",
        "demo",
        "--example",
        str(example),
        *words,
        cwd=example,
        env={**os.environ, "TMPDIR": str(example)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


def left_by(example: Path) -> list[str]:
    """Processes and folders of a play."""
    return [*processes_of(example).values(), *map(str, example.glob("serin-demo-*"))]


async def told(process: asyncio.subprocess.Process) -> str:
    output, _ = await asyncio.wait_for(process.communicate(), 300.0)
    return output.decode()


async def test_the_article_from_the_models_to_the_winner(example: Path) -> None:
    process = await demo(example, "--report", "report.json", "--rate", "150")
    text = await told(process)
    assert process.returncode == 0, text
    report = json.loads((example / "report.json").read_text())
    assert (report["phase"], report["winner"]) == ("Completed", "fashionmnist-v2")
    assert report["message"] == "ExperimentCompleted: Traffic To Winner"
    assert report["iterations"] == 6
    assert (report["requests"]["failed"], report["requests"]["lost"]) == (0, 0)
    assert sum(report["requests"]["by_version"].values()) == report["requests"]["total"] > 500
    assert 0.1 < report["candidate_share"] < 0.95
    for moment in report["weights"]:
        assert moment["fashionmnist-v1"] + moment["fashionmnist-v2"] == 100
    assert report["scenarios"][0]["as_expected"] is True
    for line in ("TargetsError: Missing Candidate", "IterationUpdate: Iteration 6/6 completed", "Traffic To Winner"):
        assert line in text
    assert left_by(example) == []


async def test_a_failing_candidate_is_rolled_back_and_the_baseline_stays(example: Path) -> None:
    process = await demo(example, "--scenario", "errors", "--report", "report.json", "--rate", "150")
    text = await told(process)
    assert process.returncode == 0, text
    report = json.loads((example / "report.json").read_text())
    assert (report["phase"], report["winner"]) == ("Completed", "fashionmnist-v1")
    assert report["requests"]["lost"] == 0 < report["requests"]["failed"]
    assert report["candidate_share"] < 0.4
    assert left_by(example) == []


async def test_the_users_of_a_group_come_first_and_all_others_at_the_end(example: Path) -> None:
    process = await demo(example, "--scenario", "match", "--report", "report.json", "--rate", "150")
    text = await told(process)
    assert process.returncode == 0, text
    report = json.loads((example / "report.json").read_text())
    assert (report["winner"], report["requests"]["failed"]) == ("fashionmnist-v2", 0)
    group = report["requests"]["groups"]["x-group: beta"]
    others = {v: n - group.get(v, 0) for v, n in report["requests"]["by_version"].items()}
    assert others["fashionmnist-v2"] / sum(others.values()) < group["fashionmnist-v2"] / sum(group.values())
    assert left_by(example) == []


async def test_one_version_is_judged_without_a_candidate(example: Path) -> None:
    process = await demo(example, "--scenario", "performance", "--report", "report.json", "--rate", "150")
    text = await told(process)
    assert process.returncode == 0, text
    report = json.loads((example / "report.json").read_text())
    assert (report["winner"], report["outcome"]) == ("fashionmnist-v1", "BaselineWon")
    assert set(report["requests"]["by_version"]) == {"fashionmnist-v1"}
    assert "there was no candidate" in text
    assert left_by(example) == []


async def test_another_outcome_than_the_scenarios_is_an_error(example: Path) -> None:
    (example / "modelv2.yaml").write_text((example / "modelv2-failing.yaml").read_text())
    process = await demo(example, "--rate", "150")
    text = await told(process)
    assert process.returncode not in (0, 1), text
    assert text.splitlines()[-1] == "serin: the outcome is not the one expected of success; see the summary above"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_ended_in_the_middle_it_leaves_nothing_behind(example: Path, number: int) -> None:
    process = await demo(example)
    assert process.stdout is not None

    async def begun() -> bool:
        assert process.stdout is not None
        return b"Iteration 0/6" in await process.stdout.readline()

    await asyncio.wait_for(eventually("the experiment runs", begun, 240.0, pause=0.0), 300.0)
    process.send_signal(number)
    text = await told(process)
    assert process.returncode == 130, text
    assert left_by(example) == []
