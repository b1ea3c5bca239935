"""What the controller costs with 100, 1,000 and 5,000 running experiments, beside what it is to cost.

A real API server with etcd (the lab's, without the mesh), a real Prometheus that scrapes Istio's counters of a gateway
every 15 s, and the controller as a process of its own under its own account. Its experiments have two criteria and an
interval of 30 s; four of five hold their weights, one moves them. Deployments are said to be ready by the benchmark:
there are no Pods, and the Deployment controller does not run. Needs root, as the lab does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence

from lab import CannotHaveLab, Lab

from benchmarks.cluster.report import printed
from benchmarks.cluster.running import Row, measured
from benchmarks.machine import describe, end_as_by_ctrl_c, say


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__)
    parser.add_argument("--experiments", metavar="N,…", default="100,1000,5000", help="how many run at once")
    parser.add_argument("--seconds", type=float, default=90.0, help="how long each count is measured")
    parser.add_argument("-o", dest="output", choices=("text", "json"), default="text")
    given = parser.parse_args(words)
    print(describe(), file=sys.stderr, flush=True)
    rows: list[Row] = []
    try:
        for count in (int(word) for word in given.experiments.split(",")):
            with Lab(f"bench-{count}", mesh=False, say=say) as lab:
                rows.append(asyncio.run(measured(lab, count, given.seconds)))
            if given.output == "text":
                print(printed(rows[-1]), flush=True)
    except CannotHaveLab as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nbenchmarks: stopped; everything is cleaned up", file=sys.stderr)
        return 130
    if given.output == "json":
        print(json.dumps([row.plain() for row in rows], indent=2))
    return 0


if __name__ == "__main__":
    end_as_by_ctrl_c()
    sys.exit(main())
