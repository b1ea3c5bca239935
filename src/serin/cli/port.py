"""What the commands need of a home: its objects, `apply`, its status and its logs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

from serin.ports import Event, Kind, Object, Objects

if TYPE_CHECKING:
    from serin.control.apply import Applied


class Home(Objects, Protocol):
    """The port of objects, and what else the verbs ask of whoever holds them."""

    async def apply(self, documents: Sequence[Object], *, dry_run: bool = False) -> Sequence[Applied]:
        """Create or change all of these objects, or none."""
        ...

    async def status(self) -> Object:
        """What the home runs and whether it is well, as JSON."""
        ...

    async def recording(self, namespace: str, name: str) -> Sequence[Object]:
        """What was recorded of an experiment, step by step. Raises NotFound."""
        ...

    async def history(self, experiment: Object) -> Sequence[Object]:
        """What the baseline of an experiment has counted so far, as the steps of a recording. Raises InvalidInput."""
        ...

    def logs(
        self, namespace: str, pod: str, *, follow: bool = False, tail: int | None = None, previous: bool = False
    ) -> AsyncIterator[str]:
        """The lines that a pod has printed, without their line breaks. Raises NotFound."""
        ...


@asynccontextmanager
async def changes(objects: Objects, kind: Kind, namespace: str | None) -> AsyncIterator[AsyncIterator[Event]]:
    """A watch on one kind that is closed when the block is left, however it is left."""
    events = objects.watch(kind, namespace=namespace if kind.namespaced else None)
    try:
        yield events
    finally:
        close = getattr(events, "aclose", None)
        if close is not None:
            await close()
