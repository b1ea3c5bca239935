"""A home from outside: the port `Objects`, `apply`, status and logs over its control socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2

from serin.control import semantics
from serin.control.apply import Applied
from serin.control.semantics import Key
from serin.errors import InvalidInput, SerinError, Unreachable
from serin.home import control_socket, wire
from serin.home.paths import Paths
from serin.ports import Change, Event, Kind, Object

Listing = list[Object]

_ANSWER = 60.0
"""Seconds within which a home answers, unless it is asked to stream."""

_COMES_BACK = 10.0
_PAUSE = 0.2


class HomeClient:
    """The home in `folder`. Nothing is opened before the first call; every method may raise Unreachable.

    comes_back    seconds that a watch waits for a home that is being started again
    """

    def __init__(self, folder: Path, *, comes_back: float = _COMES_BACK) -> None:
        self._paths = Paths(folder)
        self._comes_back = comes_back
        self._stack = ExitStack()
        self._client: httpx2.AsyncClient | None = None
        self._streams: set[httpx2.Response] = set()

    async def aclose(self) -> None:
        """Close the connection, and the watches and logs that are still open."""
        for response in list(self._streams):
            await response.aclose()
        if self._client is not None:
            await self._client.aclose()
            self._client = None
        self._stack.close()

    async def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """As `Objects.get`."""
        return await self._json("GET", wire.path_of(kind, namespace, name))

    async def list(
        self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> list[Object]:
        """As `Objects.list`."""
        selector = {"labelSelector": ",".join(f"{name}={value}" for name, value in labels.items())} if labels else {}
        items: Listing = (await self._json("GET", wire.path_of(kind, namespace), params=selector))["items"]
        return items

    async def create(self, obj: Object) -> Object:
        """As `Objects.create`."""
        place = semantics.key_of(obj)
        return await self._json("POST", wire.path_of(place.kind, place.namespace), obj)

    async def replace(self, obj: Object) -> Object:
        """As `Objects.replace`."""
        return await self._json("PUT", wire.path_of(*semantics.key_of(obj)), obj)

    async def patch(self, kind: Kind, namespace: str, name: str, patch: Object, *, status: bool = False) -> Object:
        """As `Objects.patch`."""
        return await self._json("PATCH", wire.path_of(kind, namespace, name, status=status), patch)

    async def delete(self, kind: Kind, namespace: str, name: str) -> None:
        """As `Objects.delete`."""
        await self._json("DELETE", wire.path_of(kind, namespace, name))

    async def apply(self, documents: Sequence[Object], *, dry_run: bool = False) -> Sequence[Applied]:
        """Create or change all of these objects, or none when one is refused. Raises InvalidInput, Conflict."""
        for document in documents:
            semantics.encode(document)  # too large or no JSON: said of the one that is
        answer = await self._json("POST", "/apply", {"objects": list(documents), "dryRun": dry_run})
        return [wire.applied_of(each) for each in answer["applied"]]

    async def status(self) -> Object:
        """What the home runs and whether it is well."""
        return await self._json("GET", "/status")

    async def down(self) -> Object:
        """Ask the home to end; it has not ended yet when this returns. The status as it was."""
        return await self._json("POST", "/down")

    async def recording(self, namespace: str, name: str) -> Listing:
        """What was recorded of an experiment, step by step (`serin.core.recording`). Raises NotFound."""
        answer = await self._json("GET", f"/recordings/{quote(namespace, safe='')}/{quote(name, safe='')}")
        steps: Listing = answer["steps"]
        return steps

    async def history(self, experiment: Object) -> Listing:
        """What the baseline of an experiment has counted, as the steps of a recording. Raises InvalidInput."""
        steps: Listing = (await self._json("POST", "/history", experiment))["steps"]
        return steps

    async def logs(
        self, namespace: str, pod: str, *, follow: bool = False, tail: int | None = None, previous: bool = False
    ) -> AsyncGenerator[str, None]:
        """The lines that a Pod has printed, without their line breaks. Raises NotFound."""
        flags = {"follow": follow, "previous": previous}
        query = {name: "1" for name, wanted in flags.items() if wanted}
        if tail is not None:
            query["tail"] = str(tail)
        async with self._stream(f"/logs/{namespace}/{pod}", query) as lines:
            async for line in lines:
                yield line

    async def watch(self, *kinds: Kind, namespace: str | None = None) -> AsyncGenerator[Event, None]:
        """As `Objects.watch`. A home that is started again is found again; one that stays away is Unreachable."""
        known: dict[Key, Object] = {}
        synced = False
        away_since: float | None = None
        clock = asyncio.get_running_loop().time
        while True:
            unseen = set(known)
            try:
                async with self._events(kinds, namespace) as events:
                    async for event in events:
                        away_since = None
                        if event.change is Change.SYNCED:
                            for place in unseen:
                                yield Event(Change.DELETED, known.pop(place))
                            unseen = set()
                            if not synced:
                                yield event
                            synced = True
                            continue
                        place = semantics.key_of(event.object)
                        unseen.discard(place)
                        for told in _told(known.get(place), event):
                            yield told
                        known[place] = event.object
                        if event.change is Change.DELETED:
                            del known[place]
            except Unreachable:
                if not synced:
                    raise
                away_since = away_since or clock()
                if clock() - away_since > self._comes_back:
                    raise
            await asyncio.sleep(_PAUSE)

    @asynccontextmanager
    async def _events(self, kinds: Sequence[Kind], namespace: str | None) -> AsyncIterator[AsyncIterator[Event]]:
        query: dict[str, Any] = {"kind": [wire.name_of(kind) for kind in kinds]}
        if namespace is not None:
            query["namespace"] = namespace
        async with self._stream("/watch", query) as lines:
            parsed = (json.loads(line) async for line in lines)
            yield (Event(Change(found["type"]), found["object"]) async for found in parsed)

    async def _json(self, method: str, path: str, body: Object | None = None, params: Any = None) -> Object:
        try:
            content = None if body is None else json.dumps(body, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidInput(f"the object holds a value that JSON cannot: {error}") from None
        try:
            response = await self._open().request(method, path, content=content, params=params)
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from error
        return _understood(response.content, response.is_success)

    @asynccontextmanager
    async def _stream(self, path: str, query: Mapping[str, Any]) -> AsyncIterator[AsyncIterator[str]]:
        try:
            async with self._open().stream("GET", path, params=dict(query), timeout=None) as response:
                if not response.is_success:
                    _understood(await response.aread(), False)
                self._streams.add(response)
                try:
                    yield response.aiter_lines()
                finally:
                    self._streams.discard(response)
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from error

    def _open(self) -> httpx2.AsyncClient:
        if self._client is None:
            try:
                socket = self._stack.enter_context(control_socket.address(self._paths.socket))
            except OSError as error:
                raise self._unreachable(error) from None
            transport = httpx2.AsyncHTTPTransport(
                uds=socket, verify=False
            )  # no TLS on a unix socket; the context is slow
            self._client = httpx2.AsyncClient(
                transport=transport, base_url="http://home", timeout=_ANSWER, trust_env=False
            )
        return self._client

    def _unreachable(self, error: Exception) -> Unreachable:
        folder = self._paths.folder
        if isinstance(error, httpx2.TimeoutException):
            return Unreachable(f"the home in {folder} does not answer; look into {self._paths.log}")
        if isinstance(error, httpx2.ConnectError) and isinstance(error.__cause__, PermissionError):
            return Unreachable(f"the home in {folder} belongs to another user")
        if isinstance(error, httpx2.ConnectError | OSError):
            return Unreachable(f"no home is running in {folder}; start it with 'serin up'")
        return Unreachable(
            f"the home in {folder} ended in the middle of an answer; start it with 'serin up', and repeat"
        )


def _told(before: Object | None, event: Event) -> list[Event]:
    """What a watcher who saw `before` is to be told; after a new connection, nothing about what has not changed."""
    if before is None or event.change is Change.DELETED:
        return [event]
    same = [before["metadata"][name] == event.object["metadata"][name] for name in ("uid", "resourceVersion")]
    if all(same):
        return []
    if same[0]:
        return [Event(Change.MODIFIED, event.object)]
    return [Event(Change.DELETED, before), Event(Change.ADDED, event.object)]


def _understood(content: bytes, success: bool) -> Object:
    try:
        found = json.loads(content)
    except ValueError:
        raise SerinError("the home answered with something that is no JSON; client and home may differ") from None
    if success and isinstance(found, dict):
        return found
    raise wire.error_of(found) or SerinError("the home answered with an error that says nothing")
