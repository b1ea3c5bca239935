"""Go's durations."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serin.api import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("15s", 15), ("1m", 60), ("1h10m10s", 4210), ("500ms", 0.5), ("1.5h", 5400), (".5s", 0.5), ("1.s", 1),
        ("2us", 2e-6), ("2µs", 2e-6), ("3ns", 3e-9), ("-1m30s", -90), ("+1s", 1), ("0", 0), ("0s", 0), ("1m1h", 3660),
    ],
)  # fmt: skip
def test_a_duration_is_read_as_go_reads_it(text: str, seconds: float) -> None:
    assert durations.seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("15", "'15' has no unit; write '15s' or '1m'"),
        ("1", "'1' has no unit; write '1s' or '2m'"),
        ("-1.5", "'-1.5' has no unit; write '-1.5s' or '1m'"),
        ("", "'' is no duration; write for example '15s', '1m30s' or '500ms'"),
        ("15 s", "'15 s' is no duration; write for example '15s', '1m30s' or '500ms'"),
        ("1d", "'1d' is no duration; write for example '15s', '1m30s' or '500ms'"),
        ("s", "'s' is no duration; write for example '15s', '1m30s' or '500ms'"),
        ("1e3s", "'1e3s' is no duration; write for example '15s', '1m30s' or '500ms'"),
        ("15s\n", "'15s\n' is no duration; write for example '15s', '1m30s' or '500ms'"),
    ],
)
def test_what_is_none_says_how_to_write_it(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=r".") as refusal:
        durations.seconds(text)
    assert str(refusal.value) == sentence


@settings(deadline=None)
@given(st.integers(min_value=-(10**12), max_value=10**12))
def test_a_duration_survives_writing_and_reading(milliseconds: int) -> None:
    assert durations.seconds(durations.text(milliseconds / 1000)) == pytest.approx(milliseconds / 1000)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (30, "30s"), (90, "1m30s"), (3600, "1h"), (600, "10m"), (0.25, "250ms"), (-5, "-5s")],
)
def test_a_duration_is_written_short(seconds: float, text: str) -> None:
    assert durations.text(seconds) == text
