"""A part that fails is started again, ever more patiently, and says so."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from typing import NoReturn

import pytest

from serin.errors import StorageError
from serin.fakes import FakeClock, settle
from serin.home.parts import Part, State, end


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(start=1000.0)


@pytest.fixture
async def keep(clock: FakeClock) -> AsyncIterator[Callable[[Part], Part]]:
    tasks = []

    def keeping(part: Part) -> Part:
        tasks.append(asyncio.ensure_future(part.keep_going(clock)))
        return part

    yield keeping
    await end(tasks)


class Faulty:
    """Fails as it is told, one failure a start, then goes on for ever."""

    def __init__(self, *failures: BaseException | None) -> None:
        self.failures = list(failures)
        self.starts = 0

    async def run(self) -> None:
        self.starts += 1
        if self.failures:
            if failure := self.failures.pop(0):
                raise failure
            return
        await asyncio.Event().wait()


async def test_a_healthy_part_runs_until_it_is_ended(keep: Callable[[Part], Part], clock: FakeClock) -> None:
    part = keep(Part("engine", Faulty().run))
    await clock.advance(1000.0)
    assert part.to_json() == {"name": "engine", "state": "running", "since": 1000.0, "restarts": 0, "error": None}


async def test_a_part_that_was_asked_to_end_has_not_failed(keep: Callable[[Part], Part], clock: FakeClock) -> None:
    faulty = Faulty(None)
    part = keep(Part("processes", faulty.run, ends=True))
    await clock.advance(100.0)
    assert (part.state, part.error, part.restarts, faulty.starts) == (State.ENDED, None, 0, 1)


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        (StorageError("the disk is full"), "the disk is full"),
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero"),
        (SystemExit(3), "SystemExit: 3"),
        (None, "it ended by itself"),
        (ExceptionGroup("all", [ExceptionGroup("some", [StorageError("full")]), ValueError()]), "full"),
    ],
)
async def test_a_failed_part_waits_says_why_and_is_started_again(
    keep: Callable[[Part], Part], clock: FakeClock, failure: BaseException | None, sentence: str
) -> None:
    faulty = Faulty(failure)
    part = keep(Part("engine", faulty.run))
    await settle()
    assert (part.state, part.error, part.restarts) == (State.WAITING, sentence, 1)
    await clock.advance(0.5)
    assert (part.state, part.error, faulty.starts) == (State.RUNNING, sentence, 2)


async def test_pauses_grow_to_a_bound_and_shrink_after_health(keep: Callable[[Part], Part], clock: FakeClock) -> None:
    starts: list[float] = []

    async def fail() -> NoReturn:
        starts.append(clock.now())
        if len(starts) == 10:
            await clock.sleep(61.0)
        raise StorageError("again")

    keep(Part("engine", fail))
    await clock.advance(500.0)
    pauses = [round(b - a, 3) for a, b in itertools.pairwise(starts)]
    assert pauses[:11] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 61.5, 1.0]


async def test_an_ended_part_says_so(clock: FakeClock) -> None:
    part = Part("engine", Faulty().run)
    task = asyncio.ensure_future(part.keep_going(clock))
    await settle()
    await end([task])
    assert task.cancelled()
    assert part.state is State.ENDED
