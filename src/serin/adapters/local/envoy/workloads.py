"""Which pods stand behind a destination: a Service's selector, a DestinationRule's subset, split by workload.

A destination is served by one Envoy cluster for each workload (Deployment) that its pods belong to, so that every
request is counted under the workload that answered it, as Istio does.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from serin.ports import Object

UNKNOWN = "unknown"
"""The workload that requests are counted under when a destination has no pods; Istio's word."""


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """An address of a ready pod. When it is taken out, requests under way to it are finished all the same."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Backend:
    """One Pod, as far as routing cares.

    ready    takes requests
    serving  answers them, though it may be leaving
    """

    name: str
    namespace: str
    workload: str
    address: str
    labels: Mapping[str, str]
    ready: bool
    serving: bool
    ports: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Cluster:
    """The ready pods of one workload behind one port of one service (and one subset's labels and traffic policy).

    name    unique; the same pods by the same policy have the same name, whatever the subset is called
    policy  the DestinationRule's trafficPolicy, the subset's laid over the rule's
    """

    name: str
    namespace: str
    service: str
    workload: str
    endpoints: tuple[Endpoint, ...]
    http2: bool = False
    policy: str = "{}"

    @property
    def stat_name(self) -> str:
        """What its statistics are called: `<namespace>/<service>/<workload>`."""
        return f"{self.namespace}/{self.service}/{self.workload}"


def backend(pod: Object) -> Backend | None:
    """What routing sees of a Pod, or None for one that has no address or has ended."""
    meta, status = pod["metadata"], pod.get("status") or {}
    address = status.get("podIP")
    if not address or status.get("phase") in ("Succeeded", "Failed"):
        return None
    conditions = {c.get("type"): c.get("status") for c in status.get("conditions") or ()}
    # Not by `Ready`: that waits in its turn for the proxy to lead to the Pod.
    serving = conditions.get("ContainersReady", conditions.get("Ready")) == "True"
    containers = (pod.get("spec") or {}).get("containers") or ()
    return Backend(
        name=meta["name"],
        namespace=meta.get("namespace", "default"),
        workload=workload_of(pod),
        address=address,
        labels=meta.get("labels") or {},
        ready=serving and not meta.get("deletionTimestamp"),
        serving=serving,
        ports={
            port["name"]: port["containerPort"]
            for container in containers
            for port in container.get("ports") or ()
            if port.get("name") and port.get("containerPort")
        },
    )


def workload_of(pod: Object) -> str:
    """The name of the Deployment that a Pod belongs to (also through its ReplicaSet); its own name when it has none."""
    meta = pod["metadata"]
    for owner in meta.get("ownerReferences") or ():
        if owner.get("kind") == "Deployment":
            return str(owner["name"])
        if owner.get("kind") == "ReplicaSet":
            template_hash = (meta.get("labels") or {}).get("pod-template-hash", "")
            return str(owner["name"]).removesuffix(f"-{template_hash}")
    return str(meta["name"])


class Backends:
    """All pods, found by labels without looking at each."""

    def __init__(self, pods: Iterable[Object]) -> None:
        self._by_label: dict[tuple[str, str, str], dict[str, Backend]] = defaultdict(dict)
        for found in filter(None, map(backend, pods)):
            for key, value in found.labels.items():
                self._by_label[found.namespace, key, value][found.name] = found

    def select(self, namespace: str, selector: Mapping[str, str]) -> list[Backend]:
        """The pods of a namespace with all these labels, by name; none for an empty selector, as in Kubernetes."""
        groups = sorted((self._by_label.get((namespace, k, v), {}) for k, v in selector.items()), key=len)
        if not groups:
            return []
        names = set(groups[0]).intersection(*groups[1:])
        return [groups[0][name] for name in sorted(names)]


def service_port(service: Object, number: int | None) -> Mapping[str, Any] | None:
    """The service's port of that number; without a number the first that speaks HTTP by its name, else the first."""
    ports: Sequence[Mapping[str, Any]] = (service.get("spec") or {}).get("ports") or ()
    if number is not None:
        return next((port for port in ports if port.get("port") == number), None)
    return next((port for port in ports if str(port.get("name", "")).startswith("http")), next(iter(ports), None))


def speaks_http2(port: Mapping[str, Any]) -> bool:
    """Whether the pods behind a service port want HTTP/2, by Kubernetes' `appProtocol` or Istio's port names."""
    protocol = str(port.get("appProtocol") or port.get("name") or "").lower()
    return protocol == "kubernetes.io/h2c" or protocol.split("-")[0] in ("grpc", "http2")


def clusters_of(
    service: Object,
    port: Mapping[str, Any],
    backends: Backends,
    labels: Mapping[str, str] | None = None,
    policy: str = "{}",
) -> tuple[Cluster, ...]:
    """The clusters that serve a port of a service (or a subset of it), one a workload, by name; at least one.

    Where no pod is ready those that are leaving but still answer are used, as Kubernetes does (KEP-1669): a version
    that is deleted serves until its traffic has been moved.
    """
    meta = service["metadata"]
    name, namespace = meta["name"], meta.get("namespace", "default")
    wanted = dict(labels or {})
    target = port.get("targetPort", port["port"])
    behind = [
        (pod, number)
        for pod in backends.select(namespace, (service.get("spec") or {}).get("selector") or {})
        if (number := pod.ports.get(target) if isinstance(target, str) else target)
        and wanted.items() <= pod.labels.items()
    ]
    leaving_too = not any(pod.ready for pod, _ in behind)
    by_workload: dict[str, set[Endpoint]] = defaultdict(set)
    for pod, number in behind:
        endpoints = by_workload[pod.workload]  # known even while none of its pods is ready
        if pod.ready or (leaving_too and pod.serving):
            endpoints.add(Endpoint(pod.address, number))
    suffix = f"/{port['port']}"
    if wanted:
        suffix += "/" + ",".join(f"{key}={value}" for key, value in sorted(wanted.items()))
    if policy != "{}":
        suffix += f"/{hashlib.sha256(policy.encode()).hexdigest()[:8]}"
    return tuple(
        Cluster(
            f"{namespace}/{name}/{workload}{suffix}",
            namespace, name, workload,
            tuple(sorted(by_workload.get(workload, ()))),
            speaks_http2(port), policy,
        )
        for workload in sorted(by_workload) or (UNKNOWN,)
    )  # fmt: skip


def nowhere(namespace: str, service: str, port: int | None = None) -> Cluster:
    """The cluster of a destination that does not exist: requests to it are answered 503 and counted as unknown."""
    return Cluster(f"{namespace}/{service}/{UNKNOWN}/{port or 0}/none", namespace, service, UNKNOWN, ())
