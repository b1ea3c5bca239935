"""The parts of a home, each kept going: one that fails is started again, and `status` says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

import structlog

from serin.errors import SerinError
from serin.ports import Clock, Object

log = structlog.get_logger()

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
HEALTHY_AFTER = 60.0
"""Seconds after which a part that fails starts with the first pause again."""


class State(StrEnum):
    """How a part is."""

    RUNNING = "running"
    WAITING = "waiting"
    ENDED = "ended"


@dataclass(slots=True)
class Part:
    """One part. `run` goes on until it is cancelled; returning is a failure, too, unless the part `ends`.

    ends      it was asked to end by itself
    since     epoch seconds of the last change of `state`
    error     why it failed last, as a sentence; None while it never did
    """

    name: str
    run: Callable[[], Awaitable[None]]
    state: State = State.RUNNING
    since: float = 0.0
    restarts: int = 0
    error: str | None = None
    ends: bool = False

    async def keep_going(self, clock: Clock) -> None:
        """Run it, and again after a pause that grows, until cancelled."""
        pause = FIRST_PAUSE
        try:
            while True:
                began = clock.now()
                self.state, self.since = State.RUNNING, began
                try:
                    await self.run()
                    if self.ends:
                        return
                    self.error = "it ended by itself"
                except (Exception, SystemExit) as error:
                    self.error = _sentence(error)
                    if not isinstance(error, SerinError):
                        log.exception("part failed", part=self.name)
                if clock.now() - began >= HEALTHY_AFTER:
                    pause = FIRST_PAUSE
                log.warning("part restarts", part=self.name, error=self.error, pause=pause)
                self.state, self.since = State.WAITING, clock.now()
                self.restarts += 1
                await clock.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
        finally:
            self.state, self.since = State.ENDED, clock.now()

    def to_json(self) -> Object:
        """As `status` shows it."""
        known = {"name": self.name, "state": str(self.state), "since": self.since, "restarts": self.restarts}
        return {**known, "error": self.error}


def _sentence(error: BaseException) -> str:
    """What failed: of a group of errors the first, which the others mostly follow from."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) if isinstance(error, SerinError) else f"{type(error).__name__}: {error}"


async def end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel the tasks and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
