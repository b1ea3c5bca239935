"""A/B and A/B/n: versions compete in what they sell, and who violates a limit never wins."""

from __future__ import annotations

from typing import Any

import pytest

from serin.metrics.definitions import built_in
from serin.ports import Object
from tests.kinds.place import Place, absolute
from tests.kinds.test_metrics import SALES

pytestmark = pytest.mark.real


def named(metric: str) -> Object:
    """One of the metrics that come out of the box."""
    known = built_in().to_spec()
    every: list[Object] = [*known["counter_metrics"], *known["ratio_metrics"]]
    return next(each for each in every if each["name"] == metric)


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
SALES_AND_ERRORS = {
    "counter_metrics": [*SALES["counter_metrics"], named("iter8_error_count")],
    "ratio_metrics": [*SALES["ratio_metrics"], named("iter8_error_rate")],
}
FEW_ERRORS: dict[str, Any] = {
    "metrics": SALES_AND_ERRORS,
    "criteria": [REWARD, absolute("iter8_error_rate", 0.1)],
    "flawless": False,
}


async def sold(place: Place, shops: dict[str, list[str]], *, flawless: bool = True, **spec: Any) -> Object:
    """An experiment on shops with these arguments, the first one the baseline, under traffic to its end.

    flawless   no request may fail, since no version fails any
    """
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
        assert load.report().failed == 0 or not flawless
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


async def test_the_best_of_five_wins(place: Place) -> None:
    shops = {f"v{i}": ["--sales", str(sold)] for i, sold in enumerate((0.2, 0.3, 0.9, 0.4, 0.25), start=1)}
    status = await sold(place, shops, trafficControl={"maxIncrement": 30, "strategy": "uniform"})
    assert (status["experimentType"], status["outcome"]) == ("A/B/N", "Promoted")
    assert status["assessment"]["winner"]["name"] == "shop-v3"
    assert await place.weights() == {**dict.fromkeys((f"shop-{v}" for v in shops), 0), "shop-v3": 100}
    await place.answered_by("v3")


async def test_when_no_candidate_keeps_the_limit_the_baseline_stays(place: Place) -> None:
    """They sell most, and fail a part of their visitors."""
    bad = ["--sales", "0.8", "--errors", "0.4"]
    status = await sold(place, {"v1": ["--sales", "0.2"], "v2": bad, "v3": bad}, **FEW_ERRORS)
    assert [version["rollback"] for version in status["assessment"]["candidates"]] == [True, True]
    assert (status["outcome"], status["assessment"]["winner"]["name"]) == ("BaselineWon", "shop-v1")
    await place.answered_by("v1")


async def test_the_leader_that_breaks_in_the_middle_is_out_and_the_next_best_wins(place: Place) -> None:
    """v3 sells most, and had it gone on like that it would have won; after so many visits it begins to fail."""
    breaking = ["--sales", "0.9", "--well", "500", "--errors", "0.5"]
    shops = {"v1": ["--sales", "0.2"], "v2": ["--sales", "0.6"], "v3": breaking}
    status = await sold(place, shops, **FEW_ERRORS)
    found = {version["name"]: version["rollback"] for version in status["assessment"]["candidates"]}
    assert found == {"shop-v2": False, "shop-v3": True}
    assert (status["outcome"], status["assessment"]["winner"]["name"]) == ("Promoted", "shop-v2"), status["reasons"]
    await place.answered_by("v2")


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
