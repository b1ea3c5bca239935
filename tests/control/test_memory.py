"""What is remembered in the status: packed, read in its older form too, refused where it is none of ours."""

from __future__ import annotations

import json
import zlib
from base64 import b64encode

import pytest

from serin.control import memory
from serin.control.memory import Ending, Memory, packed, unpacked
from serin.core.lifecycle import State, begin, observe
from serin.core.model import LimitKind, Outcome, Plan
from serin.core.observation import Series, Snapshot
from serin.errors import InvalidInput
from tests.core.simulation import ERROR_RATE, ERRORS, LATENCY, MEAN_LATENCY, REQUESTS, limit_on

CRITERIA = (limit_on(MEAN_LATENCY, 100.0), limit_on(ERROR_RATE, 0.1, LimitKind.ABSOLUTE, id="1"))
PLAN = Plan("v1", ("v2",), CRITERIA)
FAMILIES = frozenset({REQUESTS, LATENCY, ERRORS})


@pytest.fixture(scope="module")
def state() -> State:
    """After forty readings."""
    found = begin(PLAN, 1000.0)
    for i in range(41):
        counts = {REQUESTS: 100.0 * i, LATENCY: 371.3 * i + 7.1 * (i % 5), ERRORS: float(i // 3)}
        series = tuple(Series(v, c, "proxy", n, 0.0) for v in PLAN.ids for c, n in counts.items())
        found, _ = observe(PLAN, found, Snapshot(1000.0 + 15.0 * i, series, FAMILIES))
    return found


def test_what_is_remembered_comes_back_from_json(state: State) -> None:
    ending = Ending(Outcome.PROMOTED, "candidate-0", {"baseline": 0, "candidate-0": 100}, "all well", "ProvenSafe")
    whole = Memory(state, {"baseline": 98, "candidate-0": 2}, 1600.0, {"baseline": "a"}, {"candidate-0": 1590.0},
                   frozenset({"baseline"}), True, True, "abc", ending)  # fmt: skip
    back = Memory.from_json(json.loads(json.dumps(whole.to_json())))
    assert back.to_json() == whole.to_json()
    assert back.core is not None
    assert back.core.to_json() == state.to_json()
    assert back.ending == ending


def test_the_state_takes_at_most_half_of_the_room(state: State) -> None:
    assert len(json.dumps(Memory(state).to_json()["core"])) < 0.55 * len(json.dumps(state.to_json()))


def test_a_status_of_the_form_before_is_read(state: State) -> None:
    document = Memory(state, paused=True).to_json() | {"format": 1, "core": state.to_json()}
    assert Memory.from_json(document) == Memory.from_json(Memory(state, paused=True).to_json())
    assert Memory.from_json(document | {"core": None}).core is None


@pytest.mark.parametrize(
    "text",
    [
        "no base64",
        b64encode(b"not deflated").decode(),
        packed("{}")[:-8],
        packed("[1]"),
        b64encode(zlib.compress(b"\xff\xfe")).decode(),
    ],
)
def test_what_is_no_state_is_refused_with_a_way_out(text: str) -> None:
    with pytest.raises(InvalidInput, match="delete"):
        Memory.from_json(Memory().to_json() | {"core": text})


def test_no_more_is_unpacked_than_a_state_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_MOST_STATE", 1000)
    assert unpacked(packed("x" * 1000)) == "x" * 1000
    with pytest.raises(ValueError, match="too large"):
        unpacked(packed("x" * 10_000_000))


def test_a_newer_form_is_refused() -> None:
    with pytest.raises(InvalidInput, match="has format 3, this Serin reads 1 to 2"):
        Memory.from_json(Memory().to_json() | {"format": 3})
