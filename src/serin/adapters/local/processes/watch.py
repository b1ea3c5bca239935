"""Looks at one run of a process, again and again: has it started, is it ready, does it live."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from serin.adapters.local.processes import commands, probe
from serin.adapters.local.processes.commands import CannotRun
from serin.adapters.local.processes.ground import Ground
from serin.adapters.local.processes.preparation import Prepared
from serin.adapters.local.processes.probe import Probe, Tally
from serin.adapters.local.processes.process import Process


class Watched(Protocol):
    """Whose process it is; it is told what the looks add up to."""

    async def ready(self) -> None:
        """It takes requests now."""
        ...

    async def not_ready(self, why: str, *, fell: bool) -> None:
        """It takes none (yet); `fell`: any more."""
        ...

    async def give_up(self, why: str) -> None:
        """It must be ended and started again."""
        ...


class Watch:
    """The probes of one run."""

    def __init__(self, ground: Ground, prepared: Prepared, address: str, watched: Watched) -> None:
        self._ground, self._prepared, self._address, self._watched = ground, prepared, address, watched

    async def run(self) -> None:
        """Startup first, then readiness and liveness side by side. Returns when nothing more is to be looked at."""
        startup, liveness = self._prepared.startup, self._prepared.liveness
        if startup and not await self._starts(startup):
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._readiness())
            if liveness:
                group.create_task(self._liveness(liveness))

    async def _starts(self, startup: Probe) -> bool:
        clock = self._ground.clock
        await clock.sleep(startup.initial_delay)
        deadline = clock.now() + startup.failures * startup.period
        while why := await self._look(startup):
            await self._watched.not_ready(why, fell=False)
            if clock.now() >= deadline:
                await self._watched.give_up(f"startup probe failed: {why}")
                return False
            await clock.sleep(min(startup.period, probe.EAGER))
        return True

    async def _readiness(self) -> None:
        readiness = self._prepared.readiness
        if readiness is None:
            await self._watched.ready()
            return
        await self._ground.clock.sleep(readiness.initial_delay)
        tally = Tally(readiness)
        while True:
            why, was = await self._look(readiness), tally.passing
            tally.add(why is None)
            if tally.passing and not was:
                await self._watched.ready()
            elif why and not tally.passing:
                await self._watched.not_ready(why, fell=was)
            if readiness.once and tally.passing:
                return
            await self._ground.clock.sleep(tally.pause)

    async def _liveness(self, liveness: Probe) -> None:
        await self._ground.clock.sleep(liveness.initial_delay)
        tally = Tally(liveness, passing=True)
        while True:
            why = await self._look(liveness)
            tally.add(why is None)
            if why and not tally.passing:
                await self._watched.give_up(f"liveness probe failed: {why}")
                return
            await self._ground.clock.sleep(liveness.period)

    async def _look(self, wanted: Probe) -> str | None:
        return await self._ground.prober.attempt(wanted, self._address, self._execute)

    async def _execute(self, words: Sequence[str]) -> str | None:
        """Run the words of an exec probe as the container would."""
        program = self._prepared.program
        try:
            command = commands.Command(tuple(words), program.env, program.directory)
            runnable = commands.runnable(command, self._ground.inherited)
            looking = Process(replace(program, words=runnable, owner=f"{program.owner}/probe"), self._ground.life, None)
        except CannotRun as error:
            return str(error)
        except OSError as error:
            return f"command {words[0]}: {error.strerror}"
        try:
            how = await looking.wait()
        finally:
            looking.abandon()
        return None if how.code == 0 else f"command {words[0]}: exit code {how.code}"
