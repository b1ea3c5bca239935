"""What all Pods of a home stand on, and how patient it is with those that fall."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from serin.adapters.local.processes.addresses import Subnet
from serin.adapters.local.processes.images import Images
from serin.adapters.local.processes.probe import Prober
from serin.ports import Clock, DataPlane, Objects, Sink


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds before a restart: none before the first, then `base`, doubling up to `cap`.

    reset   a run of so many seconds is forgiven
    """

    base: float = 1.0
    cap: float = 60.0
    reset: float = 120.0

    def delay(self, failures: int) -> float:
        """Before the next start after so many failures in a row."""
        return 0.0 if failures <= 1 else float(min(self.cap, self.base * 2.0 ** min(failures - 2, 30)))


@runtime_checkable
class PodTraffic(Protocol):
    """A data plane that also knows single Pods."""

    async def pod_taken(self, address: str) -> bool:
        """Whether the proxies go by the readiness of the Pod at this address, be there a route to it or not."""
        ...

    async def pod_idle(self, address: str) -> bool:
        """Whether the Pod at this address is offered no new request and has none under way."""
        ...


@dataclass(frozen=True, slots=True)
class Ground:
    """The parts of the home that a Pod needs.

    life        folder of this life of the home
    inherited   environment that the home passes on, below the container's own
    settle      seconds after which proxies that cannot be asked about a Pod have left one that is not ready
    """

    objects: Objects
    images: Images
    clock: Clock
    sink: Sink
    dataplane: DataPlane
    subnet: Subnet
    prober: Prober
    log_dir: Path
    life: Path
    inherited: Mapping[str, str]
    backoff: Backoff = field(default_factory=Backoff)
    settle: float = 0.25
