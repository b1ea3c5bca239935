"""What a person waits for at the shell: `serin --help` and `serin get`, beside a bare interpreter.

Ratios are what to compare between machines; milliseconds are of this one. Each command runs so many times, in turn
with the others, and the median counts.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

TIMES = 15

BARE = [sys.executable, "-c", "pass"]
COMMANDS = {
    "python -c pass": BARE,
    "python -c 'import click'": [sys.executable, "-c", "import click"],
    "serin --help": [sys.executable, "-m", "serin", "--help"],
    "serin get --help": [sys.executable, "-m", "serin", "get", "--help"],
    "serin get pods": [sys.executable, "-m", "serin", "get", "pods"],
    "serin get pods -o yaml": [sys.executable, "-m", "serin", "get", "pods", "-o", "yaml"],
}


def main(_words: Sequence[str] = ()) -> None:
    with tempfile.TemporaryDirectory(prefix="serin-benchmark-") as folder:
        environment = {**os.environ, "SERIN_HOME": str(Path(folder) / "home")}
        serin(environment, "up", "--gateway-port", str(free_port()))
        try:
            report(measure(environment))
        finally:
            serin(environment, "down")


def measure(environment: dict[str, str]) -> dict[str, float]:
    """Median seconds of each command."""
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(TIMES + 1):
        for name, command in COMMANDS.items():
            began = time.perf_counter()
            subprocess.run(command, env=environment, capture_output=True, check=True)
            seconds[name].append(time.perf_counter() - began)
    # The first round compiles and fills the caches of the file system.
    return {name: statistics.median(found[1:]) for name, found in seconds.items()}


def report(medians: dict[str, float]) -> None:
    bare = medians[next(iter(COMMANDS))]
    print(f"{'':<26}{'median':>9}{'ratio':>8}")
    for name, seconds in medians.items():
        print(f"{name:<26}{1000 * seconds:>6.0f} ms{seconds / bare:>7.1f}x")


def serin(environment: dict[str, str], *words: str) -> None:
    command = [sys.executable, "-m", "serin", *words]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
