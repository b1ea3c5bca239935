"""Plays a model: answers over HTTP as its arguments say. Standard library only, so that it is up at once.

    /ready           200 once `--start-delay` is over, 503 before
    /counts          what was asked so far, as JSON: `requests`, and `early` ones that came before it was ready
    /slow/SECONDS    answers after so long
    anything else    answers after `--latency`; a share of `--errors` with 500

It ends at once on SIGTERM, with whatever is under way, so that only its home can see to it that nothing is.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import time


class Model:
    """What it answers, and what it was asked."""

    def __init__(self, given: argparse.Namespace) -> None:
        self._given = given
        self._ready_at = time.monotonic() + given.start_delay
        self._chance = random.Random(7)
        self.counts = {"requests": 0, "early": 0}

    @property
    def ready(self) -> bool:
        return bool(time.monotonic() >= self._ready_at)

    def answer(self, path: str) -> tuple[int, str, float]:
        """Status, body, and after how many seconds."""
        if path == "/ready":
            return (200 if self.ready else 503), "", 0.0
        if path == "/counts":
            return 200, json.dumps(self.counts), 0.0
        self.counts["requests"] += 1
        self.counts["early"] += not self.ready
        if path.startswith("/slow/"):
            print("slow request", flush=True)
            return 200, "slow", float(path.rpartition("/")[2])
        return (500 if self._chance.random() < self._given.errors else 200), "fast", self._given.latency


class Conversation(asyncio.Protocol):
    """One connection; the next request comes after the answer."""

    def __init__(self, model: Model) -> None:
        self._model = model
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
            status, body, seconds = self._model.answer(head.split(b" ", 2)[1].decode())
            text = f"HTTP/1.1 {status} -\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()
            if seconds:
                asyncio.get_running_loop().call_later(seconds, self._write, text)
            else:
                self._write(text)

    def _write(self, text: bytes) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.write(text)


async def serve(given: argparse.Namespace) -> None:
    model = Model(given)
    server = await asyncio.get_running_loop().create_server(
        lambda: Conversation(model), os.environ["POD_IP"], given.port, backlog=512
    )
    print("serving", flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8501)
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--errors", type=float, default=0.0, metavar="SHARE")
    parser.add_argument("--start-delay", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--ignore-sigterm", action="store_true")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.SIG_IGN if given.ignore_sigterm else signal.SIG_DFL)
    asyncio.run(serve(given))


if __name__ == "__main__":
    main()
