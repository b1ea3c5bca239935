"""Single steps of an experiment's life, where the law is easier said by an example."""

import json
from dataclasses import replace
from typing import Any

import pytest

from serin.core.lifecycle import State, Surroundings, assess, begin, iterate, observe, terminate, unsupported
from serin.core.model import (
    Analysis,
    Criterion,
    Decision,
    Finding,
    Limit,
    LimitKind,
    Measure,
    MeasureKind,
    Outcome,
    Plan,
    Reason,
    Strategy,
)
from serin.core.observation import Snapshot
from serin.errors import InvalidInput
from tests.core.simulation import (
    ERROR_COUNT,
    ERROR_RATE,
    MEAN_LATENCY,
    REQUESTS,
    Service,
    Twins,
    Version,
    limit_on,
)

LATENCY, ERRORS = limit_on(MEAN_LATENCY, 100.0), limit_on(ERROR_RATE, 0.05, id="1")
PLAN = Plan("v1", ("v2",), (LATENCY, ERRORS), interval=15.0, iterations=12, max_increment=20)
EVERYBODY = Surroundings(frozenset(PLAN.ids), {})
ONE_LEFT = Surroundings(frozenset({"baseline"}), {})


class Life:
    """An experiment in steps of one interval, with all that happened."""

    def __init__(self, plan=PLAN, seed=1, rate=80.0, **versions):
        self.plan, self.now, self.state = plan, 1000.0, begin(plan, 1000.0)
        named = {v.replace("_", "-"): version for v, version in versions.items()}
        self.service = Service({v: named.get(v, Version()) for v in plan.ids}, rate, seed)
        self.urgent: Decision | None = None

    def interval(self, around: Surroundings | None = None, serve: bool = True, read: bool = True) -> Decision:
        for _ in range(15):
            self.now += 1.0
            if serve:
                self.service.run(1.0, self.state.weights)
            if read and not self.state.ended:
                self.state, urgent = observe(self.plan, self.state, self.service.snapshot(self.now))
                self.urgent = urgent or self.urgent
        around = around or Surroundings(frozenset(self.plan.ids), {})
        self.state, decision = iterate(self.plan, self.state, self.now, around)
        return decision

    def intervals(self, n: int, **how: Any) -> Decision:
        return [self.interval(**how) for _ in range(n)][-1]


def test_it_begins_with_everything_on_the_baseline():
    state = begin(PLAN, 1000.0)
    assert (state.iteration, state.weights) == (0, {"baseline": 100, "candidate-0": 0})


def test_the_first_step_is_the_largest_increment_and_traffic_follows():
    life = Life()
    assert [dict(life.interval().weights)["candidate-0"] for _ in range(4)] == [20, 40, 60, 80]


@pytest.mark.parametrize("late", [0.0, -1.0, -100.0])
def test_a_repeated_or_older_reading_changes_nothing(late):
    life = Life()
    life.intervals(2)
    before = life.state.to_json()
    life.service.run(1.0, life.state.weights)
    state, decision = observe(PLAN, life.state, life.service.snapshot(life.now + late))
    assert (state.to_json(), decision) == (before, None)


def test_without_traffic_nothing_counts_and_nothing_moves():
    life = Life()
    decision = life.intervals(5, serve=False)
    assert (decision.counted, decision.held, decision.outcome) == (False, True, Outcome.RUNNING)
    assert (life.state.iteration, life.state.weights["candidate-0"]) == (0, 0)
    assert decision.findings[0].reason is Reason.NO_DATA
    assert "of v1 none ever" in decision.findings[0].text


def test_traffic_that_stops_holds_the_experiment_and_resumes_by_itself():
    life = Life()
    life.intervals(3)
    weights, iteration = dict(life.state.weights), life.state.iteration
    life.intervals(4, serve=False)
    assert (dict(life.state.weights), life.state.iteration) == (weights, iteration)
    assert life.interval().counted
    assert life.state.iteration == iteration + 1


def test_without_readings_nothing_counts():
    life = Life()
    life.intervals(2)
    assert life.interval(read=False).counted is False


def test_what_is_waited_for_is_said():
    life = Life()
    decision = life.interval(around=replace(EVERYBODY, waiting="Prometheus does not answer; asked again in 4 s"))
    assert (decision.counted, decision.held) == (False, True)
    assert decision.findings == (Finding(Reason.NO_DATA, "Prometheus does not answer; asked again in 4 s"),)


def test_a_candidate_that_is_not_ready_loses_its_weight_and_starts_anew_from_nothing():
    life = Life()
    life.intervals(3)
    assert life.state.weights["candidate-0"] == 60
    decision = life.interval(around=ONE_LEFT)
    assert (decision.weights["candidate-0"], decision.counted, decision.held) == (0, False, True)
    assert life.state.rolled_back == {}
    assert life.interval().weights["candidate-0"] == 20


def test_when_the_baseline_is_away_traffic_goes_to_the_candidate_and_comes_back():
    life = Life()
    life.intervals(2)
    decision = life.interval(around=Surroundings(frozenset({"candidate-0"}), {}))
    assert decision.weights == {"baseline": 0, "candidate-0": 100}
    assert decision.counted is False
    assert life.interval().weights == {"baseline": 40, "candidate-0": 60}


def test_with_nobody_ready_weights_stay_as_they_are():
    life = Life()
    life.intervals(2)
    nobody = Surroundings(frozenset(), {})
    assert life.interval(around=nobody).weights == {"baseline": 60, "candidate-0": 40}
    assert life.interval().weights == {"baseline": 40, "candidate-0": 60}


def test_a_candidate_that_failed_to_start_is_rolled_back_and_the_baseline_wins():
    life = Life()
    decision = life.interval(around=Surroundings(frozenset({"baseline"}), {"candidate-0": "not ready for 10 min"}))
    assert (decision.outcome, decision.winner) == (Outcome.BASELINE_WON, "baseline")
    assert decision.findings == (Finding(Reason.FAILED_TO_START, "not ready for 10 min", "candidate-0"),)


def test_a_failed_start_is_settled_even_while_metrics_are_away():
    life = Life()
    around = Surroundings(frozenset({"baseline"}), {"candidate-0": "crashes"}, waiting="metrics away")
    assert life.interval(around=around).outcome is Outcome.BASELINE_WON


def test_a_failed_baseline_ends_it_with_the_traffic_where_it_is_safest():
    life = Life()
    life.intervals(2)
    decision = life.interval(around=Surroundings(frozenset({"candidate-0"}), {"baseline": "not ready for 10 min"}))
    assert (decision.outcome, decision.winner) == (Outcome.TERMINATED, None)
    assert decision.weights == {"baseline": 0, "candidate-0": 100}


def test_of_two_candidates_the_safer_one_takes_over_from_a_failed_baseline():
    plan = replace(PLAN, candidates=("v2", "v3"))
    life = Life(plan, candidate_0=Version(latency=90.0, spread=0.7), rate=200.0)
    life.intervals(4)
    ready = frozenset({"candidate-0", "candidate-1"})
    assert life.interval(around=Surroundings(ready, {"baseline": "gone"})).weights["candidate-1"] == 100


def test_a_proven_violation_takes_the_weight_away_between_two_iterations():
    life = Life(plan=replace(PLAN, candidates=("v2", "v3")), candidate_0=Version(errors=0.3))
    life.intervals(2)
    assert life.urgent is not None
    assert (life.urgent.outcome, life.urgent.counted) == (Outcome.RUNNING, False)
    assert life.urgent.weights["candidate-0"] == 0
    assert life.urgent.findings[0].version == "candidate-0"
    assert life.urgent.findings[0].reason is Reason.PROVEN_HARM
    assert life.urgent.findings[0].text.startswith("error rate ")
    assert "against a limit of 5 %" in life.urgent.findings[0].text
    assert life.state.weights["candidate-0"] == 0
    assert life.state.weights["candidate-1"] > 0


def test_a_breached_counter_is_no_matter_of_chance():
    plan = replace(PLAN, criteria=(limit_on(ERROR_COUNT, 20.0),))
    life = Life(plan, candidate_0=Version(errors=0.3))
    life.intervals(2)
    assert life.urgent is not None
    assert life.urgent.findings[0].reason is Reason.COUNTER_BREACHED
    assert life.urgent.outcome is Outcome.BASELINE_WON


def test_a_counter_within_its_limit_is_promoted_only_at_the_end():
    plan = replace(PLAN, iterations=4, criteria=(limit_on(ERROR_COUNT, 500.0),), analysis=Analysis(early_stop=True))
    life = Life(plan)
    assert [life.interval().outcome for _ in range(4)] == [Outcome.RUNNING] * 3 + [Outcome.PROMOTED]


@pytest.mark.parametrize(
    ("at_least", "outcome"), [(100.0, Outcome.PROMOTED), (2e3, Outcome.BASELINE_WON), (1e6, Outcome.NOBODY)]
)
def test_a_count_to_be_reached_is_judged_at_the_end(at_least, outcome):
    reached = Criterion("0", REQUESTS, Measure(MeasureKind.COUNTER, REQUESTS, lower_is_better=False))
    plan = replace(PLAN, iterations=4, criteria=(replace(reached, limit=Limit(LimitKind.ABSOLUTE, at_least)),))
    life = Life(plan)
    assert life.intervals(3).outcome is Outcome.RUNNING
    assert life.interval().outcome is outcome


@pytest.mark.parametrize(("bought", "outcome"), [(0.6, Outcome.PROMOTED), (0.05, Outcome.BASELINE_WON)])
def test_higher_may_be_better(bought, outcome):
    share = replace(ERRORS, measure=replace(ERROR_RATE, lower_is_better=False), limit=Limit(LimitKind.ABSOLUTE, 0.2))
    life = Life(replace(PLAN, criteria=(share,)), baseline=Version(errors=0.3), candidate_0=Version(errors=bought))
    weights = [life.interval().weights["candidate-0"] for _ in range(12)]
    assert life.state.outcome is outcome
    assert max(weights) == (100 if outcome is Outcome.PROMOTED else 20)


def test_when_the_baseline_violates_too_nobody_wins():
    life = Life(baseline=Version(errors=0.4), candidate_0=Version(errors=0.4))
    life.intervals(3)
    assert life.state.outcome is Outcome.NOBODY
    assert life.state.weights == {"baseline": 100, "candidate-0": 0}


def test_after_the_end_nothing_changes():
    life = Life(candidate_0=Version(errors=0.4))
    life.intervals(3)
    before = life.state.to_json()
    for _ in range(2):
        decision = life.interval()
        assert (decision.outcome, decision.counted) == (Outcome.BASELINE_WON, False)
    assert life.state.to_json() == before


def test_early_stop_ends_as_soon_as_the_winner_is_proven():
    life = Life(replace(PLAN, iterations=100, analysis=Analysis(early_stop=True)), rate=300.0)
    decision = life.intervals(15)
    assert (decision.outcome, decision.winner, decision.weights["candidate-0"]) == (
        Outcome.PROMOTED,
        "candidate-0",
        100,
    )
    assert life.state.iteration < 15


def test_warm_up_readings_are_not_judged():
    plan = replace(PLAN, analysis=Analysis(warmup=60.0))
    cold, warm = Life(plan, candidate_0=Version(errors=0.5)), Life(candidate_0=Version(errors=0.5))
    cold.intervals(3)
    warm.intervals(3)
    assert (cold.state.outcome, warm.state.outcome) == (Outcome.RUNNING, Outcome.BASELINE_WON)
    failing = assess(plan, cold.state).versions[1].criteria[1]
    assert (failing.value, failing.missing) == (None, "it has requests, but none that count for this metric yet")
    cold.intervals(4)
    assert cold.state.outcome is Outcome.BASELINE_WON


@pytest.mark.parametrize("criterion", [LATENCY, limit_on(ERROR_COUNT, 50.0)])
def test_a_candidate_without_any_request_keeps_its_first_step(criterion):
    life = Life(replace(PLAN, criteria=(criterion,)), rate=1.0, candidate_0=Version(counted=0.0))
    life.intervals(2)
    assert life.intervals(2).weights["candidate-0"] == 20


def test_a_candidate_that_probably_violates_gains_nothing_before_it_is_proven():
    plan = replace(PLAN, criteria=(ERRORS,), analysis=Analysis(false_rollback=1e-12), strategy=Strategy.UNIFORM)
    good, bad = Life(plan), Life(plan, candidate_0=Version(errors=0.08))
    good.intervals(3)
    bad.intervals(3)
    assert bad.state.outcome is Outcome.RUNNING
    assert (good.state.weights["candidate-0"], bad.state.weights["candidate-0"]) == (50, 20)


def test_a_rollback_is_decided_once():
    life = Life(plan=replace(PLAN, candidates=("v2", "v3")), candidate_0=Version(errors=0.3))
    told = []
    for _ in range(40):
        life.now += 1.0
        life.service.run(1.0, {"baseline": 40, "candidate-0": 30, "candidate-1": 30})
        life.state, urgent = observe(life.plan, life.state, life.service.snapshot(life.now))
        told += [urgent] if urgent else []
    assert [f.version for d in told for f in d.findings] == ["candidate-0"]


def test_weights_that_take_effect_late_are_no_mismatch():
    life = Life(rate=400.0)
    before = life.state.weights
    for second in range(1, 12 * 15):
        if second % 15 == 4:  # four seconds after an iteration
            before = life.state.weights
        life.now += 1.0
        life.service.run(1.0, before)
        life.state, _ = observe(life.plan, life.state, life.service.snapshot(life.now))
        if second % 15 == 0:
            life.state, decision = iterate(life.plan, life.state, life.now, EVERYBODY)
            assert not [f for f in decision.findings if f.reason is Reason.SAMPLE_RATIO_MISMATCH]
    assert life.state.mismatch["candidate-0"].log_against < 7.0


def test_requests_that_go_missing_hold_a_promotion_but_roll_nobody_back():
    plan = replace(PLAN, iterations=10, max_increment=20)
    life = Life(plan)
    life.intervals(3)
    life.service.versions = {"baseline": Version(), "candidate-0": Version(counted=0.5)}
    decision = life.intervals(7)
    assert life.state.outcome is Outcome.INCONCLUSIVE
    assert decision.findings[0].reason is Reason.SAMPLE_RATIO_MISMATCH
    assert life.state.rolled_back == {}


def test_a_reading_that_contradicts_itself_three_times_holds():
    life = Life()
    life.intervals(2)
    for _ in range(3):
        life.now += 1.0
        broken = [s if s.counter != REQUESTS else replace(s, value=-1.0) for s in life.service.snapshot(0.0).series]
        life.state, _ = observe(PLAN, life.state, Snapshot(life.now, tuple(broken), frozenset({REQUESTS})))
    life.state, decision = iterate(PLAN, life.state, life.now, EVERYBODY)
    assert (decision.held, decision.counted) == (True, False)
    assert decision.findings[0].reason is Reason.UNUSABLE_READING


def test_cut_off_takes_the_weight_of_a_probable_violation_before_it_is_proven():
    versions = {"candidate_0": Version(errors=0.11)}
    kept = limit_on(ERROR_RATE, 0.05)
    cut = limit_on(ERROR_RATE, 0.05, cutoff=True)
    weights = []
    for criterion in (kept, cut):
        analysis = Analysis(false_rollback=1e-12)
        life = Life(replace(PLAN, criteria=(criterion,), analysis=analysis), rate=40.0, **versions)
        life.intervals(4)
        assert life.state.outcome is Outcome.RUNNING
        weights.append(life.state.weights["candidate-0"])
    assert weights[0] > 0
    assert weights[1] == 0


def test_performance_judges_and_leaves_traffic_alone():
    for candidates in ((), ("v1",)):
        life = Life(replace(PLAN, candidates=candidates, iterations=8), rate=200.0)
        if candidates:
            life.service = Twins({"baseline": Version()}, rate=200.0)
        seen = [life.interval() for _ in range(8)]
        assert all(d.weights["baseline"] == 100 for d in seen)
        assert (seen[-1].outcome, seen[-1].winner) == (Outcome.BASELINE_WON, "baseline")


def test_performance_of_a_service_that_violates_ends_without_a_winner():
    life = Life(replace(PLAN, candidates=()), baseline=Version(errors=0.3))
    assert life.intervals(2).outcome is Outcome.NOBODY


def test_without_criteria_time_alone_moves_traffic_and_the_last_iteration_promotes():
    life = Life(replace(PLAN, criteria=(), iterations=7))
    seen = [life.interval(serve=False, read=False) for _ in range(7)]
    assert [d.weights["candidate-0"] for d in seen] == [20, 40, 60, 80, 100, 100, 100]
    assert (seen[-1].outcome, seen[-1].winner) == (Outcome.PROMOTED, "candidate-0")


def test_percentage_bounds_what_the_candidates_get():
    life = Life(replace(PLAN, percentage=30))
    assert life.intervals(8).weights["candidate-0"] <= 30


def test_terminate_sends_all_to_the_baseline_or_as_asked():
    life = Life()
    life.intervals(9)
    assert assess(PLAN, life.state).winner == "candidate-0"
    state, decision = terminate(PLAN, life.state, life.now)
    assert (decision.weights, decision.winner, state.outcome) == (
        {"baseline": 100, "candidate-0": 0}, None, Outcome.TERMINATED,
    )  # fmt: skip
    _, decision = terminate(PLAN, life.state, life.now, {"v1": 30, "v2": 70})
    assert decision.weights == {"baseline": 30, "candidate-0": 70}
    assert assess(PLAN, state).winner is None


def test_after_a_crash_the_last_iteration_and_the_next_reading_go_on_with_merged_increments():
    life = Life()
    life.intervals(3)
    stored = life.state.to_json()
    before = assess(PLAN, life.state).versions[1].requests
    for _ in range(10):
        life.now += 1.0
        life.service.run(1.0, life.state.weights)
    state, _ = observe(PLAN, State.from_json(stored), life.service.snapshot(life.now))
    truth = life.service.counters["candidate-0"][REQUESTS]
    assert assess(PLAN, state).versions[1].requests == truth > before


def test_the_state_stays_small():
    one = replace(PLAN, criteria=(LATENCY,), iterations=100)
    life = Life(one, rate=200.0)
    life.intervals(40)
    assert len(life.state.to_json()) < 6000


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "not the state of an experiment"),
        ("[]", "not the state of an experiment"),
        ("{}", "not the state of an experiment"),
        ('{"format":99}', "has format 99"),
        ('{"format":2}', "is damaged"),
        ('{"format":2,"times":[1]}', "is damaged"),
        ('{"format":1}', "delete the experiment and apply it again"),
    ],
)
def test_a_text_that_is_no_state_is_refused(text, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        State.from_json(text)


def test_the_json_is_canonical():
    life = Life()
    life.intervals(2)
    text = life.state.to_json()
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def test_assessment_says_what_is_known_and_what_is_missing():
    life = Life()
    life.intervals(3)
    baseline, candidate = assess(PLAN, life.state).versions
    latency = candidate.criteria[0]
    assert (baseline.name, candidate.name, candidate.weight) == ("v1", "v2", 60)
    assert latency.value == pytest.approx(4.8, abs=0.5)
    assert latency.evidence_for < latency.needed_for == pytest.approx(4.605, abs=1e-3)
    assert latency.needed_against == pytest.approx(3.689, abs=1e-3)
    assert "blocks seen" in latency.missing
    assert latency.eta is not None
    assert latency.eta > 0
    chances = [v.win_probability for v in (baseline, candidate)]
    assert sum(c for c in chances if c is not None) == pytest.approx(1.0)
    life.intervals(7)
    seen = assess(PLAN, life.state)
    assert (seen.winner, seen.best, seen.versions[1].safe) == ("candidate-0", "candidate-0", True)
    covered = seen.versions[1].criteria[0].anytime
    assert covered is not None
    assert 3.0 < covered.lower < covered.upper < 10.0


def test_assessment_before_any_reading_claims_nothing():
    seen = assess(PLAN, begin(PLAN, 0.0))
    assert (seen.winner, seen.best, seen.probability_of_best) == (None, "baseline", None)
    assert all(v.win_probability is None and v.criteria[0].value is None for v in seen.versions)


def test_a_relative_limit_judges_the_candidate_and_only_shows_the_baseline():
    plan = replace(PLAN, criteria=(limit_on(MEAN_LATENCY, 1.3, LimitKind.RELATIVE),))
    life = Life(plan, candidate_0=Version(latency=8.0))
    life.intervals(6)
    baseline, candidate = assess(plan, life.state).versions
    assert candidate.rollback
    assert candidate.criteria[0].breached
    assert "times the baseline's 4." in life.state.rolled_back["candidate-0"].text
    assert (baseline.criteria[0].needed_for, baseline.criteria[0].probability_of_satisfying) == (0.0, None)


NOT_YET = [
    (replace(PLAN, candidates=(), criteria=(replace(LATENCY, limit=None, is_reward=True),)), "isReward"),
    (replace(PLAN, criteria=(replace(LATENCY, quantile=0.99),)), "quantile"),
    (replace(PLAN, criteria=(replace(LATENCY, limit=None, is_reward=True, delay=60.0),)), "delay"),
    (replace(PLAN, criteria=(LATENCY,), analysis=Analysis(exposure_budget=10.0)), "exposureBudget"),
    (replace(PLAN, candidates=(), criteria=(limit_on(MEAN_LATENCY, 1.2, LimitKind.RELATIVE),)), "relative limit"),
    (replace(PLAN, candidates=("v1", "v2")), "its own candidate"),
]


@pytest.mark.parametrize(("plan", "word"), NOT_YET)
def test_what_is_not_done_yet_is_refused_in_a_sentence(plan, word):
    (sentence,) = unsupported(plan)
    assert word in sentence
    assert sentence.startswith("spec.")


def test_the_plans_that_are_done_are_not_refused():
    for strategy in Strategy:
        assert unsupported(replace(PLAN, strategy=strategy)) == []
    assert unsupported(replace(PLAN, candidates=("v1",))) == []
