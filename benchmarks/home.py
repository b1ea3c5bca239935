"""What a home costs by how many experiments it carries, all of them running at once on one home.

Every experiment has two versions, one criterion, a reading a second, an interval of 15 s, and 2 requests a second
through the real Envoy. Versions are Deployments with a process each, as long as the home has addresses for Pods (253);
of the experiments after the first hundred they are Services that share Pods.

CPU and memory are those of the home's own process; `each` is what the experiments add to an empty home, by one of
them. Lag is how much later than its interval an iteration came. `writes` counts every object that is stored, by the
iterations in that time; `asked` is how long `get` of one object takes over the control socket meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from benchmarks.machine import cpu, free_port, memory, quantile, say
from serin.home import lifecycle
from serin.home.client import HomeClient
from serin.home.paths import Paths
from serin.ports import EXPERIMENT

COUNTS, SECONDS = (10, 50, 100, 200), 24.0
MANY, LONG = (10, 50, 100, 200, 300, 400), 60.0
INTERVAL = 15.0
RATE = 2.0
OWN_PODS = 100
LATE = 1.0
"""Seconds of lag of one iteration in a hundred above which a home carries too much."""
STARTED_WITHIN = 120.0
SERVER = Path(__file__).with_name("tiny_server.py")
Object = dict[str, Any]


def manifest(api: str, kind: str, name: str, spec: Object) -> Object:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "default"}, "spec": spec}


def service(name: str, selector: Object) -> Object:
    return manifest("v1", "Service", name, {"selector": selector, "ports": [{"name": "http", "port": 8501}]})


def deployment(name: str, labels: Object) -> Object:
    container = {"name": "tiny", "image": "tiny:1", "ports": [{"containerPort": 8501}]}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return manifest("apps/v1", "Deployment", name, spec)


def experiment(name: str, kind: str) -> Object:
    limit = {"metric": "iter8_mean_latency", "threshold": {"type": "absolute", "value": 100}}
    versions = {"kind": kind, "name": name, "baseline": f"{name}-v1", "candidates": [f"{name}-v2"]}
    spec = {
        "service": versions,
        "criteria": [limit],
        "duration": {"interval": f"{INTERVAL:.0f}s", "maxIterations": 1000},
    }
    return manifest("iter8.tools/v1alpha2", "Experiment", name, spec)


def name_of(number: int) -> str:
    return f"bench-{number}"


def everything(numbers: range) -> Iterator[Object]:
    """The manifests of these experiments."""
    for number in numbers:
        name = name_of(number)
        own = number < OWN_PODS
        if number == OWN_PODS:
            yield from (deployment(f"shared-{version}", {"shared": version}) for version in ("v1", "v2"))
        yield service(name, {"app": name} if own else {"shared": "v1"})
        for version in ("v1", "v2"):
            labels = {"app": name, "version": version}
            yield deployment(f"{name}-{version}", labels) if own else service(f"{name}-{version}", {"shared": version})
        yield experiment(name, "Deployment" if own else "Service")


@dataclass(slots=True)
class Store:
    """Looks into the home's file from outside: nothing is asked of the home itself."""

    path: Path
    iterated: dict[str, float] = field(default_factory=dict)

    def writes(self) -> int:
        """Objects stored since the home was made."""
        with self._open() as database:
            return int(database.execute("SELECT version FROM counter").fetchone()[0])

    def lags(self) -> list[float]:
        """How late each iteration was that came since the last call, of experiments known by then."""
        select = "SELECT name, json_extract(body, '$.status.analysisState.iteratedAt') FROM objects WHERE kind = ?"
        with self._open() as database:
            kind = f"{EXPERIMENT.name}.{EXPERIMENT.group}"
            found = {name: at for name, at in database.execute(select, (kind,)) if at}
        before, self.iterated = self.iterated, found
        return [at - before[name] - INTERVAL for name, at in found.items() if name in before and at > before[name]]

    def started(self) -> int:
        """How many experiments have begun."""
        self.lags()
        return len(self.iterated)

    def megabytes(self) -> float:
        """The file, without what its log still holds."""
        return self.path.stat().st_size / 1e6

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=5.0)) as database:
            yield database


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured with so many experiments; seconds, megabytes, shares of a core."""

    count: int
    cpu: float
    envoy: float
    memory: float
    lags: Sequence[float]
    asked: Sequence[float]
    writes: int
    megabytes: float

    def print(self, empty: Row) -> None:
        n = max(self.count, 1)
        each = 1e3 * (self.cpu - empty.cpu) / n, 1e3 * (self.memory - empty.memory) / n
        lags = [f"{1e3 * quantile(self.lags, share):.0f} ms" if self.lags else "-" for share in (0.5, 0.99)]
        words = (
            str(self.count), f"{self.cpu:.1%}", f"{each[0]:.2f} ms/s" if self.count else "-", f"{self.envoy:.1%}",
            f"{self.memory:.0f} MB", f"{each[1]:.0f} kB" if self.count else "-", *lags,
            f"{self.writes / len(self.lags):.1f}" if self.lags else "-", f"{1e3 * quantile(self.asked, 0.99):.0f} ms",
            f"{self.megabytes:.1f} MB",
        )  # fmt: skip
        print(LINE.format(*words), flush=True)

    @property
    def late(self) -> bool:
        """Whether iterations come too late, or too few come at all."""
        return bool(self.count) and not quantile(self.lags, 0.99) <= LATE


LINE = "{:>11} {:>7} {:>10} {:>7} {:>7} {:>7} {:>8} {:>8} {:>7} {:>9} {:>9}"
HEADS = ("experiments", "CPU", "each", "Envoy", "PSS", "each", "lag p50", "p99", "writes", "asked p99", "file")


async def traffic(mesh: str, numbers: Sequence[int], found: asyncio.Event) -> None:
    """Requests to these experiments in turn, `RATE` a second to each, on one connection at a time."""
    host, _, port = mesh.removeprefix("http://").partition(":")
    heads = [f"GET / HTTP/1.1\r\nhost: {name_of(n)}.default.svc.cluster.local\r\n\r\n".encode() for n in numbers]
    writer: asyncio.StreamWriter | None = None
    due = time.monotonic()
    try:
        while True:
            for head in heads:
                due += 1.0 / RATE / len(heads)
                await asyncio.sleep(max(due - time.monotonic(), 0.0))
                try:
                    if writer is None:
                        reader, writer = await asyncio.open_connection(host, int(port))
                    writer.write(head)
                    answer = await reader.readuntil(b"\r\n\r\n")
                    length = next(line for line in answer.lower().splitlines() if line.startswith(b"content-length:"))
                    await reader.readexactly(int(length.partition(b":")[2]))
                    found.set()
                except (OSError, asyncio.IncompleteReadError, StopIteration):
                    if writer:
                        writer.close()
                    writer = None
    finally:
        if writer:
            writer.close()


async def ask(client: HomeClient, seconds: list[float]) -> None:
    """Get an object again and again, as a person or a script would."""
    while True:
        began = time.perf_counter()
        await client.list(EXPERIMENT, "nobody")
        seconds.append(time.perf_counter() - began)
        await asyncio.sleep(0.25)


@contextlib.asynccontextmanager
async def going_on(*tasks: asyncio.Task[None]) -> AsyncIterator[None]:
    """Tasks that run beside; one that fails is told of at the end."""
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for error in ended:
        if isinstance(error, Exception):
            raise error


async def measure(status: Object, client: HomeClient, store: Store, count: int, seconds: float) -> Row:
    """A while in which nothing but the experiments goes on."""
    pid, envoy = int(status["pid"]), int(status["gateway"]["pid"])
    asked: list[float] = []
    lags: list[float] = []
    async with going_on(asyncio.create_task(ask(client, asked))):
        store.lags()
        writes, began, used, proxy = store.writes(), time.monotonic(), cpu(pid), cpu(envoy)
        while (left := began + seconds - time.monotonic()) > 0:
            await asyncio.sleep(min(left, INTERVAL / 3))
            lags += store.lags()
        passed = time.monotonic() - began
        used, proxy, writes = cpu(pid) - used, cpu(envoy) - proxy, store.writes() - writes
    return Row(count, used / passed, proxy / passed, memory(pid), lags, asked, writes, store.megabytes())


async def grow(client: HomeClient, store: Store, numbers: range) -> None:
    """Apply these experiments and wait until all of them have begun."""
    wanted = list(everything(numbers))
    for first in range(0, len(wanted), 40):
        say(f"applying {first} of {len(wanted)} manifests")
        await client.apply(wanted[first : first + 40])
    deadline = time.monotonic() + STARTED_WITHIN
    while (begun := store.started()) < numbers.stop:
        say(f"{begun} of {numbers.stop} experiments have begun")
        if time.monotonic() > deadline:
            raise SystemExit(f"benchmarks: only {begun} of {numbers.stop} experiments began in {STARTED_WITHIN:.0f} s")
        await asyncio.sleep(0.5)
    say("")


async def run(status: Object, folder: Path, counts: Sequence[int], seconds: float) -> list[Row]:
    """One row for each count, the empty home's first."""
    client, store, rows = HomeClient(folder), Store(Paths(folder).objects), list[Row]()
    answered = asyncio.Event()
    streams: list[asyncio.Task[None]] = []
    print(LINE.format(*HEADS))
    try:
        present = 0
        for count in (0, *counts):
            if count > present:
                await grow(client, store, range(present, count))
                mesh = status["gateway"]["mesh"]
                each = 20  # experiments that one connection serves
                batches = [range(n, min(n + each, count)) for n in range(present, count, each)]
                streams += [asyncio.create_task(traffic(mesh, batch, answered)) for batch in batches]
                await asyncio.wait_for(answered.wait(), STARTED_WITHIN)
                await asyncio.sleep(INTERVAL / 3)
                present = count
            say(f"measuring {count} experiments for {seconds:.0f} s")
            rows.append(await measure(status, client, store, count, seconds if count else min(seconds, 5.0)))
            say("")
            rows[-1].print(rows[0])
            if rows[-1].late:
                break
    finally:
        for stream in streams:
            stream.cancel()
        await asyncio.gather(*streams, return_exceptions=True)
        await client.aclose()
    return rows


def conclude(rows: Sequence[Row]) -> None:
    """How many experiments a home carries, as far as it was tried and by the processor time of one."""
    empty, last = rows[0], rows[-1]
    carried = [row for row in rows if not row.late and row.count]
    if not carried:
        print(f"too many: one iteration in a hundred comes more than {LATE:.0f} s late")
        return
    most = carried[-1]
    each = (most.cpu - empty.cpu) / most.count
    possible = math.floor(0.9 * (1.0 - empty.cpu) / each)
    print(
        f"one home carried {most.count} experiments at {INTERVAL:.0f} s with {most.cpu:.0%} of a core; "
        f"at {1e3 * each:.2f} ms each a second, nine tenths of a core are about {possible}"
    )
    if last.late:
        print(f"it did not carry {last.count}: one iteration in a hundred came {quantile(last.lags, 0.99):.1f} s late")


@contextlib.contextmanager
def home(folder: Path) -> Iterator[Object]:
    """A home of its own, ended whatever happens."""
    images = folder / "images.yaml"
    entry = {"entrypoint": [sys.executable, "-I", "-S", str(SERVER)]}
    images.write_text(yaml.safe_dump({"images": {"tiny:*": entry}}))
    try:
        yield lifecycle.up(folder / "home", images=images, gateway_port=free_port())
    finally:
        say("ending the home")
        lifecycle.down(folder / "home")
        say("")


def main(words: Sequence[str] = ()) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks home", description=__doc__)
    parser.add_argument("--long", action="store_true", help="more experiments, and a minute for each count")
    parser.add_argument("--counts", type=json.loads, metavar="[N,…]", help="these counts of experiments")
    parser.add_argument("--seconds", type=float, help="how long each count is measured")
    given = parser.parse_args(words)
    counts = given.counts or (MANY if given.long else COUNTS)
    seconds = given.seconds or (LONG if given.long else SECONDS)
    with tempfile.TemporaryDirectory(prefix="serin-benchmark-") as folder, home(Path(folder)) as status:
        conclude(asyncio.run(run(status, Path(folder) / "home", counts, seconds)))


if __name__ == "__main__":
    main(sys.argv[1:])
