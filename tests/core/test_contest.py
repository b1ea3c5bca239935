"""Experiments with a reward: who is proven the best, who must keep limits, and what a margin and a delay do."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from serin.core import contest
from serin.core.evidence.contract import Sums
from serin.core.evidence.duel import Duel
from serin.core.forgetting import forget
from serin.core.lifecycle import State, assess, begin, unsupported
from serin.core.model import Analysis, Criterion, Limit, LimitKind, Outcome, Plan, Strategy
from tests.core.simulation import ERROR_RATE, MEAN_LATENCY, Service, Version, experiment, limit_on

BOUGHT = Criterion("0", "conversions", replace(ERROR_RATE, lower_is_better=False), is_reward=True)
SPENT = Criterion("0", "spent", replace(MEAN_LATENCY, lower_is_better=False), is_reward=True)
FAST = limit_on(MEAN_LATENCY, 100.0, id="1")
A_B = Plan("v1", ("v2",), (BOUGHT, FAST), interval=15.0, iterations=80, max_increment=25)
EARLY = Analysis(early_stop=True)


def run(plan, seed=1, rate=80.0, **versions):
    named = {v: versions.get(v.replace("-", "_"), Version(errors=0.2)) for v in plan.ids}
    return experiment(plan, Service(named, rate, seed), reading=5.0)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("strategy", Strategy)
def test_the_better_of_two_is_promoted(seed, strategy):
    plan = replace(A_B, strategy=strategy, analysis=EARLY)
    found = run(plan, seed, baseline=Version(errors=0.2), candidate_0=Version(errors=0.3))
    assert (found.last.outcome, found.last.winner) == (Outcome.PROMOTED, "candidate-0")
    assert "proven the best, conversions " in found.last.findings[0].text
    assert "against a limit of 100 ms" in found.last.findings[0].text


@pytest.mark.parametrize("seed", range(3))
def test_the_baseline_can_win(seed):
    found = run(replace(A_B, analysis=EARLY), seed, baseline=Version(errors=0.3), candidate_0=Version(errors=0.2))
    assert (found.last.outcome, found.last.winner) == (Outcome.BASELINE_WON, "baseline")
    assert found.last.weights == {"baseline": 100, "candidate-0": 0}


def test_the_best_reward_does_not_save_a_version_that_breaks_a_limit():
    plan = replace(A_B, candidates=("v2", "v3"), analysis=EARLY)
    found = run(
        plan,
        rate=150.0,
        candidate_0=Version(errors=0.3),
        candidate_1=Version(errors=0.5, latency=200.0),
    )
    assert (found.last.outcome, found.last.winner) == (Outcome.PROMOTED, "candidate-0")
    assert set(found.state.rolled_back) == {"candidate-1"}


def test_without_any_limit_the_reward_alone_decides():
    plan = replace(A_B, criteria=(SPENT,), analysis=EARLY)
    found = run(plan, baseline=Version(latency=5.0), candidate_0=Version(latency=7.0))
    assert (found.last.outcome, found.last.winner) == (Outcome.PROMOTED, "candidate-0")
    cheap = replace(SPENT, measure=MEAN_LATENCY)
    found = run(replace(plan, criteria=(cheap,)), baseline=Version(latency=7.0), candidate_0=Version(latency=5.0))
    assert (found.last.outcome, found.last.winner) == (Outcome.PROMOTED, "candidate-0")


def test_without_any_limit_nobody_is_held_back_by_limits_that_are_not_there():
    plan = replace(A_B, candidates=("v2", "v3"), criteria=(BOUGHT,), iterations=20)
    found = run(plan, rate=150.0, baseline=Version(errors=0.1), candidate_0=Version(errors=0.4))
    assert max(decision.weights["candidate-0"] for decision in found.decisions[:-1]) >= 95
    assert assess(plan, found.state).versions[1].win_probability == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("seed", range(8))
def test_of_equals_nobody_is_promoted_and_it_says_why(seed):
    found = run(replace(A_B, iterations=20), seed)
    assert (found.last.outcome, found.last.winner) == (Outcome.INCONCLUSIVE, None)
    assert "not proven yet to be better than v1" in found.last.findings[0].text
    assert found.last.weights["baseline"] == 100


def test_what_is_better_by_less_than_the_margin_does_not_count():
    wide = replace(BOUGHT, margin=0.5)
    plan = replace(A_B, criteria=(wide, FAST), analysis=EARLY)
    found = run(plan, baseline=Version(errors=0.2), candidate_0=Version(errors=0.24))
    assert (found.last.outcome, found.last.winner) == (Outcome.BASELINE_WON, "baseline")


def test_candidates_within_the_margin_of_each_other_do_not_wait_for_each_other():
    plan = replace(A_B, candidates=("v2", "v3"), criteria=(replace(BOUGHT, margin=0.15), FAST), analysis=EARLY)
    found = run(plan, rate=150.0, candidate_0=Version(errors=0.4), candidate_1=Version(errors=0.405))
    assert found.last.outcome is Outcome.PROMOTED


def test_state_and_what_is_shown_survive_json_and_a_replaced_version_is_forgotten():
    plan = replace(A_B, iterations=200, candidates=("v2", "v3"))
    state = experiment(plan, Service({v: Version(errors=0.2) for v in plan.ids}, 150.0), 5.0, longest=200.0).state
    again = State.from_json(state.to_json())
    assert again.to_json() == state.to_json()
    assert assess(plan, again) == assess(plan, state)
    assert sum(v.win_probability or 0.0 for v in assess(plan, state).versions) == pytest.approx(1.0)
    assert set(state.duels) == {"candidate-0/baseline", "candidate-1/baseline", "candidate-1/candidate-0"}
    assert set(forget(plan, state, ["candidate-1"]).duels) == {"candidate-0/baseline"}
    assert len(state.to_json()) < 25_000


def test_a_late_reward_counts_only_in_a_split_that_has_stood_for_its_delay():
    late = replace(BOUGHT, delay=60.0)
    plan = replace(A_B, criteria=(late, FAST), strategy=Strategy.UNIFORM, analysis=EARLY)
    assert unsupported(plan) == []
    found = run(plan, baseline=Version(errors=0.2), candidate_0=Version(errors=0.3))
    assert (found.last.outcome, found.last.winner) == (Outcome.PROMOTED, "candidate-0")
    # two steps of 25 % to one half, then a minute of waiting, then four blocks of 10 s at least
    assert found.seconds >= 30.0 + 60.0 + 40.0
    (sentence,) = unsupported(replace(plan, strategy=Strategy.PROGRESSIVE))
    assert "trafficControl.strategy: uniform" in sentence


def test_a_moving_split_does_not_bias_a_late_reward():
    """Rewards that come a minute late while the split moves: as if nothing had been counted."""
    late = replace(BOUGHT, delay=60.0)
    plan = replace(A_B, criteria=(late,), strategy=Strategy.UNIFORM, max_increment=1)
    found = experiment(plan, Service({v: Version(errors=0.2) for v in plan.ids}, 80.0), 5.0, longest=400.0)
    assert found.state.duels == {}


# -- a duel by itself --------------------------------------------------------------------------------------------------


def duel(rng, own, other, readings=60, trials=100, share=True) -> Duel:
    found = Duel()
    for n, m in rng.poisson(trials, (readings, 2)):
        found = found.update(Sums(n, rng.binomial(n, own)), Sums(m, rng.binomial(m, other)), 15.0, share)
    return found


def test_a_duel_at_equality_is_rarely_decided():
    wrong = sum(
        max(d.log_evidence(1.0, side, True) for side in (-1, 1)) >= math.log(20)
        for d in (duel(np.random.default_rng(seed), 0.1, 0.1) for seed in range(100))
    )
    assert wrong <= 17  # 10 % for both sides together; more than 17 of 100 once in 100


def test_rare_rewards_make_longer_blocks():
    rng = np.random.default_rng(1)
    often, seldom = duel(rng, 0.3, 0.3), duel(rng, 0.01, 0.01)
    assert often.blocks.track.blocks == 60
    assert 2 <= seldom.blocks.track.blocks <= 8


def test_a_duel_survives_json_and_its_interval_holds_the_truth():
    found = duel(np.random.default_rng(2), 0.3, 0.2)
    assert Duel.from_json(json.loads(json.dumps(found.to_json()))) == found
    interval = found.interval(0.05, True)
    assert 1.0 < interval.lower < 1.5 < interval.upper < 2.0


def test_renaming_the_candidates_renames_who_beats_whom():
    plan = Plan("v1", ("v2", "v3"), (BOUGHT,))
    rng = np.random.default_rng(3)
    names = {"baseline": "baseline", "candidate-0": "candidate-1", "candidate-1": "candidate-0"}
    one, other = begin(plan, 0.0).duels, begin(plan, 0.0).duels
    for _ in range(60):
        counts = {
            v: {"iter8_request_count": 100.0, "iter8_error_count": float(rng.binomial(100, p))}
            for v, p in zip(plan.ids, (0.2, 0.3, 0.45), strict=True)
        }
        one = contest.updated(plan, one, plan.ids, counts, 15.0)
        other = contest.updated(plan, other, plan.ids, {names[v]: c for v, c in counts.items()}, 15.0)
    found, renamed = contest.beaten(plan, one, {}), contest.beaten(plan, other, {})
    assert set(found["candidate-1"]) == {"baseline", "candidate-0"}
    assert {names[v]: {names[u] for u in by} for v, by in found.items()} == {v: set(by) for v, by in renamed.items()}


def test_a_relative_limit_and_a_reward_go_together():
    relative = replace(FAST, limit=Limit(LimitKind.RELATIVE, 1.3))
    plan = replace(A_B, criteria=(BOUGHT, relative), analysis=EARLY)
    found = run(plan, baseline=Version(errors=0.2), candidate_0=Version(errors=0.35))
    assert (found.last.outcome, found.last.winner) == (Outcome.PROMOTED, "candidate-0")
