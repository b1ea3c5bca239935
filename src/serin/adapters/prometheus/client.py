"""One query to Prometheus over HTTP, about one moment or about many.

Asked again: when there is no connection or no answer, at 429, and when the server has an error (5xx). Not asked again:
what it has understood and refuses. Redirections are not followed, they would take the credentials elsewhere. Proxies
and credentials of the environment are not used: what is asked, and as whom, stands in one place.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import unquote

import httpx2
from pydantic_core import from_json

from serin.adapters.prometheus.auth import Auth, Authorization, Basic, authorize
from serin.adapters.prometheus.batch import Row
from serin.errors import InvalidInput, ProviderError
from serin.ports import Clock

_PATH = "/api/v1/query"
_RANGE = "/api/v1/query_range"
_AGAIN = frozenset({429, 500, 502, 503, 504})
_REFUSALS = frozenset({400, 413, 422})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how often, and how much.

    connect, answer   seconds for the connection, and for a whole answer
    attempts          of one query in all
    pause, most       seconds before the second attempt, doubled each time; the longest pause that is waited for here
    bytes             of one answer
    """

    connect: float = 3.0
    answer: float = 15.0
    attempts: int = 3
    pause: float = 0.5
    most: float = 10.0
    bytes: int = 64 * 1024 * 1024


class Refused(ProviderError):  # noqa: N818 - the names are the field's words
    """Prometheus has understood the query and will not answer it: another query may go well."""


class _AgainError(Exception):
    """This attempt failed; the next one may not. `after`: seconds that the server asks to be left alone."""

    def __init__(self, text: str, after: float = 0.0) -> None:
        super().__init__(text)
        self.after = after


@dataclass(frozen=True, slots=True)
class _Question(Generic[T]):
    """What is asked where, and how its answer is read: None when it is no answer to it."""

    path: str
    form: Mapping[str, str]
    read: Callable[[Mapping[str, Any]], T | None]


class Client:
    """Queries to one Prometheus, or to whatever speaks its API. Opens nothing before the first query.

    url      with the path under which the API is served, if it has one; credentials in it are used as basic ones
    jitter   a number in [0, 1), anew each time
    wire     what carries requests; without one the network
    """

    def __init__(
        self,
        url: str,
        *,
        auth: Auth | None,
        ca: Path | None,
        clock: Clock,
        limits: Limits | None = None,
        jitter: Callable[[], float] = random.random,
        wire: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """Raises InvalidInput: no such URL can be asked, or the file of certificates cannot be read."""
        self._url, found = _address(url)
        self._auth = auth or found
        self._clock = clock
        self._limits = limits or Limits()
        self._jitter = jitter
        self._wire = wire
        self._tls = _tls(self._url, ca)
        self._client: httpx2.AsyncClient | None = None
        self._quiet_until = 0.0

    @property
    def url(self) -> str:
        """Where the API is, without credentials."""
        return str(self._url).rstrip("/")

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def query(self, promql: str, time: float) -> list[Row]:
        """The rows of an instant query at `time`. Raises Refused, ProviderError, InvalidInput (credentials)."""
        return await self._asked(_Question(_PATH, {"query": promql, "time": f"{time:.3f}"}, _vector), self._limits)

    async def query_range(
        self, promql: str, start: float, end: float, step: float, limits: Limits
    ) -> dict[float, list[Row]]:
        """Evaluation time -> its rows, from `start` to `end` (epoch seconds) every `step` seconds; as `query`."""
        times = {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        return await self._asked(_Question(_RANGE, {"query": promql, **times}, _matrix), limits)

    async def _asked(self, question: _Question[T], limits: Limits) -> T:
        attempt = 1
        while True:
            self._stay_quiet()
            try:
                return await self._attempt(question, limits)
            except _AgainError as error:
                backoff = limits.pause * 2.0 ** (attempt - 1) * (0.5 + self._jitter())
                pause = max(error.after, min(backoff, limits.most))
                if error.after > 0:
                    self._quiet_until = self._clock.now() + error.after
                if attempt == limits.attempts or pause > limits.most:
                    raise ProviderError(f"{error}; the counters are read again later") from None
            await self._clock.sleep(pause)
            attempt += 1

    def _stay_quiet(self) -> None:
        """Whoever was asked to wait waits with all queries, not only with the one that was answered so."""
        if (left := self._quiet_until - self._clock.now()) > 0.05:  # sleeps end a little early
            raise ProviderError(
                f"Prometheus at {self.url} asks to be left alone for {left:.0f} s; it is read after that"
            )

    async def _attempt(self, question: _Question[T], limits: Limits) -> T:
        authorization = authorize(self._auth)
        headers = {"Authorization": authorization.header} if authorization.header else {}
        form = {**question.form, "timeout": f"{limits.answer * 1000:.0f}ms"}
        try:
            async with (
                asyncio.timeout(limits.answer),
                self._open().stream("POST", f"{self.url}{question.path}", data=form, headers=headers) as response,
            ):
                body = await self._body(response, limits)
        except (TimeoutError, httpx2.TimeoutException):
            raise _AgainError(f"Prometheus at {self.url} does not answer in time") from None
        except (httpx2.ConnectError, httpx2.ProxyError) as error:
            raise self._unconnected(error) from None
        except httpx2.HTTPError as error:
            raise _AgainError(f"Prometheus at {self.url} broke off its answer ({type(error).__name__})") from None
        return self._understood(question, response, body, authorization)

    async def _body(self, response: httpx2.Response, limits: Limits) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > limits.bytes:
                size = limits.bytes // 2**20
                raise Refused(f"Prometheus at {self.url} answers with more than {size} MiB; narrow the selectors")
        return bytes(body)

    def _unconnected(self, error: httpx2.TransportError) -> Exception:
        """A certificate that does not fit stays so; anything else may pass."""
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return ProviderError(
                    f"the certificate of Prometheus at {self.url} is not trusted ({cause.verify_message}); give the "
                    "authority that signed it"
                )
            cause = cause.__cause__ or cause.__context__
        return _AgainError(f"Prometheus at {self.url} cannot be reached ({str(error) or type(error).__name__})")

    def _understood(
        self, question: _Question[T], response: httpx2.Response, body: bytes, authorization: Authorization
    ) -> T:
        """What an answer says; what is wrong with it is told without what it may have echoed."""
        status, who = response.status_code, f"Prometheus at {self.url}"
        if status in (401, 403):
            raise ProviderError(f"{who} refuses the credentials ({status}); check user, password or token")
        document = _json(body)
        said = authorization.hide(_one_line(document.get("error"))) if document else ""
        if status in _REFUSALS:
            raise Refused(f"{who} refuses the query: {said or f'it answers {status}'}")
        if status in _AGAIN:
            raise _AgainError(f"{who} answers {status}{f' ({said})' if said else ''}", self._wanted_pause(response))
        if status != 200:
            raise ProviderError(f"{who} answers {status}; is this the address of its API?")
        found = question.read(document) if document else None
        if found is None:
            raise _AgainError(f"{who} answers with something that is no answer of Prometheus")
        return found

    def _wanted_pause(self, response: httpx2.Response) -> float:
        """Seconds of a Retry-After header, which is a number or a date; 0 without one that can be read."""
        given = response.headers.get("retry-after", "").strip()
        if given.isascii() and given.isdigit():
            return float(given[:9])
        try:
            return max(parsedate_to_datetime(given).timestamp() - self._clock.now(), 0.0)
        except (ValueError, TypeError, OverflowError):
            return 0.0

    def _open(self) -> httpx2.AsyncClient:
        if self._client is None:
            self._client = httpx2.AsyncClient(
                verify=self._tls if self._tls is not None else False,  # False: http, where there is nothing to verify
                timeout=httpx2.Timeout(self._limits.answer, connect=self._limits.connect),
                limits=httpx2.Limits(keepalive_expiry=60.0),
                # compressing costs Prometheus more than the bytes cost the network
                headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "serin"},
                transport=self._wire,
                trust_env=False,
                follow_redirects=False,
            )
        return self._client


def _address(url: str) -> tuple[httpx2.URL, Basic | None]:
    """The URL without what is no part of an address, and the credentials that stood in it."""
    try:
        found = httpx2.URL(url.strip())
    except httpx2.InvalidURL:
        found = httpx2.URL("")
    if found.scheme not in ("http", "https") or not found.host:
        raise InvalidInput("the address of Prometheus must be a URL such as http://prometheus.monitoring:9090")
    if found.query or found.fragment:
        raise InvalidInput("the address of Prometheus must be a URL without '?' and '#'")
    auth = Basic(unquote(found.username), unquote(found.password)) if found.username else None
    path = found.path.rstrip("/").removesuffix(_PATH).rstrip("/")
    return found.copy_with(username=None, password=None, path=path or "/"), auth


def _tls(url: httpx2.URL, ca: Path | None) -> ssl.SSLContext | None:
    """What certificates are verified by: the authorities in `ca`, else those of the system. None for http."""
    if url.scheme == "http":
        if ca is not None:
            raise InvalidInput(
                f"an authority is given for Prometheus at {url}, but http has no certificates; use https"
            )
        return None
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput(f"the authority for Prometheus cannot be read from {ca}: {error.strerror}") from None


def _json(body: bytes) -> Mapping[str, Any] | None:
    try:
        document = from_json(body)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _one_line(text: object) -> str:
    return " ".join(str(text).split())[:300] if text else ""


def _vector(document: Mapping[str, Any]) -> list[Row] | None:
    """The rows of a vector; None when it is none. A row without a single value (a native histogram) is not a number."""
    try:
        if document["status"] != "success" or document["data"]["resultType"] != "vector":
            return None
        found = document["data"]["result"]
        return [Row(row["metric"], float(row["value"][1]) if "value" in row else float("nan")) for row in found]
    except (KeyError, TypeError, ValueError, IndexError):
        return None


def _matrix(document: Mapping[str, Any]) -> dict[float, list[Row]] | None:
    """The rows of a matrix by their time, the oldest first; None when it is none. Native histograms are left out."""
    try:
        if document["status"] != "success" or document["data"]["resultType"] != "matrix":
            return None
        found: dict[float, list[Row]] = {}
        for track in document["data"]["result"]:
            for time, value in track.get("values", ()):
                found.setdefault(float(time), []).append(Row(track["metric"], float(value)))
        return dict(sorted(found.items()))
    except (KeyError, TypeError, ValueError, IndexError):
        return None
