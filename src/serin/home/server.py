"""The control interface of a home: HTTP on its unix socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from serin.adapters.local.processes import logs
from serin.control import semantics
from serin.errors import InvalidInput, NotFound, SerinError, UsageError
from serin.home import control_socket, wire
from serin.home.following import follow, last_lines
from serin.home.paths import Paths
from serin.home.rest import Admit, Rest
from serin.ports import POD, Clock, Object, Objects

log = structlog.get_logger()

_GRACE = 2
"""Seconds that open requests get at the end."""


class Server:
    """Serves `objects` (through whatever admits them), the status and the Pods' logs.

    admit    refuses a wrong manifest (InvalidInput), and gives what a person is to be told about a right one
    status   gives what `serin status` shows
    end      asks the home to end, gracefully
    recording    gives the steps that were recorded of an experiment, by namespace and name
    history      gives what the baseline of an experiment has counted, as steps
    """

    def __init__(
        self,
        paths: Paths,
        objects: Objects,
        clock: Clock,
        *,
        admit: Admit,
        status: Callable[[], Awaitable[Object]],
        end: Callable[[], None],
        recording: Callable[[str, str], Sequence[Object]],
        history: Callable[[Object], Awaitable[Sequence[Object]]],
    ) -> None:
        self._paths = paths
        self._objects = objects
        self._clock = clock
        self._status = status
        self._end = end
        self._recording = recording
        self._history = history
        self._rest = Rest(objects, admit)
        self._closing = False
        self._listening = asyncio.Event()

    async def listening(self) -> None:
        """Return as soon as the socket answers."""
        await self._listening.wait()

    async def run(self) -> None:
        """Serve until cancelled; then end the streams, and give open requests a moment."""
        config = uvicorn.Config(
            self.application(),
            lifespan="off",
            log_config=None,
            access_log=False,
            ws="none",
            http="h11",
            timeout_graceful_shutdown=_GRACE,
        )
        server = _Uvicorn(config)
        self._closing = False
        listener = control_socket.listen(self._paths.socket)
        serving = asyncio.ensure_future(server.serve(sockets=[listener]))
        self._listening.set()  # the kernel queues whoever comes before the first accept
        try:
            await asyncio.shield(serving)
        finally:
            self._closing = True
            self._rest.close()
            server.should_exit = True
            await serving
            listener.close()

    def application(self) -> Starlette:
        """The application, as tests may call it without a socket."""
        routes = [
            Route("/status", self._show_status, methods=["GET"]),
            Route("/down", self._down, methods=["POST"]),
            Route("/logs/{namespace}/{pod}", self._logs, methods=["GET"]),
            Route("/recordings/{namespace}/{name}", self._recorded, methods=["GET"]),
            Route("/history", self._counted, methods=["POST"]),
            *self._rest.routes(),
        ]
        handlers = {SerinError: _explain, HTTPException: _explain_http, Exception: self._admit_failure}
        return Starlette(routes=routes, exception_handlers=handlers)

    async def _show_status(self, _request: Request) -> Response:
        return JSONResponse(await self._status())

    async def _down(self, _request: Request) -> Response:
        self._end()
        return JSONResponse(await self._status(), status_code=202)

    async def _recorded(self, request: Request) -> Response:
        place = request.path_params["namespace"], request.path_params["name"]
        steps = await asyncio.to_thread(self._recording, *place)
        return JSONResponse({"steps": list(steps)})

    async def _counted(self, request: Request) -> Response:
        try:
            experiment = await request.json()
        except ValueError:
            raise InvalidInput("the body is no JSON; send an Experiment") from None
        return JSONResponse({"steps": list(await self._history(experiment))})

    async def _logs(self, request: Request) -> Response:
        namespace, pod = request.path_params["namespace"], request.path_params["pod"]
        query = request.query_params
        tail = query.get("tail")
        if tail is not None and not tail.isdigit():
            raise UsageError(f"tail: '{tail}' is no number of lines")
        present = await self._present(namespace, pod)
        files = logs.files(self._paths.pod_logs, namespace, pod, previous="previous" in query)
        if not files and not present:
            raise semantics.key(POD, namespace, pod).not_found()
        if not files and "previous" in query:
            raise NotFound(f"Pod '{pod}' in namespace '{namespace}' has had no run before the present one")
        beginning, end = last_lines(files, int(tail) if tail is not None else None)

        async def over() -> bool:
            return self._closing or not await self._present(namespace, pod)

        async def chunks() -> AsyncIterator[bytes]:
            yield beginning
            if "follow" in query:
                current = self._paths.pod_logs / namespace / pod / "current.log"
                async for chunk in follow(current, end, self._clock, over):
                    yield chunk

        return StreamingResponse(chunks(), media_type="text/plain; charset=utf-8")

    async def _present(self, namespace: str, pod: str) -> bool:
        try:
            await self._objects.get(POD, namespace, pod)
        except NotFound:
            return False
        return True

    async def _admit_failure(self, request: Request, error: Exception) -> Response:
        log.error("request failed", method=request.method, path=request.url.path, exc_info=error)
        where = f"; {self._paths.log} says more"
        return await _explain(request, SerinError(f"the home failed at this: {type(error).__name__}: {error}{where}"))


class _Uvicorn(uvicorn.Server):
    """Signals are the daemon's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _explain(_request: Request, error: Exception) -> Response:
    code, body = wire.failure(error if isinstance(error, SerinError) else SerinError(str(error)))
    return JSONResponse(body, status_code=code)


async def _explain_http(request: Request, error: Exception) -> Response:
    sentence = f"the home knows no {request.method} {request.url.path}; client and home may be of different versions"
    unknown = isinstance(error, HTTPException) and error.status_code in (404, 405)
    code, body = wire.failure(NotFound(sentence) if unknown else SerinError(str(error)))
    return JSONResponse(body, status_code=code)
