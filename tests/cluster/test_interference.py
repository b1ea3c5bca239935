"""Whoever works beside an experiment: each of its troubles ends as a platform engineer would want, and is told.

All scenes are played side by side by one controller, which must be none the worse for any of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lab import Lab

from serin.errors import NotFound
from serin.ports import DEPLOYMENT, DESTINATION_RULE, EXPERIMENT, NAMESPACE, VIRTUAL_SERVICE, Object
from tests.cluster.release import controllers, install
from tests.cluster.scenes import Scene, experiment, names, pair, side_by_side
from tests.cluster.watcher import Watcher

HELD: dict[str, Any] = {
    "duration": {"interval": "2s", "maxIterations": 500},
    "analysis": {"mode": "independent"},
    "trafficControl": {"maxIncrement": 5},
}
"""It does not end by itself."""


async def test_nobody_who_works_beside_an_experiment_does_harm(lab: Lab, tmp_path: Path) -> None:
    install(lab)
    scenes = [Scene(lab, each) for each in names("beside", 7)]
    plays = (
        the_virtual_service_is_edited,
        the_destination_rule_is_deleted,
        the_candidate_is_rolled_again,
        the_baseline_is_scaled_to_nothing,
        the_experiment_is_deleted,
        the_namespace_is_deleted,
        two_experiments_want_one_service,
    )
    with controllers(lab, tmp_path, refused=True) as (controller,), Watcher(lab).recording() as watcher:
        await side_by_side(*(play(scene) for play, scene in zip(plays, scenes, strict=True)))
        assert controller.process.poll() is None
        assert controller.page("/healthz").status_code == 200
    # A rule was deleted in one of them, and everything in no order in another: those are not the rules' doing.
    orderly = [scene.name for index, scene in enumerate(scenes) if index not in (1, 5)]
    assert watcher.oddities(*orderly) == []


async def the_virtual_service_is_edited(scene: Scene) -> None:
    """By hand, and by a tool that puts the repository's form in its place, our marks and all."""
    async with scene.opened("v2") as scene, scene.users() as users:
        await _begun(scene)
        rules = await scene.get(VIRTUAL_SERVICE)
        first, second = rules["spec"]["http"][0]["route"]
        edited = [{**first, "weight": 3}, {**second, "weight": 97}]
        route = {**rules["spec"]["http"][0], "timeout": "77s", "route": edited}
        await scene.patch(VIRTUAL_SERVICE, "web", {"spec": {"http": [route]}})
        await scene.told("put back to")
        await scene.until("it is put back", lambda: _is_ours(scene))
        (_, original) = pair(scene.host)
        metadata = {**original["metadata"], "namespace": scene.name}
        await scene.objects.replace({**original, "metadata": metadata})
        await scene.until("it is ours again", lambda: _is_ours(scene))
        await scene.delete(EXPERIMENT, "rollout")
        await _is_gone(scene)
        assert (await scene.get(VIRTUAL_SERVICE))["spec"] == original["spec"]
    assert users.lost == []


async def _is_ours(scene: Scene) -> bool:
    rules = await scene.get(VIRTUAL_SERVICE)
    (route,) = rules["spec"]["http"]
    weights = await scene.weights()
    held = rules["metadata"]["labels"].get("iter8-tools/experiment") == f"rollout.{scene.name}"
    return held and "timeout" not in route and 0 < weights.get("v1", 0) < 100 and weights["v2"] < 97


async def the_destination_rule_is_deleted(scene: Scene) -> None:
    """Whoever does that loses requests; it comes back as the user's own."""
    rule, rules = pair(scene.host)
    rule["spec"] |= {"trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}}
    async with scene.opened("v2", rules=[rule, rules]) as scene, scene.users():
        await _begun(scene)
        before = await scene.get(DESTINATION_RULE)
        await scene.delete(DESTINATION_RULE, "web")
        await scene.told("put back to")
        (after,) = await scene.objects.list(DESTINATION_RULE, scene.name)
        assert after["metadata"]["name"] == "web"
        assert after["metadata"]["uid"] != before["metadata"]["uid"]
        assert after["metadata"]["labels"] == before["metadata"]["labels"]
        assert after["spec"]["trafficPolicy"] == before["spec"]["trafficPolicy"]
        names = {each["name"] for each in after["spec"]["subsets"]}
        assert names == {each["name"] for each in before["spec"]["subsets"]}
        await scene.delete(EXPERIMENT, "rollout")
        await _is_gone(scene)
        assert (await scene.get(DESTINATION_RULE))["spec"] == rule["spec"]
        assert (await scene.get(VIRTUAL_SERVICE))["spec"] == rules["spec"]


async def the_candidate_is_rolled_again(scene: Scene) -> None:
    """Another program under the same name: what was known of the first one says nothing of it."""
    async with scene.opened("v2") as scene, scene.users() as users:
        await _begun(scene)
        container = (await scene.get(DEPLOYMENT, "web-v2"))["spec"]["template"]["spec"]["containers"][0]
        again = {**container, "env": [{"name": "AGAIN", "value": "1"}]}
        await scene.patch(DEPLOYMENT, "web-v2", {"spec": {"template": {"spec": {"containers": [again]}}}})
        await scene.told("EvidenceDropped: web-v2 was replaced; its evidence starts anew")
        await scene.patch(EXPERIMENT, "rollout", {"spec": {"analysis": {"earlyStop": True}}})
        status = await scene.ended()
        assert status["assessment"]["winner"]["name"] == "web-v2"
        await scene.routes(v2=100)
    assert users.lost == []


async def the_baseline_is_scaled_to_nothing(scene: Scene) -> None:
    """Everybody goes to the candidate meanwhile; nothing is judged, and it goes on when the baseline is there again."""
    async with scene.opened("v2") as scene, scene.users() as users:
        await _begun(scene)
        await scene.patch(DEPLOYMENT, "web-v1", {"spec": {"replicas": 0}})
        await scene.says("TargetsError: Baseline Not Ready: web-v1: scaled to 0")
        await scene.routes(v2=100)
        iteration = (await scene.status())["currentIteration"]
        before = users.answered
        await scene.until("requests are answered", lambda: users.answered > before + 60)
        assert (await scene.status())["currentIteration"] == iteration
        await scene.patch(DEPLOYMENT, "web-v1", {"spec": {"replicas": 1}})
        await scene.says("IterationUpdate")
        lost = len(users.lost)
        await scene.patch(EXPERIMENT, "rollout", {"spec": {"analysis": {"earlyStop": True}}})
        assert (await scene.ended())["assessment"]["winner"]["name"] == "web-v2"
    assert users.lost[lost:] == []


async def the_experiment_is_deleted(scene: Scene) -> None:
    async with scene.opened("v2") as scene, scene.users() as users:
        before = await scene.get(VIRTUAL_SERVICE), await scene.get(DESTINATION_RULE)
        await _begun(scene)
        await scene.delete(EXPERIMENT, "rollout")
        await _is_gone(scene)
        await scene.told("ExperimentDeleted: deleted before its end; traffic: web-v1: 100%")
        after = await scene.get(VIRTUAL_SERVICE), await scene.get(DESTINATION_RULE)
        for left, had in zip(after, before, strict=True):
            assert left["spec"] == had["spec"]
            assert left["metadata"]["labels"] == had["metadata"]["labels"]
            assert left["metadata"].get("annotations") == had["metadata"].get("annotations")
    assert users.lost == []


async def the_namespace_is_deleted(scene: Scene) -> None:
    """With all that the experiment needs, in whatever order; the finalizer must hold nothing up."""
    async with scene.opened("v2") as scene:
        async with scene.users():
            await _begun(scene)
        await scene.objects.delete(NAMESPACE, "", scene.name)

        async def gone() -> bool:
            try:
                await scene.objects.get(NAMESPACE, "", scene.name)
            except NotFound:
                return True
            return False

        await scene.until("the namespace is gone", gone)


async def two_experiments_want_one_service(scene: Scene) -> None:
    """The second waits, says for whom, and goes on from where the first has ended."""
    async with scene.opened("v2", "v3") as scene, scene.users() as users:
        await _begun(scene)
        before = await scene.get(VIRTUAL_SERVICE)
        await scene.apply(experiment("v2", "v3", name="second"))
        await scene.says(f"is in use by experiment rollout.{scene.name}; waiting for its end", "second")
        assert (await scene.get(VIRTUAL_SERVICE))["metadata"]["labels"] == before["metadata"]["labels"]
        await scene.patch(EXPERIMENT, "rollout", {"spec": {"analysis": {"earlyStop": True}}})
        assert (await scene.ended())["assessment"]["winner"]["name"] == "web-v2"
        assert (await scene.ended("second"))["assessment"]["winner"]["name"] == "web-v3"
        await scene.routes(v3=100)
    assert users.lost == []


async def _begun(scene: Scene) -> None:
    """An experiment that does not end by itself, its candidate with some traffic."""
    await scene.apply(experiment(**HELD))

    async def split() -> bool:
        return (await scene.weights()).get("v2", 0) > 0

    await scene.until("the candidate has traffic", split)


async def _is_gone(scene: Scene, name: str = "rollout") -> None:
    async def gone() -> bool:
        found: list[Object] = await scene.objects.list(EXPERIMENT, scene.name)
        return name not in [each["metadata"]["name"] for each in found]

    await scene.until(f"{name} is gone", gone)
