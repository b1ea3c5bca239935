"""Candidates that are slow, fail, come late, go away and come back, or follow each other; nobody loses requests.

All are released side by side by one controller. Every version of every object that traffic depends on is watched.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from lab import Lab

from serin.ports import DEPLOYMENT, VIRTUAL_SERVICE
from tests.cluster.release import controllers, install
from tests.cluster.scenes import LATENCY, Scene, deployment, experiment, names, side_by_side
from tests.cluster.watcher import Watcher

CANDIDATE = "iter8-candidate-0"


async def test_no_candidate_costs_a_request(lab: Lab, tmp_path: Path) -> None:
    install(lab)
    spaces = names("candidate", 5)
    slow, failing, late, leaving, twice = (Scene(lab, each) for each in spaces)
    with controllers(lab, tmp_path), Watcher(lab).recording() as watcher:
        await side_by_side(
            a_slow_candidate(slow),
            a_failing_candidate(failing),
            a_late_candidate(late),
            a_candidate_that_leaves(leaving),
            two_releases(twice),
        )
    assert watcher.oddities(*spaces) == []
    seen = {obj["metadata"]["namespace"] for obj in watcher.rules()}
    assert seen >= set(spaces)
    for scene in (slow, failing):  # its share never went beyond the first two steps before it was taken away
        given = watcher.weights(scene.name, CANDIDATE)
        assert 0 < max(given) <= 40, given


async def a_slow_candidate(scene: Scene) -> None:
    async with scene.opened() as scene, scene.users() as users:
        await scene.apply(deployment("v2", "--latency", "0.4"), experiment(criteria=[LATENCY], cleanup=True))
        await _baseline_wins(scene)
        before = users.answered
        await scene.until("the baseline goes on", lambda: users.answered > before + 20)
    assert users.lost == []
    assert not users.refused


async def a_failing_candidate(scene: Scene) -> None:
    async with scene.opened() as scene, scene.users() as users:
        await scene.apply(deployment("v2", "--errors", "0.8"), experiment(cleanup=True))
        await _baseline_wins(scene)
        failed, before = users.refused[500], users.answered
        await scene.until("the baseline goes on", lambda: users.answered > before + 20)
    assert users.lost == []
    assert 0 < failed == users.refused[500]
    assert failed < users.answered / 2


async def _baseline_wins(scene: Scene) -> None:
    status = await scene.ended()
    assert status["message"] == "ExperimentCompleted: Traffic To Winner", status
    assert status["assessment"]["winner"]["name"] == "web-v1"
    assert status["assessment"]["candidates"][0]["rollback"] is True
    assert "web-v2 rolled back" in str(await scene.events())
    assert await scene.weights() == {"v1": 100}
    left = [each["metadata"]["name"] for each in await scene.objects.list(DEPLOYMENT, scene.name)]
    assert left == ["web-v1"]


async def a_late_candidate(scene: Scene) -> None:
    async with scene.opened() as scene, scene.users() as users:
        await scene.apply(experiment())
        await scene.says("TargetsError: Missing Candidate")
        await scene.apply(deployment("v2", "--start-delay", "15"))
        await scene.says("TargetsError: Candidate Not Ready: web-v2")
        assert await scene.weights() == {"v1": 100}
        await _candidate_wins(scene)
    assert users.lost == []


async def a_candidate_that_leaves(scene: Scene) -> None:
    """It is deleted while it has traffic, and applied again 18 s later: another Pod under the same name.

    Its Pods go once the rules have left them. Where they are collected at once it is a race between two controllers
    of the cluster and ours, which a test does not decide.
    """
    async with scene.opened("v2") as scene, scene.users() as users:
        await scene.apply(experiment(trafficControl={"maxIncrement": 5}))
        await scene.until("the candidate has traffic", lambda: _share(scene, "v2"))
        await scene.kubectl("delete", "deployment", "web-v2", "--cascade=orphan")
        await scene.says("TargetsError: Candidate Deleted")
        await scene.routes(v1=100)
        await scene.until("the gateway knows", scene.lab.acknowledged)
        await asyncio.sleep(1.0)  # istiod's debounce, before which nothing is sent that could be acknowledged
        await scene.kubectl("delete", "replicasets", "--selector=version=v2")
        iteration = (await scene.status())["currentIteration"]
        await asyncio.sleep(18)
        assert await scene.message() == "TargetsError: Candidate Deleted"
        assert (await scene.status())["currentIteration"] == iteration
        await scene.apply(deployment("v2"))
        await _candidate_wins(scene)
    assert users.lost == []


async def two_releases(scene: Scene) -> None:
    """v1 to v2, and v2 to v3 on the rules that the first has left."""
    async with scene.opened("v2", "v3") as scene, scene.users() as users:
        await scene.apply(experiment("v1", "v2", name="first", cleanup=True))
        await scene.ended("first")
        left = await scene.get(VIRTUAL_SERVICE)
        assert left["spec"]["http"][0]["route"][0]["destination"]["subset"] == CANDIDATE
        await scene.apply(experiment("v2", "v3", name="second", cleanup=True))
        await scene.ended("second")
        assert {version: weight for version, weight in (await scene.weights()).items() if weight} == {"v3": 100}
    assert users.lost == []


async def _candidate_wins(scene: Scene) -> None:
    status = await scene.ended()
    assert status["message"] == "ExperimentCompleted: Traffic To Winner", status
    assert status["assessment"]["winner"]["name"] == "web-v2"
    assert {version: weight for version, weight in (await scene.weights()).items() if weight} == {"v2": 100}


async def _share(scene: Scene, version: str) -> bool:
    return (await scene.weights()).get(version, 0) > 0
