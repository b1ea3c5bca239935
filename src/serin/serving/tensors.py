"""A predict request's JSON into arrays, as TensorFlow Serving reads it (`json_tensor.cc`), refused with its sentences.

There are two ways in. `_quick` turns a regular list of numbers into an array in a few passes of C code and answers None
when it is in any doubt; `_Filling` walks the document value by value, knows every type and finds the words for what is
wrong. What both accept, both read the same.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serin.serving.documents import malformed, shown, signature_name
from serin.serving.protocol import Code, ServingError, Signature, TensorInfo, invalid

Array = NDArray[Any]

NUMPY: dict[str, Any] = {
    "DT_FLOAT": np.float32,
    "DT_DOUBLE": np.float64,
    "DT_HALF": np.float16,
    "DT_INT8": np.int8,
    "DT_INT16": np.int16,
    "DT_INT32": np.int32,
    "DT_INT64": np.int64,
    "DT_UINT8": np.uint8,
    "DT_UINT16": np.uint16,
    "DT_UINT32": np.uint32,
    "DT_UINT64": np.uint64,
    "DT_BOOL": np.bool_,
    "DT_STRING": np.object_,
}
"""The types that JSON can carry, by TensorFlow's name."""

_FLOATS = ("DT_FLOAT", "DT_DOUBLE", "DT_HALF")
_LARGEST = {dtype: float(np.finfo(NUMPY[dtype]).max) for dtype in _FLOATS}
_EXACT = {dtype: float(2 ** (np.finfo(NUMPY[dtype]).nmant + 1) - 1) for dtype in _FLOATS}
"""The largest whole number below which a floating type holds all of them."""


class Format(Enum):
    """Rows: a list of instances; columns: whole tensors. The answer comes in the form of the question."""

    ROW = "instances"
    COLUMN = "inputs"


@dataclass(frozen=True, slots=True)
class Request:
    """A predict request read: the arrays by input name, and the format to answer in."""

    inputs: dict[str, Array]
    format: Format


def predict_request(content: Mapping[str, Any], signature: Signature) -> Request:
    """The arrays of a predict request for this signature. Raises ServingError."""
    if not signature.inputs:
        raise invalid(f"Failed to get input map for signature: {signature_name(content)}")
    rows, columns = "instances" in content, "inputs" in content
    if rows and columns:
        text = "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist "
        raise malformed(content, text)
    if rows:
        instances = content["instances"]
        if not isinstance(instances, list):
            raise malformed(content, "Excepting 'instances' to be an list/array")
        if not instances:
            raise malformed(content, "No values in 'instances' array")
        return Request(_from_instances(instances, signature.inputs), Format.ROW)
    if columns:
        return Request(_from_inputs(content["inputs"], signature.inputs), Format.COLUMN)
    raise invalid("Missing 'inputs' or 'instances' key")


def check_shapes(inputs: Mapping[str, Array], signature: Signature) -> None:
    """Refuse arrays that the signature has no place for, before TensorFlow's kernels see them. Raises ServingError.

    Not every kernel checks its input: some end the process instead.
    """
    for name, array in inputs.items():
        wanted = signature.inputs[name].shape
        if wanted is not None and not (
            len(wanted) == array.ndim and all(size in (-1, got) for size, got in zip(wanted, array.shape, strict=True))
        ):
            raise invalid(
                f"input '{name}' has shape {_shape(array.shape)}, but the signature takes {_shape(wanted)} "
                "(-1: any size)"
            )


def _from_instances(instances: list[Any], infos: Mapping[str, TensorInfo]) -> dict[str, Array]:
    if not isinstance(instances[0], dict) and len(infos) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    if _is_named(instances[0]):
        return _from_named_instances(instances, infos)
    name, info = next(iter(infos.items()))
    quick = _quick(instances, info.dtype)
    if quick is not None:
        return {name: quick}
    filling = _Filling(info.dtype)
    for index, instance in enumerate(instances):
        if _is_named(instance):
            raise invalid(f"Expecting value/list but got object at item {index} of input list")
        try:
            filling.add_instance(instance)
        except ServingError as error:
            text = f"Failed to process element: {index} of 'instances' list. Error: {error.code}: {error}"
            raise invalid(text) from None
    return {name: filling.array(len(instances))}


def _from_named_instances(instances: list[Any], infos: Mapping[str, TensorInfo]) -> dict[str, Array]:
    names = sorted(infos)
    fillings = {name: _Filling(infos[name].dtype) for name in names}
    for index, instance in enumerate(instances):
        if not _is_named(instance):
            raise invalid(f"Expecting object but got list at item {index} of input list")
        for key, value in instance.items():
            try:
                if key not in fillings:
                    raise invalid(f"JSON object: does not have named input: {key}")
                fillings[key].add_instance(value)
            except ServingError as error:
                text = (
                    f"Failed to process element: {index} key: {key} of 'instances' list. Error: {error.code}: {error}"
                )
                raise invalid(text) from None
        if sorted(instance) != names:
            raise invalid(
                f"Failed to process element: {index} of 'instances' list. JSON object: {shown(instance)} "
                f"keys must be equal to: {','.join(names)}"
            )
    return {name: filling.array(len(instances)) for name, filling in fillings.items()}


def _from_inputs(value: Any, infos: Mapping[str, TensorInfo]) -> dict[str, Array]:
    if not _is_named(value):
        if len(infos) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map"
            )
        name, info = next(iter(infos.items()))
        return {name: _tensor(value, info.dtype)}
    arrays = {}
    for name, info in infos.items():
        if name not in value:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
        arrays[name] = _tensor(value[name], info.dtype)
    return arrays


def _tensor(value: Any, dtype: str) -> Array:
    quick = _quick(value, dtype) if isinstance(value, list) else None
    if quick is not None:
        return quick
    filling = _Filling(dtype)
    shape = filling.add(value)
    return filling.shaped(shape)


def _quick(value: list[Any], dtype: str) -> Array | None:
    """The array of a regular nested list of plain numbers; None for whatever is better looked at closely."""
    if dtype not in ("DT_FLOAT", "DT_DOUBLE", "DT_INT32", "DT_INT64"):
        return None
    items: list[Any] = value
    shape = [len(value)]
    while items and type(items[0]) is list:
        size = len(items[0])
        if set(map(type, items)) != {list} or set(map(len, items)) != {size}:
            return None
        shape.append(size)
        items = list(chain.from_iterable(items))
    types = set(map(type, items))
    if not items or not types <= ({int, float} if dtype in _FLOATS else {int}):
        return None
    flat = _quick_floats(items, types, dtype) if dtype in _FLOATS else _quick_integers(items, dtype)
    return None if flat is None else flat.reshape(shape)


def _quick_floats(items: list[int | float], types: set[type], dtype: str) -> Array | None:
    try:
        wide = np.array(items, dtype=np.float64)
    except OverflowError:
        return None
    limit = _EXACT[dtype] if int in types else _LARGEST[dtype]
    if not max(wide.max(), -wide.min()) <= limit:  # also when there is a NaN or an infinity
        return None
    return wide.astype(NUMPY[dtype], copy=False)


def _quick_integers(items: list[int], dtype: str) -> Array | None:
    try:
        return np.array(items, dtype=NUMPY[dtype])
    except OverflowError:
        return None


class _Filling:
    """One tensor being filled, value by value, in TensorFlow Serving's order and with its sentences."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype
        self.values: list[Any] = []
        self.instance: tuple[int, tuple[int, ...]] | None = None

    def add_instance(self, value: Any) -> None:
        """One more instance; all must be of one size and shape."""
        before = len(self.values)
        shape = self.add(value)
        size = len(self.values) - before
        if self.instance is None:
            self.instance = (size, shape)
        elif self.instance[0] != size:
            raise invalid(f"Expecting tensor size: {self.instance[0]} but got: {size}")
        elif self.instance[1] != shape:
            raise invalid(f"Expecting shape {_shape(self.instance[1])} but got: {_shape(shape)}")

    def add(self, value: Any) -> tuple[int, ...]:
        """The values of a nested list; returns its shape, which the first elements tell."""
        shape = []
        first = value
        while isinstance(first, list):
            shape.append(len(first))
            if not first:
                break
            first = first[0]
        self._fill(value, 0, tuple(shape))
        return tuple(shape)

    def array(self, count: int) -> Array:
        """All instances as one batch."""
        return self.shaped((count, *(self.instance[1] if self.instance else ())))

    def shaped(self, shape: tuple[int, ...]) -> Array:
        """The values in a shape."""
        array = np.empty(len(self.values), dtype=NUMPY[self.dtype])
        array[:] = self.values
        return array.reshape(shape)

    def _fill(self, value: Any, level: int, shape: tuple[int, ...]) -> None:
        if not isinstance(value, list):
            if level != len(shape):
                raise invalid(
                    f"JSON Value: {shown(value)} found at incorrect level: {level + 1} in the JSON DOM. "
                    f"Expected at level: {len(shape)}"
                )
            self.values.append(scalar(value, self.dtype))
            return
        if level >= len(shape):
            raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
        if len(value) != shape[level]:
            raise invalid(
                f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
            )
        for item in value:
            self._fill(item, level + 1, shape)


def scalar(value: Any, dtype: str) -> Any:
    """One JSON value as a value of `dtype`. Raises ServingError."""
    if dtype not in NUMPY:
        text = f"Conversion of JSON Value: {shown(value)} to type: {type_name(dtype)}"
        raise ServingError(Code.UNIMPLEMENTED, text)
    if dtype in _FLOATS:
        if type(value) not in (int, float):
            raise _type_error(value, dtype)
        if type(value) is int or np.isfinite(value):
            limit = _EXACT[dtype] if type(value) is int else _LARGEST[dtype]
            if abs(value) > limit:
                text = f"Cannot convert JSON value: {shown(value)} to {type_name(dtype)} without loss of precision."
                raise invalid(text)
        return value
    if dtype == "DT_STRING":
        return decoded(value) if isinstance(value, dict) else _encoded(value, dtype)
    if dtype == "DT_BOOL":
        if type(value) is not bool:
            raise _type_error(value, dtype)
        return value
    limits = np.iinfo(NUMPY[dtype])
    if type(value) is not int or not limits.min <= value <= limits.max:
        raise _type_error(value, dtype)
    return value


def decoded(value: Any) -> bytes:
    """The bytes of `{"b64": "…"}`. Raises ServingError."""
    if not is_base64(value):
        raise invalid(f"JSON Value: {shown(value)} not formatted correctly for base64 data")
    text = re.sub(r"\s", "", value["b64"]).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise invalid("Unable to base64 decode") from None


def is_base64(value: Any) -> bool:
    """Whether this is an object with `b64` as its only key and a text under it."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def type_name(dtype: str) -> str:
    """`float` for `DT_FLOAT`: TensorFlow's word for a type in sentences."""
    return dtype.removeprefix("DT_").lower()


def _encoded(value: Any, dtype: str) -> bytes:
    if not isinstance(value, str):
        raise _type_error(value, dtype)
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise invalid("JSON Parse error: The surrogate pair in string is invalid.") from None


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not is_base64(value)


def _shape(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"


def _type_error(value: Any, dtype: str) -> ServingError:
    kind = {dict: "Object", list: "Array", str: "String", bool: str(value), type(None): "Null"}.get(
        type(value), "Number"
    )
    return invalid(f"JSON Value: {shown(value)} Type: {kind} is not of expected type: {type_name(dtype)}")
