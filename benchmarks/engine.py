"""What a reading, an iteration and an assessment of the core cost: 1 and 9 candidates, 1, 2 and 4 criteria, a reward.

Every iteration and assessment follows a new reading, as in an experiment: nothing that was remembered before serves it.
Medians of CPU time. The last columns are the state that is stored each time, as text and as it stands in a status.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from serin.control.memory import packed
from serin.core import lifecycle
from serin.core.lifecycle import Surroundings
from serin.core.model import Criterion, Limit, LimitKind, Measure, MeasureKind, Plan
from serin.core.observation import Series, Snapshot

READINGS = 60
REQUESTS, SPENT, ERRORS, COUNT = "iter8_request_count", "latency", "errors", "latency:count"


def plan(candidates: int, criteria: int) -> Plan:
    mean = Measure(MeasureKind.MEAN, SPENT, COUNT, units="milliseconds")
    rate = Measure(MeasureKind.RATE, ERRORS, REQUESTS)
    absolute, relative = LimitKind.ABSOLUTE, LimitKind.RELATIVE
    all_of_them = (
        Criterion("0", "mean", mean, Limit(absolute, 100.0)),
        Criterion("1", "errors", rate, Limit(absolute, 0.05)),
        Criterion("2", "mean", mean, Limit(relative, 1.25)),
        Criterion("3", "errors", rate, Limit(relative, 1.5)),
    )
    names = tuple(f"v{i + 2}" for i in range(candidates))
    return Plan("v1", names, all_of_them[:criteria], interval=15.0, iterations=12, max_increment=5)


def snapshots(wanted: Plan, start: float) -> list[Snapshot]:
    """A reading a second of versions that are all alike, 20 requests a second each."""
    random = np.random.default_rng(1)
    totals = {v: {REQUESTS: 0.0, SPENT: 0.0, ERRORS: 0.0, COUNT: 0.0} for v in wanted.ids}
    found = []
    for second in range(READINGS + 1):
        for counts in totals.values():
            requests = float(random.poisson(20))
            counts[REQUESTS] += requests
            counts[COUNT] += requests
            counts[SPENT] += float(random.gamma(4.0, 1.0, int(requests)).sum())
            counts[ERRORS] += float(random.binomial(int(requests), 0.01))
        series = tuple(Series(v, c, "proxy", x, start) for v, counts in totals.items() for c, x in counts.items())
        found.append(Snapshot(start + second, series, frozenset({REQUESTS, SPENT, ERRORS, COUNT})))
    return found


@dataclass(frozen=True)
class Cost:
    """Milliseconds of CPU of taking a reading in, an iteration, an assessment, storing the state and reading it again.

    state    characters of its text; `stored` as they are in a status
    """

    reading: float
    iteration: float
    assessment: float
    storing: float
    state: int
    stored: int


def measure(candidates: int, criteria: int, reward: bool = False) -> Cost:
    """The medians over the second half of a minute, with an iteration every other second."""
    wanted = replace(plan(candidates, criteria), iterations=READINGS)
    if reward:
        best = replace(wanted.criteria[0], id="9", limit=None, is_reward=True)
        wanted = replace(wanted, criteria=(*wanted.criteria, best))
    around = Surroundings(ready=frozenset(wanted.ids), failed={})
    first, *rest = snapshots(wanted, 1000.0)
    state, _ = lifecycle.observe(wanted, lifecycle.begin(wanted, 1000.0), first)
    took: tuple[list[float], ...] = ([], [], [], [])
    for second, snapshot in enumerate(rest, 1):
        at = [time.process_time()]
        state, _ = lifecycle.observe(wanted, state, snapshot)
        at.append(time.process_time())
        if second % 2:
            continue
        state, _ = lifecycle.iterate(wanted, state, 1000.0 + second, around)
        at.append(time.process_time())
        lifecycle.assess(wanted, state)
        at.append(time.process_time())
        lifecycle.State.from_json(state.to_json())
        at.append(time.process_time())
        if second > READINGS / 2:
            for times, began, ended in zip(took, at, at[1:], strict=False):
                times.append(ended - began)
    text = state.to_json()
    reading, iteration, assessment, storing = (1e3 * statistics.median(times) for times in took)
    return Cost(reading, iteration, assessment, storing, len(text), len(packed(text)))


def main(_words: Sequence[str] = ()) -> None:
    """Print the table."""
    names = ("reading", "iteration", "assessment", "storing", "state", "stored")
    print(f"{'candidates':>10} {'criteria':>12}" + "".join(f" {name:>11}" for name in names))
    for candidates, criteria, reward in ((1, 1, False), (1, 2, False), (1, 4, False), (9, 1, False), (9, 4, True)):
        cost = measure(candidates, criteria, reward)
        times = (cost.reading, cost.iteration, cost.assessment, cost.storing)
        told = f"{criteria} + reward" if reward else f"{criteria}"
        print(
            f"{candidates:>10} {told:>12}"
            + "".join(f" {ms:>8.2f} ms" for ms in times)
            + "".join(f" {size:>9} B" for size in (cost.state, cost.stored))
        )


if __name__ == "__main__":
    main()
