"""Any history at all: readings that lie, repeat and vanish, versions that come and go; the laws hold throughout."""

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from serin.core.lifecycle import State, Surroundings, assess, begin, iterate, observe
from serin.core.model import BASELINE, Analysis, LimitKind, Outcome, Plan, Strategy
from serin.core.observation import Series, Snapshot
from tests.core.simulation import ERROR_COUNT, ERROR_RATE, ERRORS, LATENCY, MEAN_LATENCY, REQUESTS, limit_on

CRITERIA = (
    (limit_on(MEAN_LATENCY, 10.0),),
    (limit_on(ERROR_RATE, 0.1),),
    (limit_on(MEAN_LATENCY, 1.5, LimitKind.RELATIVE), limit_on(ERROR_RATE, 0.1, id="1", cutoff=True)),
    (limit_on(ERROR_RATE, 2.0, LimitKind.RELATIVE), limit_on(ERROR_COUNT, 50.0, id="1")),
)
FAMILIES = frozenset({REQUESTS, LATENCY, ERRORS})

plans = st.builds(
    Plan,
    baseline=st.just("v1"),
    candidates=st.integers(0, 3).map(lambda n: tuple(f"v{i + 2}" for i in range(n))),
    criteria=st.sampled_from(CRITERIA),
    interval=st.just(15.0),
    iterations=st.integers(1, 12),
    strategy=st.sampled_from(Strategy),
    max_increment=st.sampled_from([1, 2, 20, 50, 100]),
    percentage=st.sampled_from([100, 100, 30]),
    analysis=st.builds(
        Analysis,
        warmup=st.sampled_from([0.0, 0.0, 20.0]),
        min_duration=st.sampled_from([0.0, 0.0, 60.0]),
        early_stop=st.booleans(),
    ),
)
behaviours = st.tuples(st.sampled_from([0, 1, 30, 500]), st.sampled_from([2.0, 9.0, 40.0]), st.sampled_from([0, 1, 9]))


rarely = st.sampled_from([False] * 9 + [True])


class Experiments(RuleBasedStateMachine):
    """Two lives of one experiment: one kept in memory, one that goes through its JSON at every step."""

    @initialize(plan=plans)
    def start(self, plan):
        self.plan, self.now = plan, 1000.0
        self.kept = self.thawed = begin(plan, self.now)
        self.counters, self.instance, self.born = {}, "envoy-1", 0.0
        self.answered = dict.fromkeys(plan.ids, 0.0)
        self.out, self.decision, self.seen_since = set(), None, False

    def both(self, step):
        """The same step of both lives; the same bytes and the same decision come out."""
        kept, told = step(self.kept)
        thawed, again = step(State.from_json(self.thawed.to_json()))
        assert kept.to_json() == thawed.to_json()
        assert told == again
        if self.kept.ended:
            assert kept.to_json() == self.kept.to_json()
        self.kept, self.thawed = kept, thawed
        if told is not None:
            self.check(told)
        return told

    def check(self, told):
        assert sum(told.weights.values()) == 100
        assert set(told.weights) == set(self.plan.ids)
        assert dict(told.weights) == dict(self.kept.weights)
        assert told.outcome is self.kept.outcome
        assert (told.winner is not None) == (told.outcome in (Outcome.PROMOTED, Outcome.BASELINE_WON))
        if told.outcome is Outcome.PROMOTED:
            assert self.answered[told.winner] > 0
            assert told.winner not in self.kept.rolled_back
        assert all(f.text and f.version in (None, *self.plan.ids) for f in told.findings)

    @rule(data=st.data(), seconds=st.sampled_from([1.0, 5.0, 15.0, 120.0]))
    def traffic_and_a_reading(self, data, seconds):
        self.now += seconds
        for v in self.plan.ids:
            if self.kept.weights[v] > 0:
                n, latency, errors = data.draw(behaviours)
                self.answer(v, n, latency, min(n, errors * n // 10))
        self.read()

    def answer(self, version, n, latency, errors):
        if n == 0:
            return
        mine = self.counters.setdefault(version, {})
        for counter, more in ((REQUESTS, n), (LATENCY, n * latency), (ERRORS, errors)):
            mine[counter] = mine.get(counter, 0.0) + more

    def snapshot(self, hidden=()):
        series = [
            Series(v, c, self.instance, x, self.born)
            for v, by in self.counters.items()
            for c, x in by.items()
            if (v, c) not in hidden
        ]
        return Snapshot(self.now, tuple(series), FAMILIES if series else frozenset())

    def read(self, snapshot=None):
        before = self.requests()
        self.both(lambda state: observe(self.plan, state, snapshot or self.snapshot()))
        for v, n in self.requests().items():
            assert n >= before[v]
            self.seen_since = self.seen_since or n > before[v]
            self.answered[v] = n

    def requests(self):
        return {v: self.kept.totals.get(v, {}).get(REQUESTS, 0.0) for v in self.plan.ids}

    @rule()
    def a_repeated_reading(self):
        before = self.kept.to_json()
        if self.kept.read is not None:
            late = replace(self.snapshot(), time=self.kept.read)
            assert self.both(lambda state: observe(self.plan, state, late)) is None
            assert self.kept.to_json() == before

    @rule(value=st.sampled_from([float("nan"), float("inf"), -3.0]))
    def nonsense(self, value):
        self.now += 1.0
        self.read(Snapshot(self.now, (Series(BASELINE, REQUESTS, self.instance, value),), FAMILIES))

    @rule(data=st.data())
    def series_are_missing(self, data):
        self.now += 1.0
        every = [(v, c) for v in self.counters for c in self.counters[v]]
        self.read(self.snapshot(hidden=data.draw(st.sets(st.sampled_from(every))) if every else ()))

    @rule()
    def counters_begin_anew(self):
        self.counters = {v: dict.fromkeys(by, 0.0) for v, by in self.counters.items()}

    @rule()
    def another_proxy(self):
        self.counters, self.instance, self.born = {}, f"{self.instance}+", self.now + 0.5

    @rule(
        requests=st.sampled_from([0, 100, 2000, 2000]),
        latency=st.lists(st.sampled_from([2.0, 2.1, 2.2, 40.0]), min_size=4, max_size=4),
        errors=st.lists(st.sampled_from([0, 0, 0, 3]), min_size=4, max_size=4),
        intervals=st.integers(1, 5),
    )
    def normal_life(self, requests, latency, errors, intervals):
        for i in range(3 * intervals):
            self.now += 5.0
            weights = self.kept.weights
            for v, mean, failing in zip(self.plan.ids, latency, errors, strict=False):
                n = requests * weights[v] // 100
                self.answer(v, n, mean + 0.05 * (i % 2), failing * n // 10)
            self.read()
            if i % 3 == 2:
                self.iterated(frozenset(self.plan.ids))

    @rule(data=st.data(), waiting=st.sampled_from([None, None, "the source is away"]))
    def an_iteration_in_trouble(self, data, waiting):
        ready = frozenset(data.draw(st.sets(st.sampled_from(self.plan.ids))))
        lost = data.draw(st.sets(st.sampled_from(self.plan.ids), max_size=1)) if data.draw(rarely) else set()
        self.now += 1.0
        self.iterated(ready - lost, dict.fromkeys(lost, "it crashed"), waiting)

    def iterated(self, ready, failed=None, waiting=None):
        before, ended = self.kept, self.kept.ended
        around = Surroundings(ready, failed or {}, waiting)
        told = self.both(lambda state: iterate(self.plan, state, self.now, around))
        assert self.kept.iteration - before.iteration == int(told.counted)
        if ended:
            return
        if told.outcome is Outcome.RUNNING:
            if not self.seen_since or waiting is not None:
                assert not told.counted
            for v in self.plan.ids:
                rise = told.weights[v] - before.weights[v]
                if v != BASELINE and BASELINE in ready and before.earned == before.weights:
                    assert rise <= (0 if told.held else self.plan.max_increment)
                if v not in ready and ready - set(self.kept.rolled_back):
                    assert told.weights[v] == 0
        self.seen_since = False

    @invariant()
    def weights_are_whole_and_add_up_to_100(self):
        if not hasattr(self, "plan"):
            return
        for weights in (self.kept.weights, self.kept.earned):
            assert sum(weights.values()) == 100
            assert all(isinstance(w, int) and 0 <= w <= 100 for w in weights.values())

    @invariant()
    def who_is_rolled_back_never_gets_weight_again(self):
        if not hasattr(self, "plan"):
            return
        self.out |= set(self.kept.rolled_back)
        assert self.out == set(self.kept.rolled_back)
        assert all(self.kept.weights[v] == 0 for v in self.out)

    @invariant()
    def iterations_stay_within_the_plan(self):
        if hasattr(self, "plan"):
            assert self.kept.iteration <= self.plan.iterations

    @precondition(lambda self: hasattr(self, "plan"))
    @rule()
    def somebody_looks(self):
        seen = assess(self.plan, self.kept)
        assert [v.version for v in seen.versions] == list(self.plan.ids)
        chances = [v.win_probability for v in seen.versions if v.win_probability is not None]
        assert not chances or sum(chances) == pytest.approx(1.0)
        assert seen.winner not in self.kept.rolled_back
        if self.kept.ended:
            assert seen.winner == self.kept.winner


Experiments.TestCase.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestExperiments = Experiments.TestCase


steps = st.lists(st.lists(behaviours, min_size=4, max_size=4), min_size=3, max_size=10)


@settings(max_examples=25, deadline=None)
@given(steps, st.sampled_from(CRITERIA), st.sampled_from(list(permutations(range(3)))), st.sampled_from(Strategy))
def test_permuting_the_candidates_permutes_the_results(script, criteria, order, strategy):
    plan = Plan("v1", ("v2", "v3", "v4"), criteria, interval=15.0, iterations=8, strategy=strategy, max_increment=20)
    other = replace(plan, candidates=tuple(plan.candidates[i] for i in order))
    first, second = by_name(plan, script), by_name(other, script)
    assert first == second


def by_name(plan, script):
    """What happens to each version by its name, when behaviours are bound to names."""
    state, now, told = begin(plan, 0.0), 0.0, []
    counters: dict[str, dict[str, float]] = {}
    everybody = Surroundings(frozenset(plan.ids), {})
    for behaviour in script:
        of = dict(zip(("v1", "v2", "v3", "v4"), behaviour, strict=True))
        for _ in range(3):
            now += 5.0
            for v in plan.ids:
                n, latency, errors = of[plan.name(v)]
                if state.weights[v]:
                    mine = counters.setdefault(plan.name(v), {REQUESTS: 0.0, LATENCY: 0.0, ERRORS: 0.0})
                    more = (n, n * latency, min(n, errors * n // 10))
                    for c, x in zip((REQUESTS, LATENCY, ERRORS), more, strict=True):
                        mine[c] += x
            series = tuple(
                Series(v, c, "envoy", x, -1.0) for v in plan.ids for c, x in counters.get(plan.name(v), {}).items()
            )
            state, urgent = observe(plan, state, Snapshot(now, series, FAMILIES))
            told.append(urgent)
        state, decision = iterate(plan, state, now, everybody)
        told.append(decision)
    return [
        d
        and (
            {plan.name(v): w for v, w in d.weights.items()},
            d.outcome,
            d.winner and plan.name(d.winner),
            plan.name(d.best),
            frozenset((f.reason, f.version and (plan.name(f.version), f.text)) for f in d.findings),
        )
        for d in told
    ]
