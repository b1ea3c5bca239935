"""Whole experiments through the real control layer and the real core, on fakes, in turned time."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from serin.errors import NotFound
from serin.ports import DEPLOYMENT, DESTINATION_RULE, EXPERIMENT
from tests.control.lab import NAMESPACE, Lab, deployment, experiment


@pytest.fixture
async def lab():
    lab = Lab()
    lab.start()
    yield lab
    await lab.stop()


async def test_the_article(lab):
    await lab.objects.create(experiment())
    await lab.seconds(5)
    assert await lab.word() == "TargetsError: Missing Candidate"
    assert (await lab.status())["phase"] == "Pause"
    await lab.set_ready("v2", False)
    await lab.seconds(20)
    assert (await lab.word()).startswith("TargetsError: Candidate Not Ready")
    assert await lab.weights() == {"v1": 100}
    await lab.set_ready("v2", True)
    await lab.seconds(2)
    assert await lab.word() == "IterationUpdate: Iteration 0/12 completed"
    await lab.until(lab.completed, within=200)
    status = await lab.status()
    assert status["message"] == "ExperimentCompleted: Traffic To Winner"
    assert status["assessment"]["winner"]["name"] == "fashionmnist-v2"
    assert status["assessment"]["winner"]["winning_version_found"] is True
    assert status["currentIteration"] == 12
    assert await lab.weights() == {"v2": 100}
    with pytest.raises(NotFound):
        await lab.objects.get(DEPLOYMENT, NAMESPACE, "fashionmnist-v1")
    assert lab.lost == 0
    assert (await lab.get())["metadata"].get("finalizers", []) == []


async def test_counters_are_asked_for_since_the_start_of_the_experiment(lab):
    lab.objects.seed(deployment("v2"))
    await lab.seconds(3)
    begun = lab.clock.now()
    await lab.objects.create(experiment())
    await lab.seconds(40)
    assert {request.since for requests in lab.metrics.reads for request in requests} == {begun}


async def test_no_candidate_gains_more_than_max_increment(lab):
    lab.objects.seed(deployment("v2"))
    await lab.objects.create(experiment())
    shares = []
    for _ in range(13):
        await lab.seconds(15)
        shares.append((await lab.weights()).get("v2", 0))
    assert all(later - earlier <= 20 for earlier, later in pairwise(shares[:-1]))
    assert shares[-1] == 100


@pytest.mark.parametrize("trouble", ["slow", "failing"])
async def test_a_violating_candidate_is_rolled_back_and_the_baseline_stays(lab, trouble):
    lab.objects.seed(deployment("v2"))
    criteria = [
        {"metric": "iter8_mean_latency", "threshold": {"type": "absolute", "value": 100}},
        {"metric": "iter8_error_rate", "threshold": {"type": "absolute", "value": 0.05}},
    ]
    if trouble == "slow":
        lab.latency["v2"] = 180.0
    else:
        lab.failing["v2"] = 0.3
    await lab.objects.create(experiment(criteria=criteria))
    await lab.until(lab.completed, within=120)
    status = await lab.status()
    assert status["message"] == "ExperimentCompleted: Traffic To Winner"
    assert status["assessment"]["winner"]["name"] == "fashionmnist-v1"
    assert status["assessment"]["winner"]["winning_version_found"] is True
    assert status["assessment"]["candidates"][0]["rollback"] is True
    assert await lab.weights() == {"v1": 100}
    with pytest.raises(NotFound):
        await lab.objects.get(DEPLOYMENT, NAMESPACE, "fashionmnist-v2")
    assert lab.lost == 0
    assert not [line for line in lab.sink.lines if " held" in line]
    (word,) = [line for line in lab.sink.lines if line.startswith("AssessmentUpdate")]
    assert "Winner assessment: fashionmnist-v2 rolled back: " in word


async def test_a_candidate_that_never_becomes_ready_fails_at_its_deadline(lab):
    lab.objects.seed(deployment("v2", ready=False))
    await lab.objects.create(experiment(analysis={"progressDeadline": "40s"}))
    await lab.seconds(30)
    assert (await lab.status())["phase"] == "Pause"
    await lab.until(lab.completed, within=30)
    status = await lab.status()
    assert status["message"] == "ExperimentCompleted: Traffic To Winner"
    assert status["assessment"]["winner"]["name"] == "fashionmnist-v1"
    assert await lab.weights() == {"v1": 100}
    assert lab.lost == 0


async def test_without_requests_nothing_is_judged_and_it_goes_on_when_they_come(lab):
    lab.objects.seed(deployment("v2"))
    lab.rate = 0
    await lab.objects.create(experiment())
    await lab.seconds(400)
    status = await lab.status()
    assert status["phase"] == "Progressing"
    assert status["currentIteration"] <= 1
    assert "no requests" in status["message"]
    lab.rate = 40
    await lab.until(lab.completed, within=220)
    assert (await lab.status())["assessment"]["winner"]["name"] == "fashionmnist-v2"


async def test_counters_that_cannot_be_read_hold_everything_and_judge_nothing(lab):
    from serin.errors import ProviderError

    lab.objects.seed(deployment("v2"))
    await lab.objects.create(experiment())
    await lab.seconds(50)
    before = await lab.weights()
    assert before["v2"] > 0
    lab.metrics.error = ProviderError("the gateway's counters cannot be read")
    await lab.seconds(60)
    assert await lab.word() == "AnalyticsServiceError: the gateway's counters cannot be read"
    assert await lab.weights() == before
    lab.metrics.error = None
    await lab.until(lab.completed, within=250)
    assert (await lab.status())["assessment"]["winner"]["name"] == "fashionmnist-v2"


async def test_a_candidate_that_vanishes_gets_nothing_and_comes_back_from_nothing(lab):
    lab.objects.seed(deployment("v2"))
    await lab.objects.create(experiment())
    await lab.seconds(50)
    await lab.delete("v2")
    await lab.seconds(3)
    assert await lab.word() == "TargetsError: Candidate Deleted"
    assert (await lab.weights())["v2"] == 0 if "v2" in await lab.weights() else True
    lost = lab.lost
    await lab.seconds(18)
    assert lab.lost == lost
    lab.objects.seed(deployment("v2"))
    await lab.until(lab.completed, within=300)
    assert (await lab.status())["assessment"]["winner"]["name"] == "fashionmnist-v2"


async def test_a_redeployed_candidate_is_judged_anew(lab):
    lab.objects.seed(deployment("v2"))
    await lab.objects.create(experiment())
    await lab.seconds(100)
    lab.objects.seed(deployment("v2", image="fashionmnist:v2-other"))
    lab.latency["v2"] = 180.0
    await lab.until(lab.completed, within=120)
    assert (await lab.status())["assessment"]["winner"]["name"] == "fashionmnist-v1"
    assert any("evidence starts anew" in line for line in lab.sink.lines)


async def test_a_candidate_scaled_to_nothing_is_waited_for(lab):
    lab.objects.seed(deployment("v2"))
    await lab.objects.create(experiment())
    await lab.seconds(50)
    lab.objects.seed(deployment("v2", ready=False, replicas=0))
    await lab.seconds(3)
    assert await lab.word() == "TargetsError: Candidate Not Ready: fashionmnist-v2: scaled to 0"
    assert (await lab.weights()).get("v1") == 100


async def test_a_baseline_that_vanishes_leaves_the_traffic_where_it_is_answered(lab):
    lab.objects.seed(deployment("v2"))
    await lab.objects.create(experiment())
    await lab.seconds(50)
    await lab.delete("v1")
    await lab.seconds(2)
    lost = lab.lost
    assert await lab.word() == "TargetsError: Baseline Deleted"
    await lab.seconds(20)
    assert lab.lost == lost
    lab.objects.seed(deployment("v1"))
    await lab.until(lab.completed, within=400)


async def test_pause_resume_and_terminate(lab):
    lab.objects.seed(deployment("v2"))
    await lab.objects.create(experiment(cleanup=False))
    await lab.seconds(50)
    await lab.patch({"spec": {"manualOverride": {"action": "pause"}}})
    await lab.seconds(2)
    assert await lab.word() == "ActionPause"
    assert "manualOverride" not in (await lab.get())["spec"]
    held, iteration = await lab.weights(), (await lab.status())["currentIteration"]
    await lab.seconds(60)
    assert await lab.weights() == held
    assert (await lab.status())["currentIteration"] == iteration
    await lab.patch({"spec": {"manualOverride": {"action": "resume"}}})
    await lab.seconds(2)
    assert (await lab.status())["phase"] == "Progressing"
    await lab.seconds(20)
    assert (await lab.status())["currentIteration"] > iteration
    split = {"fashionmnist-v1": 30, "fashionmnist-v2": 70}
    await lab.patch({"spec": {"manualOverride": {"action": "terminate", "trafficSplit": split}}})
    await lab.seconds(3)
    assert await lab.word() == "ExperimentCompleted: Traffic User Specified (Abort)"
    assert await lab.weights() == {"v1": 30, "v2": 70}
    assert (await lab.status())["assessment"]["winner"]["winning_version_found"] is False


async def test_terminate_without_a_split_sends_all_to_the_baseline(lab):
    lab.objects.seed(deployment("v2"))
    await lab.objects.create(experiment(cleanup=False))
    await lab.seconds(50)
    await lab.patch({"spec": {"manualOverride": {"action": "terminate"}}})
    await lab.seconds(3)
    assert await lab.word() == "ExperimentCompleted: Traffic To Baseline (Abort)"
    assert await lab.weights() == {"v1": 100}


async def test_terminated_before_it_started_it_moves_no_traffic(lab):
    before = await lab.virtual_service()
    await lab.objects.create(experiment())
    await lab.seconds(3)
    await lab.patch({"spec": {"manualOverride": {"action": "terminate"}}})
    await lab.seconds(3)
    assert await lab.word() == "ExperimentCompleted: Traffic To Baseline (Abort)"
    assert await lab.virtual_service() == before


@pytest.mark.parametrize("after", [2, 20, 50, 110])
async def test_deleted_at_any_time_the_traffic_is_the_baselines(lab, after):
    before = await lab.virtual_service()
    lab.objects.seed(deployment("v2"))
    await lab.objects.create(experiment())
    await lab.seconds(after)
    await lab.objects.delete(EXPERIMENT, NAMESPACE, "rollout")
    await lab.seconds(3)
    with pytest.raises(NotFound):
        await lab.get()
    assert await lab.weights() == {"v1": 100}
    after_it = await lab.virtual_service()
    assert after_it["metadata"]["labels"] == before["metadata"]["labels"]
    assert after_it["spec"]["hosts"] == before["spec"]["hosts"]
    assert "ExperimentDeleted: deleted before its end; traffic: fashionmnist-v1: 100%" in lab.sink.lines


async def test_two_experiments_on_one_service_the_second_says_so_and_touches_nothing(lab):
    lab.objects.seed(deployment("v2"), deployment("v3"))
    await lab.objects.create(experiment())
    await lab.seconds(5)
    await lab.objects.create(experiment("second", candidates=("v3",)))
    await lab.seconds(20)
    assert (await lab.word("second")).startswith(
        "RoutingRulesError: service fashionmnist in namespace default is in use"
    )
    await lab.until(lab.completed, within=250)
    assert (await lab.status())["assessment"]["winner"]["name"] == "fashionmnist-v2"


async def test_v1_to_v2_to_v3_on_the_same_rules(lab):
    lab.objects.seed(deployment("v2"))
    await lab.objects.create(experiment())
    await lab.until(lab.completed, within=250)
    lab.objects.seed(deployment("v3"))
    await lab.objects.create(experiment("next", baseline="v2", candidates=("v3",)))
    seen = []
    for _ in range(230):
        await lab.seconds(1)
        seen.append(await lab.weights())
        if await lab.completed("next"):
            break
    assert all(not str(version).startswith("?") for weights in seen for version in weights)
    assert seen[0].get("v3", 0) == 0
    assert await lab.weights() == {"v3": 100}
    assert lab.lost == 0


async def test_what_somebody_changes_in_our_route_is_put_back(lab):
    lab.objects.seed(deployment("v2"))
    await lab.objects.create(experiment())
    await lab.seconds(50)
    before = await lab.weights()
    changed = await lab.virtual_service()
    changed["spec"]["http"][0]["route"][0]["weight"] = 0
    changed["spec"]["http"][0]["route"][1]["weight"] = 100
    await lab.objects.replace(changed)
    await lab.seconds(2)
    assert await lab.weights() == before
    assert any("put back" in line for line in lab.sink.lines)


async def test_an_invalid_spec_touches_nothing(lab):
    before = await lab.virtual_service()
    broken = experiment(duration={"interval": "15", "maxIterations": 3})
    await lab.objects.create(broken)
    await lab.seconds(3)
    assert (await lab.word()).startswith("TargetsError: Invalid service spec: spec.duration.interval: '15' has no unit")
    assert await lab.virtual_service() == before


async def test_deployments_without_a_service_are_refused_in_words(lab):
    lab.objects.seed(deployment("v2"))
    without = experiment()
    del without["spec"]["service"]["name"]
    before = await lab.virtual_service()
    await lab.objects.create(without)
    await lab.seconds(3)
    assert await lab.word() == (
        "TargetsError: Invalid service spec: spec.service.name is needed to route to versions that are Deployments; "
        "name their Service"
    )
    assert await lab.virtual_service() == before


@pytest.mark.parametrize(
    "change",
    [
        {"service": {"candidates": ["fashionmnist-v3"]}},
        {"networking": {"id": "another"}},
        {"criteria": [{"metric": "iter8_mean_latency", "threshold": {"type": "absolute", "value": 50}}]},
    ],
    ids=["candidates", "router", "criteria"],
)
async def test_what_the_evidence_is_about_cannot_change_while_it_runs(lab, change):
    lab.objects.seed(deployment("v2"))
    before = experiment()["spec"]
    await lab.objects.create(experiment())
    await lab.seconds(50)
    weights = await lab.weights()
    await lab.patch({"spec": change})
    await lab.seconds(20)
    assert "cannot change while the experiment runs" in await lab.word()
    assert await lab.weights() == weights
    await lab.patch({"spec": {key: before[key] for key in change}})
    await lab.seconds(20)
    assert (await lab.status())["phase"] == "Progressing"


async def test_a_candidate_that_goes_while_proxies_are_being_told_loses_its_share_at_once(lab):
    """Proxies may take seconds to follow; that is waited for, but not when the world changes meanwhile."""
    lab.objects.seed(deployment("v2"))
    await lab.objects.create(experiment())
    await lab.seconds(5)
    lab.data_plane.behind.add("fashionmnist")

    async def given() -> bool:
        return bool((await lab.weights()).get("v2", 0) > 0)

    await lab.until(given)
    assert not [line for line in lab.sink.lines if "fashionmnist-v2" in line and line.startswith("TrafficUpdate")]
    await lab.objects.delete(DEPLOYMENT, NAMESPACE, "fashionmnist-v2")
    await lab.clock.advance(0.1)
    assert (await lab.weights())["v1"] == 100
    lab.data_plane.behind.clear()
    await lab.seconds(5)
    assert await lab.word() == "TargetsError: Candidate Deleted"
    lab.objects.seed(deployment("v2"))
    await lab.until(lab.completed)
    assert await lab.weights() == {"v2": 100}


@pytest.mark.parametrize("trouble", ["the candidate goes", "it is deleted"])
async def test_a_source_that_hangs_holds_up_no_withdrawal(lab, trouble, monkeypatch):
    lab.objects.seed(deployment("v2"))
    await lab.objects.create(experiment())

    async def given() -> bool:
        return bool((await lab.weights()).get("v2", 0) > 0)

    await lab.until(given)

    async def hangs(_requests):
        await asyncio.Event().wait()

    monkeypatch.setattr(lab.metrics, "read", hangs)
    await lab.seconds(3)
    assert await given()
    if trouble == "the candidate goes":
        await lab.objects.delete(DEPLOYMENT, NAMESPACE, "fashionmnist-v2")
    else:
        await lab.objects.delete(EXPERIMENT, NAMESPACE, "rollout")
    await lab.clock.advance(0.1)
    assert (await lab.weights())["v1"] == 100
    monkeypatch.undo()
    if trouble == "the candidate goes":
        lab.objects.seed(deployment("v2"))
        await lab.until(lab.completed)
        assert await lab.weights() == {"v2": 100}


async def test_an_edit_while_proxies_are_being_told_is_put_back_and_told(lab):
    lab.objects.seed(deployment("v2"))
    await lab.objects.create(experiment())
    await lab.seconds(5)
    lab.data_plane.behind.add("fashionmnist")

    async def given() -> bool:
        return bool((await lab.weights()).get("v2", 0) > 0)

    await lab.until(given)
    decided = await lab.weights()
    rules = await lab.virtual_service()
    for entry, weight in zip(rules["spec"]["http"][0]["route"], (1, 99), strict=True):
        entry["weight"] = weight
    await lab.objects.replace(rules)
    await lab.clock.advance(0.2)
    assert await lab.weights() == decided
    lab.data_plane.behind.clear()
    await lab.seconds(5)
    split = ", ".join(f"fashionmnist-{version}: {weight}%" for version, weight in decided.items())
    assert f"TrafficUpdate: put back to {split}, as decided" in lab.sink.lines
    assert f"TrafficUpdate: {split}" in lab.sink.lines


@pytest.mark.parametrize("how", ["terminated", "deleted"])
async def test_an_end_between_the_rules_and_the_start_leaves_them_as_they_were(lab, how):
    """The rules are taken, the proxies follow slowly, and nothing is recorded as begun yet."""
    before = await lab.virtual_service()
    lab.data_plane.behind.add("fashionmnist")
    lab.objects.seed(deployment("v2"))
    await lab.objects.create(experiment())
    await lab.seconds(3)
    assert (await lab.virtual_service())["metadata"]["labels"]["iter8-tools/role"] == "progressing"
    assert "startTimestamp" not in await lab.status()
    if how == "terminated":
        await lab.patch({"spec": {"manualOverride": {"action": "terminate"}}})
    else:
        await lab.objects.delete(EXPERIMENT, NAMESPACE, "rollout")
    lab.data_plane.behind.clear()
    await lab.seconds(5)
    after = await lab.virtual_service()
    assert (after["spec"], after["metadata"]["labels"]) == (before["spec"], before["metadata"]["labels"])
    (rule,) = await lab.objects.list(DESTINATION_RULE, NAMESPACE)
    assert rule["metadata"]["labels"]["iter8-tools/role"] == "stable"
    assert await lab.weights() == {"v1": 100}
    await lab.objects.get(DEPLOYMENT, NAMESPACE, "fashionmnist-v2")
