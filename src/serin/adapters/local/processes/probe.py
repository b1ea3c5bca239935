"""Probes: one look at a process (`attempt`), and when looks add up to a verdict (`Tally`).

As a kubelet's, with one difference: a process that is not ready is looked at twice a second, if its period is longer,
so that a model that is loaded is used at once.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2

from serin.adapters.local.processes.commands import CannotRun
from serin.ports import Object

EAGER = 0.5
Execute = Callable[[Sequence[str]], Awaitable[str | None]]
"""Runs words as the container would; None when they exit with 0, else why not."""


@dataclass(frozen=True, slots=True)
class HttpGet:
    """Success is a status of 200 to 399. `host` None: the Pod's own address."""

    port: int
    path: str = "/"
    scheme: str = "http"
    headers: tuple[tuple[str, str], ...] = ()
    host: str | None = None

    def __str__(self) -> str:
        return f"GET {self.path} on port {self.port}"


@dataclass(frozen=True, slots=True)
class TcpSocket:
    """Success is a connection."""

    port: int
    host: str | None = None

    def __str__(self) -> str:
        return f"connection to port {self.port}"


@dataclass(frozen=True, slots=True)
class Exec:
    """Success is exit code 0."""

    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"command {self.words[0]}"


@dataclass(frozen=True, slots=True)
class Probe:
    """A check, its times in seconds, and how many results in a row make a verdict.

    once    the first success is for good
    """

    check: HttpGet | TcpSocket | Exec
    initial_delay: float = 0.0
    period: float = 10.0
    timeout: float = 1.0
    successes: int = 1
    failures: int = 3
    once: bool = False


@dataclass(slots=True)
class Tally:
    """Results in a row. `passing` changes when there are enough of them."""

    probe: Probe
    passing: bool = False
    _row: int = 0
    _last: bool | None = None

    def add(self, success: bool) -> None:
        """Count a result."""
        self._row = self._row + 1 if success == self._last else 1
        self._last = success
        if self._row >= (self.probe.successes if success else self.probe.failures):
            self.passing = success

    @property
    def pause(self) -> float:
        """Seconds until the next look."""
        return self.probe.period if self.passing else min(self.probe.period, EAGER)


def ports_of(container: Object) -> list[int]:
    """The TCP ports that the container declares."""
    ports = container.get("ports") or ()
    return [int(port["containerPort"]) for port in ports if port.get("protocol", "TCP") == "TCP"]


def readiness(container: Object) -> Probe | None:
    """The readiness probe; without one a container is ready when its first port accepts connections. None: no port."""
    given = parse(container, "readinessProbe")
    if given is None and (ports := ports_of(container)):
        return Probe(TcpSocket(ports[0]), period=EAGER, once=True)
    return given


def parse(container: Object, field: str) -> Probe | None:
    """The container's `readinessProbe`, `livenessProbe` or `startupProbe`. Raises CannotRun for what is unknown."""
    given = container.get(field)
    if not given:
        return None
    return Probe(
        _check(given, container, field),
        initial_delay=float(given.get("initialDelaySeconds") or 0),
        period=max(float(given.get("periodSeconds") or 10), 0.1),
        timeout=max(float(given.get("timeoutSeconds") or 1), 0.1),
        successes=max(int(given.get("successThreshold") or 1), 1),
        failures=max(int(given.get("failureThreshold") or 3), 1),
    )


def _check(given: Object, container: Object, field: str) -> HttpGet | TcpSocket | Exec:
    if http := given.get("httpGet"):
        path = http.get("path") or "/"
        return HttpGet(
            port=_port(http.get("port"), container, field),
            path=path if path.startswith("/") else f"/{path}",
            scheme=str(http.get("scheme") or "http").lower(),
            headers=tuple((each["name"], each["value"]) for each in http.get("httpHeaders") or ()),
            host=http.get("host"),
        )
    if tcp := given.get("tcpSocket"):
        return TcpSocket(_port(tcp.get("port"), container, field), tcp.get("host"))
    if words := (given.get("exec") or {}).get("command"):
        return Exec(tuple(words))
    raise CannotRun("UnsupportedPod", f"{field} has no check that is run here; use httpGet, tcpSocket or exec")


def _port(given: Any, container: Object, field: str) -> int:
    if isinstance(given, int):
        return given
    for port in container.get("ports") or ():
        if port.get("name") == given:
            return int(port["containerPort"])
    if isinstance(given, str) and given.isdigit():
        return int(given)
    raise CannotRun(
        "UnsupportedPod", f"{field} names port '{given}', but the container has no port of this name; add it"
    )


class Prober:
    """Makes the looks. One for all Pods of a home; each HTTP look has a connection of its own."""

    def __init__(self) -> None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # as a kubelet: probes do not verify certificates
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
        self._http = httpx2.AsyncClient(
            trust_env=False, verify=tls, limits=limits, headers={"user-agent": "serin-probe"}
        )

    async def attempt(self, probe: Probe, address: str, execute: Execute) -> str | None:
        """One look; None when it succeeds, else why not."""
        check = probe.check
        try:
            async with asyncio.timeout(probe.timeout):
                match check:
                    case HttpGet():
                        return await self._get(check, address)
                    case TcpSocket():
                        return await _connect(check, address)
                    case Exec():
                        return await execute(check.words)
        except TimeoutError:
            return f"{check}: no answer within {probe.timeout:g} s"
        raise AssertionError(check)

    async def _get(self, check: HttpGet, address: str) -> str | None:
        url = f"{check.scheme}://{check.host or address}:{check.port}{check.path}"
        try:
            async with self._http.stream("GET", url, headers=list(check.headers), timeout=None) as response:
                code = response.status_code
        except httpx2.ConnectError:
            return f"{check}: connection refused"
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            return f"{check}: {str(error) or type(error).__name__}"
        return None if 200 <= code < 400 else f"{check}: status {code}"

    async def close(self) -> None:
        """Close what is open."""
        await self._http.aclose()


async def _connect(check: TcpSocket, address: str) -> str | None:
    try:
        _, writer = await asyncio.open_connection(check.host or address, check.port)
    except OSError as error:
        return f"{check}: {'refused' if isinstance(error, ConnectionRefusedError) else error.strerror or error}"
    writer.close()
    return None
