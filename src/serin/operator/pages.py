"""The controller's HTTP pages: `/healthz`, `/readyz`, `/metrics`. Nothing can be changed through them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator, Mapping

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from serin.errors import UsageError


def health(troubles: Callable[[], Mapping[str, str]]) -> Starlette:
    """`/healthz` answers while the loop turns; `/readyz` with 200 only when nothing is in `troubles`."""

    async def alive(_: Request) -> Response:
        return JSONResponse({"alive": True})

    async def ready(_: Request) -> Response:
        found = dict(troubles())
        return JSONResponse({"ready": not found, "troubles": found}, status_code=503 if found else 200)

    return Starlette(routes=[Route("/healthz", alive), Route("/readyz", ready)])


def metrics(registry: CollectorRegistry) -> Starlette:
    """`/metrics`."""

    async def show(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/metrics", show)])


class Page:
    """One application on one port. The port is taken when it is made."""

    def __init__(self, application: Starlette, address: str, port: int) -> None:
        """Raises UsageError when the port cannot be had."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._listener.bind((address, port))
            self._listener.listen(128)
        except OSError as error:
            self._listener.close()
            raise UsageError(f"port {port} of {address} cannot be had ({error.strerror}); name another one") from None
        config = uvicorn.Config(
            application,
            lifespan="off",
            log_config=None,
            access_log=False,
            ws="none",
            http="h11",
            timeout_graceful_shutdown=1,
        )
        self._server = _Uvicorn(config)

    @property
    def port(self) -> int:
        """The port, also when 0 was asked for."""
        return int(self._listener.getsockname()[1])

    async def run(self) -> None:
        """Serve until cancelled."""
        serving = asyncio.ensure_future(self._server.serve(sockets=[self._listener]))
        try:
            await asyncio.shield(serving)
        finally:
            self._server.should_exit = True
            await serving
            self.close()

    def close(self) -> None:
        """Give the port back."""
        self._listener.close()


class _Uvicorn(uvicorn.Server):
    """Signals are the controller's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
