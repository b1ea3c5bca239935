"""What was recorded leads to the same bytes again, whatever has happened; what does not is said."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serin.core.forgetting import forget
from serin.core.lifecycle import Surroundings, begin, iterate, observe, routed_late
from serin.core.model import Analysis, LimitKind, Plan
from serin.core.observation import Fall, Series, Snapshot
from serin.core.recording import Forgotten, Iterated, Planned, Read, Restored, Routed, Step, Writer, digest, read
from serin.core.replay import Replay
from serin.errors import InvalidInput
from tests.core.simulation import ERROR_RATE, ERRORS, LATENCY, MEAN_LATENCY, REQUESTS, limit_on

PLAN = Plan(
    "v1",
    ("v2", "v3"),
    (limit_on(MEAN_LATENCY, 1.5, LimitKind.RELATIVE), limit_on(ERROR_RATE, 0.1, id="1")),
    interval=15.0,
    iterations=8,
    max_increment=50,
    analysis=Analysis(exposure_budget=200.0),
)
FAMILIES = frozenset({REQUESTS, LATENCY, ERRORS})
DOCUMENT = {"kind": "Experiment"}


class Life:
    """An experiment and what is recorded of it, as its home would."""

    def __init__(self, plan=PLAN):
        self.plan, self.now = plan, 1000.0
        self.state = self.stored = begin(plan, self.now)
        self.steps: list[Step] = [Planned(DOCUMENT), Restored(self.state.to_json())]
        self.counters = {v: dict.fromkeys(sorted(FAMILIES), 0.0) for v in plan.ids}
        self.instance = "envoy"

    def reading(self, seconds=5.0, requests=1000, latency=2.0, failing=0.0, hidden=()):
        self.now += seconds
        for v in self.plan.ids:
            n = requests * self.state.weights[v] // 100
            for counter, more in (
                (REQUESTS, n),
                (LATENCY, n * latency),
                (ERRORS, int(n * failing * (v != "baseline"))),
            ):
                self.counters[v][counter] += more
        series = tuple(
            Series(v, c, self.instance, x, 0.5, Fall.LOST)
            for v, by in self.counters.items()
            for c, x in by.items()
            if (v, c) not in hidden
        )
        snapshot = Snapshot(self.now, series, FAMILIES)
        self.state, decision = observe(self.plan, self.state, snapshot)
        self.steps.append(Read(snapshot, decision, digest(self.state) if decision else None))
        if decision:
            self.stored = self.state

    def iteration(self, ready=None, waiting=None):
        around = Surroundings(frozenset(self.plan.ids if ready is None else ready), {}, waiting)
        self.state, decision = iterate(self.plan, self.state, self.now, around)
        self.steps.append(Iterated(self.now, around, decision, digest(self.state)))
        self.stored = self.state

    def routed(self, late):
        """Proxies have followed; that is stored, as what was decided is, without the readings since."""
        time = self.now + late
        self.state, self.stored = routed_late(self.state, time), routed_late(self.stored, time)
        self.steps.append(Routed(time))

    def replaced(self, version):
        self.state = forget(self.plan, self.state, [version])
        self.steps.append(Forgotten((version,)))

    def crash(self):
        self.state = self.stored
        self.steps.append(Restored(self.state.to_json()))

    def written(self):
        writer = Writer()
        return [json.loads(json.dumps(writer.write(step), allow_nan=False)) for step in self.steps]


def replayed(raws, plan=PLAN):
    found = Replay(lambda document: plan)
    return found, list(found.run(read(raws)))


readings = st.tuples(
    st.just("reading"),
    st.fixed_dictionaries(
        {
            "seconds": st.sampled_from([1.0, 5.0, 0.1 + 0.2]),
            "requests": st.integers(0, 2000),
            "latency": st.floats(0.1, 50.0),
            "failing": st.sampled_from([0.0, 0.01, 0.5]),
            "hidden": st.sets(st.tuples(st.sampled_from(PLAN.ids), st.sampled_from(sorted(FAMILIES))), max_size=2),
        }
    ),
)
events = st.one_of(
    readings,
    readings,
    readings,
    st.tuples(st.just("iteration"), st.fixed_dictionaries({"waiting": st.sampled_from([None, None, "away"])})),
    st.tuples(st.just("iteration"), st.fixed_dictionaries({"ready": st.sets(st.sampled_from(PLAN.ids))})),
    st.tuples(st.just("replaced"), st.fixed_dictionaries({"version": st.sampled_from(PLAN.ids)})),
    st.tuples(st.just("routed"), st.fixed_dictionaries({"late": st.sampled_from([0.0, 0.2, 7.0])})),
    st.tuples(st.just("crash"), st.just({})),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(events, max_size=25))
def test_whatever_happened_its_recording_leads_to_the_same_bytes_and_decisions(script):
    life = Life()
    for what, how in script:
        getattr(life, what)(**how)
    found, happened = replayed(life.written())
    assert found.state.to_json() == life.state.to_json()
    assert [h.differs for h in happened if h.differs] == []
    recorded = [s.decision for s in life.steps if isinstance(s, Read | Iterated) and s.decision]
    assert [h.decision for h in happened if h.decision] == recorded
    assert found.readings == sum(isinstance(s, Read) for s in life.steps)


@settings(max_examples=40, deadline=None)
@given(st.lists(events, max_size=25))
def test_a_recording_is_read_as_it_was_written(script):
    life = Life()
    for what, how in script:
        getattr(life, what)(**how)
    assert list(read(life.written())) == life.steps


def lived(iterations=4, **behaviour):
    life = Life(replace(PLAN, candidates=("v2",)))
    for _ in range(iterations):
        for _ in range(3):
            life.reading(**behaviour)
        life.iteration()
    return life


def test_counters_that_are_no_numbers_are_kept_too():
    writer = Writer()
    odd = Snapshot(
        7.0, (Series("baseline", REQUESTS, "x", float("nan")), Series("baseline", ERRORS, "x", float("inf")))
    )
    (back,) = read([json.loads(json.dumps(writer.write(Read(odd)), allow_nan=False))])
    assert isinstance(back, Read)
    assert str(back.snapshot) == str(odd)


def test_a_decision_that_comes_out_otherwise_is_said_with_both():
    life = lived()
    raws = life.written()
    changed = next(raw for raw in raws if "iterate" in raw)
    was = changed["decision"]["weights"]
    changed["decision"]["weights"] = {"baseline": 7, "candidate-0": 93}
    _, happened = replayed(raws, life.plan)
    now = f"baseline {was['baseline']}, candidate-0 {was['candidate-0']}"
    assert happened[0].differs == (f"weights is {now}, recorded is baseline 7, candidate-0 93",)


def test_a_reading_that_was_changed_is_noticed_at_the_next_decision():
    raws = lived().written()
    reading = [raw for raw in raws if "read" in raw][5]
    reading["values"][reading["values"].index(next(x for x in reading["values"] if x))] += 1
    _, happened = replayed(raws, replace(PLAN, candidates=("v2",)))
    differing = [h for h in happened if h.differs]
    assert differing
    assert "the state has the digest" in differing[0].differs[-1]


def test_a_state_that_the_recording_does_not_lead_to_is_a_hole():
    life = lived()
    assert isinstance(life.steps[9], Iterated)
    life.steps[6:10] = [Restored(lived(2).state.to_json())]  # the second interval was never written
    found, happened = replayed(life.written(), life.plan)
    assert found.holes == 1
    assert any("has a hole" in h.text for h in happened)
    assert [h.differs for h in happened if h.differs] == []


def test_readings_that_a_process_took_into_its_grave_are_counted_apart():
    life = Life()
    life.reading()
    life.reading()
    life.crash()
    life.reading()
    found, happened = replayed(life.written())
    assert (found.readings, found.lost, found.holes) == (3, 2, 0)
    assert happened[0].text.startswith("another process goes on from here")


def test_why_it_ends_early_is_told():
    _, happened = replayed([*lived().written(), {"ended": "it was ended by hand"}], replace(PLAN, candidates=("v2",)))
    assert happened[-1].text == "it was ended by hand"


@pytest.mark.parametrize(
    ("raws", "sentence"),
    [
        ([{"read": 1.0}], "step 1 of the recording cannot be read"),
        ([{"read": 1.0, "values": [None], "series": [[], ["baseline", "x", "y", None, "anew"]]}], "step 1"),
        ([{"plan": {}}, {}], "step 2 of the recording cannot be read"),
        ([{"forget": ["baseline"]}], "does not begin with an experiment"),
        ([{"plan": {}}, {"restored": "{}"}], "status.analysisState"),
    ],
)
def test_what_is_no_recording_is_refused_with_its_place(raws, sentence):
    with pytest.raises(InvalidInput) as refused:
        replayed(raws)
    assert sentence in str(refused.value)
