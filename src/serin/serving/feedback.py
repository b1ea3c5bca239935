"""What became of predictions, told later by whoever learns it: which of them were right. Pure.

    {"predictions": [9, 2], "labels": [9, 4]}      what was predicted, and what it was in truth
    {"correct": [true, false]}                     the same, compared already

The header `x-serin-version` of a prediction's answer, sent back with its feedback, says whose prediction it was. So it
does not matter which process counts it, and no routing rule can give it to the wrong version.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from serin.serving.documents import document, malformed
from serin.serving.protocol import invalid

PREDICTOR_HEADER = "x-serin-version"

_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?")
_SCALARS = (str, int, float)  # bool is an int


@dataclass(frozen=True, slots=True)
class Outcome:
    """So many predictions were judged, so many of them were right."""

    judged: int
    correct: int


def outcome(body: bytes) -> Outcome:
    """The outcome in a request's body. Raises ServingError."""
    content = document(body)
    unknown = content.keys() - {"predictions", "labels", "correct"}
    if unknown:
        raise malformed(content, f"has the unknown key '{min(unknown)}'")
    if "correct" in content:
        if len(content) > 1:
            raise malformed(content, "has both 'correct' and what is compared; send one of them")
        verdicts = _list(content, "correct")
        if not all(isinstance(verdict, bool) for verdict in verdicts):
            raise malformed(content, "'correct' must hold true or false only")
        return Outcome(len(verdicts), sum(verdicts))
    predictions, labels = _list(content, "predictions"), _list(content, "labels")
    if len(predictions) != len(labels):
        raise malformed(content, f"has {len(predictions)} predictions and {len(labels)} labels")
    if not all(isinstance(value, _SCALARS) for value in (*predictions, *labels)):
        raise malformed(content, "'predictions' and 'labels' must hold numbers, texts, true or false")
    return Outcome(len(labels), sum(told == true for told, true in zip(predictions, labels, strict=True)))


def predictor(header: str | None) -> str | None:
    """The workload whose predictions are judged; None when the request does not say. Raises ServingError."""
    if header is None:
        return None
    if not _NAME.fullmatch(header):
        raise invalid(f"Header {PREDICTOR_HEADER} must hold the name of a workload, as the answer to predict has it.")
    return header


def _list(content: dict[str, Any], key: str) -> list[Any]:
    found = content.get(key)
    if not isinstance(found, list) or not found:
        raise malformed(content, f"must have '{key}', a list that is not empty")
    return found
