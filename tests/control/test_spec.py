"""A spec is worked out once, and again as soon as it says something else."""

from __future__ import annotations

from typing import Any

import pytest

from serin.control.spec import Spec
from serin.control.world import Hold, World
from serin.errors import InvalidInput
from serin.fakes import FakeClock, FakeDataPlane, FakeMetrics, FakeSink, InMemoryObjects
from serin.metrics.definitions import built_in
from serin.ports import Object
from tests.control.lab import experiment

LATENCY = {"metric": "iter8_mean_latency", "threshold": {"type": "absolute", "value": 100}}


def stored(generation: int = 1, uid: str = "1", **spec: Any) -> Object:
    """An experiment as a store has it, its metrics known."""
    obj = experiment(metrics=built_in().used_by(["iter8_mean_latency", "iter8_error_rate"]).to_spec(), **spec)
    return {**obj, "metadata": {**obj["metadata"], "uid": uid, "generation": generation}, "status": {"phase": "Pause"}}


def world() -> World:
    clock = FakeClock()
    objects = InMemoryObjects(clock)
    return World(objects, FakeMetrics(clock), clock, FakeSink(), FakeDataPlane(), None)  # type: ignore[arg-type]


def test_the_same_spec_is_validated_once() -> None:
    spec = Spec()
    first = spec.experiment(stored())
    assert spec.experiment({**stored(), "status": {"phase": "Progressing"}}) is first
    assert first.status is None


@pytest.mark.parametrize(
    "other", [stored(generation=2), stored(uid="2"), stored(criteria=[]), stored(cleanup=False, generation=2)]
)
def test_another_spec_is_validated_anew(other: Object) -> None:
    spec = Spec()
    first = spec.experiment(stored())
    assert spec.experiment(other) is not first


def test_what_only_python_holds_to_be_equal_is_refused() -> None:
    spec = Spec()
    assert spec.experiment(stored(cleanup=True)).spec.cleanup
    with pytest.raises(InvalidInput):
        spec.experiment(stored(cleanup=1, generation=2))


def test_after_a_spec_that_is_refused_the_earlier_one_is_taken_again() -> None:
    spec = Spec()
    spec.experiment(stored())
    with pytest.raises(InvalidInput):
        spec.experiment(stored(duration={"interval": "15"}))
    assert spec.experiment(stored()).spec.duration.interval == "15s"


async def test_questions_are_worked_out_once_and_asked_about_each_time() -> None:
    spec, around = Spec(), world()
    known = spec.experiment(stored())
    first = await spec.questions(around, known, 1.0)
    assert await spec.questions(around, known, 1.0) is first
    assert (await spec.questions(around, known, 2.0)).request.since == 2.0
    assert isinstance(around.metrics, FakeMetrics)
    around.metrics.refused["iter8_request_count"] = "nobody counts requests any more"
    with pytest.raises(Hold, match="nobody counts requests any more"):
        await spec.questions(around, known, 2.0)


async def test_questions_follow_the_spec() -> None:
    spec, around = Spec(), world()
    first = await spec.questions(around, spec.experiment(stored(criteria=[LATENCY])), 1.0)
    tighter = {**LATENCY, "threshold": {"type": "absolute", "value": 50}}
    second = await spec.questions(around, spec.experiment(stored(2, criteria=[tighter])), 1.0)
    limits = [asked.plan.criteria[0].limit for asked in (first, second)]
    assert [limit and limit.value for limit in limits] == [100.0, 50.0]
    assert first.subject != second.subject


async def test_definitions_of_the_installation_are_read_each_time() -> None:
    spec, around = Spec(), world()
    without = stored()
    del without["spec"]["metrics"]
    known = spec.experiment(without)
    assert await spec.questions(around, known, 1.0) is not await spec.questions(around, known, 1.0)
