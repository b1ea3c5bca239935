"""What the proxy really does, asked of Envoy itself: the port `DataPlane` of the local home."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from serin.adapters.local.envoy import telemetry
from serin.adapters.local.envoy.model import identity
from serin.adapters.local.envoy.proxy import Proxy
from serin.adapters.local.envoy.translator import Applied, Translator
from serin.adapters.local.envoy.workloads import backend
from serin.errors import Unreachable
from serin.ports import DESTINATION_RULE, POD, Object, Objects

GRACE = 10.0
"""Seconds after which a proxy that runs but does not answer counts as idle."""


class LocalDataPlane:
    """Implements `serin.ports.DataPlane` on one Envoy, and says the same of a single pod."""

    def __init__(
        self,
        objects: Objects,
        translator: Translator,
        proxy: Proxy,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._objects = objects
        self._translator = translator
        self._proxy = proxy
        self._monotonic = monotonic
        self._silent_since: float | None = None
        self._looked_at: Applied | None = None
        self._ready: frozenset[str] = frozenset()

    async def applied(self, rule: Object) -> bool:
        """Whether Envoy has acknowledged what is made of this spec and of the DestinationRules as they stand now."""
        applied = self._translator.applied
        namespace, name = identity(rule)
        if applied is None:
            return False
        known = applied.objects.get((rule["kind"], namespace, name))
        if known is None or known.get("spec") != rule.get("spec"):
            return False
        for subsets in await self._objects.list(DESTINATION_RULE, namespace):
            known = applied.objects.get((DESTINATION_RULE.name, *identity(subsets)))
            if known is None or known.get("spec") != subsets.get("spec"):
                return False
        return await self._proxy.applied(applied.version)

    async def idle(self, namespace: str, workload: str) -> bool:
        """Whether no request is under way to a workload, through any of its services."""
        try:
            active = await self._proxy.admin.stats(_pending(namespace, workload, "(pending_)?"))
        except Unreachable:
            return self._idle_in_silence()
        self._silent_since = None
        return not any(int(value) for value in active.values())

    async def pod_taken(self, address: str) -> bool:
        """Whether every route that leads to the pod at this address leads to it now, if there is any."""
        applied = self._translator.applied
        if applied is None or not self._proxy.running:
            return False
        if applied is not self._looked_at:  # asked often, by each pod that starts
            pods = [backend(obj) for obj in applied.objects.values() if obj["kind"] == POD.name]
            self._looked_at = applied
            self._ready = frozenset(pod.address for pod in pods if pod is not None and pod.ready)
        return address in self._ready

    async def pod_idle(self, address: str) -> bool:
        """Whether a pod, by its IP, is offered no new request and has none under way.

        Ask after the Pod's ContainersReady condition is false, or its deletionTimestamp set.
        """
        applied = self._translator.applied
        if applied is None or not await self._proxy.applied(applied.version):
            return self._idle_in_silence() if not self._proxy.running else False
        pods = [backend(obj) for obj in applied.objects.values() if obj["kind"] == POD.name]
        here = [pod for pod in pods if pod is not None and pod.address == address]
        if address in applied.offered or any(pod.ready for pod in here):
            return False
        patterns = [telemetry.active(address), *(_pending(pod.namespace, pod.workload) for pod in here)]
        try:
            active = await self._proxy.admin.stats("|".join(patterns))
        except Unreachable:
            return self._idle_in_silence()
        self._silent_since = None
        return not any(int(value) for value in active.values())

    def _idle_in_silence(self) -> bool:
        """A proxy that is not there has no requests; one that does not answer has none after a while."""
        if not self._proxy.running:
            return True
        now = self._monotonic()
        if self._silent_since is None:
            self._silent_since = now
        return now - self._silent_since > GRACE


def _pending(namespace: str, workload: str, which: str = "pending_") -> str:
    """The pattern of the gauges of requests that wait for a connection (or, with `which`, of others too)."""
    return rf"^cluster\.{re.escape(namespace)}/[^/]+/{re.escape(workload)}\.upstream_rq_{which}active$"
