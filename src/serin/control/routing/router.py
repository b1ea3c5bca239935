"""The traffic port: five methods, whatever kind of router stands behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from serin.errors import SerinError
from serin.ports import Object

Split = Mapping[str, int]
"""Version id -> whole percent; adds up to 100."""


class RoutingRulesError(SerinError):
    """The routing rules cannot be used as they are; the text follows `RoutingRulesError: ` in the status."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a version's share goes: a host, and for kind Deployment a subset with the pod-template labels."""

    version: str
    host: str
    subset: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Routing:
    """What an experiment wants of its routing rules, the split apart.

    experiment     `<name>.<namespace>`
    hosts          the internal full name (if there is a service) and the external hosts
    gateways       `mesh` (if there is a service) and the gateways of the external hosts
    service_hosts  every spelling under which a route may name the service or a version of it
    match          the spec's match clauses; empty: all requests take part
    """

    experiment: str
    router_id: str
    namespace: str
    hosts: tuple[str, ...]
    gateways: tuple[str, ...]
    service_hosts: frozenset[str]
    destinations: tuple[Destination, ...]
    match: tuple[Mapping[str, Any], ...] = ()

    @property
    def uses_subsets(self) -> bool:
        """Whether versions are told apart by subsets (kind Deployment)."""
        return any(destination.subset for destination in self.destinations)


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules as they are now.

    written   the call had something to write
    applied   proxies were seen to route by them; else something came in between, and the call is to be repeated
    """

    virtual_service: Object
    destination_rule: Object | None
    created: bool
    written: bool = False
    applied: bool = True


class Router(Protocol):
    """Five methods. All are idempotent: after a crash the next one calls them again from the start."""

    async def take(self, routing: Routing) -> Rules:
        """Adopt the stable rules or create them, all on the baseline. Raises RoutingRulesError, touching nothing."""
        ...

    async def set(self, routing: Routing, split: Split, interrupted: Callable[[], bool] | None = None) -> Rules:
        """Route by `split`, and put right what somebody else changed in our route. Writes only what differs.

        interrupted   asked while proxies are waited for once all is written; true: return without them
        """
        ...

    async def holds(self, routing: Routing) -> bool:
        """Whether any of the rules carries this experiment's mark: it has taken them, or has begun to."""
        ...

    async def release(self, routing: Routing, split: Split) -> Rules | None:
        """Leave the rules stable with the final split: no match, our marks gone, the rest as the user had it.

        None when the rules are no longer there (somebody deleted them).
        """
        ...

    async def remove(self, routing: Routing) -> None:
        """Delete rules that the experiment itself created; rules already gone are fine."""
        ...
