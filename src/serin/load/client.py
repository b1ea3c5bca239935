"""One request over HTTP/1.1, on connections that are kept and used again.

h11 speaks the protocol, asyncio's streams carry the bytes. httpx2 would be shorter, but costs 2.0 ms of processor time
a request, so that 500 a second fill a core; this costs 0.45 ms.
"""

from __future__ import annotations

import asyncio
import os
import ssl

import h11

from serin.errors import Unreachable
from serin.load.plan import LoadPlan
from serin.load.report import CONNECT, PROTOCOL, RESET, TIMEOUT, UNKNOWN, Answer

VERSION_HEADER = b"x-serin-version"
_STALE = 4.0  # servers close idle connections after 5 s or more; one that is being closed must not cost a request
_CHUNK = 65536


def _now() -> float:
    return asyncio.get_running_loop().time()


class _Lost(Exception):  # noqa: N818 - the word of the report
    """The connection ended before the answer did."""


class _Connection:
    """A connection with its protocol state."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._h11 = h11.Connection(h11.CLIENT)
        self._ended = False
        self._used = _now()

    async def ask(self, head: h11.Request, body: bytes, *, keep: bool = False) -> tuple[int, str, bytes]:
        """Status, version and (with `keep`) body of the answer, read to its end.

        Raises OSError, _Lost, h11.RemoteProtocolError.
        """
        parts = [self._h11.send(head), self._h11.send(h11.Data(data=body)) if body else b""]
        self._writer.write(b"".join(part or b"" for part in (*parts, self._h11.send(h11.EndOfMessage()))))
        await self._writer.drain()
        status, version, content = 0, UNKNOWN, bytearray()
        while True:
            event = self._next_event()
            if event is h11.NEED_DATA:
                data = await self._reader.read(_CHUNK)
                self._ended = not data
                self._h11.receive_data(data)
            elif isinstance(event, h11.Response):
                status = event.status_code
                version = next(
                    (value.decode("latin-1") for name, value in event.headers if name == VERSION_HEADER), UNKNOWN
                )
            elif keep and isinstance(event, h11.Data):
                content += event.data
            elif isinstance(event, h11.EndOfMessage):
                self._used = _now()
                return status, version, bytes(content)
            elif isinstance(event, h11.ConnectionClosed):
                raise _Lost

    def _next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        try:
            return self._h11.next_event()
        except h11.RemoteProtocolError:
            if self._ended:
                raise _Lost from None
            raise

    def renew(self) -> bool:
        """Prepare for another request; False when there can be none."""
        if self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
            return False
        self._h11.start_next_cycle()
        return True

    @property
    def fresh(self) -> bool:
        """Whether the server has surely not closed it."""
        return not self._reader.at_eof() and _now() - self._used < _STALE

    @property
    def peer(self) -> tuple[str, int]:
        """The address that it goes to."""
        host, port, *_ = self._writer.get_extra_info("peername")
        return host, port

    def close(self) -> None:
        """Close it, now."""
        self._writer.transport.abort()


class Client:
    """Sends the requests of one plan to its one address."""

    def __init__(self, plan: LoadPlan) -> None:
        self._plan = plan
        self._tls = ssl.create_default_context() if plan.target.scheme == "https" else None
        self._idle: list[_Connection] = []
        self._heads: dict[int, h11.Request] = {}
        self._address = (plan.target.host, plan.target.port)

    async def reach(self) -> None:
        """Open the first connection, and keep to its address. Raises Unreachable."""
        where = f"{self._plan.target.host} port {self._plan.target.port}"
        try:
            async with asyncio.timeout(min(self._plan.timeout, 10.0)):
                first = await self._open()
        except TimeoutError:
            raise Unreachable(f"{where} does not answer; is the gateway up?") from None
        except OSError as error:
            # asyncio puts its own words in place of the system's; a name that is not found has no errno of the system.
            number = error.errno or 0
            why = os.strerror(number) if number > 0 else error.strerror or str(error)
            raise Unreachable(f"{where} cannot be reached ({why}); is the gateway up?") from None
        self._address = first.peer
        self._idle.append(first)

    async def send(self, body: bytes, since: float) -> Answer:
        """Send a request and read its answer to the end. `since`: when it was due, by the loop's clock."""
        connection: _Connection | None = None
        status: int | None = None
        version, error, content = UNKNOWN, None, b""
        try:
            async with asyncio.timeout_at(since + self._plan.timeout):
                connection = self._take() or await self._open()
                asking = connection.ask(self._head(body), body, keep=self._plan.feedback is not None)
                status, version, content = await asking
        except TimeoutError:
            error = TIMEOUT
        except (_Lost, OSError):
            error = RESET if connection else CONNECT
        except h11.RemoteProtocolError:
            error = PROTOCOL
        finally:
            if connection and (status is None or not self._keep(connection)):
                connection.close()
        return Answer(_now() - since, status, version, error, content)

    def _head(self, body: bytes) -> h11.Request:
        """The head for a body of this length; it is the same for all of them."""
        if (head := self._heads.get(len(body))) is None:
            head = self._heads[len(body)] = self._plan.request(body)
        return head

    def close(self) -> None:
        """Close the connections that are open."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    async def _open(self) -> _Connection:
        name = self._plan.target.host if self._tls else None
        return _Connection(*await asyncio.open_connection(*self._address, ssl=self._tls, server_hostname=name))

    def _take(self) -> _Connection | None:
        """The connection that was used last, so that those that are not needed grow old and go."""
        while self._idle:
            connection = self._idle.pop()
            if connection.fresh:
                return connection
            connection.close()
        return None

    def _keep(self, connection: _Connection) -> bool:
        if kept := connection.renew():
            self._idle.append(connection)
        return kept
