"""A supervisor on real processes, a store in memory, and the questions that the tests ask."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

from serin.adapters.local.processes import leftovers, pods
from serin.adapters.local.processes.addresses import Subnet, claim_subnet
from serin.adapters.local.processes.ground import Backoff
from serin.adapters.local.processes.images import Images
from serin.adapters.local.processes.supervisor import Supervisor
from serin.errors import NotFound
from serin.fakes import FakeClock, FakeDataPlane, FakeSink, InMemoryObjects
from serin.ports import DEPLOYMENT, POD, DataPlane, Object
from tests.adapters.processes import programs

PATIENCE = 60.0


class RealClock:
    """The machine's own time."""

    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def until(what: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Poll until `what` gives (or its awaitable gives) something true, and return it."""
    deadline = time.monotonic() + patience
    while True:
        found = what()
        found = await found if asyncio.iscoroutine(found) else found
        if found:
            return found
        assert time.monotonic() < deadline, f"did not happen within {patience} s"
        await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    return leftovers.entry(pid) is not None


class Home:
    """What a test needs of a home. `async with Home(folder) as home: …` runs it and checks that nothing is left."""

    def __init__(
        self, folder: Path, objects: InMemoryObjects | None = None, *, dataplane: DataPlane | None = None
    ) -> None:
        self.folder, self.store_clock = folder, FakeClock()
        self.objects = objects or InMemoryObjects(self.store_clock)
        self.sink, self.fake = FakeSink(), FakeDataPlane()
        self.dataplane: DataPlane = dataplane or self.fake
        self.subnet: Subnet = claim_subnet(str(folder))
        self.images_file = folder / "images.yaml"
        if not self.images_file.exists():
            self.images({"web:v1": programs.SERVER})
        self.supervisor = self._supervisor()
        self._task: asyncio.Task[None] | None = None

    def _supervisor(self) -> Supervisor:
        return Supervisor(
            self.objects,
            Images(self.images_file),
            clock=RealClock(),
            sink=self.sink,
            dataplane=self.dataplane,
            subnet=self.subnet,
            run_dir=self.folder / "run",
            log_dir=self.folder / "logs",
            backoff=Backoff(base=0.1, cap=0.4),
        )

    def images(self, texts: dict[str, str]) -> None:
        """Write the images file: name -> text of a Python program."""
        import yaml

        entries = {name: {"entrypoint": [sys.executable, "-c", text]} for name, text in texts.items()}
        self.images_file.write_text(yaml.safe_dump({"images": entries}))

    async def __aenter__(self) -> Home:
        self._task = asyncio.create_task(self.supervisor.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        pids = self.pids()
        await self.supervisor.stop(grace=2.0)
        await self._task
        self.subnet.close()
        assert not [pid for pid in pids if alive(pid)]
        assert not list((self.folder / "run").glob("life-*"))

    def pids(self) -> list[int]:
        """The leaders of all Pods."""
        return [int(path.name) for path in (self.folder / "run").glob("life-*/*")]

    async def apply(self, deployment: Object) -> None:
        metadata = {key: value for key, value in deployment["metadata"].items() if key in ("name", "namespace")}
        try:
            await self.objects.replace({**deployment, "metadata": metadata})
        except NotFound:
            await self.objects.create({**deployment, "metadata": metadata})

    async def scale(self, name: str, replicas: int) -> None:
        await self.objects.patch(DEPLOYMENT, "default", name, {"spec": {"replicas": replicas}})

    async def pods(self) -> list[Object]:
        return await self.objects.list(POD)

    async def ready(self, count: int = 1, patience: float = PATIENCE) -> list[Object]:
        """Wait until exactly so many Pods are ready and none is leaving."""

        async def as_many() -> list[Object] | None:
            present = await self.pods()
            return present if len(present) == count == sum(map(pods.is_ready, present)) else None

        return [] if count == 0 and await until(self.none) else await until(as_many, patience)

    async def rolled_out(self, deployment: Object, count: int) -> bool:
        """Whether there are so many Pods, all ready and of this Deployment's template."""
        present = await self.pods()
        return len(present) == count and all(pods.is_current(deployment, pod) and pods.is_ready(pod) for pod in present)

    async def none(self) -> bool:
        return not await self.pods()

    async def status(self, name: str = "web") -> Object:
        return (await self.objects.get(DEPLOYMENT, "default", name)).get("status") or {}

    async def condition(self, kind: str, name: str = "web") -> Object:
        return pods.condition({"status": await self.status(name)}, kind) or {}

    def log(self, pod: Object, *, previous: bool = False) -> str:
        from serin.adapters.local.processes.logs import files

        found = files(self.folder / "logs", "default", pod["metadata"]["name"], previous=previous)
        return "".join(path.read_text() for path in found)


def container(pod: Object) -> Object:
    return pod["status"]["containerStatuses"][0]  # type: ignore[no-any-return]


def url(pod: Object, path: str = "/") -> str:
    return f"http://{pod['status']['podIP']}:8501{path}"


async def get(pod: Object, path: str = "/") -> httpx2.Response:
    async with httpx2.AsyncClient(trust_env=False, timeout=10) as client:
        return await client.get(url(pod, path))


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
