"""Metrics of one's own: from the Experiment and from the ConfigMap, of the proxy and of the application itself."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from serin.metrics.definitions import built_in
from serin.ports import CONFIG_MAP, EXPERIMENT, Object
from tests.kinds.place import Place, absolute

pytestmark = pytest.mark.real

DURATION = {"interval": "2s", "maxIterations": 4}
REQUESTS = built_in().to_spec()["counter_metrics"][0]


def template(series: str) -> str:
    return f"sum(increase({series}[$interval])) by ($version_labels)"


def counter(name: str, series: str, **more: Any) -> Object:
    return {"name": name, "query_template": template(series), **more}


SALES = {
    "counter_metrics": [
        REQUESTS,
        counter("books", "books_purchased_total{shelf='new'}"),
        counter("visits", "visits_total"),
    ],
    "ratio_metrics": [
        {"name": "sales", "numerator": "books", "denominator": "visits", "preferred_direction": "higher",
         "zero_to_one": True}
    ],
}  # fmt: skip


def value(status: Object, index: int = 0, criterion: int = 0) -> float:
    """The estimate of a candidate's criterion."""
    found = status["assessment"]["candidates"][index]["criterion_assessments"][criterion]["statistics"]["value"]
    return float(found)


async def test_a_counter_of_the_application_is_judged_like_any_other(place: Place) -> None:
    """v1 sells nothing and v2 in every other visit; at least 30% must buy: v2 wins, on its own page's evidence."""
    await place.stage("v1")
    await place.apply(place.deployment("v2", "--sales", "0.5"))
    await place.ready("v2")
    async with place.traffic():
        await place.apply(place.experiment(criteria=[absolute("sales", 0.3)], metrics=SALES, duration=DURATION))
        status = await place.completed()
    assert status["assessment"]["winner"]["name"] == "shop-v2"
    assert value(status) == pytest.approx(0.5, abs=0.12)
    baseline = status["assessment"]["baseline"]["criterion_assessments"][0]["statistics"]["value"]
    assert baseline == pytest.approx(0.0, abs=0.01)


async def test_an_application_that_sells_too_little_is_rolled_back(place: Place) -> None:
    await place.stage("v1")
    await place.apply(place.deployment("v2", "--sales", "0.1"))
    await place.ready("v2")
    async with place.traffic():
        await place.apply(
            place.experiment(
                criteria=[absolute("sales", 0.3)],
                metrics=SALES,
                duration={"interval": "2s", "maxIterations": 60},
                trafficControl={"maxIncrement": 20},
            )
        )
        status = await place.completed()
    assert status["assessment"]["candidates"][0]["rollback"] is True
    assert status["assessment"]["winner"]["name"] == "shop-v1"
    await place.answered_by("v1")


async def test_several_pods_of_a_version_are_one_version(place: Place) -> None:
    await place.stage("v1")
    await place.apply(place.deployment("v2", "--sales", "0.5", replicas=3))
    await place.ready("v2")
    async with place.traffic():
        await place.apply(place.experiment(criteria=[absolute("sales", 0.3)], metrics=SALES, duration=DURATION))
        status = await place.completed()
    assert status["assessment"]["winner"]["name"] == "shop-v2"
    assert value(status) == pytest.approx(0.5, abs=0.12)


async def test_a_ratio_of_the_applications_counter_to_the_proxys_requests(place: Place) -> None:
    await place.stage("v1")
    await place.apply(place.deployment("v2", "--sales", "0.5"))
    await place.ready("v2")
    ratio = {
        "name": "sales",
        "numerator": "books",
        "denominator": "iter8_request_count",
        "preferred_direction": "higher",
    }
    metrics = {"counter_metrics": SALES["counter_metrics"], "ratio_metrics": [ratio]}
    async with place.traffic():
        await place.apply(
            place.experiment(
                criteria=[absolute("sales", 0.2)], metrics=metrics, duration={**DURATION, "maxIterations": 8}
            )
        )
        status = await place.completed()
    assert value(status) == pytest.approx(0.5, abs=0.12)


async def test_tail_latency_as_a_ratio_of_buckets(place: Place) -> None:
    """As users of the original have it: the share of requests within 25 ms, higher is better."""
    await place.stage("v1")
    await place.apply(place.deployment("v2", "--latency", "0.06"))
    await place.ready("v2")
    bucket = "istio_request_duration_milliseconds_bucket{{le='{}',job='kubernetes-pods',reporter='source'}}"
    metrics = {
        "counter_metrics": [REQUESTS, counter("quick", bucket.format(25)), counter("all", bucket.format("+Inf"))],
        "ratio_metrics": [
            {"name": "within", "numerator": "quick", "denominator": "all", "preferred_direction": "higher",
             "zero_to_one": True}
        ],
    }  # fmt: skip
    async with place.traffic():
        await place.apply(
            place.experiment(
                criteria=[absolute("within", 0.7)],
                metrics=metrics,
                duration={"interval": "2s", "maxIterations": 60},
                trafficControl={"maxIncrement": 20},
            )
        )
        status = await place.completed()
    assert status["assessment"]["candidates"][0]["rollback"] is True
    assert value(status) == pytest.approx(0.0, abs=0.05)


async def test_definitions_from_the_configmap_are_written_back_to_the_experiment(place: Place) -> None:
    await place.stage("v1")
    await place.apply(place.deployment("v2", "--sales", "0.5"))
    await place.ready("v2")
    known = await place.client.get(CONFIG_MAP, "iter8", "iter8config-metrics")
    before = dict(known["data"])
    try:
        data = {
            key: yaml.safe_dump(yaml.safe_load(before[key]) + SALES[part][(1 if part == "counter_metrics" else 0) :])
            for key, part in (("counter_metrics.yaml", "counter_metrics"), ("ratio_metrics.yaml", "ratio_metrics"))
        }
        await place.client.patch(CONFIG_MAP, "iter8", "iter8config-metrics", {"data": data})
        async with place.traffic():
            await place.apply(place.experiment(criteria=[absolute("sales", 0.3)], duration=DURATION))
            status = await place.completed()
    finally:
        await place.client.patch(CONFIG_MAP, "iter8", "iter8config-metrics", {"data": before})
    assert status["assessment"]["winner"]["name"] == "shop-v2"
    used = (await place.get(EXPERIMENT, "trial"))["spec"]["metrics"]
    assert [metric["name"] for metric in used["counter_metrics"]] == ["iter8_request_count", "books", "visits"]
    assert [metric["name"] for metric in used["ratio_metrics"]] == ["sales"]


async def test_a_metric_that_is_not_defined_is_named(place: Place) -> None:
    await place.stage("v1", "v2")
    await place.apply(place.experiment(criteria=[absolute("iter8_latncy", 100)]))
    assert "iter8_latncy" in await place.says("SyncMetricsError: .*'iter8_latncy' is not defined")
    assert set(await place.visits(20)) == {"shop-v1"}


@pytest.mark.parametrize(
    ("series", "words"),
    [
        ("returns_total", "there is no returns_total on http://127"),
        ("baskets", "which is a gauge, which goes up and down"),
    ],
)
async def test_a_metric_that_nobody_shows_is_waited_for_and_never_a_verdict(
    place: Place, series: str, words: str
) -> None:
    await place.stage("v1", "v2")
    metrics = {"counter_metrics": [REQUESTS, counter("odd", series)], "ratio_metrics": []}
    async with place.traffic():
        await place.apply(place.experiment(criteria=[absolute("odd", 1000)], metrics=metrics))
        assert words in await place.says("AnalyticsServiceError: ")
        status = await place.status()
        assert status["currentIteration"] == 0
        assert not any(candidate["rollback"] for candidate in status["assessment"]["candidates"])
        assert set(await place.visits(20)) == {"shop-v1"}


async def test_pods_without_a_page_are_told_apart_from_pages_without_the_metric(place: Place) -> None:
    """Versions that show nothing hold the experiment; as soon as they do, it goes on by itself."""
    await place.stage(rules=True)
    silent = {"prometheus.io/scrape": "false"}
    await place.apply(place.deployment("v1", annotations=silent), place.deployment("v2", annotations=silent))
    await place.ready("v1", "v2")
    async with place.traffic():
        await place.apply(place.experiment(criteria=[absolute("sales", 0.3)], metrics=SALES, duration=DURATION))
        assert "not annotated prometheus.io/scrape" in await place.says("AnalyticsServiceError: ")
        await place.apply(place.deployment("v1"), place.deployment("v2", "--sales", "0.5"))
        status = await place.completed()
    assert status["assessment"]["winner"]["name"] == "shop-v2"


async def test_a_candidate_without_the_metric_is_not_promoted_and_not_accused(place: Place) -> None:
    await place.stage("v1")
    await place.apply(place.deployment("v2", "--no-page"))
    await place.ready("v2")
    async with place.traffic():
        metrics = {**SALES, "ratio_metrics": [{**SALES["ratio_metrics"][0], "preferred_direction": "lower"}]}
        await place.apply(place.experiment(criteria=[absolute("sales", 0.3)], metrics=metrics, duration=DURATION))

        status = await place.completed()
        assert status["assessment"]["winner"]["winning_version_found"] is False
        candidate = status["assessment"]["candidates"][0]
        assert candidate["rollback"] is False
        assert candidate["request_count"] > 0
        assert candidate["criterion_assessments"][0]["statistics"].get("value") is None
