"""The columns of each kind's table, as `kubectl get` has them: what a cell says, from the object alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from serin.cli.ages import UNKNOWN, age, duration, seconds_at
from serin.cli.jsonpath import as_text
from serin.cli.selecting import full_name
from serin.ports import (
    CONFIG_MAP,
    DEPLOYMENT,
    DESTINATION_RULE,
    EVENT,
    EXPERIMENT,
    GATEWAY,
    NAMESPACE,
    POD,
    SERVICE,
    VIRTUAL_SERVICE,
    Kind,
    Object,
)

NONE = "<none>"

Cell = Callable[[Object, float], str]


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its header, and a cell's text from the object and the time now (epoch seconds).

    widest    the longest text that an object's cell may come to show, as far as that is known
    """

    header: str
    cell: Cell
    wide: bool = False
    widest: Callable[[Object], str] = lambda _obj: ""


def columns(kind: Kind, *, wide: bool = False, with_kind: bool = False, with_namespace: bool = False) -> list[Column]:
    """The columns of a kind's table, first to last.

    with_kind         names as `deployment.apps/NAME`, for a table among tables of other kinds
    with_namespace    NAMESPACE comes first
    """
    of_kind = _experiment_columns() if kind is EXPERIMENT else _COLUMNS[kind]
    leading = [NAMESPACE_OF] if with_namespace and kind.namespaced else []
    if kind is not EVENT:
        leading.append(Column("NAME", lambda obj, _now: full_name(kind, name(obj))) if with_kind else NAME)
    return [*leading, *(column for column in of_kind if wide or not column.wide)]


def name(obj: Object) -> str:
    """An object's name."""
    return str(obj["metadata"]["name"])


def namespace(obj: Object) -> str:
    """An object's namespace, empty for kinds without one."""
    return str(obj["metadata"].get("namespace", ""))


def dig(obj: Any, *path: str) -> Any:
    """The value at a path of mappings, None where there is none."""
    for step in path:
        obj = obj.get(step) if isinstance(obj, Mapping) else None
    return obj


def count(obj: Object, *path: str) -> int:
    """The whole number at a path, 0 where there is none."""
    value = dig(obj, *path)
    return value if isinstance(value, int) else 0


def pod_status(pod: Object) -> str:
    """One word for how a pod is: why its container waits or has ended, `Terminating`, or its phase."""
    if dig(pod, "metadata", "deletionTimestamp"):
        return "Terminating"
    for container in dig(pod, "status", "containerStatuses") or ():
        for state in ("waiting", "terminated"):
            reason = dig(container, "state", state, "reason")
            if reason:
                return str(reason)
    return str(dig(pod, "status", "reason") or dig(pod, "status", "phase") or "Unknown")


def last_seen(event: Object) -> float | None:
    """When an event happened last, epoch seconds."""
    for path in (("series", "lastObservedTime"), ("lastTimestamp",), ("eventTime",), ("metadata", "creationTimestamp")):
        at = seconds_at(dig(event, *path))
        if at is not None:
            return at
    return None


def regarding(event: Object) -> tuple[str, str]:
    """Kind and name of the object that an event is about."""
    about = dig(event, "involvedObject") or dig(event, "regarding") or {}
    return str(about.get("kind", "")), str(about.get("name", ""))


def _experiment_columns() -> Sequence[Column]:
    from serin.api.v1alpha2.columns import COLUMNS
    from serin.api.v1alpha2.conditions import Phase

    widest: dict[str, Callable[[Object], str]] = {
        "TYPE": lambda obj: "Canary" if len(versions(obj)) > 1 else "Performance",
        "HOSTS": lambda obj: as_text(_hosts(obj)),
        "PHASE": lambda _obj: max(Phase, key=len),
        "CURRENT BEST": lambda obj: max(versions(obj), key=len, default=""),
    }
    return [
        Column(each.name, _at(*each.path.lstrip(".").split(".")), each.wide, widest.get(each.name, lambda _obj: ""))
        for each in COLUMNS
    ]


def _hosts(experiment: Object) -> list[str]:
    """The hosts as they will stand in the status: the service's name and the external ones."""
    service = dig(experiment, "spec", "service", "name")
    external = [str(host.get("name")) for host in dig(experiment, "spec", "networking", "hosts") or ()]
    return [*([str(service)] if service else []), *external]


def versions(experiment: Object) -> list[str]:
    """Names of the versions of an experiment, the baseline first."""
    service = dig(experiment, "spec", "service") or {}
    return [str(name) for name in (service.get("baseline"), *(service.get("candidates") or ())) if name]


def _age(obj: Object, now: float) -> str:
    return age(dig(obj, "metadata", "creationTimestamp"), now)


def _at(*path: str) -> Cell:
    """A custom resource's column: texts bare, lists as JSON, nothing where there is nothing."""

    def cell(obj: Object, _now: float) -> str:
        value = dig(obj, *path)
        return "" if value is None else as_text(value)

    return cell


def _pairs(*path: str) -> Cell:
    def cell(obj: Object, _now: float) -> str:
        pairs = dig(obj, *path) or {}
        return ",".join(f"{key}={value}" for key, value in sorted(pairs.items())) or NONE

    return cell


def _containers(field: str) -> Cell:
    def cell(obj: Object, _now: float) -> str:
        return ",".join(str(each.get(field, "")) for each in dig(obj, "spec", "template", "spec", "containers") or ())

    return cell


def _wanted_replicas(deployment: Object) -> int:
    replicas = dig(deployment, "spec", "replicas")
    return replicas if isinstance(replicas, int) else 1


def _deployment_ready(obj: Object, _now: float) -> str:
    return f"{count(obj, 'status', 'readyReplicas')}/{_wanted_replicas(obj)}"


def _number(*path: str) -> Cell:
    return lambda obj, _now: str(count(obj, *path))


def _pod_ready(obj: Object, _now: float) -> str:
    statuses = dig(obj, "status", "containerStatuses") or []
    total = len(dig(obj, "spec", "containers") or statuses)
    return f"{sum(bool(each.get('ready')) for each in statuses)}/{total}"


def _restarts(obj: Object, now: float) -> str:
    statuses = dig(obj, "status", "containerStatuses") or []
    restarts = sum(count(each, "restartCount") for each in statuses)
    ended = [seconds_at(dig(each, "lastState", "terminated", "finishedAt")) for each in statuses]
    last = max((at for at in ended if at is not None), default=None)
    return str(restarts) if not restarts or last is None else f"{restarts} ({duration(now - last)} ago)"


def _ports(obj: Object, _now: float) -> str:
    shown = []
    for port in dig(obj, "spec", "ports") or ():
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        shown.append(f"{port.get('port')}{node}/{port.get('protocol', 'TCP')}")
    return ",".join(shown) or NONE


def _text(*path: str, missing: str = NONE) -> Cell:
    return lambda obj, _now: str(dig(obj, *path) or missing)


def _data(obj: Object, _now: float) -> str:
    return str(len(dig(obj, "data") or {}) + len(dig(obj, "binaryData") or {}))


def _last_seen(obj: Object, now: float) -> str:
    at = last_seen(obj)
    return UNKNOWN if at is None else duration(now - at)


def _object(obj: Object, _now: float) -> str:
    kind, name = regarding(obj)
    return f"{kind.lower()}/{name}"


AGE = Column("AGE", _age)
NAME = Column("NAME", lambda obj, _now: name(obj))
NAMESPACE_OF = Column("NAMESPACE", lambda obj, _now: namespace(obj))

_COLUMNS: dict[Kind, Iterable[Column]] = {
    DEPLOYMENT: (
        Column("READY", _deployment_ready),
        Column("UP-TO-DATE", _number("status", "updatedReplicas")),
        Column("AVAILABLE", _number("status", "availableReplicas")),
        AGE,
        Column("CONTAINERS", _containers("name"), wide=True),
        Column("IMAGES", _containers("image"), wide=True),
        Column("SELECTOR", _pairs("spec", "selector", "matchLabels"), wide=True),
    ),
    POD: (
        Column("READY", _pod_ready),
        Column("STATUS", lambda obj, _now: pod_status(obj)),
        Column("RESTARTS", _restarts),
        AGE,
        Column("IP", _text("status", "podIP"), wide=True),
        Column("NODE", _text("spec", "nodeName"), wide=True),
    ),
    SERVICE: (
        Column("TYPE", _text("spec", "type", missing="ClusterIP")),
        Column("CLUSTER-IP", _text("spec", "clusterIP")),
        Column("EXTERNAL-IP", lambda _obj, _now: NONE),
        Column("PORT(S)", _ports),
        AGE,
        Column("SELECTOR", _pairs("spec", "selector"), wide=True),
    ),
    CONFIG_MAP: (Column("DATA", _data), AGE),
    NAMESPACE: (Column("STATUS", _text("status", "phase", missing="Active")), AGE),
    GATEWAY: (AGE,),
    VIRTUAL_SERVICE: (Column("GATEWAYS", _at("spec", "gateways")), Column("HOSTS", _at("spec", "hosts")), AGE),
    DESTINATION_RULE: (Column("HOST", _at("spec", "host")), AGE),
    EVENT: (
        Column("LAST SEEN", _last_seen),
        Column("TYPE", _text("type", missing="")),
        Column("REASON", _text("reason", missing="")),
        Column("OBJECT", _object),
        Column("MESSAGE", lambda obj, _now: str(dig(obj, "message") or "").strip()),
    ),
}
