"""Arrays into JSON: the exact text of TensorFlow Serving's printer, and that nothing is lost on the way."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from serin.serving import printing
from serin.serving.documents import document
from serin.serving.protocol import ServingError, Signature, TensorInfo
from serin.serving.tensors import Format, predict_request


def floats(*values: float) -> Any:
    return np.array(values, dtype=np.float32)


PRINTED = [
    ({"y": floats(3.5, 4, 5.5)}, Format.ROW, '{\n    "predictions": [3.5, 4.0, 5.5\n    ]\n}'),
    ({"y": floats(1, 2).reshape(1, 2)}, Format.ROW, '{\n    "predictions": [[1.0, 2.0]\n    ]\n}'),
    ({"y": floats(3.5, 4)}, Format.COLUMN, '{\n    "outputs": [\n        3.5,\n        4.0\n    ]\n}'),
    ({"y": np.float32(2)}, Format.COLUMN, '{\n    "outputs": 2.0\n}'),
    (
        {"b": np.array([1, 2]), "a": np.array([[True], [False]])},
        Format.ROW,
        '{\n    "predictions": [\n        {\n            "a": [true],\n            "b": 1\n        },'
        '\n        {\n            "a": [false],\n            "b": 2\n        }\n    ]\n}',
    ),
    (
        {"a": floats(1), "b": np.array([[7]])},
        Format.COLUMN,
        '{\n    "outputs": {\n        "a": [\n            1.0\n        ],\n        "b": [\n            [\n'
        "                7\n            ]\n        ]\n    }\n}",
    ),
]


@pytest.mark.parametrize(("outputs", "answer_in", "text"), PRINTED)
def test_an_answer_looks_as_tensorflow_servings(outputs: Any, answer_in: Format, text: str) -> None:
    arrays = {name: np.asarray(value) for name, value in outputs.items()}
    assert printing.predict_body(arrays, answer_in).decode() == text


NUMBERS = [
    (0.2, "0.2"), (1.0, "1.0"), (9e6, "9e+06"), (3e-5, "3e-05"), (1 / 3, "0.333333343"), (-0.0, "-0.0"),
    (float("nan"), "NaN"), (float("inf"), "Infinity"), (float("-inf"), "-Infinity"), (123456.0, "123456.0"),
    (16777216.0, "16777216.0"), (3.4028235e38, "3.40282347e+38"), (1e-45, "1.4013e-45"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "text"), NUMBERS)
def test_a_number_is_as_short_as_it_can_be_and_never_whole_by_accident(value: float, text: str) -> None:
    assert printing.decimal(value) == text


def test_text_and_bytes_are_told_apart_by_the_outputs_name() -> None:
    words = np.array([b"caf\xc3\xa9", b'"\n'], dtype=object)
    assert json.loads(printing.predict_body({"text": words}, Format.ROW)) == {"predictions": ["café", '"\n']}
    assert json.loads(printing.predict_body({"raw_bytes": words}, Format.ROW)) == {
        "predictions": [{"b64": "Y2Fmw6k="}, {"b64": "Igo="}]
    }


def test_rows_need_one_batch_size() -> None:
    with pytest.raises(ServingError, match="has inconsistent batch size: 3 expecting: 2"):
        printing.predict_body({"a": floats(1, 2), "b": floats(1, 2, 3)}, Format.ROW)
    with pytest.raises(ServingError, match="has no shape information"):
        printing.predict_body({"a": np.asarray(np.float32(1))}, Format.ROW)
    with pytest.raises(ServingError, match="empty tensor map"):
        printing.predict_body({}, Format.ROW)
    with pytest.raises(ServingError, match="Failed to write JSON value for tensor type: complex64"):
        printing.predict_body({"a": np.zeros(1, dtype=np.complex64)}, Format.ROW)


def test_classes_and_values_are_printed_as_documented() -> None:
    assert printing.classify_body([[("a", 0.5), ("", 12)]]) == b'{\n    "results": [[["a", 0.5], ["", 12.0]]\n    ]\n}'
    assert printing.regress_body([3.5, 4.0]) == b'{\n    "results": [3.5, 4.0]\n}'


arrays = st.sampled_from(
    [("DT_FLOAT", np.float32), ("DT_DOUBLE", np.float64), ("DT_INT64", np.int64), ("DT_BOOL", np.bool_)]
).flatmap(
    lambda pair: st.tuples(
        st.just(pair[0]), hnp.arrays(pair[1], hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=3))
    )
)


@given(arrays, st.sampled_from(Format))
def test_what_is_printed_comes_back_the_same(typed: tuple[str, Any], form: Format) -> None:
    dtype, array = typed
    printed = json.loads(printing.predict_body({"y": array}, form))
    again = json.dumps({form.value: next(iter(printed.values()))}).encode()
    signature = Signature({"y": TensorInfo("y:0", dtype, None)}, {}, "")
    back = predict_request(document(again), signature).inputs["y"]
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)
