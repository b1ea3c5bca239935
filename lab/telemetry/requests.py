"""One request of the access log, as Istio's telemetry labels it. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass

from serin.ports import Object

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment (or whatever made the Pod), with what Istio takes from the Pod's labels."""

    name: str = UNKNOWN
    namespace: str = UNKNOWN
    app: str = UNKNOWN
    version: str = UNKNOWN


@dataclass(frozen=True, slots=True)
class Request:
    """A request that has ended.

    upstream   the Pod's address; empty when no Pod was asked
    service    and its namespace, by the cluster that Envoy chose
    """

    upstream: str
    service: str
    service_namespace: str
    code: int
    flags: str
    milliseconds: float


def parse(line: bytes) -> Request | None:
    """The request of a line; None for one that no route took, or that is no whole line."""
    try:
        found = json.loads(line)
        parts = str(found["cluster"]).rstrip(";").split("|")
        if len(parts) != 4 or parts[0] != "outbound":
            return None
        service, namespace = (*parts[3].split("."), "")[:2]
        return Request(
            upstream=str(found["upstream"] or "").rpartition(":")[0],
            service=service,
            service_namespace=namespace,
            code=int(found["code"]),
            flags=str(found["flags"] or "-"),
            milliseconds=float(found["milliseconds"]),
        )
    except (ValueError, KeyError, TypeError):
        return None


def workload_of(pod: Object) -> Workload:
    """As Istio names it: the Deployment behind a ReplicaSet, else the owner, else the Pod itself."""
    metadata = pod["metadata"]
    labels = metadata.get("labels") or {}
    owner: Object = next((each for each in metadata.get("ownerReferences") or () if each.get("controller")), {})
    name = owner.get("name") or metadata["name"]
    if owner.get("kind") == "ReplicaSet":
        name = name.removesuffix(f"-{labels.get('pod-template-hash', '')}")
    return Workload(name, metadata["namespace"], labels.get("app", UNKNOWN), labels.get("version", UNKNOWN))
