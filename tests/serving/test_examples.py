"""Features of classify and regress: their kinds, and what is refused."""

from typing import Any

import pytest

from serin.serving.examples import BYTES, FLOAT, INT64, Feature, examples
from serin.serving.protocol import ServingError


def test_the_kind_of_a_feature_is_that_of_its_values() -> None:
    content = {
        "context": {"c": 1},
        "examples": [{"n": [1, True], "f": 1.5, "s": ["a"], "b": {"b64": "aGVsbG8="}, "e": []}],
    }
    context, listed = examples(content)
    assert context == {"c": Feature(INT64, [1])}
    assert listed == [
        {
            "n": Feature(INT64, [1, 1]),
            "f": Feature(FLOAT, [1.5]),
            "s": Feature(BYTES, [b"a"]),
            "b": Feature(BYTES, [b"hello"]),
            "e": Feature(),
        }
    ]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "key 'examples' is expected and was not found"),
    ({"examples": 1}, "Expecting 'examples' value to be an list/array"),
    ({"examples": []}, "'examples' value is an empty array"),
    ({"examples": [1]}, "Example must be JSON object but got JSON Number"),
    ({"examples": [{"x": None}]}, "Feature: x has element with unexpected JSON type: Null"),
    ({"examples": [{"x": [[1]]}]}, "Feature: x has element with unexpected JSON type: Array"),
    ({"examples": [{"x": {"a": 1}}]}, "Feature: x has element with unexpected JSON type: Object"),
    ({"examples": [{"x": [1, "a"]}]}, "Unexpected element type in feature: x expecting type: int64"),
    ({"examples": [{"x": 2**63}]}, "Feature: x has uint64 element. Only int64 is supported."),
    ({"examples": [{"x": 1e39}]}, "to float without loss of precision."),
    ({"context": 1, "examples": [{}]}, "Example must be JSON object but got JSON Number"),
]


@pytest.mark.parametrize(("content", "sentence"), REFUSED)
def test_what_is_no_example_is_refused(content: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ServingError) as caught:
        examples(content)
    assert sentence in str(caught.value)
