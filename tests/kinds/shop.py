"""Plays a shop: answers over HTTP as its arguments say, and counts. Standard library only, so that it is up at once.

/ready           200
/metrics         its counters in Prometheus' text format
anything else    a visit: answered after `--latency`, a share of `--errors` with 500, a share of `--sales` buys

Until it has had `--well` visits it answers at once and without errors: a version that breaks in the middle.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random

PAGE = """\
# HELP visits_total Visits.
# TYPE visits_total counter
visits_total {visits}
# TYPE books_purchased_total counter
books_purchased_total{{shelf="new"}} {books}
books_purchased_total{{shelf="old"}} 0
# TYPE baskets gauge
baskets {visits}
"""
TYPE = "content-type: text/plain; version=0.0.4\r\n"
"""Prometheus 3 reads no page that does not say what it is."""


class Shop:
    """What it answers, and what it has counted."""

    def __init__(self, given: argparse.Namespace) -> None:
        self._given = given
        self._chance = random.Random(7)
        self.visits = self.books = 0

    def answer(self, path: str) -> tuple[int, str, float]:
        """Status, body, and after how many seconds."""
        if path == "/ready":
            return 200, "", 0.0
        if path == "/metrics":
            return (200, PAGE.format(visits=self.visits, books=self.books), 0.0) if self._given.page else (404, "", 0.0)
        self.visits += 1
        self.books += self._chance.random() < self._given.sales
        if self.visits <= self._given.well:
            return 200, "welcome", 0.0
        return (500 if self._chance.random() < self._given.errors else 200), "welcome", self._given.latency


class Conversation(asyncio.Protocol):
    """One connection; the next request comes after the answer."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._pending = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._pending += data
        while b"\r\n\r\n" in self._pending:
            head, _, rest = self._pending.partition(b"\r\n\r\n")
            length = int((head.lower().partition(b"content-length:")[2].split() or [b"0"])[0])
            if len(rest) < length:
                return
            self._pending = rest[length:]
            status, body, seconds = self._shop.answer(head.split(b" ", 2)[1].decode())
            text = f"HTTP/1.1 {status} -\r\n{TYPE}content-length: {len(body)}\r\n\r\n{body}".encode()
            if seconds:
                asyncio.get_running_loop().call_later(seconds, self._write, text)
            else:
                self._write(text)

    def _write(self, text: bytes) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.write(text)


async def serve(given: argparse.Namespace) -> None:
    shop = Shop(given)
    server = await asyncio.get_running_loop().create_server(
        lambda: Conversation(shop), os.environ["POD_IP"], given.port, backlog=512
    )
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8501)
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--errors", type=float, default=0.0, metavar="SHARE")
    parser.add_argument("--sales", type=float, default=0.0, metavar="SHARE")
    parser.add_argument("--well", type=int, default=0, metavar="VISITS")
    parser.add_argument("--no-page", dest="page", action="store_false")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
