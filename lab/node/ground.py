"""What all Pods of the node stand on, and their addresses."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lab.namespace import PODS
from lab.node.cluster import Cluster
from serin.adapters.local.processes.images import Images
from serin.adapters.local.processes.probe import Prober

_RESERVED = 256
"""The first addresses are the lab's own: the node's, the gateway's."""


class Addresses:
    """One address a Pod, allotted in turn, so that a freed one rests for as long as it can."""

    def __init__(self) -> None:
        self._network = ipaddress.ip_network(PODS)
        self._used: set[str] = set()
        self._turn = self._numbers()

    def allot(self) -> str:
        """A free address. They are 60,000 and more; a node with that many Pods has other troubles."""
        address = next(each for each in self._turn if each not in self._used)
        self._used.add(address)
        return address

    def free(self, address: str) -> None:
        """Its Pod is gone."""
        self._used.discard(address)

    def _numbers(self) -> Iterator[str]:
        while True:
            for number in range(_RESERVED, self._network.num_addresses - _RESERVED):
                yield str(self._network[number])


@dataclass(frozen=True, slots=True)
class Ground:
    """What all Pods of the node stand on.

    address   the node's own
    drain     seconds from a Pod's deletion to SIGTERM for one without `lifecycle.preStop`
    life      folder for the records of this life of the node
    """

    name: str
    address: str
    cluster: Cluster
    images: Images
    prober: Prober
    drain: float
    logs: Path
    life: Path
    addresses: Addresses = field(default_factory=Addresses)
