"""What the rules are to Istio: every form of them is accepted, requests follow the weights, a user's own come back.

Experiments of all kinds are played side by side; each version of each rule that was ever written is judged.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
import yaml
from lab import Lab
from scipy.stats import binomtest

from serin.ports import DESTINATION_RULE, EXPERIMENT, VIRTUAL_SERVICE, Object
from tests.cluster.release import controllers, install
from tests.cluster.scenes import (
    Scene,
    deployment,
    destination_rule,
    experiment,
    names,
    pair,
    service,
    side_by_side,
    virtual_service,
)
from tests.cluster.watcher import Watcher

CHANCE = 1e-7
"""Of a false alarm, for each share."""

REQUESTS = 400
HELD: dict[str, Any] = {"analysis": {"mode": "independent"}}
QUICK: dict[str, Any] = {"trafficControl": {"maxIncrement": 40}}
DIVIDED: dict[str, Any] = {"manualOverride": {"action": "terminate", "trafficSplit": {"web-v1": 35, "web-v2": 65}}}
BETA = {"headers": {"x-group": {"exact": "beta"}}}


async def test_istio_accepts_every_rule_and_requests_follow_the_weights(lab: Lab, tmp_path: Path) -> None:
    install(lab)
    scenes = [Scene(lab, each) for each in names("rules", 6)]
    plays = (
        divided_as_asked,
        made_by_the_experiment,
        versions_that_are_services,
        some_requests_only,
        three_candidates,
        a_users_own_rules,
    )
    with controllers(lab, tmp_path), Watcher(lab).recording() as watcher:
        await side_by_side(*(play(scene) for play, scene in zip(plays, scenes, strict=True)))
        assert lab.rejections() == []
        assert _rejected(lab) == {}
    rules = watcher.rules()
    written = {json.dumps([each["kind"], each["metadata"]["namespace"], each["spec"]]): each for each in rules}
    assert len(written) > 40
    assert {each["metadata"]["namespace"] for each in written.values()} >= {scene.name for scene in scenes}
    assert lab.istio_refusal(yaml.safe_dump_all(map(_manifest, written.values()))) is None
    assert watcher.oddities(*(scene.name for scene in scenes)) == []


def _manifest(obj: Object) -> Object:
    """As a person would write it: a name of its own for each, since the validation compares what it is given."""
    metadata = {name: obj["metadata"][name] for name in ("namespace", "labels") if name in obj["metadata"]}
    name = f"{obj['metadata']['name']}-{obj['metadata']['resourceVersion']}"
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "metadata": {**metadata, "name": name},
        "spec": obj["spec"],
    }


def _rejected(lab: Lab) -> dict[str, float]:
    """What was ever refused since the lab began: by the gateway, as it counts itself, and as istiod has heard of it."""
    said = httpx2.get(f"{lab.gateway_admin}/stats?filter=update_(rejected|success)", trust_env=False).text
    counted = {name: float(value) for name, _, value in (line.partition(": ") for line in said.splitlines())}
    assert sum(value for name, value in counted.items() if name.endswith("update_success")) > 0
    asking = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:15014/metrics').read().decode())"
    read = lab.inside(sys.executable, "-c", asking)
    metrics = subprocess.run(read, capture_output=True, text=True, check=True).stdout
    assert "pilot_xds_pushes" in metrics
    found = re.findall(r"^(pilot_(?:total_xds_rejects|total_xds_internal_errors)\S*) (\S+)$", metrics, re.MULTILINE)
    counted |= {name: float(value) for name, value in found}
    return {name: value for name, value in counted.items() if value and not name.endswith("update_success")}


async def divided_as_asked(scene: Scene) -> None:
    """Weights that are held while it pauses, and the split that a person asks for at the end."""
    async with scene.opened("v2") as scene:
        async with scene.users():
            await scene.apply(experiment(**HELD, **QUICK))

            async def split() -> bool:
                return 0 < (await scene.weights()).get("v2", 0) < 100

            await scene.until("it is divided", split)
            await scene.patch(EXPERIMENT, "rollout", {"spec": {"manualOverride": {"action": "pause"}}})
            await scene.says("ActionPause")
        await _follows(scene)
        await scene.patch(EXPERIMENT, "rollout", {"spec": DIVIDED})
        assert (await scene.ended())["message"] == "ExperimentCompleted: Traffic User Specified (Abort)"
        assert await scene.weights() == {"v1": 35, "v2": 65}
        await _follows(scene)


async def _follows(scene: Scene) -> None:
    """So many requests, and who has answered them: the weights, by the bound for chance."""
    wanted = await scene.weights()
    await scene.until("the gateway has the weights", scene.lab.acknowledged)
    before = await _settled(scene)
    async with scene.client() as client:
        for _ in range(REQUESTS):
            assert (await client.get("/")).status_code == 200

    async def all_counted() -> Mapping[str, int] | None:
        now = await _answered(scene)
        return now if sum(now.values()) >= sum(before.values()) + REQUESTS else None

    now = await scene.until("Prometheus has them all", all_counted)
    for version, weight in wanted.items():
        share = now.get(f"web-{version}", 0) - before.get(f"web-{version}", 0)
        assert binomtest(share, REQUESTS, weight / 100).pvalue > CHANCE, (version, share, wanted)


async def _settled(scene: Scene) -> Mapping[str, int]:
    """The counts, once nothing is on its way to Prometheus any more."""
    seen: list[Mapping[str, int]] = [{}]

    async def same() -> bool:
        seen.append(await _answered(scene))
        await asyncio.sleep(2.0)
        return bool(seen[-1]) and seen[-1] == seen[-2]

    await scene.until("the counts stand still", same)
    return seen[-1]


async def _answered(scene: Scene) -> Mapping[str, int]:
    query = f'sum by (destination_workload) (istio_requests_total{{destination_workload_namespace="{scene.name}"}})'
    async with httpx2.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{scene.lab.prometheus}/api/v1/query", params={"query": query})
    rows = answer.raise_for_status().json()["data"]["result"]
    return {row["metric"]["destination_workload"]: int(float(row["value"][1])) for row in rows}


async def made_by_the_experiment(scene: Scene) -> None:
    """There are no rules: it makes them, and with `cleanup` takes them away again."""
    async with scene.opened("v2", rules=[]) as scene:
        hosts = [{"name": scene.host, "gateway": "door"}]
        await scene.apply(experiment(networking={"id": "web", "hosts": hosts}, cleanup=True, **QUICK))
        async with scene.users():
            assert (await scene.ended())["assessment"]["winner"]["name"] == "web-v2"
        assert await scene.objects.list(VIRTUAL_SERVICE, scene.name) == []
        assert await scene.objects.list(DESTINATION_RULE, scene.name) == []


async def versions_that_are_services(scene: Scene) -> None:
    """Kind Service: hosts instead of subsets, and no DestinationRule."""
    async with scene.opened("v2", rules=[]) as scene:
        await scene.apply(*(service(f"web-{each}", app="web", version=each) for each in ("v1", "v2")))
        hosts = [{"name": scene.host, "gateway": "door"}]
        wanted = experiment(networking={"id": "web", "hosts": hosts}, **HELD, **QUICK)
        wanted["spec"]["service"]["kind"] = "Service"
        await scene.apply(wanted)
        async with scene.users():

            async def divided() -> bool:
                found = await scene.objects.list(VIRTUAL_SERVICE, scene.name)
                return bool(found) and all(each["weight"] > 0 for each in found[0]["spec"]["http"][0]["route"])

            await scene.until("it is divided", divided)
        await scene.patch(EXPERIMENT, "rollout", {"spec": DIVIDED})
        await scene.ended()


async def some_requests_only(scene: Scene) -> None:
    """`match`: a second route for all others, and none of it left at the end."""
    async with scene.opened("v2") as scene:
        control = {"maxIncrement": 100, "match": {"http": [BETA]}}
        await scene.apply(experiment(**HELD, trafficControl=control))

        async def matched() -> bool:
            routes = (await scene.get(VIRTUAL_SERVICE))["spec"]["http"]
            return [each.get("name") for each in routes] == ["iter8-experiment", "iter8-base"]

        await scene.until("there are two routes", matched)
        await scene.patch(EXPERIMENT, "rollout", {"spec": DIVIDED})
        await scene.ended()
        (route,) = (await scene.get(VIRTUAL_SERVICE))["spec"]["http"]
        assert "match" not in route


async def three_candidates(scene: Scene) -> None:
    """A/B/N, deleted in the middle; then another that takes over subsets that the last one has left."""
    async with scene.opened("v2", "v3", "v4") as scene, scene.users() as users:
        await scene.apply(experiment("v1", "v2", "v3", "v4", **HELD, **QUICK))

        async def divided() -> bool:
            return sum(weight > 0 for weight in (await scene.weights()).values()) >= 3

        await scene.until("three have traffic", divided)
        await scene.patch(
            EXPERIMENT,
            "rollout",
            {
                "spec": {
                    "manualOverride": {
                        "action": "terminate",
                        "trafficSplit": {"web-v1": 0, "web-v2": 40, "web-v3": 30, "web-v4": 30},
                    }
                }
            },
        )
        await scene.ended()
        await scene.apply(experiment("v3", "v1", name="back", **QUICK))
        assert (await scene.ended("back"))["assessment"]["winner"]["name"] == "web-v1"
        await scene.routes(v1=100)
    assert users.lost == []


async def a_users_own_rules(scene: Scene) -> None:
    """URI matches, retries, mirrors and other subsets: back as they were, but for the weights decided."""
    rule, rules = _own_pair(scene.host)
    async with scene.opened("v2", rules=[rule, rules]) as scene:
        await scene.apply(deployment("v0"))
        await scene.until("v0 is ready", lambda: scene.ready("v0"))
        before = await scene.get(VIRTUAL_SERVICE), await scene.get(DESTINATION_RULE)
        async with scene.users() as users:
            await scene.apply(experiment(**HELD, **QUICK))

            async def divided() -> bool:
                routes = (await scene.get(VIRTUAL_SERVICE))["spec"]["http"]
                return [len(each.get("route", ())) for each in routes] == [0, 2, 1, 2]

            await scene.until("the user's two routes to v1 are divided", divided)
            running = await scene.get(VIRTUAL_SERVICE)
            for now, own in zip(running["spec"]["http"], before[0]["spec"]["http"], strict=True):
                changed = {} if now == own else {"route", "name"}
                assert {k: v for k, v in now.items() if k not in changed} == {
                    k: v for k, v in own.items() if k not in changed
                }
            await scene.patch(EXPERIMENT, "rollout", {"spec": {"manualOverride": {"action": "terminate"}}})
            await scene.ended()
            after = await scene.get(VIRTUAL_SERVICE), await scene.get(DESTINATION_RULE)
            for own, left in zip(before, after, strict=True):
                assert left["spec"] == own["spec"]
                assert left["metadata"]["labels"] == own["metadata"]["labels"]
                assert left["metadata"]["annotations"] == own["metadata"]["annotations"]
            await scene.apply(experiment(name="again", **QUICK))
            assert (await scene.ended("again"))["assessment"]["winner"]["name"] == "web-v2"
        routed, subsets = await scene.get(VIRTUAL_SERVICE), await scene.get(DESTINATION_RULE)
        assert _without_destinations(routed) == _without_destinations(before[0])
        winner = {"name": "iter8-candidate-0", "labels": {"app": "web", "version": "v2"}}
        assert subsets["spec"] == {**rule["spec"], "subsets": [*rule["spec"]["subsets"], winner]}
        for index in (1, 3):
            (entry,) = routed["spec"]["http"][index]["route"]
            assert (entry["weight"], entry["destination"]["subset"]) == (100, "iter8-candidate-0")
    assert users.lost == []


def _own_pair(host: str) -> list[Object]:
    _, rules = pair(host)
    subsets = [
        {
            "name": "theirs",
            "labels": {"app": "web", "version": "v1"},
            "trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}},
        },
        {"name": "archive", "labels": {"app": "web", "version": "v0"}},
    ]
    policy = {"connectionPool": {"http": {"http1MaxPendingRequests": 1024}}}
    to_theirs = [{"destination": {"host": "web", "subset": "theirs"}}]
    retries = {"attempts": 3, "perTryTimeout": "2s", "retryOn": "gateway-error,connect-failure"}
    http = [
        {"match": [{"uri": {"exact": "/gone"}}], "redirect": {"uri": "/new"}},
        {
            "name": "api",
            "match": [{"uri": {"prefix": "/api"}}, {"uri": {"regex": "/v[0-9]+/.*"}, "method": {"exact": "POST"}}],
            "rewrite": {"uri": "/"},
            "timeout": "5s",
            "retries": retries,
            "mirror": {"host": "web", "subset": "archive"},
            "mirrorPercentage": {"value": 10.0},
            "route": to_theirs,
        },
        {
            "match": [{"uri": {"prefix": "/archive"}}],
            "route": [{"destination": {"host": "web", "subset": "archive"}}],
        },
        {"retries": retries, "headers": {"response": {"set": {"x-served": "web"}}}, "route": to_theirs},
    ]
    own = destination_rule({"host": "web", "trafficPolicy": policy, "subsets": subsets})
    routed = virtual_service({**rules["spec"], "http": http})
    for each in (own, routed):
        each["metadata"]["annotations"] = {"team": "vision"}
    return [own, routed]


def _without_destinations(rules: Object) -> Object:
    return {**rules["spec"], "http": [{**each, "route": None} for each in rules["spec"]["http"]]}
