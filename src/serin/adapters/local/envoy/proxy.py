"""The proxy: one Envoy, told what to do by files, and heard when it has done it.

Files are replaced atomically (Envoy watches for the rename) and in an order that never sends a request to nowhere: what
clusters and endpoints gain, then the routes, then what clusters and endpoints lose; each step is acknowledged first.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from serin.adapters.local.envoy.admin import Admin
from serin.adapters.local.envoy.config import bootstrap
from serin.adapters.local.envoy.model import Settings
from serin.adapters.local.envoy.process import LOG, Instance, Process, taken
from serin.adapters.local.envoy.render import Config
from serin.adapters.local.envoy.sockets import ADMIN, WORKER
from serin.errors import InvalidInput, SerinError, StorageError, Timeout, Unreachable, UsageError

READY_WITHIN = 15.0
SETTLE_WITHIN = 10.0
_STATE = r"(\.version_text|\.update_rejected|warming(_clusters)?)$"


class Rejected(InvalidInput):
    """Envoy refused a configuration and goes on with the one before."""


class Proxy:
    """One Envoy whose files, socket and log are in `folder`. All calls from one event loop, in the main thread."""

    def __init__(self, folder: Path, settings: Settings, *, concurrency: int = 1) -> None:
        self.folder = folder.absolute()
        self.settings = settings
        self._concurrency = concurrency
        self._process = Process(self.folder, concurrency=concurrency)
        self._written: dict[str, str] = {}
        self._config: Config | None = None
        self._lock = asyncio.Lock()
        self._admin: Admin | None = None

    @property
    def admin(self) -> Admin:
        """The admin interface; the folder must be there."""
        if self._admin is None:
            self._admin = Admin(self.folder)
        return self._admin

    @property
    def instance(self) -> Instance | None:
        """The life of Envoy that counts now; None while there is none."""
        return self._process.instance

    @property
    def running(self) -> bool:
        """Whether Envoy is there."""
        return self._process.running

    async def start(self) -> None:
        """Start Envoy with the files that are there (those of `apply` before, or none) and wait until it serves.

        Raises UsageError when a port is taken, StorageError, Timeout when it does not come up.
        """
        ports = {"gateway": (self.settings.gateway_host, self.settings.gateway_port)}
        if self.settings.mesh_port is not None:
            ports["mesh"] = (self.settings.mesh_host, self.settings.mesh_port)
        for name, (host, port) in ports.items():
            if taken(host, port):
                raise UsageError(f"the {name} port {port} is in use by another program; choose one with --{name}-port")
        if self._config is None:
            self._prepare()
        await self._process.start()
        await self._until_live()

    async def stop(self, grace: float = 5.0) -> None:
        """Take no new connection, let requests under way end for up to `grace` seconds, and end Envoy."""
        deadline = asyncio.get_running_loop().time() + grace
        if self.running:
            with contextlib.suppress(Unreachable):
                await self.admin.post("/drain_listeners")
                while asyncio.get_running_loop().time() < deadline:
                    active = await self.admin.stats(r"^http\.(gateway-\d+|mesh)\.downstream_rq_active$")
                    if not any(int(value) for value in active.values()):
                        break
                    await asyncio.sleep(0.02)
        await self._process.stop(2.0)
        if self._admin is not None:
            await self._admin.close()
            self._admin = None

    async def apply(self, config: Config) -> str:
        """Bring Envoy to `config`; returns its version when all of it is acknowledged (at once if nothing changed).

        Without a running Envoy the files are written, for its next start. Raises Rejected, StorageError, Timeout.
        """
        async with self._lock:
            if self._config is None:
                self._prepare()
            new = [path for path in config.files if config.versions[path] != self._written.get(path)]
            routes = [*(path for path in new if path.startswith("rds/")), *(["lds.json"] if "lds.json" in new else [])]
            if "cds.json" in new:
                if routes and config.before is not None:
                    text, version = config.before
                    await self._put({"cds.json": text}, {"cds.json": version})
                else:
                    await self._put_of(config, ["cds.json"])
            if routes:
                await self._put_of(config, routes)
            if self._written.get("cds.json") != config.versions["cds.json"]:
                await self._put_of(config, ["cds.json"])
            for path in self._written.keys() - config.files.keys():
                (self.folder / path).unlink(missing_ok=True)
                del self._written[path]
            self._config = config
            return config.version

    async def applied(self, version: str) -> bool:
        """Whether Envoy, at this moment, has acknowledged all of this version."""
        config = self._config
        if config is None or config.version != version or not self.running:
            return False
        try:
            return not _pending(config.files, config.versions, await self.admin.stats(_STATE))
        except Unreachable:
            return False

    async def _put_of(self, config: Config, paths: Sequence[str]) -> None:
        await self._put({path: config.files[path] for path in paths}, config.versions)

    async def _put(self, files: Mapping[str, str], versions: Mapping[str, str]) -> None:
        """Write files and wait until Envoy has taken them and its worker goes by them.

        Of what is not taken nothing counts as written: the next `apply` writes it and waits for it again.
        """
        refusals = await self._rejections()
        try:
            for path, text in files.items():
                self._write(path, text)
                self._written[path] = versions[path]
            await self._until_taken(files, versions, refusals)
        except SerinError:
            for path in files:
                self._written.pop(path, None)
            raise

    async def _until_taken(
        self, files: Mapping[str, str], versions: Mapping[str, str], refusals: Mapping[str, int]
    ) -> None:
        """Raises Rejected, Timeout. A dead Envoy has a successor that reads the files; without one they are taken."""
        deadline = asyncio.get_running_loop().time() + SETTLE_WITHIN
        pause = 0.001
        while self.running:
            try:
                state = await self.admin.stats(_STATE)
            except Unreachable:
                await asyncio.sleep(0.05)
                continue
            # Looked at first: Envoy shows the version of a file of which it has taken only a part.
            if any(count > refusals.get(name, 0) for name, count in _rejected(state).items()):
                raise Rejected(f"the gateway refused {', '.join(files)}: {self._process.last_words()}")
            waiting = _pending(files, versions, state)
            if not waiting and await self._worker_follows(deadline):
                return
            if asyncio.get_running_loop().time() > deadline:
                raise Timeout(f"the gateway has not taken {', '.join(waiting or files)} within {SETTLE_WITHIN:g} s")
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.02)

    async def _worker_follows(self, deadline: float) -> bool:
        """Wait for it until then; False when Envoy is away, or the time over."""
        try:
            async with asyncio.timeout_at(deadline):
                await self.admin.worker_follows()
        except (Unreachable, TimeoutError):
            return False
        return True

    async def _rejections(self) -> dict[str, int]:
        try:
            return _rejected(await self.admin.stats(r"\.update_rejected$")) if self.running else {}
        except Unreachable:
            return {}

    async def _until_live(self) -> None:
        deadline = asyncio.get_running_loop().time() + READY_WITHIN
        while asyncio.get_running_loop().time() < deadline:
            with contextlib.suppress(Unreachable):
                if (await self.admin.get("/ready")).strip() == "LIVE":
                    return
            await asyncio.sleep(0.02)
        words = self._process.last_words()
        await self.stop(0.0)
        raise Timeout(f"the gateway did not start within {READY_WITHIN:.0f} s: {words} ({self.folder / LOG})")

    def _prepare(self) -> None:
        """The folders and the files that Envoy cannot start without."""
        try:
            (self.folder / "rds").mkdir(parents=True, exist_ok=True)
            self._replace("bootstrap.json", json.dumps(bootstrap(self.folder, f"./{ADMIN}", f"./{WORKER}"), indent=1))
            for name in ("lds.json", "cds.json"):
                self._replace(name, '{"version_info":"0","resources":[]}')
        except OSError as error:
            raise StorageError(
                f"{self.folder}: the gateway's files cannot be written ({error.strerror}); "
                "free some space or change the permissions"
            ) from error

    def _write(self, path: str, text: str) -> None:
        try:
            self._replace(path, text)
        except OSError as error:
            raise StorageError(
                f"{self.folder / path}: cannot be written ({error.strerror}); free some space"
            ) from error

    def _replace(self, path: str, text: str) -> None:
        whole = self.folder / path
        fresh = whole.with_name(f".{whole.name}.new")
        fresh.write_text(text)
        os.replace(fresh, whole)


def _pending(paths: Iterable[str], versions: Mapping[str, str], state: Mapping[str, str]) -> list[str]:
    """Which of these files Envoy has not taken yet."""
    waiting = []
    for path in paths:
        kind, _, rest = path.removesuffix(".json").partition("/")
        name = {
            "cds": "cluster_manager.cds.version_text",
            "lds": "listener_manager.lds.version_text",
            "rds": f"http.{rest}.rds.{rest}.version_text",
        }[kind]
        if state.get(name) != versions[path]:
            waiting.append(path)
    warming = ("cluster_manager.warming_clusters", "listener_manager.total_listeners_warming")
    return waiting or [name for name in warming if state.get(name, "0") != "0"]


def _rejected(state: dict[str, str]) -> dict[str, int]:
    return {name: int(count) for name, count in state.items() if name.endswith(".update_rejected")}
