"""What is counted of an iteration is its own, and no more is done in it than has to be."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from benchmarks.cluster.manifests import HELD, MOVING
from benchmarks.iteration import PLACES, House, Stopwatch, part_of


async def test_what_something_else_takes_and_what_is_waited_for_is_not_its_callers() -> None:
    time = iter(range(100))
    watch = Stopwatch(lambda: float(next(time)))  # each look at it is a second
    news = asyncio.Event()

    def inner() -> None:
        pass

    async def outer() -> str:
        parts.inner()
        await news.wait()
        return "done"

    parts = SimpleNamespace(inner=inner, outer=outer)
    with watch.function("inner", parts, "inner"), watch.coroutine("outer", parts, "outer"):
        work = asyncio.ensure_future(parts.outer())
        await asyncio.sleep(0)
        assert dict(watch.spent) == {"outer": 2.0, "inner": 1.0}  # before and after the other; the other
        news.set()
        assert await work == "done"
    assert dict(watch.spent) == {"outer": 3.0, "inner": 1.0}
    assert watch.calls == {"inner": 1, "outer": 1}


@pytest.mark.parametrize("group", [HELD, MOVING])
async def test_an_iteration_takes_a_turn_a_reading_and_one_encoding(group: str) -> None:
    house = House(PLACES[group])
    running = asyncio.create_task(house.engine.run())
    await house.iterations(3)
    cost = await part_of(house, 4)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert (cost.turns, cost.encodings, cost.decodings) == (2.0, 1.0, 0.0)
    assert all(milliseconds > 0.0 for milliseconds in cost.milliseconds.values())
