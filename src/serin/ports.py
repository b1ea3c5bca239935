"""The ports: what the control layer needs of the world, and no more.

An adapter implements a port; the fake for unit tests stands in `serin.fakes`, beside this module.
Objects are Kubernetes-shaped JSON (`dict`), in both homes. All methods raise errors of `serin.errors` only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from serin.core.observation import Snapshot

Object = dict[str, Any]
"""A Kubernetes-shaped object: apiVersion, kind, metadata, and what its kind has."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object. `versions` are the API versions understood, the preferred one first; they name one kind."""

    group: str
    name: str
    plural: str
    versions: tuple[str, ...]
    short: tuple[str, ...] = ()
    has_status: bool = True
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """The preferred `apiVersion`, as it stands in a manifest."""
        return f"{self.group}/{self.versions[0]}" if self.group else self.versions[0]


DEPLOYMENT = Kind("apps", "Deployment", "deployments", ("v1",), ("deploy",))
POD = Kind("", "Pod", "pods", ("v1",), ("po",))
SERVICE = Kind("", "Service", "services", ("v1",), ("svc",))
CONFIG_MAP = Kind("", "ConfigMap", "configmaps", ("v1",), ("cm",), has_status=False)
NAMESPACE = Kind("", "Namespace", "namespaces", ("v1",), ("ns",), namespaced=False)
EVENT = Kind("", "Event", "events", ("v1",), ("ev",), has_status=False)
_ISTIO = ("v1beta1", "v1alpha3", "v1")
GATEWAY = Kind("networking.istio.io", "Gateway", "gateways", _ISTIO, ("gw",))
VIRTUAL_SERVICE = Kind("networking.istio.io", "VirtualService", "virtualservices", _ISTIO, ("vs",))
DESTINATION_RULE = Kind("networking.istio.io", "DestinationRule", "destinationrules", _ISTIO, ("dr",))
EXPERIMENT = Kind("iter8.tools", "Experiment", "experiments", ("v1alpha2",), ("exp",))

KINDS = (
    DEPLOYMENT, POD, SERVICE, CONFIG_MAP, NAMESPACE, EVENT, GATEWAY, VIRTUAL_SERVICE, DESTINATION_RULE, EXPERIMENT,
)  # fmt: skip


class Change(StrEnum):
    """What happened to a watched object; `SYNCED` says that the present state has been delivered in full."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    SYNCED = "SYNCED"


@dataclass(frozen=True, slots=True)
class Event:
    """One change seen by a watch. `object` is the object after it (before it, for DELETED); empty for SYNCED."""

    change: Change
    object: Object


class Objects(Protocol):
    """A store of Kubernetes-shaped objects with resource versions: the API server, or the sqlite file of a home.

    Semantics are those of Kubernetes. `metadata.resourceVersion` changes with every write that changes something; a
    write that carries one is refused with `Conflict` when the stored object has another. `metadata.generation` rises
    with `spec` only. An object with finalizers is marked by `deletionTimestamp` and goes when the last finalizer does.
    `metadata.uid` and `creationTimestamp` are given by the store. Objects returned are the caller's own copies.
    """

    async def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """The object. Raises NotFound."""
        ...

    async def list(
        self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> list[Object]:
        """All objects of a kind, of one namespace or of all (None), having all of `labels`, by namespace and name."""
        ...

    def watch(self, *kinds: Kind, namespace: str | None = None) -> AsyncIterator[Event]:
        """First every present object as ADDED, then SYNCED, then each change in order, without end and without gaps.

        A slow reader may see several changes of one object as one. Losing the connection is not seen here.
        """
        ...

    async def create(self, obj: Object) -> Object:
        """Store a new object. Raises AlreadyExists, InvalidInput."""
        ...

    async def replace(self, obj: Object) -> Object:
        """Replace all but `status`. Raises NotFound, Conflict, InvalidInput."""
        ...

    async def patch(self, kind: Kind, namespace: str, name: str, patch: Object, *, status: bool = False) -> Object:
        """Apply a JSON merge patch (RFC 7386); conditional if it holds `metadata.resourceVersion`.

        With `status` only the patch's `status` counts, without it all but `status`. Raises NotFound, Conflict.
        """
        ...

    async def delete(self, kind: Kind, namespace: str, name: str) -> None:
        """Delete, or mark as being deleted while finalizers remain. Raises NotFound."""
        ...


@dataclass(frozen=True, slots=True)
class Matcher:
    """A PromQL label matcher; `op` is one of `=`, `!=`, `=~`, `!~` (regular expressions anchored on both sides)."""

    label: str
    op: str
    value: str


@dataclass(frozen=True, slots=True)
class CounterQuery:
    """One cumulative counter of every version: `metric{matchers}` grouped by the version labels.

    name        of the counter metric, for example `iter8_request_count`
    template    the PromQL as the user wrote it, `$interval` and `$version_labels` still in it
    metric      the series name, `istio_requests_total`; None: no plain counter, only a full PromQL engine can read it
    """

    name: str
    template: str
    metric: str | None
    matchers: tuple[Matcher, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """What one experiment wants to know at a reading.

    versions    id (`baseline`, `candidate-0`, …) to the values of the version labels,
                e.g. `{"destination_workload": "fashionmnist-v1", "destination_workload_namespace": "default"}`
    since       epoch seconds of the experiment's start, for templates that are evaluated as they stand (`$interval`)
    """

    counters: tuple[CounterQuery, ...]
    versions: Mapping[str, Mapping[str, str]]
    since: float


class Metrics(Protocol):
    """A source of cumulative counters: Prometheus, or the endpoints scraped directly."""

    async def read(self, requests: Sequence[ReadRequest]) -> list[Snapshot | Exception]:
        """Raw cumulative counters per instance at one evaluation time for all requests, in their order.

        A request that cannot be answered gives its own error (a SerinError) in its place and spoils no other; what has
        no series is absent from its snapshot, never 0. Raises ProviderError when the source as a whole does not answer.
        """
        ...

    def check(self, counter: CounterQuery) -> str | None:
        """Why this source can never answer `counter`, in a sentence with the way out; None when it can."""
        ...


@runtime_checkable
class History(Protocol):
    """A source of counters that also knows what they were: it teaches how a service scatters when nothing is tried.

    A source of `Metrics` may have it or not; an experiment without it learns the same while it runs.
    """

    async def history(self, request: ReadRequest, seconds: float, step: float) -> list[Snapshot]:
        """The raw cumulative counters of the last `seconds`, one snapshot every `step` seconds, oldest first.

        Each snapshot is what `Metrics.read` would have given for the request at that time: every instance by itself,
        never summed before it is differenced, instances and counters that were not there absent (not 0). One range
        query a counter with this step gives it. Times need not be punctual; a hole is two snapshots farther apart. As
        much as is kept, down to nothing: an empty list is an answer. Raises a SerinError when the source does not
        answer; the experiment then starts without history.
        """
        ...


class Clock(Protocol):
    """Time, injected. Seconds since the epoch, and a sleep that a test can turn by hand."""

    def now(self) -> float:
        """Wall-clock seconds since the epoch."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""
        ...


class Severity(StrEnum):
    """How loud an event is."""

    NORMAL = "Normal"
    WARNING = "Warning"


class Sink(Protocol):
    """Where events of an experiment go: objects of kind Event, notifications, logs."""

    async def emit(self, regarding: Object, reason: str, message: str, severity: Severity = Severity.NORMAL) -> None:
        """Record one event about an object. Never raises; an event is no reason to stop."""
        ...


class DataPlane(Protocol):
    """What the proxies really do, beyond what the objects say."""

    async def applied(self, rule: Object) -> bool:
        """Whether every proxy has this version of a VirtualService or DestinationRule, and of what it rests on.

        May raise Conflict when another version has taken its place.
        """
        ...

    async def idle(self, namespace: str, workload: str) -> bool:
        """Whether no request is under way to this workload. True when it cannot be known and the grace time is over."""
        ...
