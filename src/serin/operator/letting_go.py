"""Lets experiments go that are no longer ours: they have lost the label that `--selector` asks for.

To a watch with a selector such an experiment is as good as deleted, but our finalizer stays on it, and nobody would
take it off: `kubectl delete` would wait for ever. The traffic is left as it is, since another controller may be about
to go on with it; that one puts the finalizer on it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from serin.control.experiments import Record
from serin.errors import NotFound, SerinError
from serin.ports import EXPERIMENT, Change, Object, Objects, Severity, Sink

_log = structlog.get_logger("serin.controller")

_AGAIN = 5.0
"""Seconds until what has failed is tried again."""


class LettingGo:
    """What a stand-by has noticed is done when it leads; whoever led before may have done it.

    ours      the experiments of the selector, as they are watched
    all_      every experiment, whatever its labels
    selector  in kubectl's words, for the event
    """

    def __init__(
        self,
        ours: Objects,
        all_: Objects,
        sink: Sink,
        selector: str,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._ours = ours
        self._all = all_
        self._sink = sink
        self._selector = selector
        self._sleep = sleep
        self._gone: asyncio.Queue[Object] = asyncio.Queue()

    async def notice(self) -> None:
        """Remember what leaves our sight, until cancelled."""
        while True:
            try:
                async for event in self._ours.watch(EXPERIMENT):
                    if event.change is Change.DELETED:
                        self._gone.put_nowait(event.object)
            except SerinError as error:
                _log.warning("experiments cannot be watched", error=str(error), retry_in=_AGAIN)
            await self._sleep(_AGAIN)

    async def run(self) -> None:
        """Let go what has been noticed, until cancelled."""
        while True:
            gone = await self._gone.get()
            while True:
                try:
                    await self._let_go(gone)
                except SerinError as error:
                    _log.warning("an experiment cannot be let go", error=str(error), retry_in=_AGAIN)
                    await self._sleep(_AGAIN)
                else:
                    break

    async def _let_go(self, gone: Object) -> None:
        """Take our finalizer off, if it is there and has not come back to us meanwhile."""
        place = EXPERIMENT, gone["metadata"]["namespace"], gone["metadata"]["name"]
        try:
            record = Record(await self._all.get(*place))
            if await self._is_back(record):
                return
            held = record.holds_finalizer
            await record.drop_finalizer(self._all)
        except NotFound:
            return
        if held:
            text = (
                f"it is not selected by '{self._selector}' any more, so this controller lets it go: "
                "its routing rules stay as they are, and nothing more happens"
            )
            await self._sink.emit(record.object, "LetGo", text, Severity.WARNING)

    async def _is_back(self, record: Record) -> bool:
        try:
            await self._ours.get(EXPERIMENT, record.namespace, record.name)
        except NotFound:
            return False
        return True
