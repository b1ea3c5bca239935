"""Troubles of a running experiment on a real machine: held, said, gone on with; never judged without evidence."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest

from serin.errors import NotFound
from serin.ports import DEPLOYMENT, EXPERIMENT, VIRTUAL_SERVICE, Object
from tests.survival.house import eventually
from tests.survival.manifests import NAMESPACE, deployment, experiment
from tests.survival.scene import Scene
from tests.survival.traffic import ask

pytestmark = pytest.mark.real

LOST = {"connect", "reset", "status 503"}
"""What a client sees of a process that is killed under it."""


async def running(scene: Scene, *, iterations: int = 60, candidate: Object | None = None, **options: Any) -> None:
    """An experiment in which the candidate has a share of the traffic."""
    await scene.play(candidate or deployment("v2"), experiment(iterations=iterations, **options))
    await scene.iteration(1)
    await scene.share("v2", 1)


async def remove(scene: Scene, version: str) -> None:
    await scene.house.client.delete(DEPLOYMENT, NAMESPACE, f"answer-{version}")


async def counted_after(scene: Scene) -> None:
    """Wait until one more iteration is counted than now."""
    await scene.iteration(scene.story.last().iteration + 1)


async def test_a_killed_gateway_comes_back_with_the_same_split_and_the_experiment_goes_on(scene: Scene) -> None:
    traffic = scene.traffic()
    await running(scene)
    before = scene.story.last().iteration
    await scene.house.look()
    killed = scene.house.envoy
    os.kill(killed, signal.SIGKILL)

    async def another() -> bool:
        status = await scene.house.look()
        return status["gateway"]["pid"] not in (None, killed)

    await eventually("another gateway", another)
    await scene.share("v2", 1)
    await scene.iteration(before + 3)
    report = await traffic.stop()
    assert set(report.errors) <= LOST
    assert not scene.story.last().status["assessment"]["candidates"][0]["rollback"]


GUARDED = {"mode": "robust"}
"""One burst of errors, as long as it takes to see that a process is gone, condemns nobody."""


async def test_a_killed_process_of_the_candidate_is_started_again_and_judged_on(scene: Scene) -> None:
    scene.traffic()
    await running(scene, analysis=GUARDED)
    (pod,) = await scene.house.pods("v2")
    os.kill(pod["pid"], signal.SIGKILL)
    await scene.says("TargetsError: Candidate Not Ready")
    await scene.house.ready("v2")
    await counted_after(scene)
    await scene.share("v2", 1)


async def test_all_replicas_of_the_candidate_are_killed(scene: Scene) -> None:
    scene.traffic()
    await running(scene, candidate=deployment("v2", replicas=2), analysis=GUARDED)
    for pod in await scene.house.pods("v2"):
        os.kill(pod["pid"], signal.SIGKILL)
    await scene.says("TargetsError: Candidate Not Ready")
    await scene.house.ready("v2")
    await counted_after(scene)


async def test_a_candidate_that_vanishes_gets_nothing_until_it_is_back(scene: Scene) -> None:
    traffic = scene.traffic()
    await running(scene)
    await remove(scene, "v2")
    await scene.says("TargetsError: Candidate Deleted")
    await scene.share("v2", 0, 0)
    assert scene.wire.split.get("answer-v1") == 100
    await scene.play(deployment("v2"))
    await counted_after(scene)
    await scene.share("v2", 1)
    assert dict((await traffic.stop()).errors) == {}


async def test_a_candidate_that_is_scaled_to_nothing_and_up_again(scene: Scene) -> None:
    traffic = scene.traffic()
    await running(scene)
    await scene.house.client.patch(DEPLOYMENT, NAMESPACE, "answer-v2", {"spec": {"replicas": 0}})
    await scene.says("TargetsError: Candidate Not Ready: answer-v2: scaled to 0")
    await scene.share("v2", 0, 0)
    await scene.house.client.patch(DEPLOYMENT, NAMESPACE, "answer-v2", {"spec": {"replicas": 1}})
    await counted_after(scene)
    await scene.share("v2", 1)
    assert dict((await traffic.stop()).errors) == {}


async def test_a_redeployed_candidate_is_another_program_and_its_evidence_starts_anew(scene: Scene) -> None:
    scene.traffic()
    await running(scene)
    await scene.play(deployment("v2", "--errors", "0.6"))
    await scene.tells("EvidenceDropped: answer-v2 was replaced")
    end = await scene.completed()
    assert end.message == "ExperimentCompleted: Traffic To Winner"
    assert end.status["assessment"]["winner"]["name"] == "answer-v1"
    assert end.status["assessment"]["candidates"][0]["rollback"] is True
    await scene.share("v2", 0, 0)


async def test_a_baseline_that_vanishes_leaves_the_traffic_where_it_is_answered(scene: Scene) -> None:
    scene.traffic()
    await running(scene)
    await remove(scene, "v1")
    await scene.says("TargetsError: Baseline Deleted")
    await scene.share("v2", 100)
    await scene.play(deployment("v1"))
    await counted_after(scene)
    await scene.share("v1", 1)


async def test_a_slow_start_gets_no_request_before_it_is_ready(scene: Scene) -> None:
    traffic = scene.traffic()
    await scene.play(deployment("v2", "--start-delay", "6"), experiment(iterations=60))
    await scene.says("TargetsError: Candidate Not Ready")
    await scene.share("v2", 1)
    await eventually("the candidate answers", lambda: _answered(traffic.report.by_version.get("answer-v2", 0)))
    (pod,) = await scene.house.pods("v2")
    _, counts = await ask(8501, "/counts", pod["address"])
    assert '"early": 0' in counts
    assert dict((await traffic.stop()).errors) == {}


async def _answered(count: int) -> bool:
    return count > 0


async def test_a_loser_answers_its_last_request_before_it_is_deleted(scene: Scene) -> None:
    scene.traffic()
    await scene.play(deployment("v2"), experiment(iterations=5, cleanup=True))
    await scene.iteration(1)
    slow = [asyncio.create_task(ask(scene.house.port, "/slow/9")) for _ in range(12)]
    end = await scene.completed()
    assert end.status["assessment"]["winner"]["name"] == "answer-v2"
    assert {status for status, _ in await asyncio.gather(*slow)} == {200}

    async def deleted() -> bool:
        try:
            await scene.house.client.get(DEPLOYMENT, NAMESPACE, "answer-v1")
        except NotFound:
            return True
        return False

    await eventually("the baseline is deleted", deleted)


async def test_without_any_request_nothing_is_counted_or_moved(scene: Scene) -> None:
    await scene.play(deployment("v2"), experiment(interval="1s", iterations=3))
    await scene.says("held: no requests seen")
    await asyncio.sleep(5)  # several intervals in which nothing may happen
    last = scene.story.last()
    assert (last.iteration, last.status["phase"]) == (0, "Progressing")
    assert scene.wire.split == {"answer-v1": 100}
    traffic = scene.traffic()
    end = await scene.completed()
    assert end.iteration == 3
    assert dict((await traffic.stop()).errors) == {}


async def test_traffic_that_stops_holds_everything_and_goes_on_by_itself(scene: Scene) -> None:
    traffic = scene.traffic()
    await running(scene)
    await traffic.stop()
    since = len(scene.story.said)
    await scene.says("held: no requests seen", since=since)
    split, iteration = dict(scene.wire.split), scene.story.last().iteration
    await asyncio.sleep(5)
    assert (scene.wire.split, scene.story.last().iteration) == (split, iteration)
    scene.traffic()
    await counted_after(scene)


async def test_counters_that_cannot_be_read_hold_everything_and_judge_nothing(scene: Scene) -> None:
    scene.traffic()
    await running(scene)
    await scene.house.look()
    os.kill(scene.house.envoy, signal.SIGSTOP)  # it neither answers requests nor shows its counters
    try:
        # or, if it was being told a new split at that moment, what it has not taken over
        said = await scene.says("AnalyticsServiceError: |RoutingRulesError: the gateway has not taken over")
        split = await scene.house.split()
        await asyncio.sleep(5)
        assert await scene.house.split() == split
        assert scene.story.last().iteration == said.iteration
    finally:
        os.kill(scene.house.envoy, signal.SIGCONT)
    await counted_after(scene)
    assert not scene.story.last().status["assessment"]["candidates"][0]["rollback"]


async def test_two_experiments_on_one_service_the_second_says_so_and_touches_nothing(scene: Scene) -> None:
    scene.traffic()
    await running(scene)
    await scene.play(deployment("v3"), experiment("second", candidates=("v3",)))
    await scene.says("RoutingRulesError: service answer in namespace default is in use", name="second", since=0)
    await counted_after(scene)
    assert "answer-v3" not in {name for split in scene.wire.splits for name, weight in split.items() if weight}
    await scene.house.client.patch(
        EXPERIMENT, NAMESPACE, "rollout", {"spec": {"manualOverride": {"action": "terminate"}}}
    )
    end = await scene.completed()
    assert end.message == "ExperimentCompleted: Traffic To Baseline (Abort)"
    await scene.share("v3", 1)


async def test_deleted_in_the_middle_the_traffic_is_the_baselines(scene: Scene) -> None:
    traffic = scene.traffic()
    await running(scene)
    await scene.house.client.delete(EXPERIMENT, NAMESPACE, "rollout")
    await scene.share("v1", 100)
    rules = await scene.house.client.get(VIRTUAL_SERVICE, NAMESPACE, "answer")
    assert rules["metadata"]["labels"]["iter8-tools/role"] == "stable"
    assert dict((await traffic.stop()).errors) == {}


async def test_a_home_that_is_taken_down_and_up_again_goes_on(scene: Scene) -> None:
    scene.traffic()
    await running(scene)
    await scene.iteration(2)
    await scene.house.down()
    assert scene.house.left() == []
    await scene.house.up()
    await counted_after(scene)
    await scene.share("v2", 1)


async def test_a_killed_process_of_the_baseline_leaves_the_traffic_to_the_candidate_meanwhile(scene: Scene) -> None:
    scene.traffic()
    await running(scene)
    (pod,) = await scene.house.pods("v1")
    os.kill(pod["pid"], signal.SIGKILL)
    await scene.says("TargetsError: Baseline Not Ready")
    await scene.house.ready("v1")
    await counted_after(scene)
    await scene.share("v1", 1)


async def test_a_baseline_that_is_scaled_to_nothing_and_up_again(scene: Scene) -> None:
    traffic = scene.traffic()
    await running(scene)
    await scene.house.client.patch(DEPLOYMENT, NAMESPACE, "answer-v1", {"spec": {"replicas": 0}})
    await scene.says("TargetsError: Baseline Not Ready: answer-v1: scaled to 0")
    await scene.share("v2", 100)
    await scene.house.client.patch(DEPLOYMENT, NAMESPACE, "answer-v1", {"spec": {"replicas": 1}})
    await counted_after(scene)
    await scene.share("v1", 1)
    assert set((await traffic.stop()).errors) <= LOST


async def test_a_redeployed_baseline_serves_on_and_what_compares_with_it_starts_anew(scene: Scene) -> None:
    traffic = scene.traffic()
    await running(scene)
    await scene.play(deployment("v1", "--latency", "0.01"))
    await scene.tells("EvidenceDropped: answer-v1 was replaced")
    await counted_after(scene)
    await scene.share("v1", 1)
    assert dict((await traffic.stop()).errors) == {}
