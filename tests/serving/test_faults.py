"""Rehearsed faults: what can be asked for, and that it happens as often as asked."""

import pytest

from serin.errors import UsageError
from serin.serving.faults import Dice, Faults, parse

ACCEPTED = [
    ([], Faults()),
    (["latency=150ms"], Faults(latency=0.15)),
    (["latency=150ms±50ms"], Faults(latency=0.15, spread=0.05)),
    (["latency=0.15s+-50ms"], Faults(latency=0.15, spread=0.05)),
    (["errors=20%"], Faults(errors=0.2)),
    (["errors=0.5%"], Faults(errors=0.005)),
    (["errors=100%"], Faults(errors=1.0)),
    (["crash"], Faults(crash=True)),
    (["start-delay=15s", "errors=1%"], Faults(start_delay=15, errors=0.01)),
]


@pytest.mark.parametrize(("specs", "expected"), ACCEPTED)
def test_a_fault_is_understood(specs: list[str], expected: Faults) -> None:
    assert parse(specs) == expected


REFUSED = [
    ("latency", "latency=150ms"),
    ("latency=", "latency=150ms"),
    ("latency=150", "no unit"),
    ("latency=-1s", "cannot be negative"),
    ("latency=10ms±20ms", "before it was asked"),
    ("errors=20", "between 0% and 100%"),
    ("errors=120%", "between 0% and 100%"),
    ("errors=-1%", "between 0% and 100%"),
    ("crash=now", "is not known"),
    ("start-delay=soon", "is no duration"),
    ("slow", "is not known"),
    ("", "is not known"),
]


@pytest.mark.parametrize(("spec", "sentence"), REFUSED)
def test_a_wrong_fault_is_one_clear_sentence(spec: str, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse([spec])
    assert sentence in str(caught.value)
    assert "--fault" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_fault_is_given_once() -> None:
    with pytest.raises(UsageError, match="given twice"):
        parse(["errors=1%", "errors=2%"])


def test_errors_come_at_their_share_and_the_same_in_every_run() -> None:
    first, second = (Dice(Faults(errors=0.2), seed=7) for _ in range(2))
    drawn = [first.fails() for _ in range(10_000)]
    assert drawn == [second.fails() for _ in range(10_000)]
    assert sum(drawn) == pytest.approx(2000, abs=4 * 40)  # four standard deviations
    assert not any(Dice(Faults()).fails() for _ in range(100))
    assert all(Dice(Faults(errors=1.0)).fails() for _ in range(100))


def test_latency_stays_within_its_spread() -> None:
    dice = Dice(Faults(latency=0.15, spread=0.05))
    drawn = [dice.latency() for _ in range(1000)]
    assert 0.1 <= min(drawn) < 0.105
    assert 0.195 < max(drawn) <= 0.2
    assert Dice(Faults(latency=0.1)).latency() == 0.1
