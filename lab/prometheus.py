"""Prometheus, scraping the gateway and whatever Pods are annotated to be scraped, as in a cluster."""

from __future__ import annotations

import json
from pathlib import Path

from lab.part import Program, answers

PORT = 9090
JOB = "kubernetes-pods"

_META = "__meta_kubernetes_pod"
_ANNOTATION = f"{_META}_annotation_prometheus_io"
_RELABELLING = (
    {"action": "keep", "source_labels": [f"{_ANNOTATION}_scrape"], "regex": "true"},
    {"source_labels": [f"{_ANNOTATION}_scheme"], "regex": "(https?)", "target_label": "__scheme__"},
    {"source_labels": [f"{_ANNOTATION}_path"], "regex": "(.+)", "target_label": "__metrics_path__"},
    {
        "source_labels": [f"{_ANNOTATION}_port", f"{_META}_ip"],
        "regex": r"(\d+);(\d+\.\d+\.\d+\.\d+)",
        "replacement": "$2:$1",
        "target_label": "__address__",
    },
    {"action": "labelmap", "regex": f"{_META}_label_(.+)"},
    {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
    {"source_labels": [f"{_META}_name"], "target_label": "pod"},
    {"action": "drop", "source_labels": [f"{_META}_phase"], "regex": "Pending|Succeeded|Failed|Completed"},
    {"source_labels": [f"{_META}_node_name"], "target_label": "node"},
)
"""The job `kubernetes-pods` of Prometheus' own chart and of Istio's samples. The series have the Pod's labels, its
name and its namespace; none of them names a Deployment."""


def prometheus(binary: Path, address: str, folder: Path, gateway: str, pods: Path, interval: float) -> Program:
    """Prometheus with its data in `folder`, asking the gateway (HOST:PORT) and Pods every `interval` seconds.

    pods   file with what the discovery of Kubernetes would find (`lab.telemetry.targets`)
    """
    data = folder / "prometheus"
    config = folder / "prometheus.yml"
    pause = f"{round(interval * 1000)}ms"
    proxy = {  # the gateway is no Pod here, and is taken for one
        f"{_ANNOTATION}_scrape": "true",
        "__meta_kubernetes_namespace": "istio-system",
        f"{_META}_name": "istio-ingressgateway-lab",
    }
    scrape = {
        "job_name": JOB,
        "honor_labels": True,
        "scrape_interval": pause,
        "scrape_timeout": pause,
        "file_sd_configs": [{"files": [str(pods)]}],
        "static_configs": [{"targets": [gateway], "labels": proxy}],
        "relabel_configs": _RELABELLING,
    }
    config.write_text(json.dumps({"global": {"scrape_interval": pause}, "scrape_configs": [scrape]}))  # JSON is YAML
    words = (
        binary, f"--config.file={config}", f"--storage.tsdb.path={data}", "--storage.tsdb.retention.time=1d",
        f"--web.listen-address={address}:{PORT}", "--web.enable-lifecycle", "--log.level=warn",
    )  # fmt: skip
    return Program("prometheus", words, answers(f"http://{address}:{PORT}/-/ready"))
