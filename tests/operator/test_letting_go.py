"""An experiment that loses the label of its controller is let go: the finalizer goes, and an event says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from serin.control.experiments import FINALIZER
from serin.errors import NotFound, Unreachable
from serin.fakes import FakeClock, FakeSink, InMemoryObjects, settle
from serin.operator.letting_go import LettingGo
from serin.ports import EXPERIMENT, Object

LET_GO = (
    "LetGo: it is not selected by 'team=a' any more, so this controller lets it go: "
    "its routing rules stay as they are, and nothing more happens"
)


def rollout(*finalizers: str) -> Object:
    metadata = {"name": "rollout", "namespace": "default", "finalizers": list(finalizers)}
    return {"apiVersion": "iter8.tools/v1alpha2", "kind": "Experiment", "metadata": metadata, "spec": {}}


class Stage:
    """What the selector shows and what there is are two stores here: what leaves the first is still in the second."""

    def __init__(self) -> None:
        self.clock, self.sink = FakeClock(), FakeSink()
        self.ours, self.all = InMemoryObjects(self.clock), InMemoryObjects(self.clock)
        self.letting_go = LettingGo(self.ours, self.all, self.sink, "team=a", self.clock.sleep)
        self.tasks = [asyncio.create_task(self.letting_go.notice())]

    def lead(self) -> None:
        self.tasks.append(asyncio.create_task(self.letting_go.run()))

    async def lose_label(self) -> None:
        """The object has no finalizer where it is only seen, so that it goes there at once."""
        await settle()
        await self.ours.delete(EXPERIMENT, "default", "rollout")
        await settle()

    async def finalizers(self) -> list[str]:
        found = await self.all.get(EXPERIMENT, "default", "rollout")
        return list(found["metadata"].get("finalizers") or ())


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    for task in stage.tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_the_finalizer_is_taken_off_and_an_event_says_so(stage: Stage) -> None:
    stage.ours.seed(rollout())
    stage.all.seed(rollout("somebody/else", FINALIZER))
    stage.lead()
    await stage.lose_label()
    assert await stage.finalizers() == ["somebody/else"]
    assert stage.sink.lines == [LET_GO]
    assert len(stage.all.writes) == 1


async def test_a_stand_by_does_it_when_it_leads(stage: Stage) -> None:
    stage.ours.seed(rollout())
    stage.all.seed(rollout(FINALIZER))
    await stage.lose_label()
    assert await stage.finalizers() == [FINALIZER]
    stage.lead()
    await settle()
    assert await stage.finalizers() == []


async def test_one_that_was_deleted_needs_nothing(stage: Stage) -> None:
    stage.ours.seed(rollout())
    stage.lead()
    await stage.lose_label()
    with pytest.raises(NotFound):
        await stage.finalizers()
    assert stage.sink.lines == []


async def test_one_without_our_finalizer_is_left_alone(stage: Stage) -> None:
    stage.ours.seed(rollout())
    stage.all.seed(rollout("somebody/else"))
    stage.lead()
    await stage.lose_label()
    assert (stage.all.writes, stage.sink.lines) == ([], [])


async def test_one_that_has_its_label_back_is_kept(stage: Stage) -> None:
    stage.ours.seed(rollout())
    stage.all.seed(rollout(FINALIZER))
    await stage.lose_label()
    back = await stage.all.get(EXPERIMENT, "default", "rollout")
    stage.ours.seed(back)
    stage.lead()
    await settle()
    assert await stage.finalizers() == [FINALIZER]


async def test_it_is_tried_again_until_it_goes_well(stage: Stage) -> None:
    stage.ours.seed(rollout())
    stage.all.seed(rollout(FINALIZER))
    stage.all.fail_next(Unreachable("the API server is away"), times=2)
    stage.lead()
    await stage.lose_label()
    assert await stage.finalizers() == [FINALIZER]
    for _ in range(2):
        await stage.clock.advance(5.0)
    assert await stage.finalizers() == []
    assert stage.sink.lines == [LET_GO]
