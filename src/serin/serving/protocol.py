"""The words of TensorFlow Serving's REST protocol: paths, status codes, signatures and the documents about a model.

Pure: bytes and text in, bytes and text out. The paths, sentences and document forms are those of TensorFlow Serving 2.x
(`http_rest_api_util.cc`, `get_model_status_impl.cc`, `server_core.cc`, `g3doc/api_rest.md`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import unquote

DEFAULT_SIGNATURE = "serving_default"
PREDICT, CLASSIFY, REGRESS = "predict", "classify", "regress"
FEEDBACK = "feedback"
"""Ours, not TensorFlow Serving's: whether predictions were right."""
METRICS_PATH = "/monitoring/prometheus/metrics"

_PREDICTION = re.compile(
    r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?:(classify|regress|predict|feedback)", re.IGNORECASE
)
_STATUS = re.compile(r"/v1/models(?:/([^/:]+))?(?:/versions/(\d+)|/labels/([^/:]+))?(?:/(metadata))?", re.IGNORECASE)
_LARGEST_VERSION = 2**63 - 1


class Code(StrEnum):
    """The canonical status codes that a model server answers with; `http` is TensorFlow Serving's mapping."""

    OK = "OK"
    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    ABORTED = "ABORTED"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    INTERNAL = "INTERNAL"
    UNAVAILABLE = "UNAVAILABLE"
    DATA_LOSS = "DATA_LOSS"
    UNAUTHENTICATED = "UNAUTHENTICATED"

    @property
    def http(self) -> int:
        """The HTTP status of this code."""
        return _HTTP[self]

    @property
    def number(self) -> int:
        """The code's number, the same in gRPC and in TensorFlow."""
        return _ORDER.index(self)

    @classmethod
    def of(cls, number: int) -> Code:
        """The code of a number; UNKNOWN for a number that nobody has defined."""
        return _ORDER[number] if 0 <= number < len(_ORDER) else cls.UNKNOWN


_ORDER = tuple(Code)
_HTTP = {
    Code.OK: 200,
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}


class ServingError(Exception):
    """A request that is answered with an error; `str(error)` is the sentence of the body."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


def invalid(message: str) -> ServingError:
    """The error of a request that says something wrong."""
    return ServingError(Code.INVALID_ARGUMENT, message)


class State(StrEnum):
    """What the server knows of a version."""

    START = "START"
    LOADING = "LOADING"
    AVAILABLE = "AVAILABLE"
    UNLOADING = "UNLOADING"
    END = "END"


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One input or output of a signature.

    name    the tensor in the graph, `serving_default_images:0`
    dtype   TensorFlow's word for the type in signatures, `DT_FLOAT`
    shape   sizes, -1 where any is good; None when not even the rank is known
    """

    name: str
    dtype: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Signature:
    """A way to call a model: named inputs, named outputs, and the method it is for."""

    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]
    method: str


@dataclass(frozen=True, slots=True)
class Target:
    """What a path addresses. `action` is `predict`, `classify`, `regress`, `feedback`, `metadata` or `status`."""

    model: str
    action: str
    version: int | None = None
    label: str | None = None


def target(http_method: str, path: str) -> Target:
    """Read a path, percent signs still in it. Raises ServingError as TensorFlow Serving answers."""
    if http_method == "POST" and (match := _PREDICTION.fullmatch(path)):
        model, version, label, action = match.groups()
    elif http_method == "GET" and (match := _STATUS.fullmatch(path)):
        model, version, label, action = match.groups()
        if not model:
            raise invalid("Missing model name in request.")
    else:
        raise invalid(f"Malformed request: {http_method} {path}")
    if version and int(version) > _LARGEST_VERSION:
        raise invalid(f"Failed to convert version: {version} to numeric.")
    return Target(
        model=unquote(model),
        action=(action or "status").lower(),
        version=int(version) if version else None,
        label=unquote(label) if label else None,
    )


def unknown_model(wanted: Target) -> ServingError:
    """The error of a model or version that is not served, in the words of the API that was asked."""
    if wanted.action == "status":
        if wanted.version is not None:
            text = f"Could not find version {wanted.version} of model {wanted.model}"
        else:
            text = f"Could not find any versions of model {wanted.model}"
        return ServingError(Code.NOT_FOUND, text)
    which = f"Latest({wanted.model})" if wanted.version is None else f"Specific({wanted.model}, {wanted.version})"
    return ServingError(Code.NOT_FOUND, f"Servable not found for request: {which}")


def unknown_label(label: str) -> ServingError:
    """The error of a label that no version has."""
    return invalid(f"Unrecognized servable version label: {label}")


def error_body(message: str) -> bytes:
    """The body of every error."""
    return f'{{\n    "error": {json.dumps(message, ensure_ascii=False)}\n}}'.encode("utf-8", "replace")


def status_body(states: Sequence[tuple[int, State]]) -> bytes:
    """The answer about versions and their states, newest first."""
    healthy = {"error_code": Code.OK.value, "error_message": ""}
    versions = [{"version": str(number), "state": state.value, "status": healthy} for number, state in states]
    return _document({"model_version_status": versions})


def metadata_body(model: str, version: int, signatures: Mapping[str, Signature]) -> bytes:
    """The answer about a version's signatures."""
    spec = {"name": model, "signature_name": "", "version": str(version)}
    described = {name: _signature(signature) for name, signature in sorted(signatures.items())}
    return _document({"model_spec": spec, "metadata": {"signature_def": {"signature_def": described}}})


def _signature(signature: Signature) -> dict[str, Any]:
    return {
        "inputs": {name: _tensor(info) for name, info in sorted(signature.inputs.items())},
        "outputs": {name: _tensor(info) for name, info in sorted(signature.outputs.items())},
        "method_name": signature.method,
    }


def _tensor(info: TensorInfo) -> dict[str, Any]:
    sizes = [{"size": str(size), "name": ""} for size in info.shape or ()]
    return {
        "dtype": info.dtype,
        "tensor_shape": {"dim": sizes, "unknown_rank": info.shape is None},
        "name": info.name,
    }


def _document(content: Mapping[str, Any]) -> bytes:
    """JSON as protobuf's printer indents it: one blank a level."""
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()
