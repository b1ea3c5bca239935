"""From a folder to a listening socket, and from SIGTERM to a graceful end.

The port is opened when every version is loaded, so that whoever can connect gets an answer. At SIGTERM the server
listens no more, answers what is under way and ends with 0.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from serin.api import durations
from serin.errors import SerinError, UsageError
from serin.serving.app import LARGEST_BODY, Model, application
from serin.serving.environment import prepare
from serin.serving.faults import Faults
from serin.serving.servable import Local, Servable
from serin.serving.versions import Served

_BACKLOG = 2048
_KEEP_ALIVE = 2 * 3600
"""Seconds that an idle connection stays open: longer than a proxy keeps it (Envoy: one hour), so that no request is
sent into a connection that is being closed."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to serve. drain in seconds; threads is how many one operation of a model may use.

    Without any version nothing is predicted, and feedback is counted all the same.
    """

    name: str
    served: Served
    host: str = "127.0.0.1"
    port: int = 8501
    faults: Faults = field(default_factory=Faults)
    largest_body: int = LARGEST_BODY
    drain: float = 30.0
    threads: int = 1


def serve(settings: Settings, say: Callable[[str], None]) -> None:
    """Load and serve until SIGTERM or Ctrl-C; `say` gets a line for each thing worth knowing. Raises SerinError."""
    prepare()
    signal.signal(signal.SIGTERM, _end)
    start = time.monotonic()
    if settings.faults.crash:
        raise SerinError("crashed at the start, as --fault crash asks")
    if settings.faults.start_delay:
        say(f"starting {durations.text(settings.faults.start_delay)} late, as --fault start-delay asks")
        time.sleep(settings.faults.start_delay)
    with _bind(settings.host, settings.port) as listener, _loaded(settings, say) as versions:
        address = f"http://{settings.host}:{listener.getsockname()[1]}/v1/models/{settings.name}"
        model = Model(settings.name, versions, settings.served.labels)
        namespace, workload = (os.environ.get(name) or None for name in ("POD_NAMESPACE", "SERIN_VERSION"))
        app = application(model, settings.faults, settings.largest_body, namespace, workload)
        server = _server(app, settings.drain)
        listener.listen(_BACKLOG)
        numbers = ", ".join(map(str, versions))
        what = f"serving {settings.name} version {numbers}" if versions else f"counting feedback on {settings.name}"
        say(f"{what} at {address} after {time.monotonic() - start:.1f} s")
        server.run(sockets=[listener])
    say("ended; every request under way was answered")


@contextmanager
def _loaded(settings: Settings, say: Callable[[str], None]) -> Iterator[Mapping[int, Servable]]:
    """The versions, loaded: one in this process, several behind it. Raises SerinError, also when they are lost."""
    folders = settings.served.folders
    if not folders:
        yield {}
        return
    if len(folders) == 1:
        from serin.serving.savedmodel import SavedModel

        yield {number: Local(SavedModel(folder, settings.threads)) for number, folder in folders.items()}
        return
    from serin.serving.children import Children

    with Children(folders, settings.threads, say) as children:
        yield children.versions
        if children.lost:
            raise SerinError("the process that starts the versions has ended; start serin serve again")


def _server(app: Starlette, drain: float) -> uvicorn.Server:
    """A server that ends gracefully, and a process that is ready for it."""
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        lifespan="on",
        ws="none",
        loop="asyncio",
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=max(1, round(drain)),
        backlog=_BACKLOG,
    )
    server = uvicorn.Server(config)
    app.state.ending = lambda: server.should_exit

    def end(_signal: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    # uvicorn raises the signal once more after its graceful end, for whoever handled it before: that is us.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    # What is loaded stays: looking through it again and again costs milliseconds in the middle of requests.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    return server


def _bind(host: str, port: int) -> socket.socket:
    """A bound socket that does not listen yet: a taken port is known before the model is loaded."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        raise UsageError(
            f"cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}; choose with --host and --port"
        ) from None
    return bound


def _end(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)
