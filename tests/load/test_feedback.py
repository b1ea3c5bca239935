"""The true labels of a stream's answers, told to a small real server."""

from __future__ import annotations

import asyncio
import json

import pytest

from serin.load.feedback import prediction
from serin.load.plan import Feedback, LoadPlan, parse_target
from serin.load.stream import Load, run, watched
from tests.load.servers import Seen, answer, serving, until

LABELS = {b'{"instances": [0]}': 0, b'{"instances": [1]}': 1}
RIGHT = b'{"predictions": [[0.9, 0.1]]}'


async def model(number: int, request: bytes) -> bytes:
    """Version v1 always says class 0, v2 does not answer as a model; feedback is taken."""
    if b":feedback" in request:
        return answer(version="")
    if number % 3 == 0:
        return answer(version="v2", body=b"what?")
    return answer(version="v1", body=RIGHT)


def plan(seen: Seen, delay: float = 0.01, **changes: object) -> LoadPlan:
    feedback = Feedback(parse_target(seen.url + "/v1/models/m:feedback"), delay, LABELS)
    return LoadPlan(
        parse_target(seen.url + "/v1/models/m:predict"),
        method="POST",
        bodies=list(LABELS),
        headers=(("Host", "m.com"),),
        feedback=feedback,
        **changes,  # type: ignore[arg-type]
    )


def told(seen: Seen) -> list[tuple[str, str, dict[str, list[int]]]]:
    """Host, version and body of each feedback that a server has got."""
    found = []
    for request in seen.requests:
        head, _, body = request.partition(b"\r\n\r\n")
        if b":feedback" in head:
            headers = dict(line.split(": ", 1) for line in head.decode().lower().split("\r\n")[1:])
            found.append((headers["host"], headers.get("x-serin-version", ""), json.loads(body)))
    return found


@pytest.mark.real
async def test_the_true_label_goes_back_with_the_version_that_predicted() -> None:
    async with serving(model) as seen:
        load = Load(plan(seen, rate=50))
        running = asyncio.create_task(watched(load, None))
        await until(lambda: (found := load.report().feedback) and found.sent >= 20 and found.failed >= 5)
        load.stop()
        report = (await running).feedback
    assert report is not None
    assert {(host, version) for host, version, _ in told(seen)} == {("m.com", "v1")}
    assert {(*body["predictions"], *body["labels"]) for *_, body in told(seen)} == {(0, 0), (0, 1)}
    right = sum(body["labels"] == [0] for *_, body in told(seen))
    assert report.sent <= report.judged["v1"] <= len(told(seen))
    assert report.correct["v1"] <= right
    assert report.to_json()["by_version"]["v1"]["judged"] == report.judged["v1"]
    assert list(report.judged) == ["v1"]  # v2 did not predict anything


@pytest.mark.real
async def test_labels_that_are_not_due_at_the_end_are_not_told() -> None:
    async with serving(model) as seen:
        report = (await run(plan(seen, delay=60.0, count=9))).feedback
    assert report is not None
    assert (report.sent, report.waiting, report.failed) == (0, 6, 3)
    assert told(seen) == []


@pytest.mark.real
async def test_nobody_who_takes_feedback_is_counted_and_spoils_no_request() -> None:
    async def deaf(number: int, request: bytes) -> bytes:
        return answer(404) if b":feedback" in request else answer(body=RIGHT)

    async with serving(deaf) as seen:
        load = Load(plan(seen, rate=100))
        running = asyncio.create_task(watched(load, None))
        await until(lambda: (found := load.report().feedback) and found.failed >= 5)
        load.stop()
        report = await running
    assert report.failed == 0
    assert report.feedback is not None
    assert (report.feedback.sent, dict(report.feedback.judged)) == (0, {})


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"predictions": [[0.1, 0.7, 0.2]]}', 1),
        (b'{"predictions": [[3, "NaN"]]}', 0),
        (b'{"predictions": [[1], [2]]}', None),
        (b'{"predictions": [[]]}', None),
        (b'{"predictions": 3}', None),
        (b'{"error": "no"}', None),
        (b"ok", None),
    ],
)
def test_a_prediction_is_the_class_with_the_highest_score(body: bytes, found: int | None) -> None:
    assert prediction(body) == found
