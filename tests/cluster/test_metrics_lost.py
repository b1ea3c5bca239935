"""Prometheus stops, starts again, hangs and talks nonsense: nothing moves and nothing is decided, then it goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
from lab import Lab

from serin.ports import DEPLOYMENT, EXPERIMENT
from tests.cluster.release import controllers, install
from tests.cluster.scenes import Scene, experiment, names, side_by_side
from tests.cluster.watcher import Watcher

OUTAGE = 8.0
"""Seconds: four intervals."""


class Between:
    """Stands between a controller and Prometheus, and is honest until told otherwise.

    lie   body and status instead of Prometheus' own, by its own body
    """

    def __init__(self, prometheus: str) -> None:
        self._prometheus = prometheus
        self.lie: Callable[[str], tuple[str, int]] | None = None
        self.told = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """The URL for the controller."""
        self._client = httpx2.AsyncClient(base_url=self._prometheus, trust_env=False, timeout=30.0)
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            await self._client.aclose()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            method, path, _ = head.decode().split(" ", 2)
            length = int((head.lower().partition(b"content-length:")[2].split() or [b"0"])[0])
            body = await reader.readexactly(length)
            headers = {"content-type": "application/x-www-form-urlencoded"} if length else {}
            answer = await self._client.request(method, path, content=body, headers=headers)
            text, status = answer.text, answer.status_code
            if self.lie is not None:
                self.told += 1
                text, status = self.lie(text)
            data = text.encode()
            writer.write(
                f"HTTP/1.1 {status} -\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n"
                f"connection: close\r\n\r\n".encode()
                + data
            )
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, httpx2.HTTPError):
            pass  # the controller has gone, or Prometheus has: neither gets an answer
        finally:
            writer.close()


def _garbage(_: str) -> tuple[str, int]:
    return "<html>a proxy's page of errors</html>", 200


def _refusing(_: str) -> tuple[str, int]:
    return '{"status":"error","errorType":"internal","error":"the disk is full"}', 503


def _not_numbers(body: str) -> tuple[str, int]:
    """Every value is NaN: what a query over nothing gives."""
    found = json.loads(body)
    for row in (found.get("data") or {}).get("result") or ():
        row["value"][1] = "NaN"
    return json.dumps(found), 200


def _forgetful(body: str) -> tuple[str, int]:
    """Its data are lost: no rows."""
    found = json.loads(body)
    if found.get("data"):
        found["data"]["result"] = []
    return json.dumps(found), 200


async def test_without_counters_nothing_moves_and_nothing_is_decided(lab: Lab, tmp_path: Path) -> None:
    """One healthy candidate in its last step for many intervals, and another that goes while nobody answers."""
    install(lab)
    held, leaving = (Scene(lab, each) for each in names("counters", 2))
    between = Between(lab.prometheus)
    async with (
        between.serving() as url,
        held.opened("v2"),
        leaving.opened("v2"),
        held.users() as users,
        leaving.users(),
    ):
        with controllers(lab, tmp_path, 1, f"--prometheus={url}"), Watcher(lab).recording() as watcher:
            await side_by_side(_begin(held), _begin(leaving))
            for trouble in (_garbage, _refusing, _not_numbers, _forgetful):
                between.lie, between.told = trouble, 0
                await _nothing_moves(held, 2.5)
                assert between.told > 0, trouble
                between.lie = None
                await _goes_on(held)
            lab.stop_prometheus()
            try:
                await _nothing_moves(held, OUTAGE)
                assert (await held.message()).startswith("AnalyticsServiceError: Prometheus"), await held.message()
            finally:
                lab.start_prometheus()
            await _goes_on(held)
            lab.parts["prometheus"].freeze()
            try:
                await leaving.delete(DEPLOYMENT, "web-v2")
                await leaving.routes(v1=100)  # whoever can answer gets the traffic, whatever is known of them
                await held.until("it stands still", lambda: _stands_still(held))  # an iteration may be under way
                assert await _stands_still(held)
            finally:
                lab.parts["prometheus"].thaw()
            await _goes_on(held)
            await held.patch(EXPERIMENT, "rollout", {"spec": {"analysis": {"earlyStop": True}}})
            status = await held.ended()
    assert status["message"] == "ExperimentCompleted: Traffic To Winner", status
    assert status["assessment"]["winner"]["name"] == "web-v2"
    assert users.lost == []
    assert watcher.oddities(held.name, leaving.name) == []


async def _begin(scene: Scene) -> None:
    """A split that stays: nothing can be proven of so strict a limit before the patch that ends it."""
    analysis = {"mode": "independent", "earlyStop": False}
    await scene.apply(experiment(analysis=analysis, trafficControl={"maxIncrement": 20}))

    async def counts() -> bool:
        return int((await scene.status()).get("currentIteration", 0)) >= 2

    await scene.until("it has begun", counts)


async def _nothing_moves(scene: Scene, seconds: float) -> None:
    """Once the trouble is noticed: no weight, no iteration, no verdict for so long, but what is waited for is said."""

    async def waits() -> bool:
        message = await scene.message()
        return "AnalyticsServiceError" in message or "held" in message

    await scene.until("it says that it waits", waits)
    before = await scene.status(), await scene.weights()
    await asyncio.sleep(seconds)
    after = await scene.status(), await scene.weights()
    assert after[1] == before[1]
    for field in ("currentIteration", "reasons"):
        assert after[0].get(field) == before[0].get(field), field
    assert after[0]["phase"] != "Completed"
    assert after[0]["assessment"]["candidates"] == before[0]["assessment"]["candidates"]


async def _stands_still(scene: Scene) -> bool:
    """Whether nothing has moved for longer than an interval."""
    before = (await scene.status())["currentIteration"], await scene.weights()
    await asyncio.sleep(3.0)
    return before == ((await scene.status())["currentIteration"], await scene.weights())


async def _goes_on(scene: Scene) -> None:
    iteration = int((await scene.status())["currentIteration"])

    async def counts() -> bool:
        status = await scene.status()
        return int(status["currentIteration"]) > iteration and status["phase"] == "Progressing"

    await scene.until("iterations go on", counts)
