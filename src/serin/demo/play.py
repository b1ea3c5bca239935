"""The play: a model in production, traffic, an experiment, its candidate, and the end. In the order of the article."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

from serin.demo.audience import Audience, Reports, since
from serin.demo.report import Moment, Report
from serin.demo.scenarios import Scenario
from serin.demo.stage import Say, Stage
from serin.errors import OutcomeError, Unreachable
from serin.home.client import HomeClient
from serin.ports import EXPERIMENT, Change, Object

NAMESPACE = "default"
WAITS_BEFORE_CANDIDATE = 3.0
"""Seconds for which the audience sees the experiment wait for its candidate."""


async def perform(scenario: Scenario, stage: Stage, data: Path, rate: float, say: Say) -> Report:
    """Play one scenario from an empty home to the end of its experiment, and take the home down again."""
    say(f"Scenario {scenario.name}: {scenario.about}")
    say("")
    try:
        await stage.serin("up", "--images", "images.yaml", "--gateway-port", str(stage.port))
        await stage.serin("apply", *_files(*scenario.production))
        await stage.serin("wait", "--for=condition=Available", *_running(scenario), "--timeout=120s")
        audience = Audience(scenario, stage, data, rate)
        audience.begin()
        say(f"Traffic: {rate:g} random test images a second, to the end. By hand:")
        for line in audience.by_hand(rate):
            say(f"$ {line}")
        say("")
        try:
            report = await _experiment(scenario, stage, audience, say)
        finally:
            await audience.drop()
    finally:
        await _down(stage)
    return report


def _files(*names: str) -> list[str]:
    return [word for name in names for word in ("-f", name)]


def _running(scenario: Scenario) -> list[str]:
    """What must be up before anybody sends anything."""
    return [f"deployment/{scenario.baseline}", *(["deployment/fashionmnist-feedback"] if scenario.feedback else [])]


async def _experiment(scenario: Scenario, stage: Stage, audience: Audience, say: Say) -> Report:
    """The experiment itself, watched by the watch that a person would use."""
    client = HomeClient(stage.home)
    began = time.monotonic()
    moments: list[Moment] = []
    noting = asyncio.create_task(_note_weights(client, scenario.experiment, began, moments), name="weights")
    try:
        await stage.serin("apply", "-f", scenario.experiment_file)
        try:
            async with asyncio.TaskGroup() as group:  # whichever fails ends the other
                group.create_task(_candidate(stage, scenario), name="candidate")
                group.create_task(_watched(stage, scenario, audience, say), name="watch")
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        seconds = time.monotonic() - began
        await asyncio.sleep(1.0)  # requests after the end go where the end has put them
        experiment = await client.get(EXPERIMENT, NAMESPACE, scenario.experiment)
        sent = dict(await audience.stop())
        return Report(scenario, experiment, seconds, sent.pop(""), tuple(moments), sent)
    finally:
        noting.cancel()
        with contextlib.suppress(asyncio.CancelledError, Unreachable):
            await noting
        await client.aclose()


async def _candidate(stage: Stage, scenario: Scenario) -> None:
    """The candidate arrives a little later than its experiment."""
    if scenario.candidate_file is None:
        return
    await asyncio.sleep(WAITS_BEFORE_CANDIDATE)
    await stage.serin("apply", *_files(scenario.candidate_file, *scenario.rivals))


async def _watched(stage: Stage, scenario: Scenario, audience: Audience, say: Say) -> None:
    """Pass on the watch's lines, with the traffic since the last one, until the experiment has ended."""
    before: Reports = {}
    async with contextlib.aclosing(stage.follow("get", "experiment", scenario.experiment, "-w")) as lines:
        async for line in lines:
            say(line)
            now = audience.reports()
            if "Iteration" in line or "Completed" in line:
                say(f"    {since(before, now)}")
                before = now
            if "ExperimentCompleted" in line:
                say("")
                return
    raise OutcomeError("the watch ended before the experiment did; 'serin status' tells whether the home is well")


async def _note_weights(client: HomeClient, name: str, began: float, moments: list[Moment]) -> None:
    """Every change of the weights that the experiment's status shows."""
    async for event in client.watch(EXPERIMENT, namespace=NAMESPACE):
        if event.change is Change.SYNCED or event.object["metadata"]["name"] != name:
            continue
        weights = _weights(event.object)
        if weights and (not moments or dict(moments[-1].weights) != weights):
            moments.append(Moment(time.monotonic() - began, weights))


def _weights(experiment: Object) -> dict[str, int]:
    assessment = (experiment.get("status") or {}).get("assessment") or {}
    versions = [assessment["baseline"], *assessment["candidates"]] if assessment else []
    return {version["name"]: version["weight"] for version in versions}


async def _down(stage: Stage) -> None:
    """Whatever has happened, nothing of the home stays."""
    from serin.home import lifecycle

    await asyncio.shield(asyncio.to_thread(lifecycle.down, stage.home))
