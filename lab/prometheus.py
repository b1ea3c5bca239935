"""Prometheus, scraping the gateway's metrics as it would scrape pods of a mesh."""

from __future__ import annotations

import json
from pathlib import Path

from lab.part import Program, answers

PORT = 9090
JOB = "kubernetes-pods"


def prometheus(binary: Path, address: str, folder: Path, target: str, interval: float) -> Program:
    """Prometheus with its data in `folder`, asking `target` (HOST:PORT) every `interval` seconds."""
    data = folder / "prometheus"
    config = folder / "prometheus.yml"
    pause = f"{round(interval * 1000)}ms"
    scrape = {
        "job_name": JOB,
        "scrape_interval": pause,
        "scrape_timeout": pause,
        "static_configs": [
            {"targets": [target], "labels": {"namespace": "istio-system", "pod": "istio-ingressgateway-lab"}}
        ],
    }
    config.write_text(json.dumps({"global": {"scrape_interval": pause}, "scrape_configs": [scrape]}))  # JSON is YAML
    words = (
        binary, f"--config.file={config}", f"--storage.tsdb.path={data}", "--storage.tsdb.retention.time=1d",
        f"--web.listen-address={address}:{PORT}", "--web.enable-lifecycle", "--log.level=warn",
    )  # fmt: skip
    return Program("prometheus", words, answers(f"http://{address}:{PORT}/-/ready"))
