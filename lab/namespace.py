"""The network namespace of a lab, and the one address at which the machine reaches it.

Inside, all of 10.244.0.0/16 is local: every Pod binds an address of its own, and none of them exists outside. From
outside the lab is reached at 127.A.B.2, over a veth pair whose ends carry loopback addresses: the kernel routes them
over the pair while it exists (`route_localnet`), and to the machine itself afterwards. So a client that outlives its
lab gets a refused connection and never talks to somebody else's network, no address collides with a network that the
machine is in, and no other machine reaches the lab.

127.A.B.0/24 is claimed as the local homes claim theirs, so that labs and homes stay apart.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.errors import CannotHaveLab
from serin.adapters.local.processes.addresses import Subnet, claim_subnet

PODS = "10.244.0.0/16"
RUN = Path("/run/netns")
_CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}
_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Namespace:
    """A network namespace by its name, which `ip netns` knows too."""

    name: str
    subnet: Subnet

    @property
    def outside(self) -> str:
        """The machine's end of the way in."""
        return f"127.{self.subnet.a}.{self.subnet.b}.1"

    @property
    def address(self) -> str:
        """Where the lab is reached, from inside as from outside."""
        return f"127.{self.subnet.a}.{self.subnet.b}.2"

    def inside(self, words: Sequence[str | Path]) -> list[str]:
        """The command line that runs these words in here; it becomes them, under the same pid."""
        return [_program("nsenter"), f"--net={RUN / self.name}", *map(str, words)]


def missing() -> str | None:
    """What this machine lacks for a namespace, as a sentence; None when it lacks nothing."""
    if not Path("/proc/self/status").exists():
        return "the lab needs Linux: it lives in a network namespace"
    for program, package in (("ip", "iproute2"), ("nsenter", "util-linux")):
        if not shutil.which(program, path=_path()):
            return f"the lab needs the program '{program}'; install it (Debian: apt-get install {package})"
    lacking = [name for name, bit in _CAPABILITIES.items() if not _effective() >> bit & 1]
    if lacking:
        return (
            f"the lab makes a network namespace, which needs {' and '.join(lacking)}; run it as root ('sudo make lab')"
            " or in a container that was started with these capabilities"
        )
    return None


def create(name: str, subnet: Subnet | None = None) -> Namespace:
    """Make the namespace and the way into it. Raises CannotHaveLab."""
    if because := missing():
        raise CannotHaveLab(because)
    namespace = Namespace(name, subnet or claim_subnet(name))
    outer, inner = (f"{end}{namespace.subnet.a}.{namespace.subnet.b}" for end in ("lab", "gate"))
    try:
        _ip("netns", "add", name)
        _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", name, "route", "add", "local", PODS, "dev", "lo")
        _ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", name)
        _end((), outer, namespace.outside, namespace.address)
        _end((name,), inner, namespace.address, namespace.outside)
    except CannotHaveLab:
        destroy(namespace.name)
        namespace.subnet.close()
        raise
    return namespace


def destroy(name: str) -> int:
    """End every process in it, then the namespace, and with it its way in; how many processes there were."""
    if not (RUN / name).exists():
        return 0
    ended: set[int] = set()
    deadline = time.monotonic() + _PATIENCE
    while (found := set(pids(name))) and time.monotonic() < deadline:
        for pid in found - ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        ended |= found
        time.sleep(0.01)
    for link in _links(name):
        # The pair would go with the namespace, but only when the kernel gets around to it.
        with contextlib.suppress(CannotHaveLab):
            _ip("-n", name, "link", "delete", link)
    with contextlib.suppress(CannotHaveLab):
        _ip("netns", "delete", name)
    return len(ended)


def pids(name: str) -> list[int]:
    """The processes that are in the namespace."""
    with contextlib.suppress(CannotHaveLab):
        return [int(word) for word in _ip("netns", "pids", name).split()]
    return []


def named(prefix: str) -> list[str]:
    """The namespaces whose name begins so."""
    return sorted(path.name for path in RUN.glob(f"{prefix}*"))


def _end(where: tuple[str, ...], link: str, own: str, other: str) -> None:
    """One end of the pair: its address, and the route to the other end, more specific than loopback's."""
    ip = ("-n", *where) if where else ()
    inside = (_program("nsenter"), f"--net={RUN / where[0]}") if where else ()
    _run(*inside, "sh", "-c", f"echo 1 > /proc/sys/net/ipv4/conf/{link}/route_localnet")
    _ip(*ip, "addr", "add", f"{own}/32", "dev", link)
    _ip(*ip, "link", "set", link, "up")
    _ip(*ip, "route", "add", f"{other}/32", "dev", link, "src", own, "table", "local")


def _links(name: str) -> list[str]:
    with contextlib.suppress(CannotHaveLab):
        lines = _ip("-n", name, "-brief", "link", "show", "type", "veth").splitlines()
        return [line.split("@")[0].split()[0] for line in lines if line.strip()]
    return []


def _ip(*words: str) -> str:
    return _run(_program("ip"), *words)


def _run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotHaveLab(
            f"the lab's network namespace cannot be made: '{' '.join(words)}' says: {done.stderr.strip()}"
        )
    return done.stdout


def _program(name: str) -> str:
    return shutil.which(name, path=_path()) or name


def _path() -> str:
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def _effective() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0
