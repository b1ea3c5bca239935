"""Keeps a Pod's stored status as the Pod is, through a store that may refuse for a while."""

from __future__ import annotations

import asyncio
import contextlib

from serin.adapters.local.processes.conditions import Life, pod_status
from serin.errors import NotFound, SerinError
from serin.ports import POD, Clock, Object, Objects

_AGAIN = 1.0


class Publisher:
    """Writes the newest `Life` that it was shown; what comes while it writes is folded into the next write."""

    def __init__(self, objects: Objects, clock: Clock, pod: Object) -> None:
        self._objects, self._clock, self._pod = objects, clock, pod
        self._wanted: Life | None = None
        self._news, self._clean = asyncio.Event(), asyncio.Event()
        self._clean.set()
        self._gone = False

    def show(self, life: Life) -> None:
        """This is how the Pod is now."""
        if not self._gone:
            self._wanted = life
            self._clean.clear()
            self._news.set()

    async def flushed(self, patience: float) -> None:
        """Return when the store has what was shown last, or after so many seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._clean.wait(), patience)

    async def run(self) -> None:
        """Write until the Pod is gone."""
        while True:
            await self._news.wait()
            self._news.clear()
            if self._wanted is None:
                continue
            metadata = self._pod["metadata"]
            status = pod_status(self._pod, self._wanted, self._clock.now())
            try:
                self._pod = await self._objects.patch(
                    POD, metadata["namespace"], metadata["name"], {"status": status}, status=True
                )
            except NotFound:
                self._gone = True
                self._clean.set()
                return
            except SerinError:
                self._news.set()
                await self._clock.sleep(_AGAIN)
                continue
            if not self._news.is_set():
                self._clean.set()
