"""Which home a command talks to, and in which namespace."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from serin.errors import UsageError

if TYPE_CHECKING:  # the help is to answer at once, and the ports are half of what it would load
    from serin.adapters.kube.connection import Access
    from serin.adapters.kube.home import ClusterHome
    from serin.cli.port import Home
    from serin.home.client import HomeClient
    from serin.ports import Object, Objects

T = TypeVar("T")

CLUSTER = "cluster"
PROMETHEUS, SCRAPE_INTERVAL = "SERIN_PROMETHEUS", "SERIN_SCRAPE_INTERVAL"
"""Variables of the environment, the controller's too."""


def _access() -> Access:
    """The current kubeconfig context. Raises UsageError."""
    try:
        from serin.adapters.kube.connection import access
    except ModuleNotFoundError as error:
        raise UsageError(f"--home cluster: {error.name} is missing; install Serin with its extra 'cluster'") from None
    return access()


async def _counted(objects: Objects, experiment: Object) -> Sequence[Object]:
    """What Prometheus says of the baseline of an experiment, told of it by the same variables as the controller.

    Raises UsageError, InvalidInput, ProviderError.
    """
    from serin.adapters.prometheus import PrometheusMetrics
    from serin.control import looking_back
    from serin.operator.controller import SystemClock
    from serin.operator.settings import authorization

    auth, authorities = authorization()
    interval = os.environ.get(SCRAPE_INTERVAL, "15")
    try:
        seconds = float(interval)
    except ValueError:
        raise UsageError(f"{SCRAPE_INTERVAL} is {interval!r}; write it in seconds, such as 15") from None
    clock = SystemClock()
    source = PrometheusMetrics(os.environ[PROMETHEUS], auth=auth, ca=authorities, clock=clock, scrape_interval=seconds)
    try:
        return await looking_back.baseline(objects, source, clock, experiment)
    finally:
        await source.aclose()


@asynccontextmanager
async def _open(scope: Scope) -> AsyncIterator[Home]:
    client: HomeClient | ClusterHome
    if scope.home == CLUSTER:
        access = _access()
        from serin.adapters.kube.home import ClusterHome

        client = ClusterHome(access, _counted if os.environ.get(PROMETHEUS) else None)
    else:
        from serin.home.client import HomeClient

        client = HomeClient(scope.folder)
    try:
        yield client
    finally:
        await client.aclose()


@dataclass(slots=True)
class Scope:
    """What one command line is about; the global options put their values here.

    connect   opens the home; tests give their own
    now       the time now, epoch seconds
    """

    home: str | None = None
    namespace: str | None = None
    namespace_of_context: str | None = None
    connect: Callable[[Scope], AbstractAsyncContextManager[Home]] = _open
    now: Callable[[], float] = time.time

    @property
    def in_namespace(self) -> str:
        """The namespace asked for; when none was, that of the kubeconfig context in a cluster, else `default`."""
        if self.namespace is None and self.home == CLUSTER and self.connect is _open:
            self.namespace_of_context = self.namespace_of_context or _access().namespace
            return self.namespace_of_context
        return self.namespace or "default"

    @property
    def folder(self) -> Path:
        """The home's folder. Raises UsageError when the home is none on this machine."""
        if self.home == CLUSTER:
            raise UsageError(
                "--home cluster: a cluster is not started or ended from here; "
                "give a folder ('./cluster' for one of that name)"
            )
        if self.home == "":
            raise UsageError("--home is empty; give a folder, or leave it out for the default one")
        from serin.home.paths import default_folder, named_folder

        return default_folder() if self.home is None else named_folder(self.home)

    def run(self, command: Callable[[Home], Awaitable[T]]) -> T:
        """Connect to the home, run the command with it, and disconnect."""
        import asyncio

        async def connected() -> T:
            async with self.connect(self) as home:
                return await command(home)

        return asyncio.run(connected())
