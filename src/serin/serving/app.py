"""The HTTP side: one Starlette application over the versions of one model.

It reads paths, finds the version, asks it, counts, and makes the rehearsed faults. It knows no TensorFlow.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from serin.serving.faults import Dice, Faults
from serin.serving.feedback import PREDICTOR_HEADER, outcome, predictor
from serin.serving.metrics import MOST_PREDICTORS, ServingMetrics
from serin.serving.protocol import (
    FEEDBACK,
    METRICS_PATH,
    Code,
    ServingError,
    State,
    Target,
    error_body,
    metadata_body,
    status_body,
    target,
    unknown_label,
    unknown_model,
)  # fmt: skip
from serin.serving.servable import Servable

LARGEST_BODY = 64 * 1024 * 1024
_JSON = "application/json"
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


@dataclass(frozen=True, slots=True)
class Model:
    """A model by its name: its versions, and the version that each label means."""

    name: str
    versions: Mapping[int, Servable]
    labels: Mapping[str, int]

    def named(self, wanted: Target) -> int | None:
        """The version that a request names, whether it is served or not; None without one. Raises ServingError."""
        if wanted.model != self.name:
            raise unknown_model(wanted)
        if wanted.label is None:
            return wanted.version
        if wanted.label not in self.labels:
            raise unknown_label(wanted.label)
        return self.labels[wanted.label]

    def find(self, wanted: Target) -> tuple[int, Servable]:
        """The version that a request means, the latest when it names none. Raises ServingError."""
        number = self.named(wanted)
        if number is None:
            number = max(self.versions, default=None)
        if number is None or number not in self.versions:
            raise unknown_model(wanted)
        return number, self.versions[number]


class _Pages:
    def __init__(
        self, model: Model, faults: Faults, largest_body: int, namespace: str | None, workload: str | None
    ) -> None:
        self._model = model
        self._namespace = namespace
        self._workload = workload
        self._dice = Dice(faults)
        self._largest_body = largest_body
        self._metrics = ServingMetrics(model.name)

    async def metrics(self, _request: Request) -> Response:
        return Response(self._metrics.text(), media_type="text/plain")

    async def api(self, request: Request) -> Response:
        start = time.perf_counter()
        try:
            wanted = target(request.method, request.scope["raw_path"].decode("latin-1"))
        except ServingError as error:
            return _error(error)
        if wanted.action in ("status", "metadata"):
            return self._about(wanted)
        if wanted.action == FEEDBACK:
            return await self._feedback(wanted, request)
        code, response = await self._prediction(wanted, request)
        self._metrics.request(wanted.action, code, time.perf_counter() - start)
        if self._workload:
            response.headers[PREDICTOR_HEADER] = self._workload
        if request.app.state.ending():
            response.headers["connection"] = "close"
        return response

    def _about(self, wanted: Target) -> Response:
        try:
            number, servable = self._model.find(wanted)
            if wanted.action == "metadata":
                body = metadata_body(self._model.name, number, servable.signatures)
            else:
                body = status_body(self._states(wanted))
        except ServingError as error:
            return _error(error)
        return Response(body, media_type=_JSON)

    def _states(self, wanted: Target) -> list[tuple[int, State]]:
        if wanted.version is not None or wanted.label is not None:
            number, servable = self._model.find(wanted)
            return [(number, servable.state)]
        if not self._model.versions:
            raise unknown_model(wanted)
        return [(number, servable.state) for number, servable in sorted(self._model.versions.items(), reverse=True)]

    async def _prediction(self, wanted: Target, request: Request) -> tuple[Code, Response]:
        try:
            _, servable = self._model.find(wanted)
            body = await self._body(request)
            await self._rehearse()
            answer = await servable.answer(wanted.action, body)
        except ServingError as error:
            return error.code, _error(error)
        except _TooLargeError as error:
            return Code.RESOURCE_EXHAUSTED, Response(error_body(str(error)), 413, media_type=_JSON)
        except ClientDisconnect:
            return Code.CANCELLED, Response(status_code=Code.CANCELLED.http)
        if answer.code is Code.OK:
            self._metrics.run(wanted.action, answer.runtime, answer.examples)
        return answer.code, Response(answer.body, answer.code.http, media_type=_JSON)

    async def _feedback(self, wanted: Target, request: Request) -> Response:
        """Count what became of predictions, of this server or of whoever the header names."""
        try:
            version = self._model.named(wanted)
            workload = predictor(request.headers.get(PREDICTOR_HEADER))
            told = outcome(await self._body(request))
        except ServingError as error:
            return _error(error)
        except _TooLargeError as error:
            return Response(error_body(str(error)), 413, media_type=_JSON)
        except ClientDisconnect:
            return Response(status_code=Code.CANCELLED.http)
        counted = self._metrics.feedback(
            told.judged,
            told.correct,
            workload=workload,
            namespace=self._namespace if workload else None,
            version=version,
        )
        if not counted:
            text = f"feedback about {MOST_PREDICTORS} predictors is counted already; start the server again"
            return _error(ServingError(Code.RESOURCE_EXHAUSTED, text))
        return Response(f'{{"counted": {told.judged}, "correct": {told.correct}}}', media_type=_JSON)

    async def _body(self, request: Request) -> bytes:
        """The body, whatever its content type says it is. Raises _TooLargeError before all of it has been read."""
        announced = request.headers.get("content-length", "0")
        if announced.isdigit() and int(announced) > self._largest_body:
            raise _TooLargeError(int(announced), self._largest_body)
        chunks, size = [], 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > self._largest_body:
                raise _TooLargeError(size, self._largest_body)
            chunks.append(chunk)
        return b"".join(chunks)

    async def _rehearse(self) -> None:
        delay = self._dice.latency()
        if delay:
            await asyncio.sleep(delay)
        if self._dice.fails():
            raise ServingError(Code.INTERNAL, "a rehearsed error, asked for by --fault errors")


class _TooLargeError(Exception):
    def __init__(self, size: int, largest: int) -> None:
        super().__init__(f"the body has {size} bytes or more, and {largest} are allowed; see --max-body-size")


def application(
    model: Model,
    faults: Faults | None = None,
    largest_body: int = LARGEST_BODY,
    namespace: str | None = None,
    workload: str | None = None,
) -> Starlette:
    """The application. `state.ending` says whether the server is about to end.

    largest_body   bytes
    namespace      where the workloads are that feedback names
    workload       what this server is called there; told with each prediction, so that feedback can name it
    """
    pages = _Pages(model, faults or Faults(), largest_body, namespace, workload)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        tending = [asyncio.create_task(version.tend()) for version in model.versions.values()]
        yield
        for task in tending:
            task.cancel()
        await asyncio.gather(*tending, return_exceptions=True)

    app = Starlette(
        lifespan=lifespan,
        routes=[
            Route(METRICS_PATH, pages.metrics),
            Route("/v1/{rest:path}", pages.api, methods=_METHODS),
            Route("/{rest:path}", _nowhere, methods=_METHODS),
        ],
    )
    app.state.ending = lambda: False
    return app


async def _nowhere(request: Request) -> Response:
    text = f"there is nothing at {request.url.path}; models are under /v1/models, metrics at {METRICS_PATH}"
    return _error(ServingError(Code.NOT_FOUND, text))


def _error(error: ServingError) -> Response:
    return Response(error_body(str(error)), error.code.http, media_type=_JSON)
