"""Whose Pod has which address, and which are to be scraped, kept up to date by a watch."""

from __future__ import annotations

from lab.node.cluster import Cluster
from lab.telemetry.requests import Workload, workload_of
from lab.telemetry.targets import Targets


class Workloads:
    """Addresses and their workloads. An address keeps its last owner: a request may end after its Pod."""

    def __init__(self, cluster: Cluster, targets: Targets) -> None:
        self._cluster, self._targets = cluster, targets
        self._found: dict[str, Workload] = {}

    def at(self, address: str) -> Workload:
        """The workload of this address."""
        return self._found.get(address, Workload())

    async def watch(self) -> None:
        """Without end."""
        async for kind, pod in self._cluster.pods():
            self._targets.saw(kind, pod)
            if kind == "MODIFIED" and (address := (pod.get("status") or {}).get("podIP")):
                self._found[address] = workload_of(pod)
