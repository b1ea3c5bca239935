"""The composition root of a home on one machine: what it is made of, in which order it starts and ends.

Nothing listens before everything that could refuse has been asked; a home that cannot be had says so in one sentence.
At the end requests under way are answered first, then the processes go, then the socket.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog
import yaml

from serin.adapters.local.envoy.dataplane import LocalDataPlane
from serin.adapters.local.envoy.model import Settings as GatewaySettings
from serin.adapters.local.envoy.proxy import Proxy
from serin.adapters.local.envoy.translator import Translator
from serin.adapters.local.events import EventSink
from serin.adapters.local.objects import SqliteObjects
from serin.adapters.local.processes.addresses import Subnet, claim_subnet
from serin.adapters.local.processes.images import Images
from serin.adapters.local.processes.supervisor import Supervisor
from serin.adapters.local.recordings import SqliteRecordings
from serin.adapters.scrape.applications import ApplicationMetrics
from serin.adapters.scrape.envoy import EnvoyMetrics
from serin.adapters.scrape.local import LocalMetrics
from serin.adapters.scrape.pages import Pages
from serin.control import looking_back
from serin.control.engine import Engine
from serin.control.telemetry import NAMESPACE
from serin.errors import AlreadyExists, UsageError
from serin.home import folder
from serin.home.admission import AdmittedObjects, admit
from serin.home.folder import Settings
from serin.home.parts import Part, end
from serin.home.paths import Paths
from serin.home.server import Server
from serin.home.status import Reporter
from serin.metrics import definitions
from serin.ports import CONFIG_MAP, Clock, Object, Objects

log = structlog.get_logger()

DEFAULT_GATEWAY_PORT = 8080
MESH_PORT = 15001

_ANSWERED_WITHIN = 30.0
_ENDED_WITHIN = 10.0
_PORT_IS_FREED_WITHIN = 3.0

Progress = Callable[[str], None]


class SystemClock:
    """The port `Clock` on this machine."""

    def now(self) -> float:
        """Epoch seconds."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""
        await asyncio.sleep(seconds)


@dataclass(slots=True)
class AdminPage:
    """The gateway's admin interface, whichever client of it the proxy has now."""

    proxy: Proxy

    async def get(self, path: str, **query: str) -> str:
        """A page. Raises Unreachable."""
        return await self.proxy.admin.get(path, **query)


class Daemon:
    """A home. `run` in the main thread: its children are bound to it."""

    def __init__(self, paths: Paths, settings: Settings, *, unclean: bool = False, clock: Clock | None = None) -> None:
        """unclean: the home before this one was killed. Raises InvalidInput, StorageError, Unreachable."""
        self._paths = paths
        self._settings = settings
        self._unclean = unclean
        self._clock = clock or SystemClock()
        self._ending = asyncio.Event()
        self._images = Images(Path(settings.images) if settings.images else None)
        self._objects = SqliteObjects(paths.objects, self._clock)
        self._recordings = SqliteRecordings(paths.recordings)
        self._subnet = claim_subnet(str(paths.folder))
        self._sink = EventSink(self._objects, self._clock)
        self._compose(self._subnet)

    def _compose(self, subnet: Subnet) -> None:
        paths, objects, clock, sink = self._paths, self._objects, self._clock, self._sink
        port = self._settings.gateway_port or DEFAULT_GATEWAY_PORT
        # On an address of the home's own subnet, so that several homes can have the same port there.
        mesh = f"127.{subnet.a}.{subnet.b}.1"
        self._proxy = Proxy(paths.gateway, GatewaySettings(gateway_port=port, mesh_host=mesh, mesh_port=MESH_PORT))
        self._translator = Translator(objects, self._proxy)
        data_plane = LocalDataPlane(objects, self._translator, self._proxy)
        self._supervisor = Supervisor(
            objects,
            self._images,
            clock=clock,
            sink=sink,
            dataplane=data_plane,
            subnet=subnet,
            run_dir=paths.run,
            log_dir=paths.pod_logs,
        )
        self._pages = Pages()
        gateway = EnvoyMetrics(AdminPage(self._proxy), lambda: self._proxy.instance, clock.now)
        metrics = LocalMetrics(gateway, ApplicationMetrics(objects, self._pages, clock.now))
        self._engine = Engine(objects, metrics, clock, sink, data_plane, recorder=self._recordings)
        self._processes = Part("processes", self._supervisor.run)
        self._parts = [
            Part("gateway", self._translator.run),
            self._processes,
            Part("engine", self._engine.run),
            Part("history", lambda: gateway.keep(clock)),
        ]
        self._reporter = Reporter(
            paths, self._settings, objects, self._parts, self._proxy, self._translator, clock, self._ending.is_set
        )
        self._server = Server(
            paths,
            AdmittedObjects(objects),
            clock,
            admit=admit,
            status=self._reporter.status,
            end=self.end,
            recording=self._recordings.read,
            history=lambda experiment: looking_back.baseline(objects, metrics, clock, experiment),
        )
        self._control = Part("control", self._server.run)

    def end(self) -> None:
        """Ask for a graceful end."""
        self._ending.set()

    async def run(self, progress: Progress, ready: Callable[[Object], None]) -> None:
        """Start, tell when everything runs, and go on until `end`. Raises UsageError, StorageError, Timeout."""
        async with AsyncExitStack() as stack:
            stack.callback(self._subnet.close)
            stack.callback(self._objects.close)
            stack.callback(self._recordings.close)
            stack.push_async_callback(self._pages.close)
            stack.callback(lambda: self._paths.socket.unlink(missing_ok=True))
            progress("ending what an earlier home has left" if self._unclean else "looking at what is there")
            await self._supervisor.reset()
            await define_metrics(self._objects)
            progress(f"starting the gateway on port {self._proxy.settings.gateway_port}")
            stack.push_async_callback(self._proxy.stop, 0.0)
            await self._start_proxy()
            folder.remember(self._paths, self._settings)
            control = asyncio.create_task(self._control.keep_going(self._clock), name="control")
            stack.push_async_callback(end, [control])
            keeping = [asyncio.create_task(part.keep_going(self._clock), name=part.name) for part in self._parts]
            stack.push_async_callback(end, keeping)
            progress("starting the engine")
            await self._server.listening()
            ready(await self._reporter.status())
            log.info("home is ready", folder=str(self._paths.folder), port=self._proxy.settings.gateway_port)
            await self._ending.wait()
            log.info("home ends")
            await self._end_gracefully(dict(zip((part.name for part in self._parts), keeping, strict=True)))

    async def _start_proxy(self) -> None:
        """Start the gateway; after a kill its port may be taken for a moment by what is just dying."""
        deadline = self._clock.now() + (_PORT_IS_FREED_WITHIN if self._unclean else 0.0)
        while True:
            try:
                return await self._proxy.start()
            except UsageError:
                if self._clock.now() >= deadline:
                    raise
            await self._clock.sleep(0.1)

    async def _end_gracefully(self, keeping: dict[str, asyncio.Task[None]]) -> None:
        """Nobody decides any more; requests under way are answered; the processes are ended."""
        await end([keeping["engine"], keeping["gateway"]])
        await self._proxy.stop(_ANSWERED_WITHIN)
        self._processes.ends = True
        stopping = asyncio.create_task(self._supervisor.stop(_ENDED_WITHIN))
        await asyncio.wait([stopping], timeout=_ENDED_WITHIN + 5.0)
        await end([keeping["processes"], stopping])


async def define_metrics(objects: Objects) -> None:
    """Write the built-in metric definitions where nobody has written any."""
    built_in = definitions.built_in().to_spec()
    data = {
        definitions.COUNTERS_KEY: yaml.safe_dump(built_in["counter_metrics"], sort_keys=False, allow_unicode=True),
        definitions.RATIOS_KEY: yaml.safe_dump(built_in["ratio_metrics"], sort_keys=False, allow_unicode=True),
    }
    metadata = {"name": definitions.CONFIG_MAP, "namespace": NAMESPACE}
    with suppress(AlreadyExists):
        await objects.create(
            {"apiVersion": CONFIG_MAP.api_version, "kind": CONFIG_MAP.name, "metadata": metadata, "data": data}
        )


def at_once() -> None:
    """End now; the kernel and the undertaker end the children."""
    os._exit(130)
