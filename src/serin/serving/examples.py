"""The `examples` of classify and regress: JSON objects of features, as TensorFlow Serving reads them. Pure.

A feature is a list of one kind: whole numbers (and booleans) are int64, decimals are float, text and base64 are bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from serin.serving.documents import malformed
from serin.serving.protocol import invalid
from serin.serving.tensors import decoded, is_base64, scalar

BYTES, FLOAT, INT64 = "bytes", "float", "int64"


@dataclass(slots=True)
class Feature:
    """A list of values of one kind; `kind` is None while it is empty."""

    kind: str | None = None
    values: list[Any] = field(default_factory=list)


Features = dict[str, Feature]


def examples(content: Mapping[str, Any]) -> tuple[Features, list[Features]]:
    """The common context (empty when there is none) and the examples of a request. Raises ServingError."""
    context = _features(content["context"]) if "context" in content else {}
    if "examples" not in content:
        raise malformed(content, "When method is classify, key 'examples' is expected and was not found")
    listed = content["examples"]
    if not isinstance(listed, list):
        raise malformed(content, "Expecting 'examples' value to be an list/array")
    if not listed:
        raise malformed(content, "'examples' value is an empty array")
    return context, [_features(example) for example in listed]


def _features(example: Any) -> Features:
    if not isinstance(example, dict):
        raise invalid(f"Example must be JSON object but got JSON {_json_type(example)}")
    return {name: _feature(name, content) for name, content in example.items()}


def _feature(name: str, content: Any) -> Feature:
    feature = Feature()
    for value in content if isinstance(content, list) else [content]:
        kind, ours = _value(name, value)
        if feature.kind not in (None, kind):
            raise invalid(f"Unexpected element type in feature: {name} expecting type: {feature.kind}")
        feature.kind = kind
        feature.values.append(ours)
    return feature


def _value(name: str, value: Any) -> tuple[str, Any]:
    if isinstance(value, bool):
        return INT64, int(value)
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise invalid(f"Feature: {name} has uint64 element. Only int64 is supported.")
        return INT64, value
    if isinstance(value, float):
        return FLOAT, scalar(value, "DT_FLOAT")
    if isinstance(value, str):
        return BYTES, scalar(value, "DT_STRING")
    if is_base64(value):
        return BYTES, decoded(value)
    raise invalid(f"Feature: {name} has element with unexpected JSON type: {_json_type(value)}")


def _json_type(value: Any) -> str:
    names = {dict: "Object", list: "Array", str: "String", bool: str(value), type(None): "Null"}
    return names.get(type(value), "Number")
