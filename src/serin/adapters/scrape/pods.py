"""Which pods show metrics of their own, where, and under which labels their series stand. Pure.

The convention is the common one of clusters: a pod template annotated `prometheus.io/scrape: "true"`, with
`prometheus.io/port` (else its first container port) and `prometheus.io/path` (else `/metrics`). The labels are those
that the usual job `kubernetes-pods` gives, and the version labels by which Istio's own series are told apart.
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

    def labelled(self, labels: Mapping[str, str], version: Mapping[str, str]) -> dict[str, str]:
        """The labels of a series of this pod as one of a version; its own ones that clash become `exported_…`."""
        given = {
            **{re.sub(r"\W", "_", label, flags=re.ASCII): value for label, value in self.pod_labels.items()},
            "job": JOB,
            "namespace": self.namespace,
            "pod": self.name,
            "instance": (self.url or "").removeprefix("http://").partition("/")[0],
            "destination_workload": self.workload,
            "destination_workload_namespace": self.namespace,
            **version,
        }
        return {**{f"exported_{label}" if label in given else label: v for label, v in labels.items()}, **given}


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
    """Which pods are a version's: those of its workload, or those that its Service selects."""

    def __init__(self, pods: Iterable[Object], services: Iterable[Object]) -> None:
        self.pods = tuple(running(pods))
        self._selectors = {
            (service["metadata"]["namespace"], service["metadata"]["name"]): service["spec"].get("selector") or {}
            for service in services
        }

    def of(self, version: Mapping[str, str]) -> list[ScrapedPod]:
        """The running pods of the version that has these labels."""
        if "destination_workload" in version:
            space, name = version["destination_workload_namespace"], version["destination_workload"]
            return [pod for pod in self.pods if (pod.namespace, pod.workload) == (space, name)]
        space, name = version["destination_service_namespace"], version["destination_service_name"]
        wanted = self._selectors.get((space, name)) or {}
        return [p for p in self.pods if p.namespace == space and wanted and wanted.items() <= p.pod_labels.items()]
