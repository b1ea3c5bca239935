"""Quantiles by the buckets of histograms: exact, or refused with the edges beside it."""

from __future__ import annotations

from typing import Any

import pytest

from serin.api.v1alpha2 import convert, validation
from serin.api.v1alpha2.quantiles import EDGES
from serin.core import words
from serin.core.evidence.criterion import Sums, start
from serin.core.lifecycle import unsupported
from serin.core.model import Analysis, MeasureKind
from serin.metrics.definitions import built_in
from tests.api.test_convert import defined, experiment

KNOWN = built_in()


def p99(value: float, metric: str = "iter8_mean_latency", kind: str = "absolute") -> dict[str, Any]:
    return {"metric": metric, "quantile": 0.99, "threshold": {"type": kind, "value": value}}


def refused(given: dict[str, Any]) -> str:
    (problem,) = validation.metric_problems(experiment(given), KNOWN)
    return problem.text


def test_a_quantile_is_judged_as_the_share_of_requests_within_the_limit() -> None:
    asked = experiment(p99(500))
    plan = convert.plan(asked, KNOWN)
    (criterion,) = plan.criteria
    assert (criterion.measure.kind, criterion.measure.lower_is_better) == (MeasureKind.RATE, False)
    assert (criterion.limit.value if criterion.limit else None, criterion.within) == (0.99, 500.0)
    assert words.metric(criterion) == "requests within 500 ms"
    assert unsupported(plan) == []
    within, every = convert.counters(asked, KNOWN)[1:]
    assert (criterion.measure.numerator, criterion.measure.denominator) == (within.name, every.name)
    assert {within.metric, every.metric} == {"istio_request_duration_milliseconds_bucket"}
    assert [m.value for q in (within, every) for m in q.matchers if m.label == "le"] == [r"500(\.0+)?", r"\+Inf"]


def test_it_is_proven_and_refuted_by_what_lies_beyond_the_edge() -> None:
    (criterion,) = convert.plan(experiment(p99(500)), KNOWN).criteria
    good, bad = (start(criterion, Analysis(), 120) for _ in range(2))
    for i in range(40):
        good = good.update(Sums(1000, 1000 - i % 2), Sums(3000, 2998 - i % 2), 15.0)
        bad = bad.update(Sums(1000, 950 + i % 3), Sums(3000, 2998 - i % 2), 15.0)
    assert good.enough
    assert good.log_for > 4.7
    assert bad.log_against > 4.7


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (p99(400), "lies between the buckets' edges 250 and 500, and within a bucket a quantile can only be guessed"),
        (p99(4e6), "lies in the last bucket, above 3600000"),
        (p99(0.1), "lies in the first bucket, below 0.5"),
        (p99(1.5, kind="relative"), "cannot be relative to the baseline's: between the edges of buckets"),
        ({"metric": "iter8_mean_latency", "quantile": 0.99}, "needs a threshold of type absolute"),
        (p99(0.5, metric="iter8_error_rate"), "'iter8_error_rate' is not made of a histogram"),
    ],
)
def test_what_no_bucket_can_tell_is_refused_with_the_way_out(given: dict[str, Any], text: str) -> None:
    assert refused(given).startswith(text)
    (sentence,) = unsupported(convert.plan(experiment(given), KNOWN))
    assert "spec.criteria[0].quantile" in sentence


@pytest.mark.parametrize("edge", EDGES)
def test_every_edge_of_istios_histogram_will_do(edge: float) -> None:
    assert validation.metric_problems(experiment(p99(edge)), KNOWN) == []


def test_the_edges_of_another_histogram_are_its_own() -> None:
    known = defined("shop_seconds_sum", "shop_seconds_count", units="s")
    plan = convert.plan(experiment(p99(0.3, metric="r")), known)
    assert unsupported(plan) == []
    (within,) = [q for q in convert.counters(experiment(p99(0.3, metric="r")), known) if "0.3" in q.name]
    assert within.metric == "shop_seconds_bucket"
