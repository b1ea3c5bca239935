"""What one reading and one iteration of the core cost, for 1 and 9 candidates and 1 and 4 criteria.

The last column is the state that is stored with each iteration.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

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


def measure(candidates: int, criteria: int) -> tuple[float, float, float, int]:
    """Milliseconds of a reading, an iteration and storing the state; bytes of the state."""
    wanted = plan(candidates, criteria)
    around = Surroundings(ready=frozenset(wanted.ids), failed={})
    state = lifecycle.begin(wanted, 1000.0)
    first, *rest = snapshots(wanted, 1000.0)
    state, _ = lifecycle.observe(wanted, state, first)
    state, _ = lifecycle.iterate(wanted, state, 1000.5, around)
    began = time.perf_counter()
    for snapshot in rest:
        state, _ = lifecycle.observe(wanted, state, snapshot)
    reading = (time.perf_counter() - began) / len(rest)
    began = time.perf_counter()
    for i in range(10):
        lifecycle.assess(wanted, lifecycle.iterate(wanted, state, 1000.0 + READINGS + i, around)[0])
    iteration = (time.perf_counter() - began) / 10
    began = time.perf_counter()
    for _ in range(10):
        text = state.to_json()
        lifecycle.State.from_json(text)
    storing = (time.perf_counter() - began) / 10
    return reading * 1e3, iteration * 1e3, storing * 1e3, len(text)


def main(_words: Sequence[str] = ()) -> None:
    """Print the table."""
    print(f"{'candidates':>10} {'criteria':>8} {'reading':>11} {'iteration':>11} {'storing':>11} {'state':>10}")
    for candidates in (1, 9):
        for criteria in (1, 4):
            reading, iteration, storing, size = measure(candidates, criteria)
            print(
                f"{candidates:>10} {criteria:>8} {reading:>8.2f} ms {iteration:>8.2f} ms {storing:>8.2f} ms {size:>7} B"
            )


if __name__ == "__main__":
    main()
