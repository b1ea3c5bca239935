"""From raw cumulative counters to what was counted between two readings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin.core.observation import AWAY, Fall, Series, Snapshot, increments, origin
from tests.core.simulation import ERROR_RATE, ERRORS, LATENCY, REQUESTS

VERSIONS = ("baseline", "candidate-0")
FAMILIES = frozenset({REQUESTS, ERRORS, LATENCY})


def seen(version, counter, value, instance="envoy-1", started=0.0):
    return Series(version, counter, instance, value, started)


def at(time, *series, families=FAMILIES):
    return Snapshot(time, series, families)


def requests(found, version="baseline"):
    return found.counts[version].get(REQUESTS)


CASES = {
    "grown": ([seen("baseline", REQUESTS, 10)], [seen("baseline", REQUESTS, 14)], 4),
    "unchanged": ([seen("baseline", REQUESTS, 10)], [seen("baseline", REQUESTS, 10)], 0),
    "begun anew": ([seen("baseline", REQUESTS, 10)], [seen("baseline", REQUESTS, 3)], 3),
    "first series of a known instance": ([seen("candidate-0", REQUESTS, 5)], [seen("baseline", REQUESTS, 3)], 3),
    "instance that started after the reading before": ([], [seen("baseline", REQUESTS, 7, "new", started=101.0)], 7),
    "instance that was there before it was seen": ([], [seen("baseline", REQUESTS, 7, "old", started=50.0)], 0),
    "instance of unknown age": ([], [seen("baseline", REQUESTS, 7, "old", started=None)], 0),
    "vanished": ([seen("baseline", REQUESTS, 10)], [], 0),
    "two instances": (
        [seen("baseline", REQUESTS, 10, "a"), seen("baseline", REQUESTS, 20, "b")],
        [seen("baseline", REQUESTS, 11, "a"), seen("baseline", REQUESTS, 22, "b")],
        3,
    ),
    "one series in two parts": (
        [seen("baseline", REQUESTS, 10), seen("baseline", REQUESTS, 1)],
        [seen("baseline", REQUESTS, 12), seen("baseline", REQUESTS, 2)],
        3,
    ),
}


@pytest.mark.parametrize(("before", "after", "counted"), CASES.values(), ids=CASES)
def test_what_was_counted_between_two_readings(before, after, counted):
    assert requests(increments(at(100.0, *before), at(115.0, *after), VERSIONS)) == counted


def test_the_first_reading_is_the_origin_of_everything():
    assert increments(None, at(100.0, seen("baseline", REQUESTS, 10)), VERSIONS).counts == {}


def test_an_absent_series_is_zero_only_if_its_family_has_been_seen():
    only = frozenset({REQUESTS})
    before, after = at(100.0, families=only), at(115.0, seen("baseline", REQUESTS, 7, started=101.0), families=only)
    counts = increments(before, after, VERSIONS).counts
    assert counts["candidate-0"] == {REQUESTS: 0.0}
    assert ERRORS not in counts["baseline"]


def test_series_of_other_versions_are_left_out():
    found = increments(at(100.0), at(115.0, seen("stranger", REQUESTS, 7, started=101.0)), VERSIONS)
    assert set(found.counts) == set(VERSIONS)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_a_value_that_is_no_count_makes_the_reading_a_gap(value):
    found = increments(at(100.0, seen("baseline", REQUESTS, 1)), at(115.0, seen("baseline", REQUESTS, value)), VERSIONS)
    assert found.gap is not None
    assert "no count" in found.gap
    assert found.counts == {}


def test_more_errors_than_requests_make_the_reading_a_gap_that_says_so():
    before = at(100.0, seen("baseline", REQUESTS, 10), seen("baseline", ERRORS, 0))
    after = at(115.0, seen("baseline", REQUESTS, 12), seen("baseline", ERRORS, 3))
    found = increments(before, after, VERSIONS, [ERROR_RATE])
    assert found.gap == "baseline counted 3 iter8_error_count of 2 iter8_request_count"


def test_after_a_gap_the_next_reading_brings_what_it_could_not():
    first = at(100.0, seen("baseline", REQUESTS, 10), seen("baseline", ERRORS, 0))
    torn = at(115.0, seen("baseline", REQUESTS, 12), seen("baseline", ERRORS, 3))
    whole = at(130.0, seen("baseline", REQUESTS, 30), seen("baseline", ERRORS, 4))
    kept = origin(first, torn, increments(first, torn, VERSIONS, [ERROR_RATE]))
    found = increments(kept, whole, VERSIONS, [ERROR_RATE])
    assert found.gap is None
    assert found.counts["baseline"] == {REQUESTS: 20.0, ERRORS: 4.0, LATENCY: 0.0}
    assert found.seconds == 30.0


def test_a_gap_in_which_a_counter_began_anew_moves_the_origin():
    first = at(100.0, seen("baseline", REQUESTS, 10), seen("baseline", ERRORS, 8))
    torn = at(115.0, seen("baseline", REQUESTS, 11), seen("baseline", ERRORS, 4))
    kept = origin(first, torn, increments(first, torn, VERSIONS, [ERROR_RATE]))
    assert kept.time == 115.0


def test_a_series_that_comes_back_to_a_known_instance_is_not_counted_twice():
    first = at(100.0, seen("baseline", REQUESTS, 10), seen("candidate-0", REQUESTS, 50))
    without = at(115.0, seen("baseline", REQUESTS, 11))
    back = at(130.0, seen("baseline", REQUESTS, 12), seen("candidate-0", REQUESTS, 53))
    kept = origin(first, without, increments(first, without, VERSIONS))
    assert requests(increments(kept, back, VERSIONS), "candidate-0") == 3


def followed(readings):
    """What each reading after the first one brings of the baseline's requests, and the last origin."""
    last, told = None, []
    for i, series in enumerate(readings):
        reading = at(100.0 + 15 * i, *series)
        found = increments(last, reading, VERSIONS)
        last = origin(last, reading, found)
        told.append(requests(found) if i else None)
    return told[1:], last


def test_an_instance_that_comes_back_brings_what_it_counted_while_it_was_not_seen():
    """A scrape that fails hides a pod for a reading or two; an overloaded one is hidden most often, with its errors."""
    a, b = [
        [seen("baseline", REQUESTS, n, name) for n in counts] for name, counts in (("a", (10, 11, 12)), ("b", (5, 9)))
    ]
    told, _ = followed([[a[0], b[0]], [a[1]], [a[2], b[1]]])
    assert told == [1, 1 + 4]


def test_an_instance_that_comes_back_begun_anew_brings_what_it_has():
    a, b = seen("baseline", REQUESTS, 10, "a"), seen("baseline", REQUESTS, 500, "b")
    told, _ = followed([[a, b], [a], [a, seen("baseline", REQUESTS, 3, "b")]])
    assert told == [0, 3]


def test_a_source_that_shows_nothing_for_a_moment_loses_nothing():
    names = [f"pod-{i}" for i in range(40)]
    told, _ = followed([[seen("baseline", REQUESTS, n, name) for name in names] if n else [] for n in (10, 0, 12)])
    assert told == [0, 80]


def test_a_few_instances_are_remembered_and_many_are_forgotten():
    """Pods that come and go for hours must not fill the status."""
    readings = [[seen("baseline", REQUESTS, 5, "stays"), seen("baseline", REQUESTS, 7, f"pod-{i}")] for i in range(50)]
    sizes = [len(followed(readings[: i + 1])[1].series) for i in range(len(readings))]
    assert max(sizes) == 2 + AWAY
    told, _ = followed([*readings, [seen("baseline", REQUESTS, 9, "pod-0")]])
    assert told[-1] == 0


def test_when_one_counter_of_an_instance_began_anew_all_of_them_did():
    """A restart between two readings: few errors before, more after; only the requests fell."""
    before = at(100.0, seen("baseline", REQUESTS, 1000), seen("baseline", ERRORS, 1))
    after = at(115.0, seen("baseline", REQUESTS, 90), seen("baseline", ERRORS, 3))
    found = increments(before, after, VERSIONS)
    assert (found.counts["baseline"][REQUESTS], found.counts["baseline"][ERRORS]) == (90.0, 3.0)
    assert found.restarted


def test_another_instance_that_restarts_changes_nothing_for_this_one():
    before = at(100.0, seen("baseline", REQUESTS, 1000, "a"), seen("candidate-0", REQUESTS, 10, "b"))
    after = at(115.0, seen("baseline", REQUESTS, 90, "a"), seen("candidate-0", REQUESTS, 14, "b"))
    found = increments(before, after, VERSIONS)
    assert (requests(found), requests(found, "candidate-0")) == (90.0, 4.0)


def test_a_reading_that_lacks_a_family_is_a_gap_and_the_next_one_brings_both_together():
    first = at(100.0, seen("baseline", REQUESTS, 100), seen("baseline", ERRORS, 1))
    blind = at(115.0, seen("baseline", REQUESTS, 200), families=frozenset({REQUESTS, LATENCY}))
    whole = at(130.0, seen("baseline", REQUESTS, 300), seen("baseline", ERRORS, 3))
    found = increments(first, blind, VERSIONS)
    assert found.gap == "iter8_error_count cannot be read, while iter8_request_count, iter8_total_latency can"
    assert found.counts == {}
    counts = increments(origin(first, blind, found), whole, VERSIONS).counts["baseline"]
    assert (counts[REQUESTS], counts[ERRORS]) == (200.0, 2.0)


def test_a_family_that_is_seen_for_the_first_time_begins_there():
    """What it counted before belongs to requests that no criterion has counted."""
    before = at(100.0, seen("baseline", REQUESTS, 100), families=frozenset({REQUESTS}))
    after = at(115.0, seen("baseline", REQUESTS, 200), seen("baseline", ERRORS, 9))
    counts = increments(before, after, VERSIONS).counts["baseline"]
    assert (counts[REQUESTS], counts[ERRORS]) == (100.0, 0.0)


def test_a_source_that_shows_nothing_is_no_gap_and_forgets_no_family():
    first = at(100.0, seen("baseline", REQUESTS, 100), seen("baseline", ERRORS, 1))
    nothing = at(115.0, families=frozenset())
    found = increments(first, nothing, VERSIONS)
    assert (found.gap, found.counts["baseline"]) == (None, {})
    assert origin(first, nothing, found).families == FAMILIES


def fallen(value, fall):
    return Series("baseline", REQUESTS, "envoy-1", value, fall=fall)


@pytest.mark.parametrize(
    ("fall", "values", "counted", "restarted"),
    [
        pytest.param(Fall.ANEW, [100, 4, 6], [4, 2], [True, False], id="began anew"),
        pytest.param(Fall.LOST, [100, 90, 95], [0, 5], [True, False], id="a part of the sum is gone"),
        pytest.param(Fall.NOISE, [100, 98.5, 99, 103], [0, 0, 3], [False, False, False], id="wavers"),
        pytest.param(Fall.NOISE, [100, 50, 101], [0, 1], [False, False], id="wavers by half"),
        pytest.param(Fall.NOISE, [100, 49, 55], [0, 6], [True, False], id="has lost its past"),
    ],
)
def test_what_a_fall_means_is_the_sources_word(fall, values, counted, restarted):
    last, steps, anew = at(100.0, fallen(values[0], fall)), [], []
    for i, value in enumerate(values[1:]):
        reading = at(115.0 + 15 * i, fallen(value, fall))
        found = increments(last, reading, VERSIONS)
        last = origin(last, reading, found)
        steps.append(requests(found))
        anew.append(found.restarted)
    assert (steps, anew) == (counted, restarted)


@given(st.lists(st.floats(100.0, 200.0), min_size=1, max_size=30))
def test_the_waves_of_a_computed_counter_never_add_up(values):
    last, told = at(99.0, fallen(100.0, Fall.NOISE)), 0.0
    for i, value in enumerate(values):
        reading = at(100.0 + i, fallen(value, Fall.NOISE))
        found = increments(last, reading, VERSIONS)
        last = origin(last, reading, found)
        told += requests(found)
    assert told == pytest.approx(max(values) - 100.0)


steps = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 50), st.booleans()), min_size=1, max_size=30)


@given(steps)
def test_nothing_is_ever_counted_twice_whatever_restarts_and_vanishes(history):
    """The truth is what instances really counted; what is told never exceeds it and never is negative."""
    truth, told, generation = 0, 0.0, {"a": 0, "b": 0}
    value = {"a": 0, "b": 0}
    last = None
    for i, (instance, more, restarts) in enumerate(history):
        time = 100.0 + i
        if restarts:
            generation[instance] += 1
            value[instance] = 0
        value[instance] += more
        truth += more
        # only the instance that moved is visible: the other one has vanished for this reading
        name = f"{instance}-{generation[instance]}"
        reading = at(time, seen("baseline", REQUESTS, value[instance], name, started=50.0))
        found = increments(last, reading, VERSIONS)
        last = origin(last, reading, found)
        step = found.counts.get("baseline", {}).get(REQUESTS, 0.0)
        assert step >= 0.0
        told += step
        assert told <= truth
        assert len(last.series) <= 1 + AWAY
