"""What the API server asks a kubelet for when somebody says `kubectl logs`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from lab.identities import KUBELET
from lab.node.agent import Agent
from serin.adapters.local.processes import logs
from serin.home.daemon import SystemClock
from serin.home.following import follow, last_lines


class LogServer:
    """`GET /containerLogs/NAMESPACE/POD/CONTAINER` on the node's address, over TLS."""

    def __init__(self, agent: Agent, folder: Path, key: Path, certificate: Path, address: str) -> None:
        """`folder`: of the Pods' logs."""
        self._agent, self._folder = agent, folder
        app = Starlette(routes=[Route("/containerLogs/{namespace}/{pod}/{container}", self._logs)])
        self._server = _Uvicorn(
            uvicorn.Config(
                app, host=address, port=KUBELET, ssl_keyfile=key, ssl_certfile=certificate, log_level="warning",
                access_log=False, ws="none", lifespan="off",
            )
        )  # fmt: skip

    async def run(self) -> None:
        """Without end."""
        await self._server.serve()

    async def _logs(self, request: Request) -> Response:
        namespace, pod = request.path_params["namespace"], request.path_params["pod"]
        asked = request.query_params
        files = logs.files(self._folder, namespace, pod, previous=asked.get("previous") == "true")
        if not files:
            return PlainTextResponse(f'container of pod "{pod}" has printed nothing yet\n', status_code=400)
        lines = int(asked["tailLines"]) if "tailLines" in asked else None
        said, end = last_lines(files, lines)

        async def over() -> bool:
            return not self._agent.runs(namespace, pod)

        async def everything() -> AsyncIterator[bytes]:
            yield said
            if asked.get("follow") == "true":
                async for chunk in follow(files[-1], end, SystemClock(), over):
                    yield chunk

        return StreamingResponse(everything(), media_type="text/plain")


class _Uvicorn(uvicorn.Server):
    """Signals are the node's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
