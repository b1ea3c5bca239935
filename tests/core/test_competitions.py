"""A/B/n with five and ten versions: the best wins, ties, nobody feasible, one that breaks in the middle.

Every run is seeded, on a simulated service. The shares that are rewarded are far apart or equal, so that what must come
out does not hang on the luck of a seed; how often a verdict is wrong is measured by `benchmarks.decisions`.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from serin.core.lifecycle import assess
from serin.core.model import Analysis, Criterion, Outcome, Plan, Reason, Strategy
from tests.core.simulation import ERROR_RATE, MEAN_LATENCY, Run, Service, Version, experiment, limit_on

BOUGHT = Criterion("0", "conversions", replace(ERROR_RATE, lower_is_better=False), is_reward=True)
FAST = limit_on(MEAN_LATENCY, 100.0, id="1")
SLOW = 250.0
LADDERS = {
    5: (0.10, 0.14, 0.18, 0.32, 0.12),
    10: (0.10, 0.12, 0.14, 0.16, 0.18, 0.11, 0.13, 0.34, 0.15, 0.17),
}
"""Number of versions -> what share of its visitors buys, the baseline first."""


def competition(versions: int, **more) -> Plan:
    names = tuple(f"v{i}" for i in range(2, versions + 1))
    plan = Plan("v1", names, (BOUGHT, FAST), interval=15.0, iterations=80, max_increment=20)
    return replace(plan, **{"analysis": Analysis(early_stop=True), **more})


def bought(plan: Plan, shares, seed=1, change=None, latency=(), rate=300.0, longest=3600.0) -> Run:
    """The versions of a plan in competition; `latency` by version id where it is not the usual one."""
    slow = dict(latency)
    versions = {v: Version(errors=share, latency=slow.get(v, 4.0)) for v, share in zip(plan.ids, shares, strict=True)}
    return experiment(plan, Service(versions, rate, seed), 5.0, longest, change)


def best(shares) -> str:
    at = max(range(len(shares)), key=lambda i: shares[i])
    return "baseline" if at == 0 else f"candidate-{at - 1}"


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("versions", [5, 10])
def test_the_best_of_many_is_promoted(versions, strategy):
    shares = LADDERS[versions]
    plan = competition(versions, strategy=strategy)
    found = bought(plan, shares)
    assert (found.last.outcome, found.last.winner) == (Outcome.PROMOTED, best(shares))
    assert found.last.weights == {**dict.fromkeys(plan.ids, 0), best(shares): 100}
    assert found.state.rolled_back == {}  # to be worse is no harm


@pytest.mark.parametrize("versions", [5, 10])
def test_a_baseline_that_is_the_best_wins(versions):
    ladder = LADDERS[versions]
    shares = (max(ladder), *(min(share, 0.18) for share in ladder[1:]))
    plan = competition(versions)
    found = bought(plan, shares)
    assert (found.last.outcome, found.last.winner) == (Outcome.BASELINE_WON, "baseline")
    assert found.last.weights == {**dict.fromkeys(plan.ids, 0), "baseline": 100}
    assert "proven the best" in found.last.findings[0].text


TIED = (0.10, 0.14, 0.30, 0.302, 0.12)


@pytest.mark.parametrize("seed", range(2))
def test_of_two_that_tie_within_the_margin_one_wins(seed):
    plan = competition(5, criteria=(replace(BOUGHT, margin=0.15), FAST))
    found = bought(plan, TIED, seed)
    assert found.last.outcome is Outcome.PROMOTED
    assert found.last.winner in ("candidate-1", "candidate-2")


@pytest.mark.parametrize("seed", range(2))
def test_of_two_that_tie_without_a_margin_nobody_is_promoted_and_it_says_who(seed):
    plan = competition(5, iterations=24, strategy=Strategy.TOP_2)
    found = bought(plan, (*TIED[:3], TIED[2], TIED[4]), seed)
    assert (found.last.outcome, found.last.winner) == (Outcome.INCONCLUSIVE, None)
    told = {finding.version: finding.text for finding in found.last.findings}
    assert told["candidate-1"].endswith("not proven yet to be better than v4")
    assert told["candidate-2"].endswith("not proven yet to be better than v3")
    assert found.last.weights["baseline"] == 100


@pytest.mark.parametrize("versions", [5, 10])
def test_when_no_candidate_is_feasible_the_baseline_stays_whatever_they_sell(versions):
    plan = competition(versions)
    found = bought(plan, LADDERS[versions], latency=dict.fromkeys(plan.ids[1:], SLOW))
    assert (found.last.outcome, found.last.winner) == (Outcome.BASELINE_WON, "baseline")
    assert set(found.state.rolled_back) == set(plan.ids[1:])
    assert {finding.reason for finding in found.state.rolled_back.values()} == {Reason.PROVEN_HARM}
    assert found.last.weights == {**dict.fromkeys(plan.ids, 0), "baseline": 100}


def test_when_nobody_at_all_is_feasible_nobody_wins():
    plan = competition(5)
    found = bought(plan, LADDERS[5], latency=dict.fromkeys(plan.ids, SLOW))
    assert (found.last.outcome, found.last.winner) == (Outcome.NOBODY, None)
    assert found.last.weights["baseline"] == 100


@pytest.mark.parametrize("versions", [5, 10])
def test_the_leader_that_breaks_in_the_middle_is_out_and_the_next_best_wins(versions):
    """It leads for three minutes, then answers too slowly: it gets nothing any more, whatever it was before."""
    shares = list(LADDERS[versions])
    leader = best(shares)
    shares[1] = 0.26  # the next best
    plan = competition(versions, analysis=Analysis(), strategy=Strategy.TOP_TWO_TS, iterations=40)

    def breaks(seconds, service):
        if seconds >= 180.0:
            service.versions = {**service.versions, leader: replace(service.versions[leader], latency=SLOW)}

    found = bought(plan, shares, change=breaks)
    assert set(found.state.rolled_back) == {leader}
    assert (found.last.outcome, found.last.winner) == (Outcome.PROMOTED, "candidate-0")
    weights = [decision.weights[leader] for decision in found.decisions]
    out = next(i for i, (before, after) in enumerate(pairwise(weights)) if before > 0 and after == 0 and i > 11)
    assert max(weights[:12]) >= 40
    assert not any(weights[out + 1 :])


def test_while_ten_compete_every_weight_is_whole_and_what_is_shown_adds_up():
    plan = competition(10, iterations=12, analysis=Analysis())
    found = bought(plan, (0.2,) * 10)
    assert {sum(decision.weights.values()) for decision in found.decisions} == {100}
    assert sum(v.win_probability or 0.0 for v in assess(plan, found.state).versions) == pytest.approx(1.0)
    assert found.last.outcome is Outcome.INCONCLUSIVE
    assert all(min(decision.weights.values()) >= 0 for decision in found.decisions)
