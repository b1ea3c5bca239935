"""One count of experiments from an empty cluster to its row of figures."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx2
from lab import Lab
from tests.adapters.prometheus.real import Prometheus

from benchmarks.cluster.controller import SCRAPES
from benchmarks.cluster.figures import Page, resident, scrape
from benchmarks.cluster.filling import fill, install
from benchmarks.cluster.manifests import HELD, INTERVAL, MOVING
from benchmarks.cluster.traffic import Traffic, flowing
from benchmarks.machine import cpu, free_port, quantile, say
from serin.adapters.kube.api import Api
from serin.adapters.kube.connection import access
from serin.adapters.kube.objects import KubeObjects
from serin.ports import EXPERIMENT

_POLL = 0.25
_SETTLING = 2.5 * INTERVAL
"""Seconds after the first start until all weights that are to be held are held."""
_BEGUN_WITHIN = 300.0
_QUERY = "/api/v1/query"


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured. CPU and Prometheus in milliseconds, memory in MB, lags and starts in seconds, sizes in bytes.

    iterations         in the time that was measured, of both kinds
    requests, traffic  kind of experiments -> `verb what` -> requests, and bytes both ways, an iteration
    watched            bytes an iteration of all watches
    queries            to Prometheus, an iteration
    prometheus         CPU of Prometheus for one reading of one experiment, without what its scrapes take
    first              from the start of the first controller until all were looked at, rules made and taken
    again              from the start of the second one, which finds them running
    """

    count: int
    seconds: float
    iterations: int
    cpu: float
    share: float
    memory: float
    requests: Mapping[str, Mapping[str, float]]
    traffic: Mapping[str, Mapping[str, float]]
    watched: float
    queries: float
    prometheus: float
    lag_half: float
    lag_most: float
    status_half: float
    status_most: float
    first: float
    again: float
    load: float
    failures: Mapping[str, float] = field(default_factory=dict)

    def plain(self) -> dict[str, object]:
        return asdict(self)


class Process:
    """The controller as a process of its own."""

    def __init__(self, kubeconfig: Path, prometheus: str, log: Path) -> None:
        self.port = free_port()
        words = [
            sys.executable, "-m", "benchmarks.cluster.controller", "--kubeconfig", str(kubeconfig),
            "--prometheus", prometheus, "--metrics-port", str(self.port),
        ]  # fmt: skip
        self.log = log
        self.began = time.time()
        with log.open("ab") as out:
            self._process = subprocess.Popen(words, stderr=out, cwd=Path(__file__).parents[2])

    @property
    def pid(self) -> int:
        return self._process.pid

    def page(self) -> Page:
        """What it shows. Raises httpx2.TransportError while it does not; ends the benchmark when it has died."""
        if self._process.poll() is not None:
            raise SystemExit(f"benchmarks: the controller has died; its log says {_end_of(self.log)}")
        return scrape(f"http://127.0.0.1:{self.port}/metrics")

    async def until_looked(self, count: int) -> float:
        """Seconds from its start until it had looked at `count` experiments."""
        looked = 0
        while time.time() < self.began + _BEGUN_WITHIN:
            with contextlib.suppress(httpx2.TransportError):
                page = await asyncio.to_thread(self.page)
                looked = int(page.total("bench_looked"))
                if looked >= count:
                    return page.total("bench_last_look") - self.began
            say(f"{looked} of {count} experiments were looked at")
            await asyncio.sleep(max(_POLL, count / 5000))
        passed = time.time() - self.began
        raise SystemExit(
            f"benchmarks: {looked} of {count} experiments looked at after {passed:.0f} s; the log says "
            f"{_end_of(self.log)}"
        )

    def end(self) -> None:
        """Ask it to end, and wait."""
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


async def measured(lab: Lab, count: int, seconds: float) -> Row:
    """Fill an empty lab and measure."""
    kubeconfig = install(lab)
    objects = KubeObjects(Api(access(str(lab.kubeconfig)).client()))
    traffic = Traffic(count)
    folder = lab.folder / "bench"
    folder.mkdir()
    prometheus = Prometheus(folder, traffic, SCRAPES).start()
    try:
        async with flowing(traffic, objects):
            await fill(objects, count)
            return await _row(objects, prometheus, kubeconfig, count, seconds, folder / "controller.log")
    finally:
        prometheus.stop()
        traffic.close()
        await objects.aclose()


async def _row(
    objects: KubeObjects, prometheus: Prometheus, kubeconfig: Path, count: int, seconds: float, log: Path
) -> Row:
    scraping = await _scraping(prometheus)
    async with _controller(kubeconfig, prometheus, log) as process:
        first = await process.until_looked(count)
        await _passing(_SETTLING, "the weights settle")
        before = _Moment.of(process, prometheus)
        await _passing(seconds, f"measuring {count} experiments")
        after = _Moment.of(process, prometheus)
        memory = resident(process.pid)
        sizes = await _sizes(objects)
    async with _controller(kubeconfig, prometheus, log) as process:
        again = await process.until_looked(count)
    found, took, used = after.page - before.page, after.at - before.at, after.cpu - before.cpu
    iterations = found.total("bench_lag_count")
    if not iterations:
        raise SystemExit(f"benchmarks: no iteration in {took:.0f} s; the log says {_end_of(log)}")
    return Row(
        count=count,
        seconds=took,
        iterations=int(iterations),
        cpu=1e3 * used / iterations,
        share=used / took,
        memory=memory,
        requests=_each(found, "bench_requests_total"),
        traffic=_each(found, "bench_bytes_total"),
        watched=found.total("bench_bytes_total", verb="watch") / iterations,
        queries=(after.queries - before.queries) / iterations,
        prometheus=1e3 * (after.asked - before.asked - scraping * took) / found.total("bench_readings_total"),
        lag_half=found.quantile("bench_lag", 0.5),
        lag_most=found.quantile("bench_lag", 0.99),
        status_half=quantile(sizes, 0.5),
        status_most=quantile(sizes, 1.0),
        first=first,
        again=again,
        load=os.getloadavg()[1],
        failures=_failures(found),
    )


@dataclass(frozen=True, slots=True)
class _Moment:
    """What had been used and counted by then: CPU of the controller and of Prometheus in seconds."""

    page: Page
    cpu: float
    asked: float
    queries: float
    at: float

    @classmethod
    def of(cls, process: Process, prometheus: Prometheus) -> _Moment:
        queries = scrape(f"{prometheus.url}/metrics").total("prometheus_http_requests_total", handler=_QUERY)
        return cls(process.page(), cpu(process.pid), cpu(prometheus.pid), queries, time.monotonic())


@contextlib.asynccontextmanager
async def _controller(kubeconfig: Path, prometheus: Prometheus, log: Path) -> AsyncIterator[Process]:
    process = Process(kubeconfig, prometheus.url, log)
    try:
        yield process
    finally:
        process.end()


async def _passing(seconds: float, why: str) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        say(f"{why}, {left:.0f} s")
        await asyncio.sleep(min(left, 1.0))
    say("")


async def _scraping(prometheus: Prometheus) -> float:
    """Seconds of CPU a second that scrapes alone take, after the first ones, which cost more."""
    await _passing(2 * SCRAPES, "the first scrapes")
    used, began = cpu(prometheus.pid), time.monotonic()
    await _passing(2 * SCRAPES, "what scrapes cost")
    return (cpu(prometheus.pid) - used) / (time.monotonic() - began)


async def _sizes(objects: KubeObjects) -> list[float]:
    """Bytes of each experiment's status as JSON, without blanks."""
    found = await objects.list(EXPERIMENT)
    return [len(json.dumps(obj.get("status"), separators=(",", ":")).encode()) for obj in found]


def _end_of(log: Path) -> str:
    return log.read_text()[-2000:]


def _each(found: Page, name: str) -> dict[str, dict[str, float]]:
    """Kind of experiments -> `verb what` -> how many an iteration of theirs, of what there are any."""
    table: dict[str, dict[str, float]] = {}
    for group in (HELD, MOVING):
        iterations = found.total("bench_iterations_total", group=group) or math.nan
        table[group] = {
            f"{verb} {what}": number / iterations
            for verb in ("get", "list", "create", "update", "patch", "delete")
            for what, number in sorted(found.by(name, "what", group=group, verb=verb).items())
            if number
        }
    return table


def _failures(found: Page) -> dict[str, float]:
    """Turns that failed by their error, and answers of the API server that were no success by their code."""
    turns = found.by("serin_turn_errors_total", "error")
    answers = found.by("serin_api_requests_total", "code")
    return {name: number for name, number in {**turns, **answers}.items() if number and not name.startswith("2")}
