"""The engine dies at every write of an experiment, found by counting them; an API server is ill all the time.

The API server, its Deployment controller and the stored rules are real; traffic is counted by the weights, and time
runs faster, so that an experiment of two minutes takes seconds. Real processes and traffic are in `test_leader`.
"""

from __future__ import annotations

import asyncio
from typing import Any

from lab import Lab

from tests.cluster.engines import History, Mortal, Release, Storm
from tests.cluster.release import install

AT_ONCE = 10
NEVER = 1_000_000


async def undisturbed(lab: Lab, name: str) -> tuple[tuple[Any, ...], list[str]]:
    release = Release(lab, name, speed=40.0)
    await release.prepare()
    transports: list[Mortal] = []

    def wrap(inner: Any) -> Mortal:
        transports.append(Mortal(inner, NEVER))
        return transports[0]

    outcome = await release.run(wrap)
    await release.close()
    return outcome, transports[0].writes


async def killed_at(lab: Lab, write: int, turn: asyncio.Semaphore) -> tuple[tuple[Any, ...], bool, str]:
    """How it ended, whether it came to the write (how many events there are is a matter of chance), and its reasons."""
    async with turn:
        release = Release(lab, f"crash-{write}", speed=15.0)
        await release.prepare()
        transports: list[Mortal] = []

        def wrap(inner: Any) -> Mortal:
            transports.append(Mortal(inner, write))
            return transports[0]

        try:
            outcome = await release.run(wrap, lambda: transports[0].died.is_set())
            return outcome, transports[0].died.is_set(), release.reasons
        finally:
            await release.close()


async def test_killed_at_every_write_the_next_one_goes_on(lab: Lab) -> None:
    install(lab)
    with History(lab).recording() as history:
        expected, writes = await undisturbed(lab, "crash-0")
        assert expected[0] == "ExperimentCompleted: Traffic To Winner"
        assert expected[3:5] == ({"v2": 100}, ["web-v2"])
        assert len(writes) > 20
        turn = asyncio.Semaphore(AT_ONCE)
        numbers = range(1, len(writes) + 1)
        ends = await asyncio.gather(*(killed_at(lab, number, turn) for number in numbers))
    wrong = {number: (found, why) for number, (found, _, why) in zip(numbers, ends, strict=True) if found != expected}
    assert not wrong, [(number, writes[number - 1], *found) for number, found in wrong.items()]
    assert sum(died for _, died, _ in ends) >= len(writes) - 4
    assert history.versions() > 3 * len(writes)
    assert history.oddities() == []


async def test_an_api_server_that_refuses_breaks_off_and_forgets_changes_no_outcome(lab: Lab) -> None:
    install(lab)
    with History(lab).recording() as history:
        expected, _ = await undisturbed(lab, "storm-0")
        storms: list[Storm] = []

        async def weather(seed: int) -> tuple[Any, ...]:
            release = Release(lab, f"storm-{seed}", speed=10.0)
            await release.prepare()

            def wrap(inner: Any) -> Storm:
                storms.append(Storm(inner, seed, share=0.25))
                return storms[-1]

            try:
                return await release.run(wrap)
            finally:
                await release.close()

        outcomes = await asyncio.gather(*(weather(seed) for seed in range(1, 5)))
    assert outcomes == [expected] * len(outcomes)
    assert set().union(*(storm.faults for storm in storms)) >= {"409", "410", "429", "500", "503", "cut", "lost after"}
    assert history.oddities() == []
