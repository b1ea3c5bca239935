"""Strategies on the wire: where each takes the traffic of three versions, and that the answers come in its weights."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest
from scipy.stats import binom

from tests.kinds.place import PATIENCE, Place
from tests.kinds.test_metrics import SALES
from tests.kinds.test_rewards import REWARD
from tests.survival.house import eventually

pytestmark = pytest.mark.real

SHOPS = {"v1": 0.1, "v2": 0.4, "v3": 0.6}
"""Version -> what share of its visitors buys."""
ANSWERS = 800
RARE = 1e-6
"""The chance that a split which is as asked for is found at fault."""


@contextlib.asynccontextmanager
async def competing(place: Place, strategy: str) -> AsyncIterator[None]:
    """Three shops that compete for as long as it is needed, under traffic; then the weights are held."""
    await place.stage(rules=False)
    shops = (place.deployment(version, "--sales", str(sold)) for version, sold in SHOPS.items())
    await place.apply(*shops, *place.rules())
    await place.ready(*SHOPS)
    await place.open()
    async with place.traffic(rate=150.0):
        await place.apply(
            place.experiment(
                service={"candidates": ["shop-v2", "shop-v3"]},
                metrics=SALES,
                criteria=[REWARD],
                trafficControl={"strategy": strategy, "maxIncrement": 100},
            )
        )
        yield
        await place.order("pause")
        await place.says("ActionPause")


async def come_to(place: Place, **within: tuple[int, int]) -> dict[str, int]:
    """Wait until the weights of these versions are between lowest and highest."""
    found: dict[str, int] = {}

    async def there() -> bool:
        nonlocal found
        found = await place.weights()
        return bool(found) and all(low <= found[f"shop-{v}"] <= high for v, (low, high) in within.items())

    await eventually(lambda: f"{within}, but {found}", there, PATIENCE)
    return found


async def answers_fit(place: Place) -> None:
    """While the weights are held, many requests are answered in just these shares: a binomial bound for each."""
    weights = await place.weights()
    assert sum(weights.values()) == 100
    async with place.traffic(rate=400.0) as load:

        async def enough() -> bool:
            return sum(load.report().by_version.values()) >= ANSWERS

        await eventually(f"{ANSWERS} answers", enough, PATIENCE)
    seen = load.report().by_version
    assert load.report().failed == 0
    for version, weight in weights.items():
        asked = binom(sum(seen.values()), weight / 100)
        least, most = float(asked.ppf(RARE / 2)), float(asked.ppf(1 - RARE / 2))
        assert least <= seen.get(version, 0) <= most, f"{seen} by {weights}"


async def test_uniform_holds_equal_shares_from_the_first(place: Place) -> None:
    async with competing(place, "uniform"):
        first = await come_to(place, v2=(33, 34), v3=(33, 34))
        await place.says(r"Iteration ([6-9]|\d\d+)/")
        assert await place.weights() == first
        assert sorted(first.values()) == [33, 33, 34]
    await answers_fit(place)


async def test_progressive_goes_to_the_likeliest_winner(place: Place) -> None:
    async with competing(place, "progressive"):
        await come_to(place, v1=(1, 3), v2=(1, 3), v3=(94, 98))
    await answers_fit(place)


@pytest.mark.parametrize("strategy", ["top_2", "top_two_ts"])
async def test_the_two_best_have_nearly_all_of_it_half_and_half(place: Place, strategy: str) -> None:
    async with competing(place, strategy):
        await come_to(place, v1=(1, 8), v2=(42, 52), v3=(42, 52))
    await answers_fit(place)
