"""How Envoy counts, so that it can be read as Istio's telemetry.

Envoy's own cluster statistics count its 503s but leave them out of the latency, and know whole milliseconds only. So
the requests are counted where they end, by the access log: once each, whatever was retried, under the cluster's
`<namespace>/<service>/<workload>`, the code that the client got, and Envoy's flags (`UH`: there was no pod to send it
to). Three statistics of each:

    serin.requests       counter
    serin.microseconds   counter: the sum of the durations, exact, live, of the same requests at the same moment
    serin.duration       histogram in microseconds at Istio's bucket edges; merged once a second

A request that ends without a last byte to the client (it went away, or the pod died in mid-answer) has no such
duration; its time is counted in whole milliseconds as `serin.aborted.milliseconds` and `serin.aborted.duration`.

And a gauge, `serin.active`: the requests under way to each pod, by its address, whatever has become of its cluster.
"""

from __future__ import annotations

import re
from typing import Any

Json = dict[str, Any]

PREFIX = "serin"
BUCKETS = (
    0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000,
    60_000, 300_000, 600_000, 1_800_000, 3_600_000,
)  # fmt: skip
"""Istio's edges of request durations, in milliseconds."""

TO, CODE, FLAGS, POD = "to", "code", "flags", "pod"
_TYPE = "type.googleapis.com/envoy."
_PRECISE = "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%"
_WHOLE = "%DURATION%"


def access_logs() -> list[Json]:
    """The two access logs that count: every request, and again the time of those that ended without a last byte."""
    counted = _log(
        counters=[_counter("requests", value_fixed=1), _counter("microseconds", value_format=_PRECISE)],
        histograms=[_histogram("duration", "Microseconds", _PRECISE)],
    )
    aborted = _log(
        counters=[_counter("aborted.milliseconds", value_format=_WHOLE)],
        histograms=[_histogram("aborted.duration", "Milliseconds", _WHOLE)],
    )
    cut_off = {"response_flag_filter": {"flags": ["DC", "UC", "UR", "LR", "UPE"]}}
    started = {
        "status_code_filter": {"comparison": {"op": "LE", "value": {"default_value": 499, "runtime_key": "serin.none"}}}
    }
    return [counted, {**aborted, "filter": {"and_filter": {"filters": [cut_off, started]}}}]


def upstream_log() -> Json:
    """The router's options that count what is under way to each pod: up when a connection has it, down at its end."""
    gauge = {
        "stat": {"name": "active", "tags": [{"name": POD, "value_format": "%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}]},
        "value_fixed": 1,
        "add_subtract": {"add_log_type": "UpstreamPoolReady", "sub_log_type": "UpstreamEnd"},
    }
    return {
        "upstream_log": [_log(gauges=[gauge])],
        "upstream_log_options": {"flush_upstream_log_on_upstream_stream": True},
    }


def active(address: str) -> str:
    """The pattern (RE2) of the gauge of the pod at an address."""
    return rf"^{PREFIX}\.active\.{POD}\.{re.escape(address)}$"


def stats_config() -> Json:
    """Which statistics Envoy keeps, and the edges of its histograms."""
    wanted = [
        {"prefix": f"{PREFIX}."},
        {"safe_regex": {"regex": r"cluster\..*\.upstream_(rq|cx)_(active|pending_active|total|retry|\dxx)"}},
        {"safe_regex": {"regex": r"cluster\..*\.membership_(total|healthy)"}},
        {"prefix": "cluster_manager."},
        {"prefix": "listener_manager."},
        {"prefix": "http."},
        {"prefix": "server."},
    ]
    return {
        "histogram_bucket_settings": [
            {"match": {"prefix": f"{PREFIX}.duration"}, "buckets": [edge * 1000 for edge in BUCKETS]},
            {"match": {"prefix": f"{PREFIX}.aborted.duration"}, "buckets": list(BUCKETS)},
        ],
        "stats_matcher": {"inclusion_list": {"patterns": wanted}},
    }


def _stat(name: str) -> Json:
    tags = {TO: "%UPSTREAM_CLUSTER%", CODE: "%RESPONSE_CODE%", FLAGS: "%RESPONSE_FLAGS%"}
    return {"name": name, "tags": [{"name": tag, "value_format": value} for tag, value in tags.items()]}


def _counter(name: str, **value: object) -> Json:
    return {"stat": _stat(name), **value}


def _histogram(name: str, unit: str, value: str) -> Json:
    return {"stat": _stat(name), "unit": unit, "value_format": value}


def _log(**stats: list[Json]) -> Json:
    return {
        "name": "envoy.access_loggers.stats",
        "typed_config": {
            "@type": _TYPE + "extensions.access_loggers.stats.v3.Config",
            "stats_scope": {"prefix": PREFIX},
            **stats,
        },
    }
