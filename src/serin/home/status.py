"""What a home says of itself: `serin status`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import serin
from serin.adapters.local.envoy.proxy import Proxy
from serin.adapters.local.envoy.translator import Translator
from serin.adapters.local.processes import process
from serin.api.times import stamp
from serin.errors import SerinError
from serin.home.folder import Settings
from serin.home.parts import Part, State
from serin.home.paths import Paths
from serin.ports import DEPLOYMENT, EXPERIMENT, POD, Clock, Object, Objects


class Reporter:
    """Looks at a running home and tells, as JSON.

    state         running, troubled (a part waits to be started again, or the store refuses), ending
    folder, log, pid, version, started, uptimeSeconds, images
    gateway       host, port, address (`http://127.0.0.1:8080`), mesh, pid, warnings
    parts         name, state, since, restarts, error
    pods          namespace, name, deployment, phase, ready, address, ports, pid, restarts
    deployments   how many there are;  experiments: how many by phase
    problems      sentences; empty when all is well
    """

    def __init__(
        self,
        paths: Paths,
        settings: Settings,
        objects: Objects,
        parts: Sequence[Part],
        proxy: Proxy,
        translator: Translator,
        clock: Clock,
        ending: Callable[[], bool],
    ) -> None:
        self._paths, self._settings, self._objects, self._parts = paths, settings, objects, parts
        self._proxy, self._translator, self._clock, self._ending = proxy, translator, clock, ending
        self._started = clock.now()

    async def status(self) -> Object:
        """The status now. Never raises: what cannot be had is among the problems."""
        now = self._clock.now()
        problems = [
            f"the {part.name} failed and is started again: {part.error}"
            for part in self._parts
            if part.state is State.WAITING
        ]
        if not self._proxy.running and not self._ending():
            problems.append(f"the gateway does not run; look into {self._paths.gateway}")
        try:
            stored = await self._stored()
        except SerinError as error:
            stored = {"pods": [], "deployments": 0, "experiments": {}}
            problems.append(str(error))
        return {
            "state": "ending" if self._ending() else "troubled" if problems else "running",
            "folder": str(self._paths.folder),
            "log": str(self._paths.log),
            "pid": os.getpid(),
            "version": serin.__version__,
            "started": stamp(self._started),
            "uptimeSeconds": round(now - self._started, 3),
            "images": self._settings.images,
            "gateway": self._gateway(),
            "parts": [part.to_json() for part in self._parts],
            **stored,
            "problems": problems,
        }

    def _gateway(self) -> Object:
        settings, instance = self._proxy.settings, self._proxy.instance
        return {
            "host": settings.gateway_host,
            "port": settings.gateway_port,
            "address": f"http://{settings.gateway_host}:{settings.gateway_port}",
            "mesh": f"http://{settings.mesh_host}:{settings.mesh_port}" if settings.mesh_port else None,
            "pid": instance.pid if instance else None,
            "warnings": list(self._translator.warnings),
        }

    async def _stored(self) -> Object:
        pods = await self._objects.list(POD)
        experiments = await self._objects.list(EXPERIMENT)
        phases = Counter(str((each.get("status") or {}).get("phase", "Waiting")) for each in experiments)
        pids = pids_of_pods(self._paths.run)
        return {
            "pods": [_pod(pod, pids) for pod in pods],
            "deployments": len(await self._objects.list(DEPLOYMENT)),
            "experiments": {"total": len(experiments), **phases},
        }


def pids_of_pods(run: Path) -> dict[str, int]:
    """`metadata.uid` of each Pod that has a process -> its pid, by the records in the run folder."""
    found = {}
    for record in run.glob("life-*/*"):
        with suppress(OSError):
            environ = Path(f"/proc/{record.name}/environ").read_bytes().decode(errors="replace").split("\0")
            mark = next((line for line in environ if line.startswith(f"{process.POD}={record.parent.name}/")), "")
            found[mark.partition("/")[2]] = int(record.name)
    return found


def _pod(pod: Object, pids: Mapping[str, int]) -> Object:
    metadata, status = pod["metadata"], pod.get("status") or {}
    conditions = {each.get("type"): each.get("status") for each in status.get("conditions") or ()}
    owners = metadata.get("ownerReferences") or ()
    containers = status.get("containerStatuses") or ()
    return {
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "deployment": next((owner["name"] for owner in owners if owner.get("kind") == DEPLOYMENT.name), None),
        "phase": status.get("phase", "Pending"),
        "ready": conditions.get("Ready") == "True",
        "address": status.get("podIP"),
        "ports": [
            port.get("containerPort")
            for container in (pod.get("spec") or {}).get("containers") or ()
            for port in container.get("ports") or ()
        ],
        "pid": pids.get(metadata["uid"]),
        "restarts": sum(int(each.get("restartCount", 0)) for each in containers),
    }
