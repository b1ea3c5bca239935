"""A home with a service, its baseline and the way in; everything that is said and routed is being watched."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from serin.errors import SerinError
from serin.ports import Object
from tests.survival.house import PATIENCE, House, eventually
from tests.survival.manifests import stage
from tests.survival.story import Said, Story
from tests.survival.traffic import Traffic
from tests.survival.wire import Wire


@dataclass(slots=True)
class Scene:
    """What a test plays on."""

    house: House
    story: Story
    wire: Wire
    streams: list[Traffic] = field(default_factory=list)

    def traffic(self, rate: float = 150.0) -> Traffic:
        """Begin a stream of requests; it ends with the scene at the latest."""
        self.streams.append(Traffic(self.house.port, rate))
        return self.streams[-1]

    def tail(self) -> str:
        """What is known, for an assertion that fails."""
        streams = [f"sent {s.sent}: {dict(s.report.by_version)}, {dict(s.report.errors)}" for s in self.streams]
        return "\n  ".join([self.story.tail(), *streams, f"wire {self.wire.split} after {self.wire.looks} looks"])

    @property
    def sent(self) -> int:
        """Requests of all streams."""
        return sum(stream.sent for stream in self.streams)

    async def says(self, pattern: str, *, name: str = "rollout", since: int | None = None) -> Said:
        """Wait until an experiment says this: now, or from number `since` of the story on."""
        first = max(len(self.story.said) - 1, 0) if since is None else since

        async def heard() -> Said | None:
            return self.story.heard(pattern, first, name)

        found: Said = await eventually(lambda: f"'{pattern}'; {self.tail()}", heard)
        return found

    async def tells(self, pattern: str) -> str:
        """Wait for an event."""

        async def told() -> str | None:
            return self.story.event(pattern)

        found: str = await eventually(lambda: f"event '{pattern}'; {self.tail()}", told)
        return found

    async def iteration(self, number: int, *, name: str = "rollout") -> Said:
        """Wait until so many iterations are counted."""

        async def reached() -> Said | None:
            last = self.story.last(name)
            return last if last.iteration >= number else None

        found: Said = await eventually(lambda: f"iteration {number}; {self.tail()}", reached)
        return found

    async def share(self, version: str, least: int, most: int = 100) -> None:
        """Wait until Envoy gives a version such a share."""

        async def given() -> bool:
            return least <= self.wire.split.get(f"answer-{version}", 0) <= most

        await eventually(lambda: f"{least} to {most}% for {version}, not {self.wire.split}; {self.tail()}", given)

    async def completed(self, *, name: str = "rollout", patience: float = 2 * PATIENCE) -> Said:
        """Wait for the end of an experiment."""

        async def ended() -> Said | None:
            last = self.story.last(name)
            return last if last.status.get("phase") == "Completed" else None

        found: Said = await eventually(lambda: f"the end; {self.tail()}", ended, patience)
        return found

    async def play(self, *objects: Object) -> None:
        await self.house.apply(*objects)


@contextlib.asynccontextmanager
async def playing(folder: Path, environment: dict[str, str] | None = None, **options: Any) -> AsyncIterator[Scene]:
    """A scene in a home of its own. At the end: nothing odd was seen, and nothing of the home is left."""
    house = House(folder, environment)
    scene = Scene(house, Story(house.client), Wire(house.paths.gateway / "admin.sock"))
    watching: list[asyncio.Task[None]] = []
    try:
        await house.up()
        await house.apply(*stage(**options))
        await house.ready("v1")
        await house.open()
        watching = [asyncio.create_task(scene.story.watch()), asyncio.create_task(scene.wire.watch())]
        await asyncio.wait_for(scene.story.synced.wait(), PATIENCE)
        yield scene
        assert [task for task in watching if task.done()] == []
    finally:
        for task in watching:
            task.cancel()
        for stream in scene.streams:
            await stream.drop()
        for task in watching:
            with contextlib.suppress(asyncio.CancelledError, SerinError):
                await task
        left = await house.end()
    assert scene.story.odd == []
    assert scene.wire.odd == []
    assert left == []
    for said in scene.story.said:
        assert said.requests <= max(scene.sent, 1), "requests were counted twice"
