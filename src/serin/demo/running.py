"""From the command's options to the curtain: prepare the models, play each scenario in a home of its own, report."""

from __future__ import annotations

import asyncio
import json
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path

from serin.demo import play
from serin.demo.report import Report, as_json
from serin.demo.scenarios import Scenario
from serin.demo.scenarios import play as scenarios_of
from serin.demo.stage import Say, Stage, example_folder, free_port
from serin.errors import OutcomeError, StorageError


def run(
    scenario: str, report: Path | None, rate: float, example: Path | None, gateway_port: int | None, *, say: Say
) -> None:
    """Play, print and write the report. Raises OutcomeError when an experiment ended otherwise than expected.

    Whoever ends the program by a signal ends the play as Ctrl-C does: nothing of it stays. Raises KeyboardInterrupt.
    """
    scenarios = scenarios_of(scenario)
    folder = example_folder(example)
    if report is not None:
        _write(report, {})  # a folder that is not there is said before anything is played
    try:
        reports = asyncio.run(_all(scenarios, folder, rate, gateway_port, say))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    if report is not None:
        _write(report, as_json(reports))
        say(f"report written to {report}")
    if unexpected := [r.scenario.name for r in reports if not r.as_expected]:
        raise OutcomeError(f"the outcome is not the one expected of {', '.join(unexpected)}; see the summary above")


async def _all(
    scenarios: Sequence[Scenario], folder: Path, rate: float, gateway_port: int | None, say: Say
) -> list[Report]:
    reports = []
    playing = asyncio.current_task()
    assert playing is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, playing.cancel)
    with tempfile.TemporaryDirectory(prefix="serin-demo-") as parent:
        models = sorted({model for scenario in scenarios for model in scenario.models})
        data = await _prepare(folder, models, Path(parent), say)
        for scenario in scenarios:
            stage = Stage(folder, Path(parent) / scenario.name, free_port(gateway_port), say)
            report = await play.perform(scenario, stage, data, rate, say)
            for line in report.summary():
                say(line)
            say("")
            reports.append(report)
    return reports


async def _prepare(folder: Path, models: Sequence[str], parent: Path, say: Say) -> Path:
    """The data and the trained models; both are kept, so that the next demo is quick. Returns the data's folder."""
    say("Models: the article's, trained on Fashion-MNIST")
    stage = Stage(folder, parent, 0, say)
    words = [word for model in models for word in ("--model", model)]
    await stage.python("train.py", *words)
    say("")
    return folder / "data"


def _write(path: Path, document: dict[str, object]) -> None:
    try:
        path.write_text(json.dumps(document, indent=2) + "\n")
    except OSError as error:
        raise StorageError(f"the report cannot be written to {path} ({error.strerror}); name another file") from None
