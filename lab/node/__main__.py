"""The node as a process of the lab, inside its namespace."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from pathlib import Path

from lab.identities import NODE, NODE_NAME
from lab.node.agent import Agent
from lab.node.cluster import Cluster
from lab.node.ground import Ground
from lab.node.logs import LogServer
from serin.adapters.local.processes import leftovers
from serin.adapters.local.processes.images import Images
from serin.adapters.local.processes.probe import Prober


async def _run(given: argparse.Namespace) -> None:
    (folder := given.folder).mkdir(exist_ok=True)
    ground = Ground(
        name=given.name,
        address=NODE,
        cluster=Cluster(given.kubeconfig),
        images=Images(given.images),
        prober=Prober(),
        drain=given.drain,
        logs=folder / "logs",
        life=leftovers.begin_life(folder),
    )
    agent = Agent(ground)
    logs = LogServer(agent, ground.logs, given.key, given.certificate, NODE)
    working = asyncio.gather(agent.run(), logs.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, working.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await working


def main() -> None:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default=NODE_NAME)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--certificate", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--drain", type=float, default=1.0)
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
