"""From an experiment to a plan and to the counters that have to be read."""

from __future__ import annotations

from typing import Any

import pytest

from serin.api.v1alpha2 import convert, validation
from serin.api.v1alpha2.types import Experiment
from serin.core.model import Criterion, Limit, LimitKind, Measure, MeasureKind
from serin.errors import InvalidInput
from serin.metrics.definitions import Counter, Definitions, Direction, Ratio, built_in, define
from serin.ports import Matcher

COUNT = "istio_request_duration_milliseconds_count"
SUM = "istio_request_duration_milliseconds_sum"


def experiment(*criteria: dict[str, Any], **spec: Any) -> Experiment:
    service = {"name": "shop", "baseline": "shop-v1", "candidates": ["shop-v2", "shop-v3"], **spec.pop("service", {})}
    return validation.load(
        {
            "apiVersion": "iter8.tools/v1alpha2",
            "kind": "Experiment",
            "metadata": {"name": "rollout", "namespace": "test"},
            "spec": {"service": service, "criteria": list(criteria), **spec},
        }
    )


def growth(selector: str) -> str:
    return f"sum(increase({selector}[$interval])) by ($version_labels)"


def defined(
    numerator: str, denominator: str = "istio_requests_total", direction: Direction | None = None, **ratio: Any
) -> Definitions:
    """The request count, and a ratio `r` of two counters."""
    return define(
        [
            Counter("iter8_request_count", growth("istio_requests_total")),
            Counter("above", growth(numerator)),
            Counter("below", growth(denominator)),
        ],
        [Ratio("r", "above", "below", direction, **ratio)],
    )


def criterion(given: dict[str, Any], known: Definitions) -> Criterion:
    return convert.plan(experiment(given), known).criteria[0]


def test_a_criterion_is_numbered_and_keeps_the_name_that_the_user_wrote() -> None:
    plan = convert.plan(
        experiment(
            {"metric": "iter8_error_rate"},
            {
                "metric": "iter8_latency",
                "threshold": {"type": "relative", "value": 1.2, "cutoffTrafficOnViolation": True},
            },
        ),
        built_in(),
    )
    assert [(c.id, c.metric, c.limit) for c in plan.criteria] == [
        ("0", "iter8_error_rate", None),
        ("1", "iter8_latency", Limit(LimitKind.RELATIVE, 1.2, cutoff=True)),
    ]
    assert (plan.baseline, plan.candidates) == ("shop-v1", ("shop-v2", "shop-v3"))
    assert plan.ids == ("baseline", "candidate-0", "candidate-1")


def test_a_share_of_requests_is_a_rate_and_a_counter_a_counter() -> None:
    assert criterion({"metric": "iter8_error_rate"}, built_in()).measure == Measure(
        MeasureKind.RATE, "iter8_error_count", "iter8_request_count"
    )
    assert criterion({"metric": "iter8_error_count"}, built_in()).measure == Measure(
        MeasureKind.COUNTER, "iter8_error_count"
    )


def test_mean_latency_is_divided_by_the_count_of_its_own_family() -> None:
    """Envoy's own 503s are counted as requests but have no duration: they would make a crashing version look fast."""
    given = experiment({"metric": "iter8_mean_latency"})
    (found,) = convert.plan(given, built_in()).criteria
    assert found.measure == Measure(MeasureKind.MEAN, "iter8_total_latency", "iter8_total_latency:count", units="ms")
    counters = {query.name: query for query in convert.counters(given, built_in())}
    assert list(counters) == ["iter8_request_count", "iter8_total_latency", "iter8_total_latency:count"]
    above, below = counters["iter8_total_latency"], counters["iter8_total_latency:count"]
    assert (above.metric, below.metric) == (SUM, COUNT)
    assert (
        below.matchers == above.matchers == (Matcher("reporter", "=", "source"), Matcher("job", "=", "kubernetes-pods"))
    )
    assert below.template == above.template.replace("_sum", "_count")


@pytest.mark.parametrize(
    ("numerator", "denominator", "below"),
    [
        (SUM, "istio_requests_total", COUNT),
        (f"{SUM}{{job='a',reporter='source'}}", "istio_requests_total{job='b'}", COUNT),
        (f"{SUM}{{response_code='200'}}", "istio_requests_total{response_code='200',job='b'}", COUNT),
        (f"{SUM}{{response_code='200'}}", "istio_requests_total", "istio_requests_total"),
        (SUM, COUNT, COUNT),
        (SUM, "sessions_total", "sessions_total"),
        ("books_purchased_total", "istio_requests_total", "istio_requests_total"),
    ],
)
def test_only_a_sum_over_the_very_requests_counted_has_its_denominator_replaced(
    numerator: str, denominator: str, below: str
) -> None:
    known, given = defined(numerator, denominator), experiment({"metric": "r"})
    measure = convert.plan(given, known).criteria[0].measure
    read = {query.name: query.metric for query in convert.counters(given, known)}
    assert measure.denominator is not None
    assert read[measure.denominator] == below
    assert read["above"] == numerator.partition("{")[0]


def test_what_only_prometheus_can_read_is_passed_on_as_it_stands() -> None:
    known = defined("x} / 2", "istio_requests_total")
    read = {query.name: query for query in convert.counters(experiment({"metric": "r"}), known)}
    assert (read["above"].metric, read["above"].template) == (None, growth("x} / 2"))


@pytest.mark.parametrize(
    ("direction", "is_reward", "lower"),
    [
        (Direction.LOWER, False, True),
        (Direction.HIGHER, False, False),
        (None, False, True),
        (None, True, False),
        (Direction.LOWER, True, True),
    ],
)
def test_the_better_direction(direction: Direction | None, is_reward: bool, lower: bool) -> None:
    known = defined("x", direction=direction)
    assert criterion({"metric": "r", "isReward": is_reward}, known).measure.lower_is_better is lower


def test_each_counter_is_read_once_and_requests_always() -> None:
    given = experiment({"metric": "iter8_error_rate"}, {"metric": "iter8_error_count"}, {"metric": "iter8_error_rate"})
    assert [query.name for query in convert.counters(given, built_in())] == ["iter8_request_count", "iter8_error_count"]
    assert [query.name for query in convert.counters(experiment(), built_in())] == ["iter8_request_count"]


def test_versions_are_found_by_workload_or_by_service() -> None:
    assert convert.version_labels(experiment()) == {
        "baseline": {"destination_workload": "shop-v1", "destination_workload_namespace": "test"},
        "candidate-0": {"destination_workload": "shop-v2", "destination_workload_namespace": "test"},
        "candidate-1": {"destination_workload": "shop-v3", "destination_workload_namespace": "test"},
    }
    assert convert.version_labels(experiment(service={"kind": "Service", "namespace": "other", "candidates": []})) == {
        "baseline": {"destination_service_name": "shop-v1", "destination_service_namespace": "other"}
    }


def test_definitions_of_the_spec_are_the_ones_used_and_may_be_missing() -> None:
    assert convert.definitions(experiment()) is None
    written_back = convert.definitions(experiment(metrics=built_in().to_spec()))
    assert written_back == built_in()


def test_a_metric_that_is_not_defined_is_an_error() -> None:
    with pytest.raises(InvalidInput, match="metric 'x' is not defined; there are iter8_request_count, iter8_total"):
        convert.plan(experiment({"metric": "x"}), built_in())
