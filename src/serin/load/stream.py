"""Sends the requests of a plan and keeps count of what became of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace

from serin.load.client import Client
from serin.load.feedback import Teller
from serin.load.plan import LoadPlan
from serin.load.report import LoadReport, Tally

Progress = Callable[[LoadReport], None]

_EARLY = 0.001
"""asyncio wakes up to a millisecond late (epoll counts whole ones); that must not look like latency. So an open loop
sends up to a millisecond early, and latency counts from when a request was sent or due, whichever was first."""


def _now() -> float:
    return asyncio.get_running_loop().time()


class Load:
    """One stream of requests. `run` once; `stop` ends it early; `report` tells at any time how things stand."""

    def __init__(self, plan: LoadPlan) -> None:
        """Raises InvalidInput for a plan whose requests cannot be sent."""
        plan.request(next(plan.chosen()))
        self._plan = plan
        self._client = Client(plan)
        self._tally = Tally(str(plan.target))
        self._teller = Teller(plan, plan.feedback) if plan.feedback is not None else None
        self._bodies: Iterator[bytes] = plan.chosen()
        self._began = self._ended = 0.0
        self._started = 0
        self._under_way: set[asyncio.Task[object]] = set()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Send nothing more; `run` returns when the requests under way are answered."""
        self._stopping.set()

    def drop(self) -> None:
        """Stop, and do not wait for answers: what is under way stays under way in the report."""
        self.stop()
        for task in self._under_way:
            task.cancel()

    def report(self) -> LoadReport:
        """The counts so far."""
        seconds = (self._ended or _now()) - self._began if self._began else 0.0
        report = self._tally.report(seconds, self._started)
        return replace(report, feedback=self._teller.report) if self._teller is not None else report

    async def run(self) -> LoadReport:
        """Send until the plan's end or `stop`, wait for the answers, and say what became of all of it.

        Raises Unreachable when the target cannot be reached at the start; what fails later is counted. Cancelled, it
        drops what is under way.
        """
        await self._client.reach()
        self._began = _now()
        try:
            await (self._closed_loop() if self._plan.rate is None else self._open_loop())
            if self._under_way:
                await asyncio.wait(self._under_way)
        finally:
            self._ended = _now()
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)
            self._client.close()
            if self._teller is not None:
                await self._teller.close()
        return self.report()

    async def _open_loop(self) -> None:
        """Each request at its time, whatever became of those before."""
        for due in self._plan.due():
            at = self._began + due
            if at - _EARLY > _now():
                await self._pause(at - _EARLY - _now())
            while len(self._under_way) >= self._plan.most and not self._stopping.is_set():
                await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
            if self._stopping.is_set():
                return
            self._start(self._one(min(at, _now())))

    async def _closed_loop(self) -> None:
        """Always so many under way: the next one when one is answered."""
        left = self._plan.count
        end = None if self._plan.duration is None else self._began + self._plan.duration

        def wanted() -> bool:
            nonlocal left
            if self._stopping.is_set() or left == 0 or (end is not None and _now() >= end):
                return False
            left = None if left is None else left - 1
            return True

        async def one_after_the_other() -> None:
            while wanted():
                if not await self._one(_now()):
                    await asyncio.sleep(0.01)  # a server that is away must not be hammered

        for _ in range(self._plan.concurrency):
            self._start(one_after_the_other())
        await asyncio.wait(self._under_way)

    def _start(self, work: Coroutine[None, None, object]) -> None:
        task: asyncio.Task[object] = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _one(self, since: float) -> bool:
        """One request; whether there was an answer."""
        self._started += 1
        body = next(self._bodies)
        answer = await self._client.send(body, since)
        self._tally.add(answer)
        if self._teller is not None:
            self._teller.heard(body, answer)
        return answer.status is not None

    async def _pause(self, seconds: float) -> None:
        """Sleep, or return at once when the stream is stopped."""
        if seconds > 0.05:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), seconds)
        else:
            await asyncio.sleep(seconds)


async def run(plan: LoadPlan, on_progress: Progress | None = None, *, every: float = 1.0) -> LoadReport:
    """Send a plan's requests to their end; `on_progress` is called with the counts so far every so many seconds."""
    load = Load(plan)
    return await watched(load, on_progress, every=every)


async def watched(load: Load, on_progress: Progress | None, *, every: float = 1.0) -> LoadReport:
    """Run a stream that may be stopped from elsewhere, and show how it goes."""
    running = asyncio.create_task(load.run())
    try:
        while not running.done():
            await asyncio.wait((running,), timeout=every if on_progress else None)
            if on_progress and not running.done():
                on_progress(load.report())
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait((running,))
    return running.result()
