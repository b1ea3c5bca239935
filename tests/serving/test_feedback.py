"""Feedback: what is counted, for whom, and what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest

from serin.serving.app import Model, application
from serin.serving.feedback import Outcome, outcome, predictor
from serin.serving.metrics import MOST_PREDICTORS, ServingMetrics
from serin.serving.protocol import ServingError

PAGE = "/monitoring/prometheus/metrics"


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    """A server without a model: only feedback can be told to it."""
    app = application(Model("m", {}, {"stable": 7}), largest_body=200, namespace="shop")
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://server") as client:
        yield client


GOOD = [
    ('{"predictions": [9, 2, 3], "labels": [9, 4, 3]}', Outcome(3, 2)),
    ('{"predictions": ["cat"], "labels": ["cat"]}', Outcome(1, 1)),
    ('{"predictions": [1.0, NaN], "labels": [1, NaN]}', Outcome(2, 1)),
    ('{"correct": [true, false, true]}', Outcome(3, 2)),
]


@pytest.mark.parametrize(("body", "found"), GOOD)
def test_predictions_are_compared_with_the_truth(body: str, found: Outcome) -> None:
    assert outcome(body.encode()) == found


BAD = [
    ("", "document is empty"),
    ("[1]", "Is not object"),
    ("{}", "must have 'predictions', a list that is not empty"),
    ('{"predictions": [1]}', "must have 'labels', a list that is not empty"),
    ('{"predictions": [1], "labels": [1, 2]}', "has 1 predictions and 2 labels"),
    ('{"predictions": [[0.1, 0.9]], "labels": [1]}', "must hold numbers, texts, true or false"),
    ('{"correct": []}', "must have 'correct', a list that is not empty"),
    ('{"correct": [1]}', "must hold true or false only"),
    ('{"correct": [true], "labels": [1]}', "send one of them"),
    ('{"instances": [1]}', "unknown key 'instances'"),
]


@pytest.mark.parametrize(("body", "sentence"), BAD)
def test_what_cannot_be_compared_is_refused_and_counts_nothing(body: str, sentence: str) -> None:
    with pytest.raises(ServingError, match=sentence.replace("[", r"\[")):
        outcome(body.encode())


@pytest.mark.parametrize("name", ["", "UPPER", "a b", 'a"} 1', "-a", "a" * 300])
def test_a_header_that_names_no_workload_is_refused(name: str) -> None:
    with pytest.raises(ServingError, match="name of a workload"):
        predictor(name)


async def test_feedback_is_counted_for_whoever_predicted(http: httpx2.AsyncClient) -> None:
    body = {"predictions": [9, 2], "labels": [9, 4]}
    for workload in ("m-v1", "m-v1", "m-v2"):
        answer = await http.post("/v1/models/m:feedback", json=body, headers={"x-serin-version": workload})
        assert (answer.status_code, answer.json()) == (200, {"counted": 2, "correct": 1})
    await http.post("/v1/models/m/versions/3:feedback", json={"correct": [True]})
    await http.post("/v1/models/m/labels/stable:feedback", json={"correct": [True]})
    page = (await http.get(PAGE)).text
    for labels, judged, correct in (
        ('destination_workload="m-v1",destination_workload_namespace="shop"', 4, 2),
        ('destination_workload="m-v2",destination_workload_namespace="shop"', 2, 1),
        ('model_version="3"', 1, 1),
        ('model_version="7"', 1, 1),
    ):
        assert f'serin_feedback_total{{model_name="m",{labels}}} {judged}\n' in page
        assert f'serin_feedback_correct_total{{model_name="m",{labels}}} {correct}\n' in page
    assert "request_count" not in page  # feedback is no request to the model


WRONG = [
    ("/v1/models/m:feedback", "{}", {}, 400),
    ("/v1/models/other:feedback", '{"correct": [true]}', {}, 404),
    ("/v1/models/m/labels/no:feedback", '{"correct": [true]}', {}, 400),
    ("/v1/models/m:feedback", '{"correct": [true]}', {"x-serin-version": "A B"}, 400),
    ("/v1/models/m:feedback", '{"correct": [' + "true," * 60 + "true]}", {}, 413),
    ("/v1/models/m:predict", '{"instances": [1]}', {}, 404),
]


@pytest.mark.parametrize(("path", "body", "headers", "status"), WRONG)
async def test_what_is_wrong_is_answered_and_not_counted(
    http: httpx2.AsyncClient, path: str, body: str, headers: dict[str, str], status: int
) -> None:
    answer = await http.post(path, content=body, headers=headers)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert "serin_feedback_total{" not in (await http.get(PAGE)).text


async def test_without_a_model_there_is_no_status_but_feedback_is_announced(http: httpx2.AsyncClient) -> None:
    assert (await http.get("/v1/models/m")).status_code == 404
    page = (await http.get(PAGE)).text
    assert page == "# TYPE serin_feedback_correct_total counter\n# TYPE serin_feedback_total counter\n"


@pytest.mark.parametrize(("workload", "header"), [("m-v2", "m-v2"), (None, None)])
async def test_a_server_that_knows_its_name_tells_it_with_each_answer(workload: str | None, header: str | None) -> None:
    app = application(Model("m", {}, {}), workload=workload)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://server") as client:
        answer = await client.post("/v1/models/m:predict", json={"instances": [1]})
    assert answer.headers.get("x-serin-version") == header


def test_who_sends_ever_new_names_does_not_fill_the_memory() -> None:
    metrics = ServingMetrics("m")
    for number in range(MOST_PREDICTORS):
        assert metrics.feedback(1, 1, workload=f"w{number}", namespace=None, version=None)
    assert not metrics.feedback(1, 1, workload="one-more", namespace=None, version=None)
    assert metrics.feedback(1, 1, workload="w0", namespace=None, version=None)
