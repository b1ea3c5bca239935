"""What no data could prove is told before it is tried."""

from dataclasses import replace

import pytest

from serin.core.model import Criterion, Limit, LimitKind, Plan
from serin.core.vain import in_vain
from tests.core.simulation import ERROR_COUNT, ERROR_RATE, MEAN_LATENCY, limit_on

FAST = replace(ERROR_RATE, lower_is_better=False)


def plan_of(*criteria: Criterion, iterations: int = 100) -> Plan:
    return Plan("v1", ("v2",), criteria, interval=15.0, iterations=iterations, max_increment=50)


NEVER = [
    (limit_on(ERROR_RATE, 0.0), "a limit of 0 can be broken and never proven to be kept; write the largest share"),
    (limit_on(MEAN_LATENCY, 0.0), "write the largest value that is acceptable"),
    (limit_on(ERROR_RATE, 1.0), "a share of requests is never above 1, so this limits nothing"),
    (
        Criterion("0", "fast", FAST, Limit(LimitKind.ABSOLUTE, 1.0)),
        "never proven to be reached; write for example 0.99",
    ),
]


@pytest.mark.parametrize(("criterion", "sentence"), NEVER)
def test_a_limit_that_nothing_could_prove_is_told_with_its_place(criterion: Criterion, sentence: str) -> None:
    ((place, text),) = in_vain(plan_of(criterion))
    assert place == "spec.criteria[0].threshold.value"
    assert sentence in text


@pytest.mark.parametrize(
    "criterion",
    [
        limit_on(ERROR_RATE, 0.01),
        limit_on(ERROR_RATE, 1.5, LimitKind.RELATIVE),
        limit_on(MEAN_LATENCY, 100.0),
        limit_on(MEAN_LATENCY, 1.2, LimitKind.RELATIVE),
        Criterion("0", "fast", FAST, Limit(LimitKind.ABSOLUTE, 0.99)),
    ],
)
def test_an_experiment_too_short_for_any_proof_is_told_and_a_longer_one_is_not(criterion: Criterion) -> None:
    ((place, text),) = in_vain(plan_of(criterion, iterations=2))
    assert place == "spec.duration.maxIterations"
    assert text.startswith("2 iterations of 15 s are too few for any proof, however many requests there are; write ")
    enough = int(text.split("write ")[1].split()[0])
    assert list(in_vain(plan_of(criterion, iterations=enough))) == []
    assert list(in_vain(plan_of(criterion, iterations=40))) == []


def test_counts_and_experiments_without_limits_need_no_proof() -> None:
    assert list(in_vain(plan_of(limit_on(ERROR_COUNT, 5.0), iterations=1))) == []
    assert list(in_vain(plan_of(iterations=1))) == []
