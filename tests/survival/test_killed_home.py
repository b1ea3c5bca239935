"""`kill -9` of the home, in every phase and at every n-th write; then `serin up`."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.survival.house import alive, eventually
from tests.survival.manifests import deployment, experiment
from tests.survival.scene import Scene, playing
from tests.survival.traffic import ask

pytestmark = pytest.mark.real


def intact(database: Path) -> bool:
    """Whether sqlite finds nothing wrong with the file."""
    connection = sqlite3.connect(database)
    try:
        return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    finally:
        connection.close()


async def test_killed_before_the_candidate_comes_in_mid_run_and_while_it_ends(scene: Scene) -> None:
    house = scene.house
    traffic = scene.traffic()
    await scene.play(experiment(iterations=5, cleanup=True))
    await scene.says("TargetsError: Missing Candidate")
    await house.kill()
    await house.up()
    await scene.says("TargetsError: Missing Candidate")

    await scene.play(deployment("v2"))
    said = await scene.iteration(2)
    share = scene.wire.split["answer-v2"]
    assert share > 0
    await house.kill()
    assert intact(house.paths.objects)
    await house.up()
    assert scene.story.last().iteration == said.iteration
    await scene.iteration(said.iteration + 1)

    slow = asyncio.create_task(ask(house.port, "/slow/8"))  # keeps the loser from being deleted
    await eventually("the end is decided", lambda: _ending(scene))
    await house.kill()
    with pytest.raises((OSError, EOFError)):
        await slow
    await house.up()
    end = await scene.completed()
    assert end.message == "ExperimentCompleted: Traffic To Winner"
    assert end.status["assessment"]["winner"]["name"] == "answer-v2"
    assert end.iteration == 5
    await scene.share("v2", 100)
    report = await traffic.stop()
    assert set(report.errors) <= {"connect", "reset", "status 503"}
    assert intact(house.paths.objects)


async def _ending(scene: Scene) -> bool:
    return scene.story.last().ending


async def test_killed_at_every_nth_write_it_goes_on(short: Path) -> None:
    """Each life ends at a write: the first of each kind of rule, then the n-th of any, before or after it is stored."""
    order, died = short / "die", short / "died"
    preload = str(Path(__file__).with_name("dying"))
    environment = {"PYTHONPATH": preload, "SURVIVAL_DIE": str(order), "SURVIVAL_DIED": str(died)}
    order.write_text("0 before")  # not yet
    orders = _orders()
    died.touch()
    async with playing(short, environment) as scene:
        house, lives = scene.house, 0
        traffic = scene.traffic()
        await scene.play(deployment("v2"), experiment(interval="1s", iterations=5, cleanup=True))
        await house.kill()  # at the very beginning
        while scene.story.last().status.get("phase") != "Completed":
            order.write_text(next(orders))
            await house.up()
            lives += 1
            await eventually(f"the end of life {lives}", lambda: _over(scene, house.pid))
            if not alive(house.pid):
                await house.gone()
                assert intact(house.paths.objects)
        order.write_text("0 before")
        if not alive(house.pid):
            await house.up()
        end = await scene.completed()
        assert end.message == "ExperimentCompleted: Traffic To Winner"
        assert end.iteration == 5
        await scene.share("v2", 100)
        await traffic.stop()
        assert {"Experiment", "VirtualService", "DestinationRule"} <= set(died.read_text().split())
    assert lives > 8


def _orders() -> Iterator[str]:
    """What each life is to die of."""
    for kind in ("DestinationRule", "VirtualService"):
        yield from (f"1 before {kind}", f"1 after {kind}")
    for number in itertools.count(1):
        yield from (f"{number} before", f"{number} after")


async def _over(scene: Scene, pid: int) -> bool:
    """Whether a life has come to its end, or the experiment to its own."""
    return not alive(pid) or scene.story.last().status.get("phase") == "Completed"
