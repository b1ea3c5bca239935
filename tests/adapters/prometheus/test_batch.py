"""Many requests as one query, and its rows back to each request."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serin.adapters.prometheus.batch import Batch, Row
from serin.core.observation import Fall, Snapshot
from serin.errors import ProviderError
from serin.ports import CounterQuery, Matcher, ReadRequest
from tests.adapters.prometheus.engine import ERRORS, LATENCY, REQUESTS, World, evaluate, request, sample

TOTAL, SUM = "istio_requests_total", "istio_request_duration_milliseconds_sum"
SOLD = CounterQuery("sold", "…", "books_purchased_total")
FAILED = CounterQuery("failed", "…", "shop_requests_total", (Matcher("code", "=~", "5.."),))
WHOLE = "sum(increase(shop_requests_total[$interval])) by ($version_labels)"
COMPUTED = CounterQuery("weighted", f"2 * {WHOLE}", None)


def values(snapshot: Snapshot) -> dict[tuple[str, str], list[float]]:
    found: dict[tuple[str, str], list[float]] = {}
    for series in snapshot.series:
        found.setdefault((series.version, series.counter), []).append(series.value)
    return {key: sorted(each) for key, each in found.items()}


def test_each_instance_keeps_its_own_count() -> None:
    world = World().add(
        sample(TOTAL, 5),
        sample(TOTAL, 2, response_code="503"),
        sample(TOTAL, 100, pod="gateway-2"),
        sample(TOTAL, 30, "shop-v2"),
        sample(TOTAL, 999, "shop-v1", destination_workload_namespace="other"),
        sample(TOTAL, 999, reporter="destination"),
    )
    (snapshot,) = world.answers(request(REQUESTS, ERRORS))
    assert values(snapshot) == {
        ("baseline", "iter8_request_count"): [7, 100],
        ("baseline", "iter8_error_count"): [2],
        ("candidate", "iter8_request_count"): [30],
    }
    assert {s.fall for s in snapshot.series} == {Fall.LOST}
    assert len({s.instance for s in snapshot.series}) == 2
    assert snapshot.time == 1000.0


def test_one_instance_has_one_name_for_all_versions_and_counters() -> None:
    world = World().add(sample(TOTAL, 5), sample(TOTAL, 1, "shop-v2", response_code="500"), sample(SUM, 3))
    (snapshot,) = world.answers(request())
    assert len(snapshot.series) == 4
    assert len({s.instance for s in snapshot.series}) == 1


FAMILIES = {
    "no errors anywhere are 0 errors": ([sample(TOTAL, 5)], (REQUESTS, ERRORS), {REQUESTS, ERRORS}),
    "nothing is shown": ([], (REQUESTS, ERRORS), set()),
    "shown for others only": ([sample(TOTAL, 5, "stranger")], (REQUESTS, ERRORS), set()),
    "shown by another source only": ([sample(TOTAL, 5, reporter="destination")], (REQUESTS, ERRORS), set()),
    "one metric is not another": ([sample(TOTAL, 5)], (REQUESTS, LATENCY), {REQUESTS}),
    "a candidate without traffic": ([sample(TOTAL, 5), sample(SUM, 5)], (REQUESTS, LATENCY), {REQUESTS, LATENCY}),
    "a mistyped label is not 'never happened'": (
        [sample("shop_requests_total", 5, kode="200")],
        (FAILED,),
        set(),
    ),
    "the label is there": ([sample("shop_requests_total", 5, code="200")], (FAILED,), {FAILED}),
    "the same proxy would show it": (
        [sample(TOTAL, 5), sample(TOTAL, 5, "shop-v2"), sample(SUM, 5)],
        (REQUESTS, LATENCY),
        {REQUESTS, LATENCY},
    ),
    "the candidate's own pods may not be scraped": (
        [sample(TOTAL, 5), sample(TOTAL, 5, "shop-v2"), sample("shop_requests_total", 5, pod="shop-v1-a", code="200")],
        (REQUESTS, FAILED),
        {REQUESTS},
    ),
    "the candidate shows its page before the first request comes": (
        [
            sample(TOTAL, 5),
            sample("books_purchased_total", 5, pod="shop-v1-a"),
            sample("books_purchased_total", 0, "shop-v2", pod="shop-v2-a"),
        ],
        (REQUESTS, ERRORS, SOLD),
        {REQUESTS, ERRORS, SOLD},
    ),
    "both versions' pods are": (
        [
            sample(TOTAL, 5),
            sample(TOTAL, 5, "shop-v2"),
            sample("shop_requests_total", 5, pod="shop-v1-a", code="200"),
            sample("shop_requests_total", 5, "shop-v2", pod="shop-v2-a", code="200"),
        ],
        (REQUESTS, FAILED),
        {REQUESTS, FAILED},
    ),
}


@pytest.mark.parametrize(("series", "counters", "shown"), FAMILIES.values(), ids=FAMILIES)
def test_when_an_absent_series_is_a_0(series, counters, shown) -> None:
    (snapshot,) = World(list(series)).answers(request(*counters))
    assert snapshot.families == {counter.name for counter in shown}


def shown(metric: str, value: float, pod: str, **labels: str) -> Row:
    """A series of an application as discovery by annotations leaves it: it names its pod and nobody else."""
    given = {"namespace": "default", "instance": "10.0.0.7:8501", **labels}
    return sample(metric, value, pod=pod, destination_workload="", destination_workload_namespace="", **given)


V1, V2, OTHER = "shop-v1-7d8f9c6b5d-x2bcd", "shop-v2-6c4d9f7b8w-k4tzq", "shop-v20-6c4d9f7b8w-k4tzq"


def test_series_that_name_nobody_are_their_pods() -> None:
    world = World().add(
        sample(TOTAL, 50),
        sample(TOTAL, 50, "shop-v2"),
        shown("books_purchased_total", 3, V1, shelf="new"),
        shown("books_purchased_total", 4, V1, shelf="old"),
        shown("books_purchased_total", 5, V2, shelf="new"),
        shown("books_purchased_total", 6, V2.replace("k4tzq", "vvvvv"), shelf="new"),
        shown("books_purchased_total", 999, OTHER, shelf="new"),
        shown("books_purchased_total", 999, V1, shelf="new", namespace="other"),
        shown("books_purchased_total", 999, "", shelf="new"),
    )
    (snapshot,) = world.answers(request(REQUESTS, SOLD))
    assert values(snapshot) == {
        ("baseline", "iter8_request_count"): [50],
        ("candidate", "iter8_request_count"): [50],
        ("baseline", "sold"): [7],
        ("candidate", "sold"): [5, 6],
    }
    assert snapshot.families == {REQUESTS.name, SOLD.name}


def test_what_a_pod_says_of_itself_and_of_others_by_name_are_two_counts() -> None:
    """A checkout that is itself a version, and counts for another one by name."""
    here = {"namespace": "default", "instance": "10.0.0.7:8501"}
    world = World().add(
        shown("books_purchased_total", 3, V1),
        sample("books_purchased_total", 4, "shop-v1", V1, **here),
        sample("books_purchased_total", 5, "shop-v2", V1, **here),
    )
    (snapshot,) = world.answers(request(SOLD))
    assert values(snapshot) == {("baseline", "sold"): [3, 4], ("candidate", "sold"): [5]}


def test_istios_series_are_never_told_by_their_pod() -> None:
    """A proxy's pod is who asks, not whom the series is about."""
    (snapshot,) = World().add(shown(TOTAL, 7, V1, reporter="source")).answers(request(REQUESTS))
    assert snapshot.series == ()


def test_the_edges_of_a_histogram_are_found_in_both_spellings() -> None:
    within = CounterQuery("within", "…", "seconds_bucket", (Matcher("le", "=", "1"),))
    for edge in ("1", "1.0"):
        (snapshot,) = World().add(shown("seconds_bucket", 3, V1, le=edge)).answers(request(within))
        assert values(snapshot) == {("baseline", "within"): [3]}


def test_what_is_not_a_number_is_absent_and_what_is_no_count_is_for_the_core_to_see() -> None:
    world = World().add(sample(TOTAL, math.nan), sample(TOTAL, math.inf, "shop-v2"), sample(SUM, -1))
    (snapshot,) = world.answers(request(REQUESTS, LATENCY))
    assert values(snapshot) == {
        ("candidate", "iter8_request_count"): [math.inf],
        ("baseline", "iter8_total_latency"): [-1],
    }


def test_sums_over_instances_are_refused() -> None:
    summed = World().add(sample(TOTAL, 5, instance="", pod=""))
    with pytest.raises(ProviderError, match=r"no label 'instance' or 'pod'.*ask the Prometheus that scrapes"):
        summed.answers(request(ERRORS))  # before the first error, too


def test_what_two_replicas_have_seen_is_not_counted_twice() -> None:
    both = World().add(sample(TOTAL, 5, prometheus_replica="a"), sample(TOTAL, 5, prometheus_replica="b"))
    with pytest.raises(ProviderError, match="several replicas"):
        both.answers(request(REQUESTS))
    (snapshot,) = World().add(sample(TOTAL, 5, prometheus_replica="a")).answers(request(REQUESTS))
    assert values(snapshot) == {("baseline", "iter8_request_count"): [5]}


def test_one_trouble_spoils_no_other() -> None:
    world = World().add(sample(TOTAL, 5), sample(TOTAL, 7, "sums", instance="", pod=""))
    batch = Batch.of([request(REQUESTS), request(REQUESTS, baseline="sums"), request(REQUESTS)], 1000.0, 15.0)
    first, second, third = batch.answers(evaluate(batch.query, world.series))
    assert isinstance(first, Snapshot)
    assert first == third
    assert isinstance(second, ProviderError)


def test_the_metrics_out_of_the_box_are_two_selections_for_any_number_of_experiments() -> None:
    requests = [request(baseline=f"shop{i}-v1", candidate=f"shop{i}-v2") for i in range(100)]
    batch = Batch.of(requests, 1000.0, 15.0)
    assert len(batch.parts) == 2
    assert batch.query.count("sum by") == 2


def test_two_versions_of_one_name_both_get_its_counts() -> None:
    (snapshot,) = World().add(sample(TOTAL, 5)).answers(request(REQUESTS, baseline="shop-v1", candidate="shop-v1"))
    assert [(s.version, s.value) for s in snapshot.series] == [("baseline", 5), ("candidate", 5)]


def test_kind_service_groups_by_the_service() -> None:
    world = World().add(sample(TOTAL, 5, destination_service_name="shop", destination_service_namespace="default"))
    labels = {"destination_service_name": "shop", "destination_service_namespace": "default"}
    service = ReadRequest((REQUESTS,), {"baseline": labels}, 0.0)
    deployment = request(REQUESTS, baseline="shop-v1")
    assert [values(s) for s in world.answers(service, deployment)] == [{("baseline", "iter8_request_count"): [5]}] * 2


def computed(value: float, workload: str, **labels: str) -> Row:
    return Row(
        {"destination_workload": workload, "destination_workload_namespace": "default", "serin_part": "0", **labels},
        value,
    )


def test_a_template_is_evaluated_as_it_stands_over_the_time_since_the_start() -> None:
    batch = Batch.of([request(COMPUTED, since=900.7)], 1000.0, 15.0)
    assert batch.query == (
        "label_replace(2 * sum(increase(shop_requests_total[100s])) by (destination_workload, "
        'destination_workload_namespace), "serin_part", "0", "", "")'
    )
    (answer,) = batch.answers([computed(8.5, "shop-v1"), computed(3.0, "stranger"), Row({"serin_part": "0"}, 0.0)])
    assert isinstance(answer, Snapshot)
    assert [(s.version, s.counter, s.value, s.fall) for s in answer.series] == [
        ("baseline", "weighted", 8.5, Fall.NOISE)
    ]
    assert answer.families == {"weighted"}


def test_a_template_is_not_read_while_its_range_is_short() -> None:
    young = Batch.of([request(REQUESTS, COMPUTED, since=926.0)], 1000.0, 15.0)
    assert "shop_requests_total" not in young.query
    (answer,) = young.answers(evaluate(young.query, [sample(TOTAL, 5)]))
    assert isinstance(answer, Snapshot)
    assert answer.families == {"iter8_request_count"}
    assert Batch.of([request(COMPUTED, since=926.0)], 1000.0, 15.0).query == ""


def test_experiments_that_began_together_share_what_is_computed() -> None:
    together = Batch.of([request(COMPUTED, since=900.2), request(COMPUTED, since=900.9)], 1000.0, 15.0)
    assert len(together.parts) == 1


NAMES = st.sampled_from(["a", "a-v1", "a.v1", "b"])
PLACES = st.sampled_from(["default", "other"])
COUNTERS = st.sampled_from([REQUESTS, LATENCY, ERRORS, SOLD, FAILED])


@st.composite
def rows(draw) -> Row:
    metric = draw(st.sampled_from([TOTAL, SUM, "books_purchased_total", "shop_requests_total"]))
    labels = {"destination_workload_namespace": draw(PLACES), "job": draw(st.sampled_from(["kubernetes-pods", "x"]))}
    if metric.startswith("istio"):
        labels["response_code"] = draw(st.sampled_from(["200", "503"]))
        labels["reporter"] = draw(st.sampled_from(["source", "destination"]))
    else:
        labels["code"] = draw(st.sampled_from(["", "200", "500"]))
    return sample(metric, draw(st.integers(0, 9)), draw(NAMES), draw(st.sampled_from(["p", "q"])), **labels)


@st.composite
def requests(draw) -> ReadRequest:
    counters = tuple(draw(st.lists(COUNTERS, min_size=1, max_size=4, unique=True)))
    names = [f"{draw(PLACES)}/{draw(NAMES)}" for _ in range(draw(st.integers(1, 3)))]
    return request(*counters, since=0.0, **{f"candidate-{i}": name for i, name in enumerate(names)})


def unordered(answer: Snapshot | ProviderError) -> tuple:
    assert isinstance(answer, Snapshot)
    return answer.time, sorted(answer.series, key=repr), answer.families


def unique(series: list[Row]) -> list[Row]:
    return list({tuple(sorted(row.labels.items())): row for row in series}.values())


@settings(max_examples=300, deadline=None)
@given(st.lists(rows(), max_size=25), st.lists(requests(), min_size=1, max_size=5))
def test_a_batch_answers_what_each_request_would_be_answered_alone(series, asked) -> None:
    world = World(unique(series))
    together = world.answers(*asked)
    assert [unordered(a) for a in together] == [unordered(world.answers(each)[0]) for each in asked]


@settings(max_examples=300, deadline=None)
@given(st.lists(rows(), max_size=25), requests())
def test_the_answer_is_the_sum_of_what_the_selectors_select_at_each_instance(series, asked) -> None:
    world = World(unique(series))
    (snapshot,) = world.answers(asked)
    expected: dict[tuple[str, str], dict[tuple[str, str], float]] = {}
    for version, labels in asked.versions.items():
        for counter in asked.counters:
            for row in world.series:
                fits = all(row.labels.get(label) == value for label, value in labels.items())
                wanted = {m.label: row.labels.get(m.label, "") for m in counter.matchers}
                fits = (
                    fits and row.labels["__name__"] == counter.metric and wanted.get("reporter", "source") == "source"
                )
                fits = fits and all(text.startswith("5") for label, text in wanted.items() if label != "reporter")
                if fits:
                    at = expected.setdefault((version, counter.name), {})
                    who = row.labels["pod"], row.labels["job"]
                    at[who] = at.get(who, 0.0) + row.value
    assert values(snapshot) == {key: sorted(found.values()) for key, found in expected.items()}
