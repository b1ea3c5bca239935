"""Envoy's own counts under the names and labels of Istio's telemetry v2, so that Istio's PromQL reads them unchanged.

    envoy_serin_requests             istio_requests_total, and the _count of the durations
    envoy_serin_microseconds         istio_request_duration_milliseconds_sum
      + envoy_serin_aborted_milliseconds
    envoy_serin_duration_bucket      istio_request_duration_milliseconds_bucket
      + envoy_serin_aborted_duration_bucket

Requests, sum and count are live and of the same moment, so that `sum / requests` is the exact mean. Buckets are merged
by Envoy once a second and may lag behind by so much; they agree among themselves.

A request that found no pod is counted for nobody: it has not reached the version, and says nothing about it (Istio
counts it for the workload `unknown`). A home that starts after a crash would otherwise hold its own absence against
whoever starts last.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from serin.adapters.scrape.exposition import Sample

JOB = "kubernetes-pods"
REQUESTS = "istio_requests_total"
DURATION = "istio_request_duration_milliseconds"
METRICS = (REQUESTS, f"{DURATION}_bucket", f"{DURATION}_count", f"{DURATION}_sum")
CONSTANT = {"reporter": "source", "job": JOB, "request_protocol": "http"}
LABELS = frozenset({
    *CONSTANT, "destination_workload", "destination_workload_namespace", "destination_service_name",
    "destination_service_namespace", "destination_service", "response_code", "le",
})  # fmt: skip
PATTERN = r"^serin\.(requests|microseconds|aborted\.milliseconds)\."
PATTERN_WITH_BUCKETS = r"^serin\."

_NOBODY_THERE = frozenset({"UH", "NC"})
"""Envoy's flags: no healthy upstream, no such cluster."""

_TO_MILLISECONDS = {
    "envoy_serin_microseconds": 1e-3,
    "envoy_serin_aborted_milliseconds": 1.0,
    "envoy_serin_duration_bucket": 1e-3,
    "envoy_serin_aborted_duration_bucket": 1.0,
}


def relabelled(found: Iterable[Sample]) -> list[Sample]:
    """Envoy's samples as Istio's. Requests that no route took (404) and that found no pod are left out."""
    values: dict[tuple[str, str, str, str], float] = defaultdict(float)
    for sample in found:
        to, code = sample.labels.get("to", ""), sample.labels.get("code", "")
        if to.count("/") != 2 or not _NOBODY_THERE.isdisjoint(sample.labels.get("flags", "").split(",")):
            continue
        if sample.name in ("envoy_serin_requests", "envoy_serin_requests_total"):
            values[REQUESTS, to, code, ""] += sample.value
            values[f"{DURATION}_count", to, code, ""] += sample.value
            continue
        factor = _TO_MILLISECONDS.get(sample.name.removesuffix("_total"))
        if factor is None:
            continue
        if sample.name.endswith("_bucket"):
            values[f"{DURATION}_bucket", to, code, edge(sample.labels["le"], factor)] += sample.value
        else:
            values[f"{DURATION}_sum", to, code, ""] += sample.value * factor
    return [Sample(name, _labels(to, code, le), value) for (name, to, code, le), value in values.items()]


def edge(le: str, factor: float) -> str:
    """A bucket's edge in milliseconds, written as Istio writes it: `0.5`, `500`, `+Inf`."""
    value = float(le) * factor
    if value == float("inf"):
        return "+Inf"
    return str(int(value)) if value == int(value) else repr(round(value, 6))


def _labels(to: str, code: str, le: str) -> dict[str, str]:
    namespace, service, workload = to.split("/")
    labels = {
        **CONSTANT,
        "destination_workload": workload,
        "destination_workload_namespace": namespace,
        "destination_service_name": service,
        "destination_service_namespace": namespace,
        "destination_service": f"{service}.{namespace}.svc.cluster.local",
        "response_code": code,
    }
    return {**labels, "le": le} if le else labels
