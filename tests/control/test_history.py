"""The baseline's history is asked for once, at the start, and an experiment without it runs all the same."""

from __future__ import annotations

import json

import pytest

from serin.control.memory import unpacked
from serin.core.observation import Series, Snapshot
from serin.errors import ProviderError
from tests.control.lab import Lab, deployment, experiment

ERRORS = [{"metric": "iter8_error_rate", "threshold": {"type": "absolute", "value": 0.02}}]


@pytest.fixture
async def lab():
    lab = Lab()
    lab.start()
    yield lab
    await lab.stop()


def counted(lab, minutes):
    """A quiet past of the baseline, a snapshot every 15 s up to now."""
    found = []
    for i in range(4 * minutes + 1):
        values = {"iter8_request_count": 600.0 * i, "iter8_error_count": float(i // 3)}
        series = tuple(Series("baseline", c, "envoy", x, 0.0) for c, x in values.items())
        found.append(Snapshot(lab.clock.now() - 15.0 * (4 * minutes - i), series, frozenset(values)))
    return found


async def units(lab):
    """Units of history in what is stored, 0 without."""
    core = json.loads(unpacked((await lab.status())["analysisState"]["core"]))
    return core["past"].get("0", {}).get("units", 0)


async def test_history_is_read_once_for_the_baseline_and_is_remembered(lab):
    lab.objects.seed(deployment("v2"))
    lab.metrics.past = counted(lab, 60)
    await lab.objects.create(experiment(criteria=ERRORS))
    await lab.seconds(40)
    ((request, seconds, step),) = lab.metrics.asked_history
    assert (list(request.versions), seconds, step) == (["baseline"], 3600.0, 15.0)
    assert await units(lab) == 240


@pytest.mark.parametrize(("asked", "kept"), [("0s", 0), ("5m", 20)])
async def test_history_is_as_long_as_the_experiment_asks_for(lab, asked, kept):
    lab.objects.seed(deployment("v2"))
    lab.metrics.past = counted(lab, 60)
    await lab.objects.create(experiment(criteria=ERRORS, analysis={"history": asked}))
    await lab.seconds(5)
    assert await units(lab) == kept


async def test_without_history_an_experiment_starts_all_the_same(lab):
    lab.objects.seed(deployment("v2"))

    async def away(*_):
        raise ProviderError("nobody there")

    lab.metrics.history = away
    await lab.objects.create(experiment(criteria=ERRORS))
    await lab.seconds(5)
    assert await lab.word() == "IterationUpdate: Iteration 0/12 completed"
    assert await units(lab) == 0
    said = [line for line in lab.sink.lines if line.startswith("NoHistory: ")]
    assert said == ["NoHistory: begun without history of fashionmnist-v1, which takes longer to prove: nobody there"]
