"""Which pods show metrics of their own, where, and under which labels their series stand. Pure.

The convention is the common one of clusters: a pod template annotated `prometheus.io/scrape: "true"`, with
`prometheus.io/port` (else its first container port) and `prometheus.io/path` (else `/metrics`). The labels are those
that the usual job `kubernetes-pods` gives, and the version labels by which Istio's own series are told apart.

A series is about the version whose pod shows it, unless it has version labels of its own: an application beside the
versions (a checkout, a collector of true labels) counts for each of them by `destination_workload`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from serin.adapters.local.envoy.workloads import workload_of
from serin.adapters.scrape.istio import JOB
from serin.api.times import epoch
from serin.ports import Object

SCRAPE, PORT, PATH, SCHEME = (f"prometheus.io/{word}" for word in ("scrape", "port", "path", "scheme"))

_OF_A_VERSION = ("destination_workload", "destination_service")

_TO_THE_SECOND = 0.999
"""A start is written to the second, fractions cut off: the process began so much later at most."""


@dataclass(frozen=True, slots=True)
class ScrapedPod:
    """A pod whose process runs.

    instance  this life of it: another start of its process counts from 0 again
    started   epoch seconds, not before the process began
    serving   takes requests: what it counts must not be missed
    url       of its metrics page; None when it has none
    why_not   why it has none, in words
    """

    namespace: str
    name: str
    workload: str
    pod_labels: Mapping[str, str]
    instance: str
    started: float
    serving: bool
    url: str | None
    why_not: str = ""

    def labelled(self, labels: Mapping[str, str]) -> dict[str, str]:
        """The labels of a series of this pod: what it says of versions stays, else what clashes is `exported_…`."""
        given = {
            **{re.sub(r"\W", "_", label, flags=re.ASCII): value for label, value in self.pod_labels.items()},
            "job": JOB,
            "namespace": self.namespace,
            "pod": self.name,
            "instance": (self.url or "").removeprefix("http://").partition("/")[0],
            "destination_workload": self.workload,
            "destination_workload_namespace": self.namespace,
        }
        own = {label: value for label, value in labels.items() if label.startswith(_OF_A_VERSION)}
        rest = {f"exported_{label}" if label in given else label: v for label, v in labels.items() if label not in own}
        return {**rest, **given, **own}


def running(pods: Iterable[Object]) -> list[ScrapedPod]:
    """The pods whose process runs, with where their pages are."""
    return [found for pod in pods if (found := _scraped(pod)) is not None]


def _scraped(pod: Object) -> ScrapedPod | None:
    meta, status = pod["metadata"], pod.get("status") or {}
    container: Mapping[str, Any] = next(iter(status.get("containerStatuses") or ()), {})
    since = ((container.get("state") or {}).get("running") or {}).get("startedAt")
    if not since or not status.get("podIP"):
        return None
    ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in status.get("conditions") or ())
    url, why_not = _page(pod, status["podIP"])
    return ScrapedPod(
        namespace=meta["namespace"],
        name=meta["name"],
        workload=workload_of(pod),
        pod_labels=meta.get("labels") or {},
        instance=f"{meta['name']}@{since}",
        started=epoch(since) + _TO_THE_SECOND,
        serving=ready and not meta.get("deletionTimestamp"),
        url=url,
        why_not=why_not,
    )


def _page(pod: Object, address: str) -> tuple[str | None, str]:
    """The page's address, or why there is none."""
    annotations = pod["metadata"].get("annotations") or {}
    if str(annotations.get(SCRAPE, "")).lower() != "true":
        return None, f'its pods are not annotated {SCRAPE}: "true"'
    if annotations.get(SCHEME, "http") != "http":
        return None, f"its pods are annotated {SCHEME}: {annotations[SCHEME]}, and only http is read on one machine"
    containers = (pod.get("spec") or {}).get("containers") or ()
    declared = [port.get("containerPort") for container in containers for port in container.get("ports") or ()]
    port = str(annotations.get(PORT) or next(filter(None, declared), ""))
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        return None, f"its pods are annotated {PORT}: {port!r}, which is no port"
    if not ipaddress.ip_address(address).is_loopback:
        return None, f"its pods are at {address}, which is not on this machine"
    path = str(annotations.get(PATH) or "/metrics")
    return f"http://{address}:{port}/{path.removeprefix('/')}", ""


class Versions:
    """Which pods are a version's, and which series are about it."""

    def __init__(self, pods: Iterable[Object], services: Iterable[Object]) -> None:
        self.pods = tuple(running(pods))
        self._selectors = {
            (service["metadata"]["namespace"], service["metadata"]["name"]): service["spec"].get("selector") or {}
            for service in services
        }

    def of(self, version: Mapping[str, str]) -> list[ScrapedPod]:
        """The running pods of the version that has these labels: of its workload, or those that its Service selects."""
        if "destination_workload" in version:
            space, name = version["destination_workload_namespace"], version["destination_workload"]
            return [pod for pod in self.pods if (pod.namespace, pod.workload) == (space, name)]
        space, name = version["destination_service_namespace"], version["destination_service_name"]
        wanted = self._selectors.get((space, name)) or {}
        return [p for p in self.pods if p.namespace == space and wanted and wanted.items() <= p.pod_labels.items()]

    def beside(self, versions: Iterable[Mapping[str, str]]) -> list[ScrapedPod]:
        """The pods with a page in the namespaces of these versions: they may count for them, too."""
        spaces = {v.get("destination_workload_namespace") or v["destination_service_namespace"] for v in versions}
        return [pod for pod in self.pods if pod.url is not None and pod.namespace in spaces]

    def is_about(self, labels: Mapping[str, str], pod: ScrapedPod, version: Mapping[str, str]) -> bool:
        """Whether a series of a pod, with its labels as the page shows them, is about a version."""
        if not says_of_whom(labels):
            return pod in self.of(version)
        known = {f"destination_{what}_namespace": pod.namespace for what in ("workload", "service")} | dict(labels)
        if version.items() <= known.items():
            return True
        if "destination_service_name" in labels or "destination_workload" in version:
            return False
        counted = (known["destination_workload_namespace"], labels["destination_workload"])
        return any((p.namespace, p.workload) == counted for p in self.of(version))


def says_of_whom(labels: Mapping[str, str]) -> bool:
    """Whether a series names the version that it is about."""
    return "destination_workload" in labels or "destination_service_name" in labels
