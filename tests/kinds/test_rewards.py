"""A/B and A/B/n: versions compete in what they sell, and who violates a limit never wins."""

from __future__ import annotations

from typing import Any

import pytest

from serin.ports import Object
from tests.kinds.place import Place, absolute
from tests.kinds.test_metrics import SALES

pytestmark = pytest.mark.real

REWARD = {"metric": "sales", "isReward": True}
LATENCY_AND_SALES = {
    "counter_metrics": [
        *SALES["counter_metrics"],
        {
            "name": "iter8_total_latency",
            "query_template": "sum(increase(istio_request_duration_milliseconds_sum{reporter='source'}[$interval])) "
            "by ($version_labels)",
        },
    ],
    "ratio_metrics": [
        *SALES["ratio_metrics"],
        {
            "name": "iter8_mean_latency",
            "numerator": "iter8_total_latency",
            "denominator": "iter8_request_count",
            "preferred_direction": "lower",
        },
    ],
}


async def sold(place: Place, shops: dict[str, list[str]], **spec: Any) -> Object:
    """An experiment on shops with these arguments, the first one the baseline, under traffic to its end."""
    await place.stage(rules=False)
    await place.apply(*(place.deployment(version, *args) for version, args in shops.items()), *place.rules())
    await place.ready(*shops)
    await place.open()
    baseline, *candidates = (f"shop-{version}" for version in shops)
    async with place.traffic(rate=150.0) as load:
        await place.apply(
            place.experiment(
                **{
                    "service": {"baseline": baseline, "candidates": candidates},
                    "metrics": SALES,
                    "criteria": [REWARD],
                    "duration": {"interval": "2s", "maxIterations": 80},
                    "trafficControl": {"maxIncrement": 30, "strategy": "top_2"},
                    "analysis": {"mode": "independent", "earlyStop": True},
                    **spec,
                }
            )
        )
        status = await place.completed(patience=240.0)
        assert load.report().failed == 0
    return status


async def test_the_version_that_sells_more_wins(place: Place) -> None:
    status = await sold(place, {"v1": ["--sales", "0.2"], "v2": ["--sales", "0.5"]})
    assert (status["experimentType"], status["outcome"]) == ("A/B", "Promoted")
    assert status["assessment"]["winner"]["name"] == "shop-v2"
    await place.answered_by("v2")


async def test_a_baseline_that_sells_more_stays(place: Place) -> None:
    status = await sold(place, {"v1": ["--sales", "0.5"], "v2": ["--sales", "0.2"]})
    assert (status["experimentType"], status["outcome"]) == ("A/B", "BaselineWon")
    assert status["assessment"]["winner"]["name"] == "shop-v1"
    await place.answered_by("v1")


async def test_the_best_of_three_wins(place: Place) -> None:
    shops = {"v1": ["--sales", "0.2"], "v2": ["--sales", "0.35"], "v3": ["--sales", "0.6"]}
    status = await sold(place, shops)
    assert (status["experimentType"], status["outcome"]) == ("A/B/N", "Promoted")
    assert status["assessment"]["winner"]["name"] == "shop-v3"
    await place.answered_by("v3")


async def test_who_sells_most_but_too_slowly_never_wins(place: Place) -> None:
    shops = {"v1": ["--sales", "0.2"], "v2": ["--sales", "0.5"], "v3": ["--sales", "0.8", "--latency", "0.15"]}
    status = await sold(
        place, shops, metrics=LATENCY_AND_SALES, criteria=[REWARD, absolute("iter8_mean_latency", 60.0)]
    )
    found = {version["name"]: version["rollback"] for version in status["assessment"]["candidates"]}
    assert found == {"shop-v2": False, "shop-v3": True}
    assert status["outcome"] == "Promoted", status["reasons"]
    assert status["assessment"]["winner"]["name"] == "shop-v2"
    await place.answered_by("v2")
