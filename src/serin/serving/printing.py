"""Arrays into JSON text, in the form in which TensorFlow Serving prints them (`json_tensor.cc`, rapidjson).

Rows are one line each; columns are indented value by value. A number has the shortest of six significant digits or as
many as its type needs to come back the same, and `.0` when it is whole; NaN, Infinity and -Infinity stand as they are.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from serin.serving.protocol import Code, ServingError, invalid
from serin.serving.tensors import Array, Format

_INDENT = "    "


def predict_body(outputs: Mapping[str, Array], answer_in: Format) -> bytes:
    """The answer to a predict request; a single output is not named. Raises ServingError."""
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON")
    named = dict(sorted(outputs.items()))
    text = _rows(named) if answer_in is Format.ROW else _columns(named)
    return text.encode("utf-8", "replace")


def classify_body(results: Sequence[Sequence[tuple[str, float]]]) -> bytes:
    """Label and score pairs of each example, scores as float32."""
    if not results:
        raise invalid("Cannot convert empty ClassificationResults to JSON")
    lines = [
        f"[{', '.join(f'[{_quoted(label)}, {decimal(score)}]' for label, score in classes)}]" for classes in results
    ]
    return f'{{\n    "results": [{", ".join(lines)}\n    ]\n}}'.encode("utf-8", "replace")


def regress_body(values: Sequence[float]) -> bytes:
    """One value for each example, as float32."""
    if not values:
        raise invalid("Cannot convert empty RegressionResults to JSON")
    return f'{{\n    "results": [{", ".join(decimal(value) for value in values)}]\n}}'.encode()


def decimal(value: float) -> str:
    """One float32 as text."""
    return _decimals(np.array([value], dtype=np.float32), 9)[0]


def _rows(outputs: Mapping[str, Array]) -> str:
    batch = -1
    for name, array in outputs.items():
        if array.ndim == 0:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if batch not in (-1, array.shape[0]):
            raise invalid(f"Tensor name: {name} has inconsistent batch size: {array.shape[0]} expecting: {batch}")
        batch = array.shape[0]
    columns = {name: _lines(_tokens(name, array), array.shape) for name, array in outputs.items()}
    if len(columns) == 1:
        content = ", ".join(next(iter(columns.values())))
    else:
        content = ",".join(
            _row_object(dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)
        )
    end = "\n    ]" if batch else "]"
    return f'{{\n    "predictions": [{content}{end}\n}}'


def _row_object(row: Mapping[str, str]) -> str:
    members = ",".join(f"\n{_INDENT * 3}{_quoted(name)}: {line}" for name, line in row.items())
    return f"\n{_INDENT * 2}{{{members}\n{_INDENT * 2}}}"


def _columns(outputs: Mapping[str, Array]) -> str:
    if len(outputs) == 1:
        name, array = next(iter(outputs.items()))
        content = _indented(iter(_tokens(name, array)), array.shape, 1)
    else:
        members = ",".join(
            f"\n{_INDENT * 2}{_quoted(name)}: {_indented(iter(_tokens(name, array)), array.shape, 2)}"
            for name, array in outputs.items()
        )
        content = f"{{{members}\n{_INDENT}}}"
    return f'{{\n    "outputs": {content}\n}}'


def _lines(tokens: list[str], shape: tuple[int, ...]) -> list[str]:
    """One line of text for each element of the first dimension."""
    for depth in range(len(shape) - 1, 0, -1):
        size, groups = shape[depth], math.prod(shape[:depth])
        tokens = [f"[{', '.join(tokens[at * size : (at + 1) * size])}]" for at in range(groups)]
    return tokens


def _indented(tokens: Iterator[str], shape: tuple[int, ...], depth: int) -> str:
    if not shape:
        return next(tokens)
    if not shape[0]:
        return "[]"
    lead = "\n" + _INDENT * (depth + 1)
    items = ",".join(lead + _indented(tokens, shape[1:], depth + 1) for _ in range(shape[0]))
    return f"[{items}\n{_INDENT * depth}]"


def _tokens(name: str, array: Array) -> list[str]:
    """The values as JSON, flat, in the array's order. Raises ServingError for a type that JSON cannot carry."""
    flat = array.reshape(-1)
    if array.dtype == np.float64:
        return _decimals(flat, 17)
    if array.dtype in (np.float32, np.float16) or array.dtype.name == "bfloat16":
        return _decimals(flat.astype(np.float32), 9)
    if array.dtype == np.bool_:
        return ["true" if value else "false" for value in flat]
    if array.dtype.kind in "iu":
        return list(map(str, flat.tolist()))
    if array.dtype == np.object_:
        return [_binary(value) if name.endswith("_bytes") else _quoted(value) for value in flat]
    raise ServingError(Code.INVALID_ARGUMENT, f"Failed to write JSON value for tensor type: {array.dtype}")


def _decimals(values: Array, digits: int) -> list[str]:
    plain = values.tolist()
    short = [f"{value:g}" for value in plain]
    with np.errstate(over="ignore"):
        back = np.array(short, dtype=np.float64).astype(values.dtype)
    same = (back == values) | ~np.isfinite(values)
    if not same.all():
        good = zip(short, same.tolist(), plain, strict=True)
        short = [text if exact else f"{value:.{digits}g}" for text, exact, value in good]
    return [text if "." in text or "e" in text else _SPECIAL.get(text) or text + ".0" for text in short]


_SPECIAL = {"nan": "NaN", "-nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def _binary(value: Any) -> str:
    data = value if isinstance(value, bytes) else str(value).encode()
    return f'{{"b64": "{base64.b64encode(data).decode()}"}}'


def _quoted(value: Any) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return json.dumps(text, ensure_ascii=False)
