"""A controller that serves by a label, on a real API server: an experiment that loses the label is let go."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest
from lab import Lab

from serin.adapters.kube.api import Api
from serin.adapters.kube.cached import CachedObjects, Keep
from serin.adapters.kube.connection import access
from serin.adapters.kube.events import EventSink
from serin.adapters.kube.objects import KubeObjects
from serin.adapters.kube.reflector import Scope
from serin.control.experiments import FINALIZER
from serin.errors import Conflict
from serin.operator.controller import SystemClock
from serin.operator.letting_go import LettingGo
from serin.ports import EXPERIMENT, Object
from tests.cluster.release import install

SELECTOR = "team in (a, b)"


class Served:
    """The memory of a controller that serves by SELECTOR, and what lets experiments go."""

    def __init__(self, lab: Lab) -> None:
        self.api = Api(access(str(lab.kubeconfig)).client())
        self.direct = KubeObjects(self.api)
        self.ours = CachedObjects(self.direct, [Keep(EXPERIMENT, Scope(None, SELECTOR))])
        sink = EventSink(self.direct, SystemClock(), "test", itertools.count().__next__)
        letting_go = LettingGo(self.ours, self.direct, sink, SELECTOR)
        self.tasks = [asyncio.create_task(each.run()) for each in (self.ours, sink, letting_go)]
        self.tasks.append(asyncio.create_task(letting_go.notice()))

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self.api.aclose()


@pytest.fixture
async def served(lab: Lab) -> AsyncIterator[Served]:
    install(lab)
    served = Served(lab)
    yield served
    await served.end()


def rollout(namespace: str, team: str) -> Object:
    spec = {"service": {"name": "web", "baseline": "web-v1", "candidates": ["web-v2"]}}
    metadata = {"name": "rollout", "namespace": namespace, "labels": {"team": team}, "finalizers": [FINALIZER]}
    return {"apiVersion": "iter8.tools/v1alpha2", "kind": "Experiment", "metadata": metadata, "spec": spec}


async def until(seen: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 60.0
    while not seen():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.05)


async def test_an_experiment_that_loses_its_label_is_let_go(lab: Lab, namespace: str, served: Served) -> None:
    await served.direct.create(rollout(namespace, "a"))
    await until(lambda: len(served.ours.glance(EXPERIMENT, namespace)) == 1, "it is seen")
    stale = await served.ours.get(EXPERIMENT, namespace, "rollout")
    lab.kubectl_run("label", "-n", namespace, "experiment/rollout", "team=c", "--overwrite")
    version = {"metadata": {"resourceVersion": stale["metadata"]["resourceVersion"]}, "status": {"message": "late"}}
    with pytest.raises(Conflict):  # a worker in the middle of its turn; what it is told then is not ours either
        await served.ours.patch(EXPERIMENT, namespace, "rollout", version, status=True)
    await until(lambda: not served.ours.glance(EXPERIMENT, namespace), "it is gone from our sight")

    def let_go() -> bool:
        found = json.loads(lab.kubectl_run("get", "-n", namespace, "experiment", "rollout", "-o", "json"))
        return not found["metadata"].get("finalizers")

    await until(let_go, "nothing holds it")
    await until(lambda: "LetGo" in lab.kubectl_run("get", "-n", namespace, "events"), "an event says so")
    assert not served.ours.glance(EXPERIMENT, namespace)
    lab.kubectl_run("delete", "-n", namespace, "experiment", "rollout", "--timeout=20s")


async def test_an_experiment_that_changes_between_our_labels_is_kept(lab: Lab, namespace: str, served: Served) -> None:
    await served.direct.create(rollout(namespace, "a"))
    lab.kubectl_run("label", "-n", namespace, "experiment/rollout", "team=b", "--overwrite")

    def moved() -> bool:
        found = served.ours.glance(EXPERIMENT, namespace)
        return [each["metadata"]["labels"]["team"] for each in found] == ["b"]

    await until(moved, "it is seen with its other label")
    found = await served.direct.get(EXPERIMENT, namespace, "rollout")
    assert found["metadata"]["finalizers"] == [FINALIZER]
    await served.direct.patch(EXPERIMENT, namespace, "rollout", {"metadata": {"finalizers": None}})
