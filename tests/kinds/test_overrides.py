"""A person takes over: pause, resume and terminate; before the start, in the middle, while paused, after the end."""

from __future__ import annotations

import pytest

from serin.ports import EXPERIMENT
from tests.kinds.place import HOLDER, ROLE, Place, absolute
from tests.survival.house import eventually

pytestmark = pytest.mark.real

GRADUAL = {"maxIncrement": 10}


async def cleared(place: Place) -> None:
    """Wait until the order is out of the spec: it acts once."""

    async def gone() -> bool:
        return "manualOverride" not in (await place.get(EXPERIMENT, "trial"))["spec"]

    await eventually("the order is cleared", gone)


async def iterations(place: Place) -> int:
    return int((await place.status()).get("currentIteration") or 0)


async def counts(place: Place, more: int) -> None:
    """Wait until so many more iterations are counted."""
    first = await iterations(place)

    async def counted() -> bool:
        return await iterations(place) >= first + more

    await eventually(f"{more} iterations more than {first}", counted, 60.0)


async def stands_still(place: Place) -> None:
    """While five readings' time passes nothing is counted and nothing moves."""
    before = (await iterations(place), await place.weights())
    for _ in range(3):
        await eventually("a moment", lambda: moment(place), pause=1.5)
    assert (await iterations(place), await place.weights()) == before


async def moment(place: Place) -> bool:
    return bool(await place.visit())


async def test_pause_holds_everything_and_resume_goes_on(place: Place) -> None:
    await place.stage("v1", "v2")
    await place.apply(place.experiment(trafficControl=GRADUAL))
    await counts(place, 1)
    await place.order("pause")
    await place.says("ActionPause")
    await cleared(place)
    assert (await place.status())["phase"] == "Pause"
    await stands_still(place)
    await place.order("resume")
    await counts(place, 2)
    assert (await place.status())["phase"] == "Progressing"
    assert any(event.startswith("ActionResume") for event in await place.events())
    await place.order("terminate")
    status = await place.completed()
    assert status["message"] == "ExperimentCompleted: Traffic To Baseline (Abort)"
    await cleared(place)
    await place.answered_by("v1")


async def test_terminated_while_paused_with_a_split(place: Place) -> None:
    await place.stage("v1", "v2")
    await place.apply(place.experiment(trafficControl=GRADUAL))
    await counts(place, 1)
    await place.order("pause")
    await place.says("ActionPause")
    await place.order("terminate", v1=25, v2=75)
    status = await place.completed()
    assert status["message"] == "ExperimentCompleted: Traffic User Specified (Abort)"
    assert await place.weights() == {"shop-v1": 25, "shop-v2": 75}
    assert status["assessment"]["winner"]["winning_version_found"] is False
    labels = await place.labels()
    assert (labels[ROLE], HOLDER in labels) == ("stable", False)
    seen = await place.visits(200)
    assert 20 <= seen["shop-v1"] <= 86  # 200 at 25%: 50, six standard deviations are 36


async def test_paused_before_it_starts_it_waits_for_the_order_too(place: Place) -> None:
    await place.stage("v1")
    await place.apply(place.experiment(trafficControl=GRADUAL))
    await place.says("TargetsError: Missing Candidate")
    await place.order("pause")
    await cleared(place)
    await place.apply(place.deployment("v2"))
    await place.ready("v2")
    await place.says("ActionPause")
    await stands_still(place)
    assert await iterations(place) == 0
    assert set(await place.visits(20)) == {"shop-v1"}
    await place.order("resume")
    await counts(place, 2)


async def test_terminated_before_it_starts_nothing_is_touched(place: Place) -> None:
    await place.stage("v1")
    before = await place.routes()
    await place.apply(place.experiment())
    await place.says("TargetsError: Missing Candidate")
    await place.order("terminate", v2=100)
    status = await place.completed()
    assert status["message"] == "ExperimentCompleted: Traffic To Baseline (Abort)"
    assert await place.routes() == before
    assert (await place.labels())[ROLE] == "stable"


async def test_an_order_after_the_end_is_cleared_and_changes_nothing(place: Place) -> None:
    await place.stage("v1", "v2")
    await place.apply(place.experiment(duration={"interval": "1s", "maxIterations": 2}))
    before = await place.completed()
    await place.answered_by("v2")
    await place.order("terminate", v1=100)
    await cleared(place)
    after = await place.status()
    assert (after["message"], after["assessment"]) == (before["message"], before["assessment"])
    assert any("OverrideIgnored" in event for event in await place.events())
    await place.answered_by("v2")


async def test_an_order_while_it_waits_for_readings(place: Place) -> None:
    """No requests, so nothing is decided; a person still decides."""
    await place.stage("v1", "v2")
    await place.apply(place.experiment(criteria=[absolute("iter8_error_rate", 0.2)]))
    await place.says("no requests seen")
    await place.order("pause")
    await place.says("ActionPause")
    await place.order("resume")
    await place.says("no requests seen")
    await place.order("terminate", v2=100)
    await place.completed()
    await place.answered_by("v2")


async def test_an_order_that_makes_no_sense_is_refused_by_name(place: Place) -> None:
    await place.stage("v1", "v2")
    await place.apply(place.experiment(trafficControl=GRADUAL))
    await counts(place, 1)
    with pytest.raises(Exception, match="adds up to 90, not to 100"):
        await place.order("terminate", v1=30, v2=60)
    with pytest.raises(Exception, match="'shop-v3' is no version of this experiment"):
        await place.order("terminate", v1=30, v3=70)
    await counts(place, 1)
