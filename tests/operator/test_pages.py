"""What a probe and a scrape see of a controller."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

import httpx2
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from serin.adapters.kube.failures import Target
from serin.errors import Unreachable, UsageError
from serin.operator.figures import Facts, Figures
from serin.operator.pages import Page, health, metrics
from serin.ports import EXPERIMENT


async def get(app: object, path: str) -> httpx2.Response:
    transport = httpx2.ASGITransport(app=app)  # type: ignore[arg-type]
    async with httpx2.AsyncClient(transport=transport, base_url="http://controller") as client:
        return await client.get(path)


async def test_alive_while_the_loop_turns_and_ready_when_nothing_is_missing() -> None:
    troubles = {"VirtualService": "the cluster serves no VirtualService"}
    app = health(lambda: troubles)
    assert (await get(app, "/healthz")).status_code == 200
    answer = await get(app, "/readyz")
    assert (answer.status_code, answer.json()) == (503, {"ready": False, "troubles": troubles})
    troubles.clear()
    assert (await get(app, "/readyz")).status_code == 200


async def test_the_figures_are_those_that_were_told() -> None:
    figures = Figures()
    for code in (200, 200, 409):
        figures.request(Target("patch", EXPERIMENT, "shop", "roll"), code, 0.01)
    figures.request(Target("watch", EXPERIMENT, None), 200, 300.0)
    figures.iterated(0.3)
    figures.failed(Unreachable("away"))
    figures.failed(ZeroDivisionError())
    figures.show(Facts(lambda: {"Progressing": 3}, lambda: {"Pod": 7}, {"serin_leader": ("leads", lambda: 1.0)}))
    page = (await get(metrics(figures.registry), "/metrics")).text
    shown = {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }
    assert shown["serin_api_requests_total", ("200", "experiments", "patch")] == 2
    assert shown["serin_api_requests_total", ("409", "experiments", "patch")] == 1
    assert shown["serin_api_request_seconds_count", ("patch",)] == 3
    assert ("serin_api_request_seconds_count", ("watch",)) not in shown  # its length says nothing
    assert shown["serin_iterations_total", ()] == 1
    assert shown["serin_iteration_lag_seconds_sum", ()] == 0.3
    assert shown["serin_turn_errors_total", ("Unreachable",)] == 1
    assert shown["serin_turn_errors_total", ("unexpected",)] == 1
    assert shown["serin_experiments", ("Progressing",)] == 3
    assert shown["serin_objects", ("Pod",)] == 7
    assert shown["serin_leader", ()] == 1


async def test_a_page_on_a_port_and_a_port_that_is_taken() -> None:
    page = Page(metrics(CollectorRegistry()), "127.0.0.1", 0)
    with pytest.raises(UsageError, match=r"port \d+ of 127\.0\.0\.1 cannot be had"):
        Page(health(dict), "127.0.0.1", page.port)
    task = asyncio.create_task(page.run())
    async with httpx2.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"http://127.0.0.1:{page.port}/metrics")).status_code == 200
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", 0))
