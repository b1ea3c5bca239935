"""The gateway: from a changed VirtualService to the wire, and what it adds to a request, side by side in one run.

The objects are in sqlite, the proxy is a real Envoy, the backends are small asyncio servers in this process. `ms` is at
the median, the 99th percentile and the slowest. 'a person's view' is the first request that goes the new way, asked
for again and again; 'acknowledged' is when the data plane says that every request does.
"""

from __future__ import annotations

import asyncio
import socket
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from serin.adapters.local.envoy.dataplane import LocalDataPlane
from serin.adapters.local.envoy.model import Settings
from serin.adapters.local.envoy.proxy import Proxy
from serin.adapters.local.envoy.translator import Translator
from serin.adapters.local.objects import SqliteObjects
from serin.adapters.scrape.envoy import EnvoyMetrics
from serin.ports import POD, VIRTUAL_SERVICE, CounterQuery, Object, ReadRequest

PORT = 8501
CHANGES = 100
REQUESTS = 2000
ISTIO = "networking.istio.io/v1beta1"
LABELS = ("destination_workload", "destination_workload_namespace")


class SystemClock:
    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def row(what: str, samples: Sequence[float]) -> None:
    """Seconds in, milliseconds out."""
    cuts = statistics.quantiles(samples, n=100)
    print(f"{what:<48} {cuts[49] * 1000:8.2f} {cuts[98] * 1000:8.2f} {max(samples) * 1000:8.2f}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
        writer.close()


class Connection:
    """One keep-alive connection; `get` gives the head of the answer."""

    def __init__(self, host: str, port: int) -> None:
        self._at = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self) -> bytes:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._at)
        reader, writer = self._streams
        writer.write(b"GET / HTTP/1.1\r\nhost: s0.com\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(2 if b"content-length: 2\r" in head else 0)
        return head

    def close(self) -> None:
        if self._streams:
            self._streams[1].close()


def service(name: str, addresses: Sequence[str], pods: int) -> list[Object]:
    """A service of two versions with its rules and `pods` pods of each, all of a version on one address."""
    meta = {"name": name, "namespace": "default"}
    subsets = [{"name": v, "labels": {"app": name, "version": v}} for v in ("v1", "v2")]
    spec = {"selector": {"app": name}, "ports": [{"port": PORT}]}
    found: list[Object] = [
        {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec},
        {"apiVersion": ISTIO, "kind": "DestinationRule", "metadata": meta, "spec": {"host": name, "subsets": subsets}},
        rule(name, 100),
    ]
    for version, address in zip(("v1", "v2"), addresses, strict=True):
        found += [pod(name, version, n, address) for n in range(pods)]
    return found


def pod(name: str, version: str, number: int, address: str) -> Object:
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"{name}-{version}", "uid": "1"}
    meta = {"name": f"{name}-{version}-{number}", "namespace": "default", "ownerReferences": [owner]}
    ready = {"type": "Ready", "status": "True"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**meta, "labels": {"app": name, "version": version}},
        "spec": {"containers": [{"name": "model", "image": "model"}]},
        "status": {"phase": "Running", "podIP": address, "conditions": [ready]},
    }


def rule(name: str, weight: int) -> Object:
    ways = [("v1", weight), ("v2", 100 - weight)]
    route = [{"destination": {"host": name, "subset": subset}, "weight": share} for subset, share in ways]
    spec = {"hosts": [f"{name}.com", name], "gateways": ["gw", "mesh"], "http": [{"route": route}]}
    return {
        "apiVersion": ISTIO,
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


GATEWAY: Object = {
    "apiVersion": ISTIO,
    "kind": "Gateway",
    "metadata": {"name": "gw", "namespace": "default"},
    "spec": {"servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}]},
}


async def until(ask: Callable[[], Awaitable[bool]]) -> None:
    while not await ask():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0)


async def changes(objects: SqliteObjects, plane: LocalDataPlane, client: Connection) -> tuple[list[float], list[float]]:
    """Seconds from the write until a request goes the new way, and until it is acknowledged."""
    wire, acknowledged = [], []

    async def one(turn: int, seen: Callable[[Object], Awaitable[bool]]) -> float:
        spec = rule("s0", 0 if turn % 2 else 100)["spec"]
        began = time.perf_counter()
        written = await objects.patch(VIRTUAL_SERVICE, "default", "s0", {"spec": spec})
        await until(lambda: seen(written))
        return time.perf_counter() - began

    for turn in range(1, CHANGES + 1):
        way = b"x-serin-version: s0-v2" if turn % 2 else b"x-serin-version: s0-v1"

        async def seen(_: Object, way: bytes = way) -> bool:
            return way in await client.get()

        wire.append(await one(turn, seen))
        await asyncio.sleep(0.005)
    for turn in range(1, CHANGES + 1):
        acknowledged.append(await one(turn, plane.applied))
    return wire, acknowledged


async def latency(direct: Connection, through: Connection) -> tuple[list[float], list[float]]:
    """Seconds of requests that go directly and through the gateway, in turn."""
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(REQUESTS):
        for connection, samples in zip((direct, through), found, strict=True):
            began = time.perf_counter()
            await connection.get()
            samples.append(time.perf_counter() - began)
    return found


async def run(services: int, pods: int) -> None:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        addresses = ["127.201.7.1", "127.201.7.2"]
        for address in addresses:
            await stack.enter_async_context(await asyncio.start_server(serve, address, PORT))
        objects = SqliteObjects(folder / "objects.sqlite", SystemClock())
        stack.callback(objects.close)
        proxy = Proxy(folder / "envoy", Settings(free_port(), mesh_port=free_port()))
        translator = Translator(objects, proxy)
        plane = LocalDataPlane(objects, translator, proxy)
        for obj in (GATEWAY, *(o for n in range(services) for o in service(f"s{n}", addresses, pods))):
            await objects.create(obj)
            if obj["kind"] == "Pod":
                await objects.patch(POD, "default", obj["metadata"]["name"], {"status": obj["status"]}, status=True)
        await proxy.start()
        stack.push_async_callback(proxy.stop, 0.2)
        began = time.perf_counter()
        task = asyncio.create_task(translator.run())
        stack.callback(task.cancel)
        first = await objects.get(VIRTUAL_SERVICE, "default", "s0")
        await until(lambda: plane.applied(first))
        took = time.perf_counter() - began
        print(f"-- {services} services, {services * pods * 2} pods; all of it applied in {took:.2f} s")
        through, direct = Connection("127.0.0.1", proxy.settings.gateway_port), Connection(addresses[0], PORT)
        stack.callback(through.close)
        stack.callback(direct.close)
        print(f"{'ms':<48} {'p50':>8} {'p99':>8} {'max':>8}")
        wire, acknowledged = await changes(objects, plane, through)
        row("changed VirtualService to the wire", wire)
        row("changed VirtualService to acknowledged", acknowledged)
        alone, added = await latency(direct, through)
        row("a request, directly to the backend", alone)
        row("a request, through the gateway", added)
        difference = statistics.median(added) - statistics.median(alone)
        print(f"{'added by the gateway at the median':<48} {difference * 1000:8.2f}")
        await scrapes(proxy)


async def scrapes(proxy: Proxy) -> None:
    """What one reading of the counters costs, with and without buckets."""
    workload = {LABELS[0]: "s0-v1", LABELS[1]: "default"}
    for what, metric in (
        ("counters", "istio_requests_total"),
        ("buckets", "istio_request_duration_milliseconds_bucket"),
    ):
        samples = []
        for _ in range(20):
            metrics = EnvoyMetrics(proxy.admin, lambda: proxy.instance)
            began = time.perf_counter()
            await metrics.read([ReadRequest((CounterQuery("n", "", metric),), {"baseline": workload}, 0.0)])
            samples.append(time.perf_counter() - began)
        row(f"reading {what} of all that had requests", samples)


def main(_words: Sequence[str] = ()) -> None:
    for services, pods in ((1, 1), (300, 2)):
        asyncio.run(run(services, pods))


if __name__ == "__main__":
    main()
