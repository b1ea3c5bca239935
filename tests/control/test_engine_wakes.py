"""Whom a change wakes: those whom it concerns, and not all the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from serin.control.engine import Engine
from serin.control.routing.istio_rules import EXPERIMENT_LABEL
from serin.control.world import Patience
from serin.fakes import FakeClock, FakeDataPlane, FakeMetrics, FakeSink, InMemoryObjects, settle
from serin.ports import DEPLOYMENT, EXPERIMENT, VIRTUAL_SERVICE, Object
from tests.control.lab import Lab, deployment
from tests.control.lab import experiment as lab_experiment

NAMES = ("one", "two", "three")


def experiment(name: str, namespace: str = "default") -> Object:
    """One that waits for its service, and so has nothing to do until something changes."""
    service = {"name": f"svc-{name}", "baseline": f"{name}-v1", "candidates": [f"{name}-v2"]}
    metadata = {"name": name, "namespace": namespace}
    return {
        "apiVersion": "iter8.tools/v1alpha2",
        "kind": "Experiment",
        "metadata": metadata,
        "spec": {"service": service},
    }


def route(owner: str = "", namespace: str = "default", **more: str) -> Object:
    labels = {EXPERIMENT_LABEL: owner} if owner else {}
    metadata = {"name": "r", "namespace": namespace, "labels": {**labels, **more}}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": metadata,
        "spec": {"hosts": ["h"]},
    }


class Woken:
    """Which experiments take a turn."""

    def __init__(self, objects: InMemoryObjects) -> None:
        self._objects = objects

    async def by(self, change: object) -> list[str]:
        await settle()
        self._objects.calls.clear()
        await change  # type: ignore[misc]
        await settle()
        asked = [call.name for call in self._objects.calls if call.verb == "get" and call.kind == EXPERIMENT]
        return sorted(set(asked))


@pytest.fixture
def objects() -> InMemoryObjects:
    clock = FakeClock()
    there = [experiment(name) for name in NAMES]
    return InMemoryObjects(clock, *there, experiment("far", "elsewhere"), route("one.default"))


@pytest.fixture
async def woken(objects: InMemoryObjects) -> AsyncIterator[Woken]:
    clock = FakeClock()
    engine = Engine(objects, FakeMetrics(clock), clock, FakeSink(), FakeDataPlane())
    task = asyncio.create_task(engine.run())
    await settle()
    yield Woken(objects)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_version_wakes_its_experiment_only(objects: InMemoryObjects, woken: Woken) -> None:
    metadata = {"name": "two-v2", "namespace": "default"}
    obj: Object = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {}}
    assert await woken.by(objects.create(obj)) == ["two"]
    assert await woken.by(objects.delete(DEPLOYMENT, "default", "two-v2")) == ["two"]


async def test_a_spec_that_no_longer_names_a_version_is_not_woken_by_it(objects: InMemoryObjects, woken: Woken) -> None:
    changed = {"spec": {"service": {"candidates": ["two-v3"]}}}
    assert await woken.by(objects.patch(EXPERIMENT, "default", "two", changed)) == ["two"]
    for name, whom in (("two-v2", []), ("two-v3", ["two"])):
        metadata = {"name": name, "namespace": "default"}
        obj: Object = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {}}
        assert await woken.by(objects.create(obj)) == whom


async def test_a_rule_in_use_wakes_who_uses_it_only(objects: InMemoryObjects, woken: Woken) -> None:
    patch = {"spec": {"hosts": ["other"]}}
    assert await woken.by(objects.patch(VIRTUAL_SERVICE, "default", "r", patch)) == ["one"]


@pytest.mark.parametrize("label", [None, "two.default", "stranger.default"])
async def test_a_rule_that_changes_hands_wakes_all_beside_it(
    objects: InMemoryObjects, woken: Woken, label: str | None
) -> None:
    patch = {"metadata": {"labels": {EXPERIMENT_LABEL: label}}}
    assert await woken.by(objects.patch(VIRTUAL_SERVICE, "default", "r", patch)) == sorted(NAMES)


async def test_a_rule_that_goes_wakes_all_beside_it(objects: InMemoryObjects, woken: Woken) -> None:
    assert await woken.by(objects.delete(VIRTUAL_SERVICE, "default", "r")) == sorted(NAMES)


async def test_a_rule_that_nobody_uses_wakes_all_beside_it(objects: InMemoryObjects, woken: Woken) -> None:
    await objects.delete(VIRTUAL_SERVICE, "default", "r")
    assert await woken.by(objects.create(route())) == sorted(NAMES)


async def test_an_end_wakes_those_that_need_the_same_objects_only(objects: InMemoryObjects, woken: Woken) -> None:
    rival = experiment("rival")
    rival["spec"]["service"]["name"] = "svc-one"
    await objects.create(rival)
    ended = objects.patch(EXPERIMENT, "default", "one", {"status": {"phase": "Completed"}}, status=True)
    assert await woken.by(ended) == ["rival"]


async def test_all_begin_however_many_there_are() -> None:
    clock = FakeClock()
    there = [experiment(f"e{number}") for number in range(300)]
    objects = InMemoryObjects(clock, *there)
    engine = Engine(objects, FakeMetrics(clock), clock, FakeSink(), FakeDataPlane())
    task = asyncio.create_task(engine.run())
    await settle()
    begun = {call.name for call in objects.calls if call.verb == "get" and call.kind == EXPERIMENT}
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert len(begun) == len(there)


async def turns_in_ten_iterations(**spec: Any) -> tuple[int, int]:
    """How often an experiment is looked at in ten intervals of two readings, and how often its weights move."""
    lab = Lab()
    lab.patience = Patience(reading=15.0)
    lab.objects.seed(deployment("v2"))
    lab.start()
    await lab.objects.create(lab_experiment(duration={"interval": "30s", "maxIterations": 40}, **spec))
    await lab.seconds(100)
    lab.objects.calls.clear()
    await lab.seconds(300)
    await lab.stop()
    looks = [call for call in lab.objects.calls if call.verb == "get" and call.kind == EXPERIMENT]
    moves = [call for call in lab.objects.writes if call.kind == VIRTUAL_SERVICE]
    return len(looks), len(moves)


async def test_what_an_experiment_writes_itself_is_no_reason_to_look_again() -> None:
    held, none = await turns_in_ten_iterations(trafficControl={"strategy": "uniform", "maxIncrement": 100})
    moving, ten = await turns_in_ten_iterations(trafficControl={"maxIncrement": 2})
    assert (none, ten) == (0, 10)
    assert moving == held == 20


async def test_a_split_that_was_put_back_and_not_seen_applied_is_looked_after_again() -> None:
    lab = Lab()
    lab.objects.seed(deployment("v2"))
    lab.start()
    await lab.objects.create(lab_experiment())
    await lab.seconds(40)
    rules = await lab.virtual_service()
    lab.data_plane.behind.add(rules["metadata"]["name"])
    for each in rules["spec"]["http"][0]["route"]:
        each["weight"] = 100 * (each["destination"]["subset"] == "iter8-candidate-0")
    await lab.objects.replace(rules)
    await lab.seconds(13)
    assert (await lab.word()).startswith("RoutingRulesError: the gateway has not taken over")
    await lab.seconds(30)
    assert (await lab.word()).startswith("RoutingRulesError: the gateway has not taken over")
    lab.data_plane.behind.clear()
    await lab.until(lab.completed)
    await lab.stop()
