"""Every kind of experiment is killed at every write, before and after it is stored, and ends as it would have ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from serin.control.world import Patience
from serin.metrics.definitions import built_in
from serin.ports import DEPLOYMENT
from tests.control.lab import NAMESPACE, Lab, deployment, experiment, service, stable_rules

GROUP = {"http": [{"headers": {"x-group": {"exact": "beta"}}}]}
FAST: dict[str, Any] = {"metric": "iter8_mean_latency", "threshold": {"type": "absolute", "value": 100}}
REWARD: dict[str, Any] = {"metric": "sales", "isReward": True}
TOO_LATE = 250.0
LONGEST = 240
SHORT: dict[str, Any] = {"duration": {"interval": "10s", "maxIterations": 6}, "trafficControl": {"maxIncrement": 40}}


def with_sales() -> dict[str, Any]:
    """The built-in metrics, and books sold a visit."""
    known = built_in().to_spec()
    template = "sum(increase(books_total[$interval])) by ($version_labels)"
    books = {"name": "books", "query_template": template}
    sales = {"name": "sales", "numerator": "books", "denominator": "iter8_request_count", "zero_to_one": True}
    return {
        "counter_metrics": [*known["counter_metrics"], books],
        "ratio_metrics": [*known["ratio_metrics"], {**sales, "preferred_direction": "higher"}],
    }


@dataclass(frozen=True)
class Kind:
    """An experiment as people write it, what its versions do, and how it must end.

    message, winner, weights   the end
    sells                      version -> share of its visitors that buys
    slow                       versions that answer too late
    spec                       what differs from a Canary of v2
    """

    message: str
    winner: str
    weights: dict[str, int]
    candidates: tuple[str, ...] = ("v2",)
    sells: dict[str, float] = field(default_factory=dict)
    slow: tuple[str, ...] = ()
    spec: dict[str, Any] = field(default_factory=dict)


TO_WINNER, TO_BASELINE = "ExperimentCompleted: Traffic To Winner", "ExperimentCompleted: Traffic To Baseline"
COMPETING: dict[str, Any] = {
    "metrics": with_sales(),
    "criteria": [REWARD, FAST],
    "duration": {"interval": "20s", "maxIterations": 6},
}
KINDS = {
    "A/B with a reward": Kind(
        TO_WINNER,
        "v2",
        {"v2": 100},
        sells={"v1": 0.3, "v2": 0.9},
        spec={**COMPETING, "trafficControl": {"maxIncrement": 50, "strategy": "top_2"}},
    ),
    "A/B/n, who sells most is too slow": Kind(
        TO_WINNER,
        "v2",
        {"v2": 100},
        candidates=("v2", "v3"),
        sells={"v1": 0.3, "v2": 0.8, "v3": 0.95},
        slow=("v3",),
        spec={**COMPETING, "trafficControl": {"maxIncrement": 50, "strategy": "uniform"}},
    ),
    "match": Kind(TO_WINNER, "v2", {"v2": 100}, spec={"trafficControl": {"maxIncrement": 40, "match": GROUP}}),
    "Performance": Kind(TO_WINNER, "v1", {"v1": 100}, candidates=()),
    "to_baseline": Kind(
        TO_BASELINE, "v2", {"v1": 100}, spec={"trafficControl": {"maxIncrement": 40, "onTermination": "to_baseline"}}
    ),
    "keep_last": Kind(
        "ExperimentCompleted: Keep Last Traffic",
        "v2",
        {"v1": 71, "v2": 29},
        spec={"trafficControl": {"maxIncrement": 10, "percentage": 30, "onTermination": "keep_last"}},
    ),
}


class Shop(Lab):
    """The home of fakes with the versions of a kind; few readings, so that a run is short."""

    patience = Patience(reading=5.0, drain=5.0)

    def __init__(self, kind: Kind) -> None:
        super().__init__(service(), *stable_rules(), *(deployment(v) for v in ("v1", *kind.candidates)))
        self.rate, self.sells, self.latency = 60, kind.sells, dict.fromkeys(kind.slow, TOO_LATE)


async def run(shop: Shop, kind: Kind) -> dict[str, Any]:
    """The experiment to its end, by one engine after the other; how it ended, which must not depend on crashes."""
    shop.start()
    shop.watch_the_rules()
    await shop.objects.create(experiment(candidates=kind.candidates, **{**SHORT, **kind.spec}))
    iterations = [0]
    for _ in range(LONGEST):
        await shop.seconds(1)
        status = await shop.status()
        iterations.append(status.get("currentIteration", 0))
        if shop.dead:
            await shop.stop()
            shop.start()
            shop.watch_the_rules()
        elif status.get("phase") == "Completed":
            break
    await shop.stop()
    assert all(0 <= later - earlier <= 1 for earlier, later in pairwise(iterations)), iterations
    status, rules = await shop.status(), await shop.virtual_service()
    return {
        "message": status["message"],
        "winner": status["assessment"]["winner"]["name"].removeprefix("fashionmnist-"),
        "rolled back": [version["name"] for version in status["assessment"]["candidates"] if version["rollback"]],
        "iterations": status["currentIteration"],
        "weights": await shop.weights(),
        "rules": [route.get("match") for route in rules["spec"]["http"]],
        "labels": rules["metadata"]["labels"],
        "versions": sorted(found["metadata"]["name"] for found in await shop.objects.list(DEPLOYMENT, NAMESPACE)),
        "finalizers": (await shop.get())["metadata"].get("finalizers", []),
    }


async def undisturbed(kind: Kind) -> tuple[dict[str, Any], int]:
    """How it ends when nobody is killed, and the number of writes on the way, the experiment's creation left out."""
    shop = Shop(kind)
    ended = await run(shop, kind)
    assert (shop.lost, shop.unusual) == (0, [])
    return ended, len(shop.objects.writes) - 1


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
async def test_killed_at_every_write_it_ends_as_it_would_have(kind: Kind) -> None:
    expected, writes = await undisturbed(kind)
    assert (expected["message"], expected["winner"], expected["weights"]) == (kind.message, kind.winner, kind.weights)
    assert expected["rules"] == [None]
    assert writes > 10
    for write in range(1, writes + 1):
        for after in (False, True):
            shop = Shop(kind)
            shop.objects.crash_at(write + 1, after=after)
            ended = await run(shop, kind)
            where = f"killed {'after' if after else 'before'} write {write}"
            assert ended == expected, where
            assert (shop.lost, shop.unusual) == (0, []), where
