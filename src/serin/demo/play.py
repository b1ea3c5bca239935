"""The play: a model in production, traffic, an experiment, its candidate, and the end. In the order of the article."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from pathlib import Path

from serin.demo.report import Moment, Report
from serin.demo.scenarios import Scenario
from serin.demo.stage import Say, Stage
from serin.errors import OutcomeError, SerinError, Unreachable
from serin.home.client import HomeClient
from serin.load import images
from serin.load.plan import LoadPlan, parse_target
from serin.load.report import LoadReport
from serin.load.stream import Load
from serin.ports import EXPERIMENT, Change, Object

HOST = "fashionmnist.com"
PATH = "/v1/models/fashionmnist:predict"
NAMESPACE = "default"
WAITS_BEFORE_CANDIDATE = 3.0
"""Seconds for which the audience sees the experiment wait for its candidate."""


async def perform(scenario: Scenario, stage: Stage, data: Path, rate: float, say: Say) -> Report:
    """Play one scenario from an empty home to the end of its experiment, and take the home down again."""
    say(f"Scenario {scenario.name}: {scenario.about}")
    say("")
    try:
        await stage.serin("up", "--images", "images.yaml", "--gateway-port", str(stage.port))
        await stage.serin("apply", "-f", "modelv1.yaml", "-f", "externalize.yaml")
        await stage.serin("wait", "--for=condition=Available", f"deployment/{scenario.baseline}", "--timeout=120s")
        load = _load(stage, data, rate)
        sending = asyncio.create_task(load.run(), name="traffic")
        say(f"Traffic: {rate:g} random test images a second, to the end. By hand:")
        say(f"$ serin load http://127.0.0.1:{stage.port}{PATH} --host-header {HOST} --images {data} --rate {rate:g}")
        say("")
        try:
            report = await _experiment(scenario, stage, load, sending, say)
        finally:
            load.drop()
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, SerinError):
                await sending
    finally:
        await _down(stage)
    return report


async def _experiment(
    scenario: Scenario, stage: Stage, load: Load, sending: asyncio.Task[LoadReport], say: Say
) -> Report:
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
                group.create_task(_watched(stage, scenario, load, say), name="watch")
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        seconds = time.monotonic() - began
        await asyncio.sleep(1.0)  # requests after the end go where the end has put them
        experiment = await client.get(EXPERIMENT, NAMESPACE, scenario.experiment)
        load.stop()
        return Report(scenario, experiment, seconds, await sending, tuple(moments))
    finally:
        noting.cancel()
        with contextlib.suppress(asyncio.CancelledError, Unreachable):
            await noting
        await client.aclose()


async def _candidate(stage: Stage, scenario: Scenario) -> None:
    """The candidate arrives a little later than its experiment."""
    await asyncio.sleep(WAITS_BEFORE_CANDIDATE)
    await stage.serin("apply", "-f", scenario.candidate_file)


async def _watched(stage: Stage, scenario: Scenario, load: Load, say: Say) -> None:
    """Pass on the watch's lines, with the traffic since the last one, until the experiment has ended."""
    before: LoadReport | None = None
    async with contextlib.aclosing(stage.follow("get", "experiment", scenario.experiment, "-w")) as lines:
        async for line in lines:
            say(line)
            now = load.report()
            if "Iteration" in line or "Completed" in line:
                say(f"    {_traffic(before, now)}")
                before = now
            if "ExperimentCompleted" in line:
                say("")
                return
    raise OutcomeError("the watch ended before the experiment did; 'serin status' tells whether the home is well")


def _traffic(before: LoadReport | None, now: LoadReport) -> str:
    """One line: what was sent so far, and who answered since the last line."""
    earlier: Mapping[str, int] = before.by_version if before else {}
    fresh = {version: count - earlier.get(version, 0) for version, count in now.by_version.items()}
    total = sum(fresh.values())
    shares = ", ".join(f"{version} {count / total:.0%}" for version, count in fresh.items() if count and total)
    return f"{now.sent} requests, {now.failed} failed; since the last line: {shares or 'no answer'}"


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


def _load(stage: Stage, data: Path, rate: float) -> Load:
    return Load(
        LoadPlan(
            target=parse_target(f"http://127.0.0.1:{stage.port}{PATH}"),
            rate=rate,
            method="POST",
            headers=(("Host", HOST),),
            bodies=images.bodies(data),
        )
    )


async def _down(stage: Stage) -> None:
    """Whatever has happened, nothing of the home stays."""
    from serin.home import lifecycle

    await asyncio.shield(asyncio.to_thread(lifecycle.down, stage.home))
