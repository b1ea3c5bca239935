"""Whole experiments on simulated services: what a user sees happen, with seeded draws."""

from dataclasses import replace

import pytest

from serin.core.lifecycle import State, Surroundings, begin, iterate, observe
from serin.core.model import Analysis, LimitKind, Outcome, Plan, Reason, Strategy
from tests.core.simulation import ERROR_RATE, MEAN_LATENCY, Service, Version, experiment, limit_on

ARTICLE = Plan("v1", ("v2",), (limit_on(MEAN_LATENCY, 100.0),), interval=15.0, iterations=12, max_increment=20)
BOTH = replace(ARTICLE, criteria=(limit_on(MEAN_LATENCY, 100.0), limit_on(ERROR_RATE, 0.02, id="1")))
RELATIVE = replace(
    ARTICLE,
    criteria=(limit_on(MEAN_LATENCY, 1.3, LimitKind.RELATIVE), limit_on(ERROR_RATE, 0.02, id="1")),
)
SEEDS = range(8)


def run(plan, seed=1, rate=80.0, baseline=None, reading=1.0, **candidates):
    versions = {"baseline": baseline or Version()}
    versions |= {v: candidates.get(v.replace("-", "_"), Version()) for v in plan.ids[1:]}
    return experiment(plan, Service(versions, rate, seed), reading)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("plan", [ARTICLE, BOTH, RELATIVE])
def test_a_good_candidate_is_promoted_in_exactly_its_iterations(plan, seed):
    found = run(plan, seed)
    assert (found.last.outcome, found.last.winner, found.last.weights["candidate-0"]) == (
        Outcome.PROMOTED, "candidate-0", 100,
    )  # fmt: skip
    assert (found.state.iteration, found.seconds) == (12, 180.0)
    assert [d.weights["candidate-0"] for d in found.decisions[:4]] == [20, 40, 60, 80]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_slow_candidate_is_rolled_back_and_the_baseline_wins(seed):
    found = run(ARTICLE, seed, candidate_0=Version(latency=150.0))
    assert (found.last.outcome, found.last.winner) == (Outcome.BASELINE_WON, "baseline")
    assert found.last.weights == {"baseline": 100, "candidate-0": 0}
    assert found.last.findings[0].reason is Reason.PROVEN_HARM
    assert found.seconds <= 90.0
    assert max(d.weights["candidate-0"] for d in found.decisions) <= 40


@pytest.mark.parametrize("seed", SEEDS)
def test_a_failing_candidate_is_rolled_back_within_seconds(seed):
    found = run(BOTH, seed, candidate_0=Version(errors=0.2))
    assert found.last.outcome is Outcome.BASELINE_WON
    assert found.seconds <= 30.0
    requests = found.state.totals
    exposed = requests["candidate-0"]["iter8_request_count"]
    assert exposed < 200
    assert "error rate" in found.last.findings[0].text


@pytest.mark.parametrize("seed", SEEDS)
def test_a_candidate_exactly_like_the_baseline_is_never_proven_better_than_it(seed):
    plan = replace(ARTICLE, criteria=(limit_on(MEAN_LATENCY, 1.0, LimitKind.RELATIVE),))
    found = run(plan, seed)
    assert found.last.outcome is not Outcome.PROMOTED
    assert found.last.weights["baseline"] == 100


def test_no_traffic_is_held_for_ever():
    found = experiment(ARTICLE, Service({v: Version() for v in ARTICLE.ids}, rate=0.0), longest=3600.0)
    assert found.state.iteration == 0
    assert {d.outcome for d in found.decisions} == {Outcome.RUNNING}
    assert all(not d.counted and d.held and d.weights["candidate-0"] == 0 for d in found.decisions)


def test_traffic_that_stops_for_a_minute_delays_the_end_by_a_minute():
    def silent(seconds, service):
        service.rate = 0.0 if 60 <= seconds < 120 else 80.0

    found = experiment(ARTICLE, Service({v: Version() for v in ARTICLE.ids}), change=silent)
    assert (found.last.outcome, found.state.iteration, found.seconds) == (Outcome.PROMOTED, 12, 240.0)


def test_counters_that_reset_change_nothing():
    def reset(seconds, service):
        if seconds in (50.0, 100.0):
            service.counters = {}

    found = experiment(ARTICLE, Service({v: Version() for v in ARTICLE.ids}), change=reset)
    assert (found.last.outcome, found.seconds) == (Outcome.PROMOTED, 180.0)


def test_a_violation_that_begins_late_is_found():
    def breaks(seconds, service):
        if seconds == 120.0:
            service.versions = {**service.versions, "candidate-0": Version(errors=0.25)}

    plan = replace(BOTH, iterations=40)
    found = experiment(plan, Service({v: Version() for v in plan.ids}), change=breaks)
    assert found.last.outcome is Outcome.BASELINE_WON
    assert found.seconds < 300.0


def test_a_candidate_that_crashes_for_good_is_out_and_one_that_comes_back_is_not():
    def gone_from(start, end, failed_at):
        def around(seconds):
            away = start <= seconds < end
            failed = {"candidate-0": "not ready for 10 min"} if away and seconds >= failed_at else {}
            return Surroundings(frozenset({"baseline"} if away else ARTICLE.ids), failed)

        return around

    back = experiment(ARTICLE, Service({v: Version() for v in ARTICLE.ids}), around=gone_from(60.0, 100.0, 600.0))
    assert back.last.outcome is Outcome.PROMOTED
    assert back.seconds == 225.0
    out = experiment(ARTICLE, Service({v: Version() for v in ARTICLE.ids}), around=gone_from(60.0, 999.0, 120.0))
    assert (out.last.outcome, out.last.findings[0].reason) == (Outcome.BASELINE_WON, Reason.FAILED_TO_START)


def test_too_little_traffic_ends_undecided_on_the_baseline():
    found = run(ARTICLE, rate=0.5)
    assert found.last.outcome is Outcome.INCONCLUSIVE
    assert found.last.weights["baseline"] == 100
    assert "blocks seen" in found.last.findings[0].text or "no mean latency" in found.last.findings[0].text


@pytest.mark.parametrize("seed", range(4))
def test_of_several_candidates_the_violators_go_and_a_safe_one_wins(seed):
    plan = replace(BOTH, candidates=("v2", "v3", "v4"), iterations=20)
    found = run(plan, seed, rate=300.0, candidate_0=Version(errors=0.2), candidate_2=Version(latency=200.0))
    assert (found.last.outcome, found.last.winner) == (Outcome.PROMOTED, "candidate-1")
    assert set(found.state.rolled_back) == {"candidate-0", "candidate-2"}


@pytest.mark.parametrize("strategy", [Strategy.TOP_2, Strategy.UNIFORM, Strategy.TOP_TWO_TS])
def test_the_other_strategies_stop_at_half_and_still_promote(strategy):
    found = run(replace(ARTICLE, strategy=strategy))
    assert found.last.outcome is Outcome.PROMOTED
    assert max(d.weights["candidate-0"] for d in found.decisions[:-1]) == 50


@pytest.mark.parametrize("reading", [1.0, 5.0, 15.0])
def test_the_outcome_does_not_depend_on_the_cadence_of_the_readings(reading):
    assert run(ARTICLE, reading=reading).last.outcome is Outcome.PROMOTED
    assert run(ARTICLE, reading=reading, candidate_0=Version(latency=200.0)).last.outcome is Outcome.BASELINE_WON


def test_the_same_experiment_gives_the_same_bytes_in_memory_and_through_json():
    plan = replace(BOTH, candidates=("v2", "v3"), iterations=30, max_increment=7)
    texts = []
    for through_json in (False, True):
        service, state, now, written = Service({v: Version() for v in plan.ids}, 150.0, 5), begin(plan, 0.0), 0.0, []
        for second in range(1, 30 * 15 + 1):
            now += 1.0
            service.run(1.0, state.weights)
            state, _ = observe(plan, State.from_json(state.to_json()) if through_json else state, service.snapshot(now))
            if second % 15 == 0:
                kept = State.from_json(state.to_json()) if through_json else state
                state, _ = iterate(plan, kept, now, Surroundings(frozenset(plan.ids), {}))
            written.append(state.to_json())
        texts.append(written)
    assert texts[0] == texts[1]
    assert '"end":["Promoted"' in texts[0][-1]


def test_a_stricter_promotion_takes_longer():
    patient = replace(ARTICLE, iterations=200, analysis=Analysis(early_stop=True))
    strict = replace(patient, analysis=Analysis(early_stop=True, false_promotion=1e-7))
    assert run(patient).seconds < run(strict).seconds
