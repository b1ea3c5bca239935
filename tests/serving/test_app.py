"""The HTTP side over real SavedModels, in process."""

import asyncio
import base64
import json
import threading
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import httpx2
import numpy as np
import pytest

from serin.serving.app import Model, application
from serin.serving.faults import Faults
from serin.serving.protocol import Code, ServingError, Signature, State
from serin.serving.savedmodel import SavedModel
from serin.serving.servable import Answer, Local, Pace, Servable

pytestmark = pytest.mark.tensorflow


def client(
    versions: Mapping[int, Servable], labels: Mapping[str, int] | None = None, **settings: Any
) -> httpx2.AsyncClient:
    app = application(Model("m", versions, labels or {}), **settings)
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://server")


@pytest.fixture
async def http(half: SavedModel) -> AsyncIterator[httpx2.AsyncClient]:
    async with client({123: Local(half)}, {"stable": 123}) as connected:
        yield connected


DOCUMENTED = [
    (":predict", {"instances": [1.0, 2.0, 5.0]}, {"predictions": [2.5, 3.0, 4.5]}),
    (":predict", {"instances": [[1.0, 2.0], [3.0, 4.0]]}, {"predictions": [[2.5, 3.0], [3.5, 4.0]]}),
    ("/versions/123:predict", {"instances": [1.0, 2.0]}, {"predictions": [2.5, 3.0]}),
    ("/labels/stable:predict", {"instances": [1.0, 2.0]}, {"predictions": [2.5, 3.0]}),
    (":predict", {"signature_name": "serving_default", "instances": [3.0, 4.0]}, {"predictions": [3.5, 4.0]}),
    (":predict", {"signature_name": "serving_default", "inputs": [3.0, 4.0]}, {"outputs": [3.5, 4.0]}),
    (":predict", {"inputs": {"x": 3.0}}, {"outputs": 3.5}),
    (":predict", {"instances": [{"x": 3.0}]}, {"predictions": [3.5]}),
    (":regress", {"signature_name": "regress_x_to_y", "examples": [{"x": 80.0}]}, {"results": [42]}),
    (":regress", {"signature_name": "regress_x_to_y", "examples": [{"x": 1.0}, {"x": 2.0}]}, {"results": [2.5, 3.0]}),
    (":regress", {"signature_name": "regress_x_to_y", "context": {"x": 2.0}, "examples": [{}]}, {"results": [3.0]}),
    (":classify", {"signature_name": "classify_x_to_y", "examples": [{"x": 20.0}]}, {"results": [[["", 12]]]}),
]


@pytest.mark.parametrize(("path", "body", "expected"), DOCUMENTED)
async def test_requests_are_answered_as_by_tensorflow_serving(
    http: httpx2.AsyncClient, path: str, body: Any, expected: Any
) -> None:
    answer = await http.post(f"/v1/models/m{path}", json=body)
    assert (answer.status_code, answer.json()) == (200, expected)
    assert answer.headers["content-type"] == "application/json"


WRONG = [
    ("POST", "/v1/models/other:predict", '{"instances": [1]}', 404, "Servable not found for request: Latest(other)"),
    ("POST", "/v1/models/m/versions/9:predict", '{"instances": [1]}', 404, "request: Specific(m, 9)"),
    ("POST", "/v1/models/m/labels/no:predict", '{"instances": [1]}', 400, "Unrecognized servable version label: no"),
    ("POST", "/v1/models/m:predict", "", 400, "JSON Parse error: The document is empty"),
    ("POST", "/v1/models/m:predict", "instances = [1, 2]", 400, "JSON Parse error: Invalid value"),
    ("POST", "/v1/models/m:predict", '{"instances": ["x", "y"]}', 400, "not of expected type: float"),
    ("POST", "/v1/models/m:predict", '{"signature_name": "no", "instances": [1]}', 400,
     'Serving signature name: "no" not found in signature def'),
    ("POST", "/v1/models/m:predict", '{"signature_name": 1}', 400, "key must be a string value"),
    ("POST", "/v1/models/m:classify", '{"examples": [{"x": 1.0}]}', 400,
     "signature method_name to be tensorflow/serving/classify. Was: tensorflow/serving/predict"),
    ("POST", "/v1/models/m:regress", '{"signature_name": "no", "examples": [{}]}', 400,
     "No signature was found with the name: no"),
    ("POST", "/v1/models/m:regress", '{"signature_name": "regress_x_to_y", "examples": [{"y": 1.0}]}', 400,
     "Feature: x (data type: float) is required but could not be found."),
    ("GET", "/v1/models/other", "", 404, "Could not find any versions of model other"),
    ("GET", "/v1/models/m/versions/9", "", 404, "Could not find version 9 of model m"),
    ("GET", "/v1/models/m:predict", "", 400, "Malformed request: GET /v1/models/m:predict"),
    ("DELETE", "/v1/models/m", "", 400, "Malformed request: DELETE /v1/models/m"),
    ("GET", "/", "", 404, "there is nothing at /; models are under /v1/models"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body", "status", "sentence"), WRONG)
async def test_what_is_wrong_is_said_in_tensorflow_servings_words(
    http: httpx2.AsyncClient, method: str, path: str, body: str, status: int, sentence: str
) -> None:
    answer = await http.request(method, path, content=body)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert sentence in answer.json()["error"]


async def test_named_inputs_and_outputs_of_every_type(several: SavedModel) -> None:
    rows = '{"instances": [{"counts": [1, 2], "text": "a", "value": 0.0, "flag": true},' \
        ' {"counts": [3, 4], "text": {"b64": "/w=="}, "value": NaN, "flag": false}]}'  # fmt: skip
    async with client({1: Local(several)}) as http:
        answer = await http.post("/v1/models/m:predict", content=rows)
        assert answer.status_code == 200, answer.text
        assert '"inverse": Infinity' in answer.text
        assert '"inverse": NaN' in answer.text
        first, second = json.loads(answer.text)["predictions"]
        assert first == {
            "inverse": float("inf"), "not_flag": False, "raw_bytes": {"b64": "YQ=="}, "sums": 3, "text": "a!",
        }  # fmt: skip
        assert base64.b64decode(second["raw_bytes"]["b64"]) == b"\xff"
        columns = {"counts": [[1, 2]], "text": ["a"], "value": [0.5], "flag": [True]}
        answer = await http.post("/v1/models/m:predict", json={"inputs": columns})
        assert answer.json()["outputs"]["inverse"] == [2.0]
        answer = await http.post("/v1/models/m:predict", json={"signature_name": "length", "instances": ["abc", ""]})
        assert answer.json() == {"predictions": [3, 0]}


async def test_curl_needs_no_content_type(http: httpx2.AsyncClient) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = await http.post("/v1/models/m:predict", content=b'{"instances": [1.0]}', headers=headers)
    assert answer.json() == {"predictions": [2.5]}


async def test_any_batch_size_is_answered_and_gives_the_same(image: SavedModel) -> None:
    rng = np.random.default_rng(1)
    pictures = rng.random((7, 28, 28, 1), dtype=np.float32)
    async with client({1: Local(image)}) as http:

        async def scores(some: Any) -> Any:
            answer = await http.post("/v1/models/m:predict", json={"instances": some.tolist()})
            return np.array(answer.json()["predictions"])

        together = await scores(pictures)
        one_by_one = np.concatenate([await scores(pictures[index : index + 1]) for index in range(7)])
    np.testing.assert_allclose(together, one_by_one, rtol=1e-5)


async def test_a_request_of_the_wrong_shape_harms_nobody(image: SavedModel) -> None:
    async with client({1: Local(image)}) as http:
        for shape in [(1, 28, 28), (1,), (1, 28, 28, 2)]:
            answer = await http.post("/v1/models/m:predict", json={"instances": np.zeros(shape).tolist()})
            assert answer.status_code == 400
            assert "but the signature takes [-1,28,28,1]" in answer.json()["error"]


async def test_status_and_metadata_of_several_versions(half: SavedModel) -> None:
    async with client({1: Local(half), 2: Local(half)}, {"stable": 1}) as http:

        async def versions(path: str) -> list[str]:
            entries = (await http.get(path)).json()["model_version_status"]
            assert {entry["state"] for entry in entries} == {"AVAILABLE"}
            return [entry["version"] for entry in entries]

        assert await versions("/v1/models/m") == ["2", "1"]
        assert await versions("/v1/models/m/versions/1") == ["1"]
        assert await versions("/v1/models/m/labels/stable") == ["1"]
        latest = (await http.get("/v1/models/m/metadata")).json()
        assert latest["model_spec"] == {"name": "m", "signature_name": "", "version": "2"}
        signatures = latest["metadata"]["signature_def"]["signature_def"]
        assert signatures["regress_x_to_y"]["method_name"] == "tensorflow/serving/regress"
        assert signatures["serving_default"]["inputs"]["x"]["dtype"] == "DT_FLOAT"
        assert (await http.get("/v1/models/m/versions/1/metadata")).json()["model_spec"]["version"] == "1"


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(half: SavedModel) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 1000

    async with client({1: Local(half)}, largest_body=10_000) as http:
        announced = await http.post("/v1/models/m:predict", content=b" " * 10_001)
        streamed = await http.post("/v1/models/m:predict", content=endless())
        fits = await http.post("/v1/models/m:predict", content=b'{"instances": [1.0]}' + b" " * 9_000)
    for answer in (announced, streamed):
        assert answer.status_code == 413
        assert "10000 are allowed; see --max-body-size" in answer.json()["error"]
    assert fits.status_code == 200


async def test_metrics_count_what_was_answered(http: httpx2.AsyncClient) -> None:
    await http.post("/v1/models/m:predict", json={"instances": [1.0]})
    await http.post("/v1/models/m:predict", content="nonsense")
    await http.get("/v1/models/m")
    page = await http.get("/monitoring/prometheus/metrics")
    assert page.headers["content-type"].startswith("text/plain")
    assert ':tensorflow:serving:request_count{model_name="m",status="OK"} 1\n' in page.text
    assert ':tensorflow:serving:request_count{model_name="m",status="INVALID_ARGUMENT"} 1\n' in page.text
    assert ':tensorflow:serving:runtime_latency_count{model_name="m",API="Predict",runtime="TF1"} 1\n' in page.text


async def test_a_share_of_the_predictions_fails_on_purpose_and_nothing_else(half: SavedModel) -> None:
    async with client({1: Local(half)}, faults=Faults(errors=0.5)) as http:
        answers = [await http.post("/v1/models/m:predict", json={"instances": [1.0]}) for _ in range(60)]
        failed = [answer for answer in answers if answer.status_code == 500]
        assert 15 <= len(failed) <= 45
        assert failed[0].json() == {"error": "a rehearsed error, asked for by --fault errors"}
        assert {answer.status_code for answer in answers} == {200, 500}
        assert {(await http.get("/v1/models/m")).status_code for _ in range(20)} == {200}


@pytest.mark.looptime
async def test_rehearsed_latency_comes_before_the_answer_and_holds_up_nobody_else(half: SavedModel) -> None:
    loop = asyncio.get_running_loop()
    async with client({1: Local(half)}, faults=Faults(latency=2.0)) as http:
        began = loop.time()
        answers = await asyncio.gather(
            *(http.post("/v1/models/m:predict", json={"instances": [1.0]}) for _ in range(5))
        )
        assert loop.time() - began == pytest.approx(2.0, abs=0.2)
        assert {answer.status_code for answer in answers} == {200}
        began = loop.time()
        await http.get("/v1/models/m")
        assert loop.time() - began < 0.1


class Away:
    """A version whose process is being started again."""

    state = State.LOADING
    signatures: Mapping[str, Signature] = {}

    async def answer(self, action: str, body: bytes) -> Answer:
        raise ServingError(Code.UNAVAILABLE, "version 2 is being started again; repeat in a moment")

    async def tend(self) -> None:
        return


async def test_a_version_that_is_away_says_so_and_the_others_answer(half: SavedModel) -> None:
    async with client({1: Local(half), 2: Away()}) as http:
        answer = await http.post("/v1/models/m:predict", json={"instances": [1.0]})
        assert (answer.status_code, answer.json()["error"][:9]) == (503, "version 2")
        assert (await http.post("/v1/models/m/versions/1:predict", json={"instances": [1.0]})).status_code == 200
        states = (await http.get("/v1/models/m")).json()["model_version_status"]
        assert [entry["state"] for entry in states] == ["LOADING", "AVAILABLE"]


def test_a_model_that_became_slow_is_run_elsewhere_and_a_quick_one_comes_back() -> None:
    pace = Pace()
    assert pace.quick(b"{}")
    assert not pace.quick(b" " * 1_000_000)
    for _ in range(5):
        pace.took(0.05)
    assert not pace.quick(b"{}")
    for _ in range(60):
        pace.took(0.0001)
    assert pace.quick(b"{}")


class Blocked:
    """A model whose first answers took long and whose next one waits for the test."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.signatures: Mapping[str, Signature] = {}
        self.waits = False

    def answer(self, action: str, body: bytes) -> Answer:
        if self.waits:
            assert self.go.wait(30)
        return Answer(Code.OK, b"{}", runtime=1.0)


async def test_a_slow_model_holds_nobody_else_up() -> None:
    model = Blocked()
    async with client({1: Local(cast(SavedModel, model))}) as http:
        await http.post("/v1/models/m:predict", content=b"{}")  # took a second, it says
        model.waits = True
        waiting = asyncio.create_task(http.post("/v1/models/m:predict", content=b"{}"))
        await asyncio.sleep(0.05)
        assert (await http.get("/v1/models/m")).status_code == 200
        assert not waiting.done()
        model.go.set()
        assert (await waiting).status_code == 200
