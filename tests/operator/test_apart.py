"""A loop of its own: it goes on while the other one is busy."""

from __future__ import annotations

import asyncio
import threading

import pytest

from serin.operator.apart import Apart


async def test_work_is_done_while_this_loop_is_busy() -> None:
    ticks: list[int] = []

    async def tick() -> str:
        for number in range(3):
            ticks.append(number)
            await asyncio.sleep(0.001)
        reached.set()
        return threading.current_thread().name

    reached = threading.Event()
    with Apart("lease") as apart:
        task = asyncio.create_task(apart.do(tick()))
        await asyncio.sleep(0)
        assert reached.wait(10)  # this loop does nothing else meanwhile
        assert ticks == [0, 1, 2]
        assert await task == "lease"


async def test_an_error_comes_back_and_cancelling_reaches_over() -> None:
    ended = threading.Event()

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def fail() -> None:
        raise ZeroDivisionError

    with Apart("lease") as apart:
        with pytest.raises(ZeroDivisionError):
            await apart.do(fail())
        task = asyncio.create_task(apart.do(wait()))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(ended.wait, 10)


async def test_the_end_of_the_block_ends_what_still_runs() -> None:
    ended: list[bool] = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    with Apart("lease") as apart:
        task = asyncio.create_task(apart.do(wait()))
        await asyncio.sleep(0.01)
    assert ended == [True]
    with pytest.raises(asyncio.CancelledError):
        await task
