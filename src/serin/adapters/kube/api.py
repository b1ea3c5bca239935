"""Requests to the API server: JSON in and out, repeated while the failure may pass, gated and counted.

Knows nothing of objects beyond their JSON; paths are given. What a failure means is decided in `failures`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import httpx2
from pydantic_core import from_json

from serin.adapters.kube.backoff import Backoff
from serin.adapters.kube.failures import Failure, Target
from serin.control import semantics
from serin.errors import SerinError, Unreachable
from serin.ports import Object

MERGE_PATCH = "application/merge-patch+json"
FIELD_MANAGER = "serin"

_ATTEMPTS = 5
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 4.0
_READ_WITHIN = 30.0
_WRITTEN_WITHIN = 10.0
_IN_FLIGHT = 32
_PATIENCE = 10.0
"""Seconds that the API server may ask us to wait; when it asks for more, the caller is told instead."""


class Observer(Protocol):
    """Who counts requests."""

    def request(self, target: Target, code: int, seconds: float) -> None:
        """One answer (code 0: none came)."""
        ...


class NoObserver:
    """Counts nothing."""

    def request(self, target: Target, code: int, seconds: float) -> None:
        """As `Observer.request`."""


def always() -> float:
    """The gate of whoever needs no lease: open, without end."""
    return math.inf


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `failure` is None on success.

    doubtful   an attempt before this one got no answer, or one that does not say whether it was carried out
    """

    body: Object
    failure: Failure | None = None
    doubtful: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `writes`: it passes the gate first, and is given up when the gate would close."""

    target: Target
    method: str
    path: str
    params: Mapping[str, str] | None = None
    body: Object | None = None
    content_type: str = "application/json"

    @property
    def writes(self) -> bool:
        """Whether it may change something."""
        return self.method != "GET"


class Api:
    """One API server.

    gate       seconds for which writing is allowed; raises a SerinError when it is not
    observer   is told of every answer
    """

    def __init__(
        self,
        client: httpx2.AsyncClient,
        *,
        gate: Callable[[], float] = always,
        observer: Observer | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._gate = gate
        self._observer = observer or NoObserver()
        self._sleep = sleep
        self._free = asyncio.Semaphore(_IN_FLIGHT)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def send(self, request: Request, *, attempts: int = _ATTEMPTS) -> Answer:
        """The answer, success or not.

        Raises Unreachable when there is none that lasts, InvalidInput for a body that JSON cannot hold, and what the
        gate raises.
        """
        content = None if request.body is None else semantics.encode(request.body).encode()
        backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        doubtful = False
        for left in reversed(range(attempts)):
            try:
                answer = await (
                    _uncut(self._once(request, content)) if request.writes else self._once(request, content)
                )
            except httpx2.TransportError as error:
                refused = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout)
                doubtful = doubtful or not refused
                trouble: SerinError = self._unreachable(request.target, error)
                wait = None
            else:
                failure = answer.failure
                if failure is None or not failure.passing:
                    return Answer(answer.body, failure, doubtful)
                doubtful = doubtful or failure.code != 429
                trouble = failure.error(request.target)
                wait = failure.retry_after
            if not left or (wait or 0.0) > _PATIENCE:
                break
            await self._sleep(backoff.pause(wait))
        raise trouble

    async def demand(self, request: Request) -> Object:
        """The body of a success. Raises the error that a failure means."""
        answer = await self.send(request)
        if answer.failure is not None:
            raise answer.failure.error(request.target)
        return answer.body

    @asynccontextmanager
    async def stream(self, request: Request, *, silence: float | None) -> AsyncIterator[AsyncIterator[bytes] | Failure]:
        """The lines of an answer that is streamed, or the failure. Raises Unreachable, also in the midst of it.

        silence   seconds without a byte after which the connection counts as lost; None: never
        """
        clock = asyncio.get_running_loop().time
        began = clock()
        timeout = httpx2.Timeout(_READ_WITHIN, read=silence, pool=None)
        try:
            async with self._client.stream(
                request.method, request.path, params=request.params, timeout=timeout
            ) as response:
                self._observer.request(request.target, response.status_code, clock() - began)
                if response.is_success:
                    yield _lines(response)
                else:
                    yield _failure(response.status_code, await response.aread(), response.headers)
        except (httpx2.TransportError, httpx2.StreamError) as error:
            raise self._unreachable(request.target, error) from error

    async def _once(self, request: Request, content: bytes | None) -> Answer:
        headers = {"Content-Type": request.content_type} if content is not None else {}
        params: dict[str, Any] = dict(request.params or {})
        if request.method in ("POST", "PUT", "PATCH"):
            params["fieldManager"] = FIELD_MANAGER
        clock = asyncio.get_running_loop().time
        async with self._free:
            within = _READ_WITHIN
            if request.writes:
                # A write that hangs is given up before somebody else may have taken over.
                within = min(_WRITTEN_WITHIN, self._gate())
            began = clock()
            code = 0
            try:
                async with asyncio.timeout(within):
                    response = await self._client.request(
                        request.method, request.path, params=params, content=content, headers=headers
                    )
                code = response.status_code
            except TimeoutError as error:
                raise httpx2.ReadTimeout(f"no answer within {within:.0f} s") from error
            finally:
                self._observer.request(request.target, code, clock() - began)
        if not response.is_success:
            return Answer({}, _failure(response.status_code, response.content, response.headers))
        try:
            body = from_json(response.content)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise httpx2.RemoteProtocolError("an answer that is no JSON object")
        return Answer(body)

    def _unreachable(self, target: Target, error: Exception) -> Unreachable:
        why = str(error) or type(error).__name__
        server = self._client.base_url
        return Unreachable(f"the API server {server} does not answer to {target.words} ({why}); is it running?")


async def _uncut(request: Coroutine[Any, Any, Answer]) -> Answer:
    """Whoever is cancelled during a write stops after it: half a write is one that nobody knows the outcome of."""
    task = asyncio.ensure_future(request)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # seen, and of no use to anybody any more
        raise


async def _lines(response: httpx2.Response) -> AsyncIterator[bytes]:
    """Whole lines as bytes; httpx2's own `aiter_lines` decodes, and splits at line breaks inside JSON texts."""
    rest = b""
    async for chunk in response.aiter_bytes():
        *lines, rest = (rest + chunk).split(b"\n") if b"\n" in chunk else (rest + chunk,)
        for line in lines:
            if line:
                yield line
    if rest.strip():
        yield rest


def _failure(code: int, content: bytes, headers: httpx2.Headers) -> Failure:
    return Failure.of(code, content, headers.get("Retry-After"))
