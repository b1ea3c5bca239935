"""Troubles that stay, or that reach the home itself: a version that never comes back, a disk, a lock, a Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sqlite3
import sys

import pytest

from serin.errors import SerinError, StorageError
from serin.load.report import LoadReport
from serin.ports import DEPLOYMENT, DESTINATION_RULE
from tests.survival.house import eventually
from tests.survival.manifests import NAMESPACE, deployment, experiment, virtual_service
from tests.survival.scene import Scene
from tests.survival.test_killed_home import intact

pytestmark = pytest.mark.real


def few_lost(report: LoadReport) -> None:
    """Who takes away all Pods of a version loses what comes until its weight is withdrawn: some milliseconds."""
    assert set(report.errors) <= {"status 503"}, report.errors
    assert report.failed <= max(5, 0.01 * report.sent), report.errors


async def remove(scene: Scene, version: str) -> None:
    await scene.house.client.delete(DEPLOYMENT, NAMESPACE, f"answer-{version}")


async def test_a_candidate_that_stays_away_has_failed_and_the_baseline_wins(scene: Scene) -> None:
    traffic = scene.traffic()
    await scene.play(deployment("v2"), experiment(iterations=60, analysis={"progressDeadline": "3s"}))
    await scene.iteration(1)
    await remove(scene, "v2")
    end = await scene.completed()
    winner = end.status["assessment"]["winner"]
    assert end.message == "ExperimentCompleted: Traffic To Winner"
    assert (winner["name"], winner["winning_version_found"]) == ("answer-v1", True)
    assert end.status["assessment"]["candidates"][0]["rollback"] is True
    await scene.tells(r"rollout FailedToStart: .*answer-v2 has been deleted for \d+ s")
    await scene.share("v1", 100)
    few_lost(await traffic.stop())


async def test_a_baseline_that_stays_away_ends_it_with_the_traffic_where_it_is_answered(scene: Scene) -> None:
    traffic = scene.traffic()
    await scene.play(deployment("v2"), experiment(iterations=60, cleanup=True, analysis={"progressDeadline": "3s"}))
    await scene.iteration(2)
    await remove(scene, "v1")
    end = await scene.completed()
    assert end.message.endswith(" (Abort)")
    assert end.status["assessment"]["winner"]["winning_version_found"] is False
    await scene.tells(r"rollout ExperimentCompleted: .*answer-v1 has been deleted for \d+ s")
    await scene.share("v2", 100)
    assert await scene.house.client.get(DEPLOYMENT, NAMESPACE, "answer-v2")
    few_lost(await traffic.stop())


async def test_a_full_disk_and_a_locked_store_stop_no_request_and_are_outlived(scene: Scene) -> None:
    house = scene.house
    traffic = scene.traffic()
    await scene.play(deployment("v2"), experiment(interval="1s", iterations=8))
    before = await scene.iteration(2)

    limits = resource.prlimit(house.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(house.pid, resource.RLIMIT_FSIZE, (1, limits[1]))  # what a full disk looks like to one process
    with pytest.raises(StorageError, match=r"the disk that holds .*objects\.db is full; nothing was changed"):
        await house.apply(deployment("v3"))
    code, _, said = await house.serin("terminate", "rollout")
    assert (code, "is full" in said, "Traceback" in said) == (7, True, False)
    full = (await house.experiment())["currentIteration"]
    await asyncio.sleep(2.5)  # more than an interval
    assert (await house.experiment())["currentIteration"] == full <= before.iteration + 1
    resource.prlimit(house.pid, resource.RLIMIT_FSIZE, limits)
    after = await scene.iteration(full + 1)

    other = sqlite3.connect(house.paths.objects, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match=r"objects\.db is locked by another process"):
            await house.apply(deployment("v3"))
        assert (await house.experiment())["currentIteration"] <= after.iteration + 1
        other.execute("ROLLBACK")
    finally:
        other.close()
    end = await scene.completed()
    assert (end.message, end.iteration) == ("ExperimentCompleted: Traffic To Winner", 8)
    report = await traffic.stop()
    assert report.failed == 0, report.errors
    await house.down()
    assert intact(house.paths.objects)


async def test_a_hundred_applied_changes_of_weight_lose_no_request(scene: Scene) -> None:
    house = scene.house
    await scene.play(deployment("v2"))
    await house.ready("v2")
    rule = next(o for o in await house.client.list(DESTINATION_RULE, NAMESPACE) if o["metadata"]["name"] == "answer")
    subsets = [{"name": v, "labels": {"app": "answer", "version": v}} for v in ("v1", "v2")]
    await house.client.replace({**rule, "spec": {"host": "answer", "subsets": subsets}})
    traffic = scene.traffic()
    for turn in range(100):
        weight = turn * 37 % 101
        await scene.play(virtual_service({"v1": weight, "v2": 100 - weight}))
    await scene.share("v2", 100 - weight, 100 - weight)
    report = await traffic.stop()
    assert report.failed == 0, report.errors
    assert min(report.by_version.values()) > 20
    assert len(scene.story.splits) > 50


async def test_ctrl_c_in_the_middle_leaves_nothing_and_the_next_home_goes_on(scene: Scene) -> None:
    house = scene.house
    await scene.play(deployment("v2"), experiment(iterations=60))
    await house.down()
    terminal = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "serin", "up", "--foreground", env=house.environment, start_new_session=True,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await eventually("the home in the foreground", lambda: _up(scene))
        traffic = scene.traffic()
        said = await scene.iteration(1)
        os.killpg(terminal.pid, signal.SIGINT)  # as a terminal does: to everybody in it
        assert await asyncio.wait_for(terminal.wait(), 30.0) == 0
    finally:
        if terminal.returncode is None:
            terminal.kill()
            await terminal.wait()
    assert house.left() == []
    await traffic.drop()
    await house.up()
    scene.traffic()
    await scene.iteration(said.iteration + 1)


async def _up(scene: Scene) -> bool:
    try:
        return bool(await scene.house.look())
    except SerinError:
        return False
