"""The words of the protocol, against TensorFlow Serving's documentation and its own tests."""

import json

import pytest

from serin.serving import protocol
from serin.serving.protocol import Code, ServingError, Signature, State, Target, TensorInfo

TARGETS = [
    ("POST", "/v1/models/m:predict", Target("m", "predict")),
    ("POST", "/v1/models/m/versions/3:predict", Target("m", "predict", version=3)),
    ("POST", "/v1/models/m/labels/canary:classify", Target("m", "classify", label="canary")),
    ("POST", "/v1/models/m:regress", Target("m", "regress")),
    ("POST", "/V1/Models/Mixed:PREDICT", Target("Mixed", "predict")),
    ("POST", "/v1/models/with%20blank/labels/a%2Fb:predict", Target("with blank", "predict", label="a/b")),
    ("GET", "/v1/models/m", Target("m", "status")),
    ("GET", "/v1/models/m/versions/123", Target("m", "status", version=123)),
    ("GET", "/v1/models/m/labels/stable", Target("m", "status", label="stable")),
    ("GET", "/v1/models/m/metadata", Target("m", "metadata")),
    ("GET", "/v1/models/m/versions/1/metadata", Target("m", "metadata", version=1)),
]


@pytest.mark.parametrize(("method", "path", "expected"), TARGETS)
def test_a_path_means_what_tensorflow_serving_takes_it_for(method: str, path: str, expected: Target) -> None:
    assert protocol.target(method, path) == expected


REFUSED = [
    ("GET", "/v1/foo", "Malformed request: GET /v1/foo"),
    ("POST", "/v1/foo", "Malformed request: POST /v1/foo"),
    ("GET", "/v1/models", "Missing model name in request."),
    ("GET", "/v1/models/debug/model_name", "Malformed request: GET /v1/models/debug/model_name"),
    ("POST", "/v1/models", "Malformed request: POST /v1/models"),
    ("GET", "/v1/models/foo:predict", "Malformed request: GET /v1/models/foo:predict"),
    ("POST", "/v1/models/foo/version/50:regress", "Malformed request: POST /v1/models/foo/version/50:regress"),
    ("POST", "/v1/models/foo/versions/HELLO:regress", "Malformed request: POST /v1/models/foo/versions/HELLO:regress"),
    ("POST", f"/v1/models/foo/versions/{2**64 - 1}:regress", f"Failed to convert version: {2**64 - 1} to numeric."),
    ("POST", "/v1/models/foo/metadata", "Malformed request: POST /v1/models/foo/metadata"),
    ("POST", "/v1/models/foo/label/x:regress", "Malformed request: POST /v1/models/foo/label/x:regress"),
    ("POST", "/v1/models/m/versions/5/labels/x:predict", "Malformed request: POST /v1/models/m/versions/5/labels/x:"),
    ("DELETE", "/v1/models/m", "Malformed request: DELETE /v1/models/m"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "sentence"), REFUSED)
def test_a_path_that_means_nothing_is_an_invalid_argument(method: str, path: str, sentence: str) -> None:
    with pytest.raises(ServingError) as caught:
        protocol.target(method, path)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert str(caught.value).startswith(sentence)


UNKNOWN = [
    (Target("half", "predict"), "Servable not found for request: Latest(half)"),
    (Target("half", "predict", version=99), "Servable not found for request: Specific(half, 99)"),
    (Target("half", "metadata"), "Servable not found for request: Latest(half)"),
    (Target("half", "status"), "Could not find any versions of model half"),
    (Target("half", "status", version=7), "Could not find version 7 of model half"),
]


@pytest.mark.parametrize(("wanted", "sentence"), UNKNOWN)
def test_a_model_that_is_not_there_is_not_found(wanted: Target, sentence: str) -> None:
    error = protocol.unknown_model(wanted)
    assert (error.code.http, str(error)) == (404, sentence)


def test_codes_have_the_numbers_of_grpc_and_the_statuses_of_tensorflow_serving() -> None:
    assert [(code.number, code.http) for code in Code] == list(
        enumerate([200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401])
    )
    assert all(Code.of(code.number) is code for code in Code)
    assert Code.of(99) is Code.UNKNOWN


def test_a_status_is_printed_as_in_the_documentation() -> None:
    expected = """{
 "model_version_status": [
  {
   "version": "123",
   "state": "AVAILABLE",
   "status": {
    "error_code": "OK",
    "error_message": ""
   }
  }
 ]
}
"""
    assert protocol.status_body([(123, State.AVAILABLE)]).decode() == expected


def test_an_error_is_json_whatever_it_says() -> None:
    body = protocol.error_body('a "quoted"\nline with ü')
    assert body.startswith(b'{\n    "error": "')
    assert json.loads(body) == {"error": 'a "quoted"\nline with ü'}


def test_metadata_describes_every_signature() -> None:
    inputs = {"images": TensorInfo("serving_default_images:0", "DT_FLOAT", (-1, 28))}
    outputs = {"scores": TensorInfo("StatefulPartitionedCall:0", "DT_FLOAT", None)}
    signature = Signature(inputs, outputs, "tensorflow/serving/predict")
    assert json.loads(protocol.metadata_body("m", 1, {"serving_default": signature})) == {
        "model_spec": {"name": "m", "signature_name": "", "version": "1"},
        "metadata": {
            "signature_def": {
                "signature_def": {
                    "serving_default": {
                        "inputs": {
                            "images": {
                                "dtype": "DT_FLOAT",
                                "tensor_shape": {
                                    "dim": [{"size": "-1", "name": ""}, {"size": "28", "name": ""}],
                                    "unknown_rank": False,
                                },
                                "name": "serving_default_images:0",
                            }
                        },
                        "outputs": {
                            "scores": {
                                "dtype": "DT_FLOAT",
                                "tensor_shape": {"dim": [], "unknown_rank": True},
                                "name": "StatefulPartitionedCall:0",
                            }
                        },
                        "method_name": "tensorflow/serving/predict",
                    }
                }
            }
        },
    }
