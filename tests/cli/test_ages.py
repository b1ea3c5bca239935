import pytest

from serin.cli.ages import age, duration

DAY = 86400


# The values of Kubernetes' own test of HumanDuration, as far as they differ in kind.
@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (1.9, "1s"),
        (70, "70s"),
        (119, "119s"),
        (120, "2m"),
        (190, "3m10s"),
        (599, "9m59s"),
        (600, "10m"),
        (47 * 60, "47m"),
        (3 * 3600 - 1, "179m"),
        (3 * 3600, "3h"),
        (5 * 3600 + 25 * 60, "5h25m"),
        (8 * 3600, "8h"),
        (47 * 3600 + 1, "47h"),
        (2 * DAY, "2d"),
        (4 * DAY + 7 * 3600, "4d7h"),
        (8 * DAY, "8d"),
        (400 * DAY, "400d"),
        (2 * 365 * DAY, "2y"),
        (3 * 365 * DAY + 5 * DAY, "3y5d"),
        (9 * 365 * DAY, "9y"),
    ],
)
def test_durations_read_as_in_kubectl(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_an_age_is_counted_from_a_timestamp() -> None:
    assert age("2023-11-14T22:12:20Z", 1_700_000_000.0) == "60s"


@pytest.mark.parametrize("timestamp", [None, "", "yesterday", 12])
def test_what_is_no_timestamp_has_no_age(timestamp: object) -> None:
    assert age(timestamp, 0.0) == "<unknown>"
