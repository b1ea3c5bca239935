"""What `describe` adds to a running experiment: what its settings cost, and whether the split is as asked for."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from serin.api.times import stamp
from serin.api.v1alpha2 import convert, status, validation
from serin.cli.pricing import price_of
from serin.cli.sharing import shares_of
from serin.control.memory import Memory
from serin.core.lifecycle import Surroundings, assess, begin, iterate, observe
from serin.core.model import Outcome
from serin.ports import Object
from tests.cli.conftest import NOW, Cli, FakeHome
from tests.cli.test_replay import EXPERIMENT, NAME
from tests.core.simulation import Service, Version


def lived(seconds: int = 120, lost: float = 0.0) -> Object:
    """A running experiment that began so long ago, as its home has it."""
    obj: Any = copy.deepcopy(EXPERIMENT)
    obj["spec"]["duration"]["maxIterations"] = 60
    loaded = validation.load(obj)
    definitions = convert.definitions(loaded)
    assert definitions is not None
    plan = convert.plan(loaded, definitions)
    versions = {"baseline": Version(errors=0.005), "candidate-0": Version(errors=0.005, counted=1.0 - lost)}
    service, start = Service(versions, rate=80.0), NOW - seconds
    state = begin(plan, start)
    for i in range(seconds // 5):
        service.run(5.0, state.weights)
        state, _ = observe(plan, state, service.snapshot(start + 5.0 * (i + 1)))
        if i % 3 == 2 and not state.ended:
            state, _ = iterate(plan, state, start + 5.0 * (i + 1), Surroundings(frozenset(plan.ids), {}))
    obj["status"] = {
        "phase": "Progressing",
        "startTimestamp": stamp(start),
        "assessment": status.assessment(assess(plan, state)),
        "analysisState": Memory(core=state).to_json(),
    }
    return dict(obj)


def test_the_price_is_the_forecast_for_what_was_measured(cli: Cli, home: FakeHome) -> None:
    experiment = lived()
    home.seed(experiment)
    text = price_of(experiment, NOW)
    assert text.startswith("a candidate like the baseline is proven in ")
    assert "one at twice a limit is rolled back in " in text
    out = " ".join(cli("describe", "exp", NAME).out.split())
    assert f"Price: {text}" in out
    assert "Shares: requests arrive in the shares asked for (an alarm needs 1 in 1000)" in out


def test_a_share_that_is_not_as_asked_for_is_said() -> None:
    text = shares_of(lived(300, lost=0.5))
    assert text.startswith("shop-v2 gets another share (by accident: 1 in ")
    assert text.endswith("nobody is promoted while that is so")


def without(experiment: Object, *keys: str) -> Object:
    found = copy.deepcopy(experiment)
    for key in keys:
        found["status"].pop(key, None)
    return found


@pytest.mark.parametrize("missing", ["startTimestamp", "assessment", "analysisState"])
def test_before_anything_is_known_nothing_is_said(missing: str) -> None:
    experiment = without(lived(60), missing)
    if missing == "analysisState":
        assert shares_of(experiment) == ""
    else:
        assert price_of(experiment, NOW) == ""


def test_after_the_end_and_of_what_cannot_be_read_nothing_is_said() -> None:
    experiment = lived(60)
    ended = copy.deepcopy(experiment)
    ended["status"]["phase"] = "Completed"
    assert price_of(ended, NOW) == ""
    core = Memory.from_json(experiment["status"]["analysisState"]).core
    assert core is not None
    over = Memory(core=replace(core, outcome=Outcome.INCONCLUSIVE)).to_json()
    assert shares_of({**experiment, "status": {"analysisState": over}}) == ""
    wrong = copy.deepcopy(experiment)
    wrong["spec"]["duration"]["interval"] = "15"
    assert (price_of(wrong, NOW), shares_of(wrong)) == ("", "")
    assert shares_of({**experiment, "status": {"analysisState": {"format": 99}}}) == ""
