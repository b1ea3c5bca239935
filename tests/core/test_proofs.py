"""What is proven stays proven, until the evidence turns: a verdict never flickers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import pytest

from serin.core import decide
from serin.core.evidence.criterion import Evidence
from serin.core.model import Criterion, Limit, LimitKind, Measure, MeasureKind, Plan

CRITERION = Criterion("0", "errors", Measure(MeasureKind.RATE, "errors", "requests"), Limit(LimitKind.ABSOLUTE, 0.01))
PLAN = Plan("v1", ("v2",), (CRITERION,))


@dataclass
class Weighed:
    """Evidence with a value given."""

    log_for: float
    enough: bool = True


def proofs(log_for: float, before: dict[str, float], *, enough: bool = True) -> dict[str, float]:
    return decide.proofs(PLAN, {"0": cast(Evidence, Weighed(log_for, enough))}, before)


@pytest.mark.parametrize(
    ("log_for", "before", "after"),
    [
        (4.0, {}, {}),
        (5.0, {}, {"0": 5.0}),
        (3.0, {"0": 5.0}, {"0": 5.0}),
        (7.0, {"0": 5.0}, {"0": 7.0}),
        (-0.1, {"0": 5.0}, {}),
    ],
    ids=["not yet", "proven", "stays proven", "higher", "turned"],
)
def test_a_proof_stays_until_the_evidence_turns(log_for, before, after):
    assert proofs(log_for, before) == after


def test_without_enough_data_nothing_is_proven():
    assert proofs(9.0, {}, enough=False) == {}
