"""What the proxies of a mesh really do, as far as a cluster lets one know it: the port `DataPlane`.

Nobody can ask every proxy. So a rule counts as applied when its present form has been known here for long enough for
istiod to have pushed it (its debounce is 0.1 s, a push to a large mesh some seconds). The time runs from when this
process has learned of the form, which is never before it was written: clocks of others do not matter, and after a
restart the wait is only longer.

istiod is not asked (`/debug/syncz`): each of its replicas knows its own proxies only, and the Service answers for one,
so that all could seem to follow while others do not. It is a debug interface, besides, which newer versions of Istio
keep closed to every namespace but their own.

Istio counts no requests under way by workload. A version without traffic counts as idle after a time to drain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from serin.control.routing.istio_rules import ROUTER_LABEL
from serin.control.semantics import key_of, kind_of
from serin.ports import DESTINATION_RULE, VIRTUAL_SERVICE, Kind, Object

_ASKED_AGAIN = 5.0
"""Seconds without a question about a workload after which the next one begins a new wait."""


class Known(Protocol):
    """What the data plane needs of the cache."""

    def known_for(self, kind: Kind, obj: Object) -> float | None:
        """Seconds for which this form of an object has been known here; None when another form is known."""
        ...

    def glance(self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> list[Object]:
        """What is known of a kind now."""
        ...


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds.

    propagation   until every proxy routes by a rule that was written
    drain         until requests under way to a version without traffic are answered
    """

    propagation: float = 2.0
    drain: float = 10.0


class MeshDataPlane:
    """Implements `serin.ports.DataPlane` on Istio."""

    def __init__(self, known: Known, times: Times, monotonic: Callable[[], float]) -> None:
        self._known = known
        self._times = times
        self._monotonic = monotonic
        self._asked: dict[tuple[str, str], tuple[float, float]] = {}

    async def applied(self, rule: Object) -> bool:
        """Whether this form of the rule, and of the DestinationRules of its router, has had its time.

        Raises Conflict when another form has taken its place: nobody will ever route by this one.
        """
        return self._age(rule) >= self._times.propagation

    async def idle(self, namespace: str, workload: str) -> bool:
        """Whether its time to drain is over. It is counted from the first of a series of questions.

        Ask after the route has left the workload and was seen applied.
        """
        now = self._monotonic()
        first, last = self._asked.get((namespace, workload), (now, now))
        if now - last > _ASKED_AGAIN:
            first = now
        if now - first >= self._times.drain:
            self._asked.pop((namespace, workload), None)
            return True
        self._asked[namespace, workload] = (first, now)
        return False

    def _age(self, rule: Object) -> float:
        """Seconds for which the youngest of what this rule rests on has been known. Raises Conflict."""
        own = self._known.known_for(kind_of(rule), rule)
        if own is None:
            raise key_of(rule).conflict()
        ages = [own]
        router = (rule["metadata"].get("labels") or {}).get(ROUTER_LABEL)
        if kind_of(rule) == VIRTUAL_SERVICE and router:
            namespace = rule["metadata"]["namespace"]
            for other in self._known.glance(DESTINATION_RULE, namespace, {ROUTER_LABEL: router}):
                ages.append(self._known.known_for(DESTINATION_RULE, other) or 0.0)
        return min(ages)
