"""Labels that come later: counted by an application of their own, tied to the version that predicted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator

import httpx2
import pytest

from serin.load.plan import LoadPlan, parse_target
from serin.load.stream import Load
from serin.ports import DEPLOYMENT, Object
from tests.kinds.place import SCRAPED, Place, absolute
from tests.kinds.test_metrics import REQUESTS, counter
from tests.survival.house import eventually

pytestmark = pytest.mark.real

PAGE = "/monitoring/prometheus/metrics"
PATH = "/v1/models/m:feedback"
ACCURACY = {
    "counter_metrics": [
        REQUESTS,
        counter("labelled", "serin_feedback_total"),
        counter("right", "serin_feedback_correct_total"),
    ],
    "ratio_metrics": [
        {"name": "accuracy", "numerator": "right", "denominator": "labelled", "preferred_direction": "higher",
         "zero_to_one": True}
    ],
}  # fmt: skip


def collector(place: Place) -> list[Object]:
    """Who counts labels: no version of the service, and with a Service of its own."""
    deployment = place.deployment("labels", annotations={**SCRAPED, "prometheus.io/path": PAGE})
    labels = {"app": "labels"}
    spec = deployment["spec"]
    spec["selector"]["matchLabels"] = labels
    spec["template"]["metadata"]["labels"] = labels
    container = spec["template"]["spec"]["containers"][0]
    container |= {
        "image": "collector:1",
        "readinessProbe": {"httpGet": {"path": PAGE, "port": 8501}, "periodSeconds": 1},
    }
    return [place.service("labels", **labels), deployment]


@contextlib.asynccontextmanager
async def labels(place: Place, version: str, correct: list[bool], *, all_told: bool) -> AsyncIterator[None]:
    """A stream of labels for what one version has predicted, sent to the host that predictions are asked of."""
    plan = LoadPlan(
        parse_target(f"http://127.0.0.1:{place.house.port}{PATH}"),
        rate=40.0,
        method="POST",
        headers=(("Host", place.host), ("x-serin-version", version)),
        bodies=[json.dumps({"correct": [verdict]}).encode() for verdict in correct],
    )
    load = Load(plan)
    running = asyncio.create_task(load.run())
    try:
        yield
        assert load.report().failed == 0 or not all_told
    finally:
        load.stop()
        await running


@contextlib.asynccontextmanager
async def played(place: Place, candidate: list[bool], iterations: int, *, all_told: bool = True) -> AsyncIterator[Load]:
    """The experiment on accuracy under way: v1 is right in nine of ten cases, the candidate as said."""
    await place.stage("v1", "v2", rules=False)
    feedback = {"match": [{"uri": {"exact": PATH}}], "route": [{"destination": {"host": "labels"}}]}
    stable = {"route": [{"destination": {"host": "shop", "subset": "iter8-stable"}}]}
    await place.apply(*collector(place), *place.rules(http=[feedback, stable]))

    async def counts() -> bool:
        status = (await place.get(DEPLOYMENT, "shop-labels")).get("status") or {}
        return int(status.get("readyReplicas") or 0) > 0

    await eventually("the collector is ready", counts, 90.0)
    await place.open()

    async def takes_labels() -> bool:
        async with httpx2.AsyncClient(trust_env=False) as client:
            url, body = f"http://127.0.0.1:{place.house.port}{PATH}", {"correct": [True]}
            return (await client.post(url, json=body, headers={"host": place.host})).status_code == 200

    await eventually("the gateway leads labels to the collector", takes_labels, 90.0)
    async with (
        place.traffic(rate=60.0) as load,
        labels(place, "shop-v1", [True] * 9 + [False], all_told=all_told),
        labels(place, "shop-v2", candidate, all_told=all_told),
    ):
        await place.apply(
            place.experiment(
                criteria=[absolute("accuracy", 0.6)], metrics=ACCURACY, trafficControl={"maxIncrement": 20},
                duration={"interval": "2s", "maxIterations": iterations},
            )
        )  # fmt: skip
        yield load


def accuracy(version: Object) -> float:
    return float(version["criterion_assessments"][0]["statistics"]["value"])


async def test_a_version_that_is_right_wins_by_labels_that_the_split_cannot_misplace(place: Place) -> None:
    async with played(place, [True] * 8 + [False] * 2, iterations=6) as load:
        await place.says("Iteration 2/6")
        feedback, _ = await place.routes()
        assert feedback["route"] == [{"destination": {"host": "labels"}}]
        status = await place.completed()
        sent = load.report().sent
    baseline, candidate = status["assessment"]["baseline"], status["assessment"]["candidates"][0]
    assert status["assessment"]["winner"]["name"] == "shop-v2"
    assert accuracy(baseline) == pytest.approx(0.9, abs=0.08)
    assert accuracy(candidate) == pytest.approx(0.8, abs=0.12)
    assert baseline["request_count"] + candidate["request_count"] <= sent  # labels are no requests to a version
    feedback, after = await place.routes()
    assert feedback["route"] == [{"destination": {"host": "labels"}}]
    assert [each["destination"]["subset"] for each in after["route"]] == ["iter8-candidate-0"]


async def test_a_fast_and_faultless_version_that_is_wrong_is_rolled_back(place: Place) -> None:
    async with played(place, [True] * 3 + [False] * 7, iterations=100):
        status = await place.completed()
    candidate = status["assessment"]["candidates"][0]
    assert (candidate["rollback"], status["assessment"]["winner"]["name"]) == (True, "shop-v1")
    assert accuracy(candidate) == pytest.approx(0.3, abs=0.2)


async def test_a_collector_that_is_started_again_spoils_no_verdict(place: Place) -> None:
    """Its counters begin anew: what it forgot is lost for both parts of the ratio, and the experiment goes on."""
    async with played(place, [True] * 8 + [False] * 2, iterations=40, all_told=False):
        await place.says("Iteration 2/40")
        pods = [pod for pod in (await place.house.look())["pods"] if pod["deployment"] == "shop-labels"]
        (pod,) = [pod for pod in pods if pod["namespace"] == place.namespace]
        async with httpx2.AsyncClient(trust_env=False) as client:
            before = (await client.get(f"http://{pod['address']}:8501{PAGE}")).text
        assert 'destination_workload="shop-v2"' in before
        os.kill(pod["pid"], signal.SIGKILL)

        async def again() -> bool:
            last = int((await place.status()).get("currentIteration") or 0)
            return last >= 12

        await eventually("12 iterations", again, 90.0)
        status = await place.status()
        candidate = status["assessment"]["candidates"][0]
        assert candidate["rollback"] is False
        assert accuracy(candidate) == pytest.approx(0.8, abs=0.12)
        await place.order("terminate")
        await place.completed()
