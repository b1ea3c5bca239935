"""The proof in short: what is promised about decisions holds on the benchmark's cases, as far as chance can tell.

All cases and rules, and more replications: `python -m benchmarks.decisions`.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from benchmarks.decisions import run
from benchmarks.decisions.measures import Measures, Share
from benchmarks.decisions.run import Task
from benchmarks.decisions.scenarios import CASES, Case, Truth
from benchmarks.decisions.targets import broken

REPLICATIONS, SEED = 200, 7
CHECKED = (
    "S1 1 %",
    "S1 2 %",
    "S1 5 %",
    "S1 0.3 %",
    "S1b both 2 %",
    "S2 x1.1",
    "S2 x1.25",
    "S3 x1 while it slows down",
    "S3 x1.1 while it speeds up",
    "S4 x1.5",
    "S4 x3",
    "S4, common waves x1.5",
    "S6 x1",
    "S8 5 % from 600 s on",
)


def case(key: str) -> Case:
    return next(c for c in CASES if c.key == key)


@pytest.fixture(scope="module")
def measured() -> list[Measures]:
    jobs = [
        replace(job, modes=tuple(m for m in CASES[job.case].modes if m in ("robust", "independent")))
        for job in run.tasks([case(key) for key in CHECKED], REPLICATIONS, SEED, short=True, with_peers=False)
        if isinstance(job, Task)
    ]
    return run.run(jobs, SEED, REPLICATIONS, speeds=False).measures


def test_no_promise_is_broken_beyond_what_chance_allows(measured: list[Measures]) -> None:
    """An exact binomial bound at one in a thousand for every promised rate, as `targets.broken` has it."""
    assert [str(b) for b in broken(measured)] == []


def test_every_case_was_judged_in_full(measured: list[Measures]) -> None:
    assert {m.case for m in measured} == set(CHECKED)
    assert {m.replications for m in measured} == {REPLICATIONS}


def test_clear_cases_are_decided(measured: list[Measures]) -> None:
    """A rule that never says anything breaks no promise; at least 90 % of these are to be decided rightly."""
    for m in measured:
        if m.case in ("S1 0.3 %", "S1 5 %", "S2 x1.25", "S4 x3", "S6 x1"):
            assert m.right is not None
            assert m.right.value >= 0.9, m.case


def shown(promoted: int, rolled_back: int, truth: Truth = Truth.AT_LIMIT, key: str = "S1 1 %") -> Measures:
    left = REPLICATIONS - promoted - rolled_back
    one, two, three = (Share(n, REPLICATIONS) for n in (promoted, rolled_back, left))
    found = case(key)
    rest = (0.0, 0.0, 0.0, 0.0, None)
    return Measures(key, found.scenario, found.level, truth, "robust", REPLICATIONS, one, two, three, *rest)


@pytest.mark.parametrize(
    ("promoted", "rolled_back", "truth", "count"),
    [
        (10, 10, Truth.AT_LIMIT, 0),
        (21, 0, Truth.AT_LIMIT, 0),  # binom.sf(20, 200, 0.05) is 0.0011
        (22, 0, Truth.AT_LIMIT, 1),
        (22, 22, Truth.AT_LIMIT, 2),
        (180, 0, Truth.GOOD, 0),
        (0, 22, Truth.GOOD, 1),
        (22, 100, Truth.BAD, 1),
        (0, 200, Truth.BAD, 0),
    ],
)
def test_what_counts_as_broken(promoted: int, rolled_back: int, truth: Truth, count: int) -> None:
    assert len(broken([shown(promoted, rolled_back, truth)])) == count


def test_nothing_is_promised_where_the_papers_say_so() -> None:
    """Bursts may roll back a version at its limit (`robust`); waves of one version alone may do either."""
    assert broken([shown(0, 100, key="S1c 1 %")]) == []
    assert broken([shown(100, 100, key="S4, waves of its own x1.5")]) == []
    assert len(broken([shown(100, 0, key="S1c 1 %")])) == 1
