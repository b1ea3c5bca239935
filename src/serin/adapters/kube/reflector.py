"""Keeps a shelf true: lists one kind, then follows its watch, for ever.

A watch that ends, breaks or falls silent is taken up where it was; one whose past the API server has forgotten (410) is
begun anew by a list, and what has gone meanwhile is told as deleted. Bookmarks keep the place recent where nothing
happens. Nothing ends it but being cancelled; what is wrong at the moment stands in `trouble`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from pydantic_core import from_json

from serin.adapters.kube.api import Api, Request
from serin.adapters.kube.backoff import Backoff
from serin.adapters.kube.failures import Failure, Target
from serin.adapters.kube.served import Served
from serin.adapters.kube.shelf import Shelf
from serin.errors import SerinError
from serin.ports import Kind, Object

_log = structlog.get_logger("serin.kube")

_PAGE = 500
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_SHORTEST_WATCH, _LONGEST_WATCH = 300.0, 600.0
_LATE = 60.0
"""Seconds that the end of a watch may be late before its connection counts as lost."""
_BRIEF = 1.0
"""Seconds; a watch that ends sooner without a word counts as a failure."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which objects of a kind: of one namespace or of all (None), with these labels and fields in kubectl's words."""

    namespace: str | None = None
    labels: str = ""
    fields: str = ""

    def params(self) -> dict[str, str]:
        """As the parameters of a request."""
        given = {"labelSelector": self.labels, "fieldSelector": self.fields}
        return {name: value for name, value in given.items() if value}


class _Expired(Exception):  # noqa: N818
    """The place in the history is forgotten."""


class Reflector:
    """One kind in one scope. `synced` is set as soon as the shelf has once been complete.

    trouble    the error that keeps it from being true at the moment, None while all is well
    """

    def __init__(
        self,
        api: Api,
        served: Served,
        shelf: Shelf,
        scope: Scope,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.kind: Kind = shelf.kind
        self.scope = scope
        self.shelf = shelf
        self.synced = asyncio.Event()
        self.failed = asyncio.Event()
        """Set at the first trouble, for those who will not wait for better times."""
        self.trouble: SerinError | None = None
        self.lists = 0
        self._api = api
        self._served = served
        self._sleep = sleep
        self._backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)

    async def run(self) -> None:
        """Go on until cancelled."""
        version: str | None = None
        while True:
            try:
                if version is None:
                    version = await self._list()
                    self.lists += 1
                    self.synced.set()
                    self._answers()
                version = await self._follow(version)
            except _Expired:
                _log.info("history is forgotten, listing anew", kind=self.kind.name)
                version = None
                await self._sleep(self._backoff.pause())
            except SerinError as error:
                await self._suffer(error)
            except (ValueError, KeyError, TypeError) as error:
                _log.warning("a watch said what is no event", kind=self.kind.name, error=str(error))
                version = None
                await self._suffer(SerinError(f"the watch of {self.kind.plural} cannot be understood: {error}"))

    def _answers(self) -> None:
        """The API server answers again; the pauses stay long until a watch has said something or has lasted."""
        if self.trouble is not None:
            _log.info("watching again", kind=self.kind.name)
        self.trouble = None

    async def _suffer(self, error: SerinError, at_least: float | None = None) -> None:
        pause = self._backoff.pause(at_least)
        if str(error) != str(self.trouble):
            _log.warning("cannot watch", kind=self.kind.name, error=str(error), retry_in=round(pause, 1))
        self.trouble = error
        self.failed.set()
        await self._sleep(pause)

    async def _list(self) -> str:
        """Everything onto the shelf, page by page; returns the version that it is as of."""
        present: set[str] = set()
        limit, again = _PAGE, ""
        while True:
            params = {**self.scope.params(), **({"limit": str(limit)} if limit else {})}
            params |= {"continue": again} if again else {}
            body = await self._page(params)
            if body is None and again:  # the page was waited for too long: once more from the start, all at once
                present, limit, again = set(), 0, ""
                continue
            if body is None:
                raise _Expired
            for obj in body.get("items") or ():
                self._complete(obj, body)
                present.add(obj["metadata"]["uid"])
                self.shelf.put(obj)
            metadata = body["metadata"]
            again = metadata.get("continue") or ""
            if not again:
                version: str = metadata["resourceVersion"]
                self.shelf.settle(present, int(version))
                return version

    async def _page(self, params: dict[str, str]) -> Object | None:
        """One page; None when its continuation is no longer known."""
        target = Target("list", self.kind, self.scope.namespace)
        path = await self._served.path(self.kind, self.scope.namespace)
        answer = await self._api.send(Request(target, "GET", path, params))
        if answer.failure is None:
            return answer.body
        if answer.failure.expired:
            return None
        if answer.failure.code == 404:
            self._served.forget(self.kind)
        raise answer.failure.error(target)

    def _complete(self, obj: Object, body: Object) -> None:
        """Items of a list lack what their list says."""
        obj.setdefault("apiVersion", body["apiVersion"])
        obj.setdefault("kind", self.kind.name)

    async def _follow(self, version: str) -> str:
        """Take over what happens from `version` on, until the watch ends. Returns the version it has come to."""
        clock = asyncio.get_running_loop().time
        lasting = _SHORTEST_WATCH + (_LONGEST_WATCH - _SHORTEST_WATCH) * random.random()
        params = {
            **self.scope.params(),
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(int(lasting)),
        }
        target = Target("watch", self.kind, self.scope.namespace)
        request = Request(target, "GET", await self._served.path(self.kind, self.scope.namespace), params)
        began = clock()
        seen = version
        try:
            async with self._api.stream(request, silence=lasting + _LATE) as answer:
                if isinstance(answer, Failure):
                    self._refused(answer)
                    await self._suffer(answer.error(target), answer.retry_after)
                    return seen
                self._answers()
                async for line in answer:
                    seen = self._event(from_json(line), target)
                    self._backoff.reset()
        except SerinError as error:
            await self._suffer(error)
            return seen
        if clock() - began >= _BRIEF:
            self._backoff.reset()
        elif seen == version:
            await self._suffer(SerinError(f"the watch of {self.kind.plural} ends as soon as it begins"))
        return seen

    def _refused(self, failure: Failure) -> None:
        if failure.expired:
            raise _Expired
        if failure.code == 404:
            self._served.forget(self.kind)
            raise _Expired  # the list says what is wrong

    def _event(self, event: Object, target: Target) -> str:
        """Take over one event; the version that it leads to. Raises _Expired, SerinError."""
        what, obj = event["type"], event["object"]
        if what == "ERROR":
            failure = Failure(int(obj.get("code") or 500), str(obj.get("reason")), str(obj.get("message")))
            if failure.expired:
                raise _Expired
            raise failure.error(target)
        version: str = obj["metadata"]["resourceVersion"]
        if what == "DELETED":
            self.shelf.remove(obj)
        elif what in ("ADDED", "MODIFIED"):
            self.shelf.put(obj)
        elif what != "BOOKMARK":
            raise ValueError(f"event of type {what!r}")
        return version
