"""JSON into arrays, against the examples of TensorFlow Serving's documentation and the sentences of its parser."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin.serving import tensors
from serin.serving.documents import document, signature_name
from serin.serving.protocol import Code, ServingError, Signature, TensorInfo
from serin.serving.tensors import Array, Format, Request


def signature(**dtypes: str) -> Signature:
    return Signature({name: TensorInfo(f"{name}:0", dtype, None) for name, dtype in dtypes.items()}, {}, "")


def read(body: str | bytes, **dtypes: str) -> Request:
    content = document(body if isinstance(body, bytes) else body.encode())
    assert signature_name(content) == "serving_default"
    return tensors.predict_request(content, signature(**dtypes))


def same(got: Mapping[str, Array], expected: Mapping[str, Any]) -> None:
    assert sorted(got) == sorted(expected)
    for name, array in got.items():
        wanted = np.array(expected[name], dtype=array.dtype)
        assert array.shape == wanted.shape
        assert all(a == b or (a != a and b != b) for a, b in zip(array.flat, wanted.flat, strict=True))


STRING = {"x": "DT_STRING"}
ACCEPTED = [
    ('{"instances": [[1,2],[3,4],[5,6]]}', {"x": "DT_INT32"}, {"x": [[1, 2], [3, 4], [5, 6]]}),
    ('{"instances": [1, 2.0, 3, 4, 5.003, 0.007, 0.0]}', {"x": "DT_FLOAT"}, {"x": [1, 2, 3, 4, 5.003, 0.007, 0]}),
    ('{"instances": [1.0, 2, 3, 4, 0.662, 0, 0.0]}', {"x": "DT_DOUBLE"}, {"x": [1, 2, 3, 4, 0.662, 0, 0]}),
    ('{"instances": ["foo", "bar", "baz"]}', {"x": "DT_STRING"}, {"x": [b"foo", b"bar", b"baz"]}),
    ('{"instances": [[[1, 2]], [[3, 4]]]}', {"x": "DT_FLOAT"}, {"x": [[[1, 2]], [[3, 4]]]}),
    ('{"instances": [{"b64": "aGVsbG8="}, {"b64": "d29ybGQ="}]}', {"x": "DT_STRING"}, {"x": [b"hello", b"world"]}),
    ('{"instances": [[{"b64": "aGVsbG8="}], [{"b64": "d29ybGQ"}]]}', STRING, {"x": [[b"hello"], [b"world"]]}),
    ('{"instances": [{"x": [[{"b64": "aGVsbG8="}]]}]}', {"x": "DT_STRING"}, {"x": [[[b"hello"]]]}),
    ('{"instances": [NaN, Infinity, -Infinity]}', {"x": "DT_FLOAT"}, {"x": [np.nan, np.inf, -np.inf]}),
    ('{"instances": [true, false]}', {"x": "DT_BOOL"}, {"x": [True, False]}),
    ('{"instances": [18446744073709551615]}', {"x": "DT_UINT64"}, {"x": [18446744073709551615]}),
    ('{"instances": [-9223372036854775808]}', {"x": "DT_INT64"}, {"x": [-9223372036854775808]}),
    ('{"inputs": [[[1,2],[3,4]]]}', {"x": "DT_INT32"}, {"x": [[[1, 2], [3, 4]]]}),
    ('{"inputs": {"x": [1, 2]}}', {"x": "DT_INT8"}, {"x": [1, 2]}),
    ('{"inputs": 3.5}', {"x": "DT_FLOAT"}, {"x": 3.5}),
    ('{"inputs": {"b64": "aGVsbG8="}}', {"x": "DT_STRING"}, {"x": b"hello"}),
    ('{"instances": [[], []]}', {"x": "DT_FLOAT"}, {"x": [[], []]}),
    (
        '{"instances": [{"tag": "foo", "signal": [1,2], "sensor": [[1],[2]]},'
        ' {"tag": "bar", "signal": [3,4], "sensor": [[4],[5]]}]}',
        {"tag": "DT_STRING", "signal": "DT_INT32", "sensor": "DT_FLOAT"},
        {"tag": [b"foo", b"bar"], "signal": [[1, 2], [3, 4]], "sensor": [[[1], [2]], [[4], [5]]]},
    ),
    (
        '{"inputs": {"i": [[[1,2],[3,4],[5,6]]], "s": ["foo", "bar"], "b": {"b64": "aGVsbG8="}}}',
        {"i": "DT_INT32", "s": "DT_STRING", "b": "DT_STRING"},
        {"i": [[[1, 2], [3, 4], [5, 6]]], "s": [b"foo", b"bar"], "b": b"hello"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("body", "dtypes", "expected"), ACCEPTED)
def test_a_request_is_read_as_documented(body: str, dtypes: dict[str, str], expected: dict[str, Any]) -> None:
    request = read(body, **dtypes)
    assert request.format is (Format.ROW if '"instances"' in body else Format.COLUMN)
    same(request.inputs, expected)


INT = {"x": "DT_INT32"}
TWO = {"x": "DT_INT32", "y": "DT_INT32"}
REFUSED = [
    ("", INT, "JSON Parse error: The document is empty"),
    ("instances = [1, 2]", INT, "JSON Parse error: Invalid value. at offset: 0"),
    ('{"instances": [1 2]}', INT, "JSON Parse error: Missing a comma or a closing bracket. at offset: 17"),
    ('{"instances": ["x}', INT, "JSON Parse error: Missing a closing quotation mark in string. at offset: 15"),
    ('{"instances": [1]} {}', INT, "JSON Parse error: The document root must not be followed by other values."),
    ("[1]", INT, "Is not object"),
    ('{"instances": ' + "[" * 20_000 + "]" * 20_000 + "}", INT, "nested too deeply"),
    ('{"instances": [' + "9" * 5000 + "]}", INT, "JSON Parse error: Number too big to be stored in double."),
    ('{"instances": [' + "9" * 50 + "]}", INT, "Type: Number is not of expected type: int32"),
    ("{}", INT, "Missing 'inputs' or 'instances' key"),
    ('{"signature_name": 5, "instances": [1]}', INT, "'signature_name' key must be a string value."),
    ('{"instances": [1], "inputs": [1]}', INT, "Not formatted correctly expecting only one of 'inputs' or 'instances'"),
    ('{"instances": 1}', INT, "Excepting 'instances' to be an list/array"),
    ('{"instances": []}', INT, "No values in 'instances' array"),
    ('{"instances": [[1,2],[3,4],[5,6,7]]}', INT, "element: 2 of 'instances' list. Error: INVALID_ARGUMENT: Expecting"),
    ('{"instances": [[1,2],[3,4],[[5,6]]]}', INT, "Expecting shape [2] but got: [1,2]"),
    ('{"instances": [1, [1]]}', INT, "Expecting shape [] but got: [1]"),
    ('{"instances": [[1, [1]]]}', INT, "Encountered list at unexpected level: 1 expected < 1"),
    ('{"instances": [[[1], 1]]}', INT, "JSON Value: 1 found at incorrect level: 2 in the JSON DOM. Expected at"),
    ('{"inputs": [[1,2],[3]]}', INT, "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
    ('{"instances": [1, "x"]}', INT, 'JSON Value: "x" Type: String is not of expected type: int32'),
    ('{"instances": [1.5]}', INT, "JSON Value: 1.5 Type: Number is not of expected type: int32"),
    ('{"instances": [2147483648]}', INT, "JSON Value: 2147483648 Type: Number is not of expected type: int32"),
    ('{"instances": [true]}', INT, "JSON Value: true Type: True is not of expected type: int32"),
    ('{"instances": [null]}', INT, "JSON Value: null Type: Null is not of expected type: int32"),
    ('{"instances": [true, 1.0]}', {"x": "DT_FLOAT"}, "JSON Value: true Type: True is not of expected type: float"),
    ('{"instances": [16777216]}', {"x": "DT_FLOAT"}, "Cannot convert JSON value: 16777216 to float without loss"),
    ('{"instances": [1e39]}', {"x": "DT_FLOAT"}, "to float without loss of precision."),
    ('{"instances": [9007199254740993]}', {"x": "DT_DOUBLE"}, "to double without loss of precision."),
    ('{"instances": [1]}', {"x": "DT_BOOL"}, "JSON Value: 1 Type: Number is not of expected type: bool"),
    ('{"instances": [1]}', {"x": "DT_STRING"}, "is not of expected type: string"),
    ('{"instances": [{"b64": "%%%"}]}', {"x": "DT_STRING"}, "Unable to base64 decode"),
    ('{"instances": [[{"b65": "aa"}]]}', {"x": "DT_STRING"}, "not formatted correctly for base64 data"),
    ('{"instances": [[{"b64": "aa"}]]}', {"x": "DT_FLOAT"}, "Type: Object is not of expected type: float"),
    ('{"instances": [1]}', {"x": "DT_COMPLEX64"}, "Conversion of JSON Value: 1 to type: complex64"),
    ('{"instances": [1]}', TWO, "instances is a plain list, but expecting list of objects as multiple input tensors"),
    ('{"instances": [{"x": 1, "y": 2}, 3]}', TWO, "Expecting object but got list at item 1 of input list"),
    ('{"instances": [1, {"x": 1}]}', INT, "Expecting value/list but got object at item 1 of input list"),
    ('{"instances": [{"x": 1}]}', TWO, "keys must be equal to: x,y"),
    ('{"instances": [{"x": 1, "y": 1, "z": 1}]}', TWO, "INVALID_ARGUMENT: JSON object: does not have named input: z"),
    ('{"instances": [{"x": 1, "y": 1}, {"x": [1], "y": 1}]}', TWO, "element: 1 key: x of 'instances' list."),
    ('{"inputs": [1]}', TWO, "inputs is a plain value/list, but expecting an object as multiple input tensors"),
    ('{"inputs": {"x": 1}}', TWO, "Missing named input: y in 'inputs' object."),
]  # fmt: skip


@pytest.mark.parametrize(("body", "dtypes", "sentence"), REFUSED)
def test_a_request_that_is_wrong_is_refused_in_tensorflow_servings_words(
    body: str, dtypes: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ServingError) as caught:
        read(body, **dtypes)
    assert sentence in str(caught.value)
    assert caught.value.code in (Code.INVALID_ARGUMENT, Code.UNIMPLEMENTED)


def test_text_that_is_no_utf8_is_refused() -> None:
    with pytest.raises(ServingError, match="JSON Parse error"):
        read(b'{"instances": ["\xff"]}', x="DT_STRING")


def test_an_array_that_the_signature_has_no_place_for_is_refused() -> None:
    info = TensorInfo("x:0", "DT_FLOAT", (-1, 28, 28, 1))
    images = Signature({"images": info}, {}, "")
    tensors.check_shapes({"images": np.zeros((5, 28, 28, 1))}, images)
    for shape in [(28, 28, 1), (1, 28, 28), (1, 28, 28, 3), (), (1, 28, 28, 1, 1)]:
        with pytest.raises(ServingError, match=r"input 'images' has shape .*\[-1,28,28,1\]"):
            tensors.check_shapes({"images": np.zeros(shape)}, images)


numbers = st.one_of(
    st.integers(-(2**33), 2**33), st.floats(width=32), st.floats(), st.booleans(), st.sampled_from([2**63, 1e39, 2**24])
)
nested = st.recursive(numbers, lambda inner: st.lists(inner, max_size=3), max_leaves=12)


@given(value=st.lists(nested, min_size=1, max_size=4), dtype=st.sampled_from(sorted(tensors.NUMPY)))
def test_the_quick_way_reads_what_the_careful_way_reads(value: list[Any], dtype: str) -> None:
    quick = tensors._quick(value, dtype)
    if quick is not None:
        careful = tensors._Filling(dtype)
        expected = careful.shaped(careful.add(value))
        assert quick.dtype == expected.dtype
        np.testing.assert_array_equal(quick, expected)


@given(value=nested, dtype=st.sampled_from(sorted(tensors.NUMPY)))
def test_whatever_json_comes_is_read_or_refused(value: Any, dtype: str) -> None:
    for key in ("instances", "inputs"):
        with suppress(ServingError):  # a refusal; any other exception fails this test
            read(json.dumps({key: value}), x=dtype)
