"""What a baseline has counted is told for planning, and what cannot be told is refused."""

import pytest

from serin.control.looking_back import baseline
from serin.core.recording import Read, read
from serin.errors import InvalidInput, ProviderError
from tests.control.lab import Lab, experiment


@pytest.fixture
async def lab():
    made = Lab()
    for version in ("v1", "v2"):
        made.metrics.count(f"fashionmnist-{version}", iter8_request_count=100.0, iter8_total_latency=400.0)
    return made


async def looked_back(lab: Lab, **spec):
    steps = await baseline(lab.objects, lab.metrics, lab.clock, experiment(**spec))
    return [step.snapshot for step in read(steps) if isinstance(step, Read)]


async def test_the_counters_of_the_baseline_are_told_and_of_nobody_else(lab):
    *_, now = await looked_back(lab)
    assert {s.version for s in now.series} == {"baseline"}
    assert {s.counter: s.value for s in now.series}["iter8_request_count"] == 100.0


async def test_a_metric_that_is_not_known_is_refused(lab):
    with pytest.raises(InvalidInput, match="'nonsense' is not defined"):
        await looked_back(lab, criteria=[{"metric": "nonsense", "threshold": {"type": "absolute", "value": 1}}])


async def test_a_source_that_is_away_is_said(lab):
    lab.metrics.error = ProviderError("away")
    with pytest.raises(ProviderError):
        await looked_back(lab)
