"""Away with it, in the order that `docs/installation.md` tells: what users have stays, and their traffic with it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from lab import Lab, PartFailed

from serin.fakes import FakeMetrics
from serin.operator.controller import SystemClock
from tests.cluster.test_rights import application, experiment, working
from tests.deploy.objects import INSTALL

ROUTER = {"iter8-tools/router": "a-router", "iter8-tools/role": "stable"}
RULES = [
    {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "a", "labels": ROUTER},
        "spec": {
            "hosts": ["a"],
            "http": [
                {"match": [{"uri": {"prefix": "/old"}}], "redirect": {"uri": "/"}},
                {"route": [{"destination": {"host": "a", "subset": "mine"}}], "retries": {"attempts": 2}},
            ],
        },
    },
    {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "a", "labels": ROUTER},
        "spec": {"host": "a", "subsets": [{"name": "mine", "labels": {"app": "a", "version": "a-v1"}}]},
    },
]


@pytest.fixture(scope="module")
def own() -> Iterator[Lab]:
    """A lab of our own: others need what is taken away here."""
    with Lab("uninstall", mesh=False, audit=True) as lab:
        yield lab


async def test_experiments_first_then_the_rest(own: Lab) -> None:
    async def kubectl(*words: str, stdin: str | None = None) -> str:
        return await asyncio.to_thread(own.kubectl_run, *words, stdin=stdin)

    async def route() -> list[dict[str, Any]]:
        found = json.loads(await kubectl("get", "virtualservice", "a", "-o", "json"))
        return list(found["spec"]["http"])

    await kubectl("apply", "--server-side", "-f", str(INSTALL))
    await kubectl("wait", "--for=condition=Established", "crd/experiments.iter8.tools")
    running = experiment("a", "Deployment")
    longer = {"duration": {"interval": "1s"}, "trafficControl": {"maxIncrement": 10}}
    running["spec"] |= {**longer, "networking": {"id": "a-router"}}
    things = {"apiVersion": "v1", "kind": "List", "items": [*application("a"), *RULES, running]}
    await kubectl("create", "-f", "-", stdin=json.dumps(things))
    async with working(own, FakeMetrics(SystemClock())):  # type: ignore[arg-type]  # only the time is asked
        await kubectl("wait", "--for=jsonpath={.status.currentIteration}=3", "experiment", "a", "--timeout=60s")
        assert len([part for part in (await route())[1]["route"] if part.get("weight", 0) > 0]) == 2
        await kubectl("delete", "experiments.iter8.tools", "--all", "--all-namespaces", "--timeout=30s")
        left = await route()
    redirect, ours = left
    assert redirect == RULES[0]["spec"]["http"][0]  # type: ignore[index]
    (to,) = [part["destination"] for part in ours["route"] if part.get("weight", 100) > 0]
    subsets = json.loads(await kubectl("get", "destinationrule", "a", "-o", "json"))["spec"]["subsets"]
    assert {each["name"]: each["labels"] for each in subsets}[to["subset"]]["version"] == "a-v1"
    assert ours["retries"] == {"attempts": 2}
    await kubectl("delete", "-f", str(INSTALL), "--timeout=60s")
    assert await route() == left
    versions = (await kubectl("get", "deployments", "-o", "name")).split()
    assert versions == ["deployment.apps/a-v1", "deployment.apps/a-v2"]
    for gone in ("namespace/iter8", "crd/experiments.iter8.tools", "clusterrole/serin-controller"):
        with pytest.raises(PartFailed, match="not found"):
            await kubectl("get", gone)
