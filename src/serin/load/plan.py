"""What is sent, and when. Pure: the same plan gives the same times and the same bodies."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import h11

from serin.errors import InvalidInput, UsageError

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Target:
    """The one address that requests go to. `path` with its query, as it is sent."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The Host header: without the port when it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == {"http": 80, "https": 443}[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


def parse_target(url: str) -> Target:
    """The target of a URL. Raises UsageError."""
    example = "write for example http://127.0.0.1:8080/v1/models/fashionmnist:predict"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"'{url}' is no address: {error}; {example}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"'{url}' is no address; {example}")
    if parts.username or parts.password or parts.fragment:
        raise UsageError(f"'{url}': a user, a password or a #fragment is not sent; leave it out")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isascii() or not path.isprintable() or " " in path:
        raise UsageError(f"'{url}': write blanks and special letters in the path as %20 and the like")
    return Target(parts.scheme, parts.hostname, port or {"http": 80, "https": 443}[parts.scheme], path)


@dataclass(frozen=True, slots=True)
class Feedback:
    """What is told of the answers: where, what, and how late.

    delay   seconds from the answer to its label; the mean of exponential ones with `random`
    labels  body of a request -> the true class of what it holds
    """

    target: Target
    delay: float
    labels: Mapping[bytes, int]
    random: bool = False


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """A stream of requests.

    rate          requests a second, sent whether answers come or not (an open loop); None: a closed loop
    poisson       open loop with exponential gaps instead of equal ones
    concurrency   how many requests a closed loop keeps under way
    duration      seconds of sending; count: how many requests; both None: until it is stopped
    bodies        one is chosen at random for each request; none: no body
    timeout       seconds from the (intended) sending of a request to the end of its answer
    most          requests under way at most in an open loop; later ones wait, and their waiting is in the latency
    feedback      the true labels of what was predicted, told later; None: nothing is told
    """

    target: Target
    rate: float | None = None
    poisson: bool = False
    concurrency: int = 1
    duration: float | None = None
    count: int | None = None
    method: str = "GET"
    headers: Headers = ()
    bodies: Sequence[bytes] = ()
    timeout: float = 30.0
    seed: int = 0
    most: int = 2000
    feedback: Feedback | None = None

    def due(self) -> Iterator[float]:
        """Seconds after the start at which the requests of an open loop are due, within duration and count."""
        assert self.rate is not None
        chance = random.Random(f"{self.seed}/times")
        number, at = 0, 0.0
        while (self.count is None or number < self.count) and (self.duration is None or at < self.duration):
            yield at
            number += 1
            at = at + chance.expovariate(self.rate) if self.poisson else number / self.rate

    def chosen(self) -> Iterator[bytes]:
        """The bodies, in the order of sending, without end."""
        if len(self.bodies) < 2:
            only = self.bodies[0] if self.bodies else b""
            while True:
                yield only
        chance = random.Random(f"{self.seed}/bodies")
        while True:
            yield chance.choice(self.bodies)

    def request(self, body: bytes) -> h11.Request:
        """The head of a request with this body. Raises InvalidInput for a method or a header that HTTP forbids."""
        given = {name.lower() for name, _ in self.headers}
        headers = [] if "host" in given else [("Host", self.target.authority)]
        headers += self.headers
        headers += [] if "user-agent" in given else [("User-Agent", "serin-load")]
        headers += [] if "accept" in given else [("Accept", "*/*")]
        if body:
            headers += [] if "content-type" in given else [("Content-Type", "application/json")]
        if body or self.method in ("POST", "PUT", "PATCH"):
            headers.append(("Content-Length", str(len(body))))
        try:
            return h11.Request(method=self.method, target=self.target.path, headers=headers)
        except (h11.LocalProtocolError, UnicodeEncodeError) as error:
            raise InvalidInput(f"such a request cannot be sent: {error}; correct its method or its headers") from None
