"""Loopback addresses: a home's own 127.A.B.0/24, one address a Pod, and who listens where.

A home claims its subnet by an abstract unix socket, which the kernel frees with the home. Nothing is configured on the
machine: all of 127.0.0.0/8 is loopback on Linux.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import zlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from serin.errors import Unreachable

_FIRST, _LAST = 2, 254
_SUBNETS = [(a, b) for a in range(64, 128) for b in range(256)]
_SOCKET = re.compile(r"socket:\[(\d+)\]")
_LISTEN, _ESTABLISHED = "0A", "01"


class AddressInUse(Unreachable):
    """A port is taken on every address, so that no Pod can listen on it."""


@dataclass(slots=True)
class Subnet:
    """127.A.B.0/24, ours until `close`. Addresses are allotted in turn, so that a freed one rests for a while."""

    a: int
    b: int
    claim: socket.socket
    _used: set[int] = field(default_factory=set)
    _next: int = _FIRST

    def __str__(self) -> str:
        return f"127.{self.a}.{self.b}.0/24"

    def allot(self, ports: Collection[int] = ()) -> str:
        """A free address on which all of `ports` can be bound. Raises AddressInUse."""
        refused: OSError | None = None
        tries = 0
        for _ in range(_LAST - _FIRST + 1):
            number = self._next
            self._next = _FIRST if number == _LAST else number + 1
            if number in self._used:
                continue
            address = f"127.{self.a}.{self.b}.{number}"
            refused = bindable(address, ports)
            if refused is None:
                self._used.add(number)
                return address
            tries += 1
            if tries == 3:  # not this address then, but one that listens on all of them
                break
        raise AddressInUse(_refusal(self, ports, refused))

    def free(self, address: str) -> None:
        """Give an address back; its process is gone."""
        self._used.discard(int(address.rpartition(".")[2]))

    def close(self) -> None:
        """Give up the subnet."""
        self.claim.close()


def claim_subnet(preferred: str = "") -> Subnet:
    """Claim a free subnet; the same `preferred` text (a home's folder) tries the same one first. Raises Unreachable."""
    start = zlib.crc32(preferred.encode()) % len(_SUBNETS)
    for a, b in _SUBNETS[start:] + _SUBNETS[:start]:
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            claim.bind(f"\0serin-127.{a}.{b}")
        except OSError as error:
            claim.close()
            if error.errno != errno.EADDRINUSE:
                raise Unreachable(
                    f"cannot claim loopback addresses for the home's processes: {error.strerror}"
                ) from None
        else:
            return Subnet(a, b, claim)
    raise Unreachable(f"all {len(_SUBNETS):,} loopback subnets are taken by other homes; end some with 'serin down'")


def bindable(address: str, ports: Iterable[int]) -> OSError | None:
    """Why one of the ports cannot be bound there; None when all can."""
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
                probe.listen(1)
            except OSError as error:
                return error
    return None


def _refusal(subnet: Subnet, ports: Collection[int], refused: OSError | None) -> str:
    wanted = ", ".join(map(str, ports))
    if refused is None:
        return f"all addresses of {subnet} are in use; a home runs at most {_LAST - _FIRST + 1} Pods"
    if refused.errno == errno.EACCES:
        return f"port {wanted} may not be bound by this user (permission denied); use a container port of 1024 or more"
    if refused.errno == errno.EADDRINUSE:
        return f"port {wanted} is in use by a program that listens on all addresses; end it or choose another port"
    return f"port {wanted} cannot be bound: {refused.strerror}"


@dataclass(frozen=True, slots=True)
class Connection:
    """One line of /proc/net/tcp: the local end, its state and the socket behind it."""

    address: str
    port: int
    state: str
    inode: str


def connections() -> list[Connection]:
    """Every TCP socket of this network namespace."""
    found = []
    for family in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/net/{family}").read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            address, _, port = words[1].partition(":")
            found.append(Connection(_address(address), int(port, 16), words[3], words[9]))
    return found


def _address(text: str) -> str:
    """An address of /proc/net: each 32-bit word in the machine's byte order (little-endian wherever this runs)."""
    raw = b"".join(bytes.fromhex(text[i : i + 8])[::-1] for i in range(0, len(text), 8))
    mapped = raw.removeprefix(bytes(10) + b"\xff\xff")
    return socket.inet_ntop(socket.AF_INET if len(mapped) == 4 else socket.AF_INET6, mapped)


def in_conversation(address: str) -> bool:
    """Whether somebody holds a connection to a server on this address."""
    return any(each.address == address and each.state == _ESTABLISHED for each in connections())


def listening_elsewhere(pids: Iterable[int]) -> list[str]:
    """`ADDRESS:PORT` of each listener of these processes that is reachable from outside this machine."""
    inodes = {inode for pid in pids for inode in _sockets(pid)}
    return sorted(
        f"{each.address}:{each.port}"
        for each in connections()
        if each.state == _LISTEN and each.inode in inodes and not _is_loopback(each.address)
    )


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"


def _sockets(pid: int) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):  # it has ended meanwhile
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):  # this file was closed meanwhile
                if match := _SOCKET.fullmatch(os.readlink(f"/proc/{pid}/fd/{name}")):
                    found.add(match[1])
    return found
