"""Whose Pod has which address, kept up to date by a watch."""

from __future__ import annotations

from lab.node.cluster import Cluster
from lab.telemetry.requests import Workload, workload_of


class Workloads:
    """Addresses and their workloads. An address keeps its last owner: a request may end after its Pod."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._found: dict[str, Workload] = {}

    def at(self, address: str) -> Workload:
        """The workload of this address."""
        return self._found.get(address, Workload())

    async def watch(self) -> None:
        """Without end."""
        async for kind, pod in self._cluster.pods():
            if kind == "MODIFIED" and (address := (pod.get("status") or {}).get("podIP")):
                self._found[address] = workload_of(pod)
