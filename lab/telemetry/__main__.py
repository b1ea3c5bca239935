"""The exporter as a process of the lab, inside its namespace.

The log is a pipe, so that it needs no disk and no rotation; the lab holds it open, so that nothing is lost while this
process starts.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from pathlib import Path

from prometheus_client import CollectorRegistry, start_http_server

from lab.mesh import GATEWAY, NAMESPACE
from lab.node.cluster import Cluster
from lab.telemetry.counts import Counts
from lab.telemetry.requests import parse
from lab.telemetry.targets import Targets
from lab.telemetry.workloads import Workloads

_LINE = 1 << 20


async def _run(given: argparse.Namespace) -> None:
    counts, workloads = Counts(GATEWAY, NAMESPACE), Workloads(Cluster(given.kubeconfig), Targets(given.targets))
    registry = CollectorRegistry()
    registry.register(counts)
    start_http_server(given.port, given.address, registry)
    reader = asyncio.StreamReader(limit=_LINE)
    # Opened for writing too, so that it does not end when the gateway does.
    pipe = os.fdopen(os.open(given.log, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    async with asyncio.TaskGroup() as group:
        group.create_task(workloads.watch())
        while line := await reader.readline():
            if request := parse(line):
                counts.count(request, workloads.at(request.upstream))


def main() -> None:
    """Run until the lab ends it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--targets", type=Path, required=True)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
