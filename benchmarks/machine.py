"""What the machine says about processes, and how numbers are put into a table. Linux only, as the local home is."""

from __future__ import annotations

import os
import platform
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used; its children are not in it."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> float:
    """Megabytes that are resident of a process, what is shared shared out (PSS)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise ValueError("the kernel does not tell the memory of a process")


def family(pid: int) -> list[int]:
    """A process and all below it."""
    children = (int(word) for path in Path(f"/proc/{pid}/task").glob("*/children") for word in path.read_text().split())
    return [pid, *(found for child in children for found in family(child))]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of the values do not exceed; nan without any."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else float("nan")


def describe() -> str:
    """On what, and how busy it was before: numbers of a busy machine are no numbers."""
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, load {load:.2f} at the start"


def end_as_by_ctrl_c() -> None:
    """Make SIGTERM clean up, too."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def say(line: str) -> None:
    """Progress in a terminal, beside the table."""
    if sys.stderr.isatty():
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
