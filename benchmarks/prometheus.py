"""What Prometheus pays for a reading of 1,000 experiments, and what we pay: in batches of 1, 10, 100 and 500.

A real Prometheus (Debian's) scrapes one gateway that shows Istio's counters, with all of Istio's labels, for two
versions of every experiment: requests and errors, sum and count of the durations. `as before` is what the original
asks: each template as it stands, four queries for every experiment, and each of them is about all workloads that there
are.

    --experiments=N     instead of 1,000
    --codes=N           response codes that each version has answered with, instead of 2
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.adapters.prometheus.following import RealClock
from tests.adapters.prometheus.real import Exporter, Prometheus, running

from benchmarks.machine import cpu, say
from serin.adapters.prometheus import PrometheusMetrics
from serin.adapters.prometheus.batch import Batch
from serin.adapters.prometheus.client import Client
from serin.api.v1alpha2 import convert, validation
from serin.core.observation import Snapshot
from serin.metrics.definitions import built_in
from serin.ports import ReadRequest

GATEWAY = "istio-ingressgateway-6d8c5f7b9d-x2v4q"
CODES = ("200", "503", "404", "429", "500")
METRICS = (
    "istio_requests_total",
    "istio_request_duration_milliseconds_sum",
    "istio_request_duration_milliseconds_count",
)
SCRAPES = 30.0
GOAL = 0.1


def request(number: int, since: float) -> ReadRequest:
    """What the control layer asks for an experiment with a limit on latency and one on errors."""
    criteria = [
        {"metric": "iter8_mean_latency", "threshold": {"type": "absolute", "value": 100}},
        {"metric": "iter8_error_rate", "threshold": {"type": "absolute", "value": 0.01}},
    ]
    experiment = validation.load({
        "apiVersion": "iter8.tools/v1alpha2",
        "kind": "Experiment",
        "metadata": {"name": f"shop-{number}", "namespace": f"team-{number % 20}"},
        "spec": {
            "service": {"name": "shop", "baseline": f"shop-{number}-v1", "candidates": [f"shop-{number}-v2"]},
            "criteria": criteria,
        },
    })  # fmt: skip
    return convert.read_request(experiment, built_in(), since)


def fill(exporter: Exporter, experiments: int, codes: int) -> None:
    """The gateway's counters, as Istio shows them."""
    with exporter.lock:
        for number in range(experiments):
            for version in ("v1", "v2"):
                for code in CODES[:codes]:
                    labels = istio(f"shop-{number}", f"team-{number % 20}", version, code)
                    for metric in METRICS:
                        exporter.set(GATEWAY, metric, 1000.0 + number, **labels)


def istio(service: str, namespace: str, version: str, code: str) -> dict[str, str]:
    source = "istio-ingressgateway"
    return {
        "reporter": "source",
        "source_workload": source,
        "source_workload_namespace": "istio-system",
        "source_principal": "spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account",
        "source_app": source,
        "source_version": "unknown",
        "source_cluster": "Kubernetes",
        "source_canonical_service": source,
        "source_canonical_revision": "latest",
        "destination_workload": f"{service}-{version}",
        "destination_workload_namespace": namespace,
        "destination_principal": f"spiffe://cluster.local/ns/{namespace}/sa/default",
        "destination_app": service,
        "destination_version": version,
        "destination_service": f"{service}.{namespace}.svc.cluster.local",
        "destination_service_name": service,
        "destination_service_namespace": namespace,
        "destination_cluster": "Kubernetes",
        "destination_canonical_service": service,
        "destination_canonical_revision": version,
        "request_protocol": "http",
        "response_code": code,
        "response_flags": "-",
        "connection_security_policy": "unknown",
    }


async def original(client: Client, requests: Sequence[ReadRequest]) -> None:
    """Each template of each experiment by itself, evaluated over the time since the start."""
    now = float(int(time.time()))
    for one in requests:
        names = sorted(next(iter(one.versions.values())))
        for counter in one.counters:
            text = counter.template.replace("$interval", "600s").replace("$version_labels", ", ".join(names))
            await client.query(text, now)


async def ours(url: str, requests: Sequence[ReadRequest], batch: int) -> int:
    """One reading of all, as `PrometheusMetrics` does it. Returns the series found."""
    metrics = PrometheusMetrics(url, clock=RealClock(), gather=0.0, batch=batch)
    try:
        answers = await metrics.read(requests)
    finally:
        await metrics.aclose()
    found = [answer for answer in answers if isinstance(answer, Snapshot)]
    assert len(found) == len(requests)
    return sum(len(snapshot.series) for snapshot in found)


async def measured(prometheus: Prometheus, requests: Sequence[ReadRequest], batch: int) -> tuple[float, float, float]:
    """Milliseconds an experiment: CPU of Prometheus, CPU of ours, time. The best of three: the machine is not ours."""
    found = []
    for _ in range(3):
        theirs, mine, began = cpu(prometheus.pid), time.process_time(), time.perf_counter()
        if batch:
            await ours(prometheus.url, requests, batch)
        else:
            client = Client(prometheus.url, auth=None, ca=None, clock=RealClock())
            await original(client, requests)
            await client.aclose()
        spent = cpu(prometheus.pid) - theirs, time.process_time() - mine, time.perf_counter() - began
        found.append([1000 * seconds / len(requests) for seconds in spent])
    return min(f[0] for f in found), min(f[1] for f in found), min(f[2] for f in found)


async def table(prometheus: Prometheus, requests: Sequence[ReadRequest]) -> None:
    single = 0.0
    print(f"{'':>28} {'Prometheus CPU':>15} {'our CPU':>9} {'time':>9}   ms an experiment")
    for batch in (0, 1, 10, 100, 500):
        name = f"batches of {batch}" if batch else "as before, 4 queries each"
        say(name)
        some = requests if batch >= 10 else requests[: 100 if batch else 3]  # there each costs the same
        theirs, mine, elapsed = await measured(prometheus, some, batch)
        single = theirs if batch == 1 else single
        ratio = f"  1/{single / theirs:.0f} of single" if batch > 1 and theirs else ""
        say("")
        print(f"{name:>28} {theirs:15.3f} {mine:9.3f} {elapsed:9.3f}{ratio}", flush=True)
    print(f"{'goal':>28} {GOAL:15.3f}")


async def scraped(prometheus: Prometheus, requests: Sequence[ReadRequest]) -> int:
    """Wait until all is shown."""
    last, end = -1, time.monotonic() + 3 * SCRAPES
    while time.monotonic() < end:
        found = await ours(prometheus.url, requests, 100)
        if found and found == last:
            return found
        last = found
        await asyncio.sleep(2.0)
    raise SystemExit("benchmarks: Prometheus has not scraped the counters in time; the machine is too busy")


async def everything(options: argparse.Namespace, folder: Path) -> None:
    requests = [request(number, time.time()) for number in range(options.experiments)]
    with running(folder, GATEWAY, scrapes=SCRAPES) as prometheus:
        fill(prometheus.exporter, options.experiments, options.codes)
        say("waiting for the first scrape")
        found = await scraped(prometheus, requests)
        stored = options.experiments * 2 * options.codes * len(METRICS)
        query = Batch.of(requests[:100], time.time(), 15.0).query
        print(
            f"{options.experiments} experiments, each with {stored / options.experiments:g} series of "
            f"{len(istio('', '', '', ''))} labels, {found / options.experiments:g} sums read; "
            f"a query for 100 has {len(query) / 1000:.1f} kB"
        )
        await table(prometheus, requests)


def main(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks prometheus")
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("--codes", type=int, default=2, choices=range(1, len(CODES) + 1))
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(everything(parser.parse_args(words), Path(folder)))
