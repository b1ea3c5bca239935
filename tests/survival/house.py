"""One home under test: started by `serin up`, asked over its socket, killed, ended; and what is left of it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from serin.home.client import HomeClient
from serin.home.paths import Paths
from serin.ports import DEPLOYMENT, EXPERIMENT, VIRTUAL_SERVICE, Object
from tests.survival.manifests import NAMESPACE, images_file
from tests.survival.traffic import ask

PATIENCE = 30.0
"""Seconds within which anything that must happen happens, on a machine that has other work too."""


async def eventually(
    what: str | Callable[[], str], holds: Callable[[], Awaitable[Any]], patience: float = PATIENCE, pause: float = 0.05
) -> Any:
    """Ask until the answer is true, and return it; or fail with what was waited for."""
    deadline = time.monotonic() + patience
    while not (found := await holds()):
        assert time.monotonic() < deadline, f"not within {patience:.0f} s: {what if isinstance(what, str) else what()}"
        await asyncio.sleep(pause)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
        return True


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def processes_of(folder: Path) -> dict[int, str]:
    """Every living process that names the folder on its command line or in its environment, or works in it."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid() or not alive(int(entry.name)):
            continue
        try:
            words = (entry / "cmdline").read_bytes()
            told = words + (entry / "environ").read_bytes() + os.fsencode(os.readlink(entry / "cwd"))
        except OSError:
            continue
        if os.fsencode(folder) in told:
            found[int(entry.name)] = words.replace(b"\0", b" ").decode(errors="replace")
    return found


class House:
    """A home in `folder`. What it bound is noted, so that at the end all of it can be seen to be free."""

    def __init__(self, folder: Path, environment: dict[str, str] | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder / "home"
        self.paths = Paths(self.folder)
        self.images = images_file(folder)
        self.port = free_port()
        self.client = HomeClient(self.folder, comes_back=120.0)
        self.environment = {**os.environ, "SERIN_HOME": str(self.folder), **(environment or {})}
        self.status: Object = {}
        self.bound: set[tuple[str, int]] = {("127.0.0.1", self.port)}

    @property
    def pid(self) -> int:
        return int(self.status["pid"])

    @property
    def envoy(self) -> int:
        """The pid of the gateway as it was at the last `look`."""
        return int(self.status["gateway"]["pid"])

    async def serin(self, *words: str, text: str = "") -> tuple[int, str, str]:
        """Type a command; exit code, output, errors."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "serin",
            *words,
            env=self.environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate(text.encode())
        assert process.returncode is not None
        return process.returncode, output.decode(), errors.decode()

    async def up(self) -> Object:
        """`serin up`; the first time with everything it has to know."""
        first = [] if self.status else ["--images", str(self.images), "--gateway-port", str(self.port)]
        code, output, errors = await self.serin("up", "-o", "json", *first)
        assert code == 0, errors
        self.status = json.loads(output)
        mesh_host, _, mesh_port = self.status["gateway"]["mesh"].removeprefix("http://").partition(":")
        self.bound.add((mesh_host, int(mesh_port)))
        return self.status

    async def down(self) -> None:
        """`serin down`."""
        code, _, errors = await self.serin("down")
        assert code == 0, errors

    async def kill(self) -> None:
        """`kill -9` of the home; whoever it had started is gone soon after, and its ports are free."""
        os.kill(self.pid, signal.SIGKILL)
        await self.gone()

    async def gone(self, patience: float = 15.0) -> None:
        """Wait until nothing of the home is left: no process, no port, no claim."""

        async def nothing() -> bool:
            return not self.left()

        await eventually(lambda: f"nothing of the home is left, but {self.left()}", nothing, patience)

    def left(self) -> list[str]:
        """What is left of the home on this machine, in words."""
        found = [f"process {pid}: {words[:160]}" for pid, words in processes_of(self.folder).items()]
        found += [f"{host}:{port} is taken" for host, port in self.bound if not is_free(host, port)]
        names = Path("/proc/net/unix").read_text().split()
        claims = {f"@serin-{host.rpartition('.')[0]}" for host, _ in self.bound if host != "127.0.0.1"}
        return found + [f"{claim} is claimed" for claim in claims if claim in names]

    async def look(self) -> Object:
        """The status now; what it binds is noted."""
        self.status = await self.client.status()
        self.bound |= {(pod["address"], port) for pod in self.status["pods"] if pod["address"] for port in pod["ports"]}
        return self.status

    async def pods(self, version: str) -> list[Object]:
        """The Pods of a version, as `serin status` shows them."""
        return [pod for pod in (await self.look())["pods"] if pod["deployment"] == f"answer-{version}"]

    async def apply(self, *objects: Object) -> None:
        await self.client.apply(objects)

    async def ready(self, *versions: str) -> None:
        """Wait until all Pods of these versions are ready."""
        for version in versions:

            async def ready(version: str = version) -> bool:
                wanted = (await self.client.get(DEPLOYMENT, NAMESPACE, f"answer-{version}"))["spec"]["replicas"]
                pods = await self.pods(version)
                return len(pods) == wanted and all(pod["ready"] for pod in pods)

            await eventually(f"answer-{version} is ready", ready)

    async def open(self) -> None:
        """Wait until the gateway leads to a version: a pod is ready a moment before the gateway knows it."""

        async def leads() -> bool:
            try:
                return (await ask(self.port, "/counts"))[0] == 200
            except (OSError, EOFError):
                return False

        await eventually("the gateway leads to a version", leads)

    async def experiment(self, name: str = "rollout") -> Object:
        """An experiment's status; empty before there is one."""
        status: Object = (await self.client.get(EXPERIMENT, NAMESPACE, name)).get("status") or {}
        return status

    async def split(self) -> dict[str, int]:
        """Subset -> weight, of the route as it is stored."""
        (route,) = (await self.client.get(VIRTUAL_SERVICE, NAMESPACE, "answer"))["spec"]["http"]
        return {entry["destination"]["subset"]: entry.get("weight", 100) for entry in route["route"]}

    async def end(self) -> Sequence[str]:
        """End the home, whatever state it is in; what was left after its own end (and is ended now)."""
        await self.client.aclose()
        if self.status:
            await self.serin("down")
        try:
            await self.gone(10.0)
        except AssertionError:
            left = self.left()
            for pid in processes_of(self.folder):
                os.kill(pid, signal.SIGKILL)
            return left
        return []
