"""The engine is killed at every write of an experiment, before and after it is stored; the next one goes on.

The crash points are found by counting the writes of an undisturbed run, not by time.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from serin.core.observation import Snapshot
from serin.errors import Conflict, StorageError, Unreachable
from serin.fakes import FakeClock, FakeMetrics
from serin.ports import DESTINATION_RULE, EXPERIMENT, Object, ReadRequest
from tests.control.lab import Lab, deployment, experiment

SHORT: dict[str, Any] = {
    "duration": {"interval": "20s", "maxIterations": 6},
    "trafficControl": {"maxIncrement": 40},
}


async def run(lab: Lab, away: float = 0.0) -> tuple:
    """An experiment to its end; how it ended, and what must not depend on crashes.

    away   seconds until another engine takes over from one that is dead
    """
    lab.start()
    lab.watch_the_rules()
    lab.objects.seed(deployment("v2"))
    await lab.objects.create(experiment(**SHORT))
    iterations = [0]
    for _ in range(160):
        await lab.seconds(1)
        status = await lab.status()
        iterations.append(status.get("currentIteration", 0))
        if lab.dead:
            await lab.stop()
            await lab.seconds(away)
            lab.start()
            lab.watch_the_rules()
        elif status.get("phase") == "Completed":
            break
    status = await lab.status()
    assert all(0 <= later - earlier <= 1 for earlier, later in pairwise(iterations)), iterations
    rules = await lab.virtual_service()
    return (
        status["message"],
        status["assessment"]["winner"]["name"],
        status["currentIteration"],
        await lab.weights(),
        rules["metadata"]["labels"],
        (await lab.get())["metadata"].get("finalizers", []),
    )


async def undisturbed() -> tuple[tuple, int]:
    lab = Lab()
    outcome = await run(lab)
    await lab.stop()
    assert lab.lost == 0
    assert lab.unusual == []
    return outcome, len(lab.objects.writes) - 1  # the experiment's own creation is the test's


async def test_killed_at_every_write_the_next_one_goes_on():
    expected, writes = await undisturbed()
    assert writes > 20
    for write in range(1, writes + 1):
        for after in (False, True):
            lab = Lab()
            lab.objects.crash_at(write + 1, after=after)
            outcome = await run(lab)
            await lab.stop()
            where = f"killed {'after' if after else 'before'} write {write}"
            assert outcome == expected, where
            assert lab.unusual == [], where
            assert lab.lost == 0, where


class Scraped(FakeMetrics):
    """Counters as they were so many seconds ago, as Prometheus shows them."""

    def __init__(self, clock: FakeClock, lag: float) -> None:
        super().__init__(clock)
        self._lag = lag
        self._waiting: list[tuple[float, str, dict[str, float]]] = []

    def count(self, workload: str, **counters: float) -> None:
        self._waiting.append((self._clock.now(), workload, counters))

    async def read(self, requests: Sequence[ReadRequest]) -> list[Snapshot | Exception]:
        while self._waiting and self._waiting[0][0] <= self._clock.now() - self._lag:
            _, workload, counters = self._waiting.pop(0)
            super().count(workload, **counters)
        return await super().read(requests)


async def test_a_takeover_after_a_lease_has_run_out_finds_no_fault_with_the_split():
    """Between a decision that was recorded and its rules that were not, requests were split the old way for a while."""
    expected, writes = await undisturbed()
    for write in range(1, writes + 1):
        lab = Lab()
        lab.rate = 400
        lab.metrics = Scraped(lab.clock, 4.0)
        lab.objects.crash_at(write + 1, after=True)
        outcome = await run(lab, away=18.0)
        await lab.stop()
        assert outcome[:2] == expected[:2], f"killed after write {write}"
        assert lab.unusual == []
        assert lab.lost == 0


class Trailing(Lab):
    """Proxies follow a rule some seconds after it was written."""

    AFTER = 4

    def __init__(self) -> None:
        super().__init__()
        self._past: list[dict[str, int]] = []
        self.data_plane.applied = self._applied  # type: ignore[method-assign]

    async def _routed(self) -> dict[str, int]:
        self._past.append(await self.weights())
        return self._past[-1 - self.AFTER :][0]

    async def _applied(self, rule: Object) -> bool:
        now = await self.weights()
        return rule["kind"] == DESTINATION_RULE.name or all(then == now for then in self._past[-1 - self.AFTER :])


async def test_a_takeover_finds_no_fault_with_the_split_while_proxies_still_follow():
    """Something changes while the successor waits for them, so that it waits in two goes."""
    for write in range(1, (await undisturbed())[1] + 1, 2):
        lab = Trailing()
        lab.rate = 400
        lab.metrics = Scraped(lab.clock, 4.0)
        lab.objects.crash_at(write + 1, after=True)
        outcome = await run(lab, away=18.0)
        await lab.stop()
        assert outcome[0] == "ExperimentCompleted: Traffic To Winner", f"killed after write {write}"
        assert (lab.unusual, lab.lost) == ([], 0)


@pytest.mark.parametrize(
    "error", [Conflict("changed in between"), Unreachable("no answer"), StorageError("the disk is full")]
)
async def test_a_write_that_fails_is_repeated(error):
    expected, writes = await undisturbed()
    for write in range(1, writes + 1, 3):
        lab = Lab()
        lab.objects.fail_next(error, skip=write)
        outcome = await run(lab)
        await lab.stop()
        assert outcome == expected, f"write {write}"
        assert lab.unusual == []
        assert lab.lost == 0


async def test_somebody_else_writes_the_experiment_before_each_of_our_writes():
    expected, _ = await undisturbed()
    lab = Lab()
    counted = 0

    async def interfere(call) -> None:
        nonlocal counted
        if call.kind == EXPERIMENT and call.verb == "status" and counted % 3 == 0:
            labels = {"metadata": {"labels": {"touched": str(counted)}}}
            await lab.objects.patch(EXPERIMENT, call.namespace, call.name, labels)
        counted += 1

    lab.objects.before_write = interfere
    outcome = await run(lab)
    await lab.stop()
    assert outcome == expected
    assert lab.unusual == []
