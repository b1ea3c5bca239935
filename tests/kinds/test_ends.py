"""How experiments end: the split, the rules, what is deleted; and the shares on the way there."""

from __future__ import annotations

import pytest

from serin.errors import NotFound
from serin.ports import DEPLOYMENT, DESTINATION_RULE, VIRTUAL_SERVICE
from tests.kinds.place import HOLDER, INIT, ROLE, Place, absolute, shares
from tests.survival.house import eventually

pytestmark = pytest.mark.real

TIMED = {"interval": "1s", "maxIterations": 2}
SAFE = absolute("iter8_error_rate", 0.2)
QUICK = {"interval": "2s", "maxIterations": 4}


@pytest.mark.parametrize(
    ("wanted", "message", "weights"),
    [
        ("to_winner", "Traffic To Winner", {"shop-v1": 0, "shop-v2": 100}),
        ("to_baseline", "Traffic To Baseline", {"shop-v1": 100, "shop-v2": 0}),
        ("keep_last", "Keep Last Traffic", {"shop-v1": 80, "shop-v2": 20}),
    ],
)
async def test_the_split_after_the_end_is_the_one_asked_for(
    place: Place, wanted: str, message: str, weights: dict[str, int]
) -> None:
    """Without criteria the candidate gains 20% in the first of two iterations, and is the winner at the second."""
    await place.stage("v1", "v2")
    await place.apply(
        place.experiment(duration=TIMED, trafficControl={"maxIncrement": 20, "onTermination": wanted}),
    )
    status = await place.completed()
    assert status["message"] == f"ExperimentCompleted: {message}"
    assert status["assessment"]["winner"] | {"probability_of_winning_for_best_version": None} == {
        "name": "shop-v2",
        "current_best_version": "candidate-0",
        "winning_version_found": True,
        "probability_of_winning_for_best_version": None,
    }
    assert await place.weights() == weights
    (route,) = await place.routes()
    found = [(each["destination"]["subset"], each.get("weight", 100)) for each in route["route"]]
    split = {"iter8-stable": weights["shop-v1"], "iter8-candidate-0": weights["shop-v2"]}
    assert dict(found) == {subset: weight for subset, weight in split.items() if weight}
    seen = await place.visits(200)
    assert set(seen) == {version for version, weight in weights.items() if weight}
    if len(seen) == 2:
        assert 15 <= seen["shop-v2"] <= 75  # 200 at 20%: 40, six standard deviations are 34


async def test_percentage_is_all_that_takes_part_until_the_winner_gets_everything(place: Place) -> None:
    await place.stage("v1", "v2")
    async with place.traffic() as load:
        await place.apply(
            place.experiment(
                criteria=[SAFE],
                duration={"interval": "2s", "maxIterations": 6},
                trafficControl={"maxIncrement": 100, "percentage": 30},
            )
        )
        most = 0

        async def ended() -> bool:
            nonlocal most
            status = await place.status()
            if status.get("assessment") and not (status.get("analysisState") or {}).get("ending"):
                most = max(most, status["assessment"]["candidates"][0]["weight"])
            return bool(status.get("phase") == "Completed")

        await eventually("the end", ended, 120.0)
        assert 20 <= most <= 30
        assert (await place.status())["message"] == "ExperimentCompleted: Traffic To Winner"
        assert load.report().failed == 0
        await place.answered_by("v2")


async def test_without_criteria_a_percentage_is_where_the_rise_ends(place: Place) -> None:
    await place.stage("v1", "v2")
    await place.apply(
        place.experiment(trafficControl={"maxIncrement": 15, "percentage": 40, "onTermination": "keep_last"},
                         duration={"interval": "1s", "maxIterations": 6}),
    )  # fmt: skip
    status = await place.completed()
    assert status["message"] == "ExperimentCompleted: Keep Last Traffic"
    assert await place.weights() == {"shop-v1": 60, "shop-v2": 40}


async def test_a_version_that_probably_violates_gets_nothing_before_it_is_proven(place: Place) -> None:
    """Half of the errors are forbidden and the limit on latency is far off: suspicion is enough to cut it off."""
    await place.stage("v1", rules=True)
    await place.apply(place.deployment("v2", "--latency", "0.05"))
    await place.ready("v2")
    limit = absolute("iter8_mean_latency", 30.0, cutoffTrafficOnViolation=True)
    async with place.traffic(rate=40.0):
        await place.apply(
            place.experiment(
                criteria=[limit],
                duration={"interval": "3s", "maxIterations": 100},
                trafficControl={"maxIncrement": 10},
                analysis={"mode": "robust", "falseRollback": 0.00001},
            )
        )

        async def cut() -> bool:
            reasons = (await place.status()).get("reasons") or ()
            return any("it gets no traffic while it probably violates" in reason["text"] for reason in reasons)

        await eventually("v2 is cut off", cut, 90.0)
        assert await place.weights() == {"shop-v1": 100, "shop-v2": 0}
        candidate = (await place.status())["assessment"]["candidates"][0]
        assert (candidate["rollback"], candidate["request_count"] > 0) == (False, True)
        await place.answered_by("v1")
        await place.order("terminate")
        await place.completed()


async def test_cleanup_deletes_the_loser_and_leaves_the_users_rules(place: Place) -> None:
    await place.stage("v1", "v2")
    await place.apply(place.experiment(duration=TIMED, cleanup=True))
    await place.completed()
    await _gone(place, "shop-v1")
    assert await place.there(DEPLOYMENT, "shop-v2")
    await place.answered_by("v2")
    labels = await place.labels()
    assert (labels[ROLE], HOLDER in labels, INIT in labels) == ("stable", False, False)
    subsets = (await place.get(DESTINATION_RULE, "shop"))["spec"]["subsets"]
    assert [subset["name"] for subset in subsets] == ["iter8-stable", "iter8-candidate-0"]


async def test_cleanup_deletes_rules_that_the_experiment_has_made(place: Place) -> None:
    await place.stage("v1", "v2", rules=False)
    router = f"shop.{place.namespace}.svc.cluster.local"
    name = f"{router}.iter8router"
    networking = {"hosts": [{"name": place.host, "gateway": "door"}]}
    await place.apply(
        place.experiment(networking=networking, duration={"interval": "2s", "maxIterations": 3}, cleanup=True)
    )
    await place.says("Iteration [12]/3")
    labels = await place.labels(name=name)
    assert labels["iter8-tools/router"] == router
    assert (labels[INIT], labels[ROLE], labels[HOLDER]) == ("True", "progressing", f"trial.{place.namespace}")
    assert await place.there(DESTINATION_RULE, name)
    await place.completed()
    await _gone(place, "shop-v1")
    assert not await place.there(VIRTUAL_SERVICE, name)
    assert not await place.there(DESTINATION_RULE, name)
    assert await place.inside() == "shop-v2"  # the service itself is left, and its one version
    assert await place.visit() == "404"  # nobody leads from outside any more, as before the experiment


async def test_without_cleanup_rules_that_the_experiment_has_made_stay_for_the_next_one(place: Place) -> None:
    await place.stage("v1", "v2", rules=False)
    networking = {"hosts": [{"name": place.host, "gateway": "door"}]}
    await place.apply(place.experiment(networking=networking, duration=TIMED))
    await place.completed()
    assert await place.there(DEPLOYMENT, "shop-v1")
    name = f"shop.{place.namespace}.svc.cluster.local.iter8router"
    labels = await place.labels(name=name)
    assert (labels[ROLE], HOLDER in labels, INIT in labels) == ("stable", False, False)
    await place.answered_by("v2")
    back = {"baseline": "shop-v2", "candidates": ["shop-v1"]}
    await place.apply(place.experiment("back", service=back, networking=networking, duration=TIMED))
    await place.completed("back")
    await place.answered_by("v1")
    assert await place.inside() == "shop-v1"


async def test_an_undecided_end_goes_back_to_the_baseline_and_deletes_only_the_candidate(place: Place) -> None:
    """Nothing can be proven of a limit that is exactly met; nobody is promoted, and nobody is accused."""
    await place.stage("v1", "v2")
    async with place.traffic(rate=20.0):
        hard = absolute("iter8_error_rate", 0.0001)
        await place.apply(place.experiment(criteria=[hard], duration=QUICK, cleanup=True))
        status = await place.completed()
        assert status["message"] == "ExperimentCompleted: Traffic To Baseline"
        assert status["assessment"]["winner"]["winning_version_found"] is False
        assert status["assessment"]["candidates"][0]["rollback"] is False
        await _gone(place, "shop-v2")
        await place.answered_by("v1")


async def test_weights_are_the_shares_of_the_answers(place: Place) -> None:
    """A split that is ordered is the one on the wire; three versions add up."""
    await place.stage("v1", "v2", "v3")
    await place.apply(
        place.experiment(service={"candidates": ["shop-v2", "shop-v3"]}, trafficControl={"maxIncrement": 1})
    )
    await place.says("Iteration")
    await place.order("terminate", v1=50, v2=30, v3=20)
    status = await place.completed()
    assert status["message"] == "ExperimentCompleted: Traffic User Specified (Abort)"
    async with place.traffic(rate=200.0) as load:

        async def enough() -> bool:
            return load.report().sent >= 1500

        await eventually("1500 answers", enough)
        found = shares(load.report())
    for version, weight in {"shop-v1": 0.5, "shop-v2": 0.3, "shop-v3": 0.2}.items():
        assert found[version] == pytest.approx(weight, abs=0.08)  # six standard deviations of 1500


async def _gone(place: Place, name: str) -> None:
    async def gone() -> bool:
        try:
            await place.get(DEPLOYMENT, name)
        except NotFound:
            return True
        return False

    await eventually(f"{name} is deleted", gone, 60.0)
