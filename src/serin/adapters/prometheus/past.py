"""What the counters were before an experiment began: one range query, after a small one that says how much it reads.

Each evaluation of it is answered as a reading of that time would have been. Bounded: with many series the history is
shorter, and with very many there is none.
"""

from __future__ import annotations

import math
from dataclasses import replace

from serin.adapters.prometheus.batch import Batch
from serin.adapters.prometheus.client import Client, Limits
from serin.core.observation import Snapshot
from serin.errors import ProviderError
from serin.ports import ReadRequest

MOST_SAMPLES = 200_000
"""Read by Prometheus for one history: 800 series for an hour, every 15 s."""

SHORTEST = 900.0
"""Seconds. Less of it teaches little, and costs nearly as much."""

LIMITS = Limits(answer=10.0, attempts=1, bytes=16 * 1024 * 1024)
"""Of one query: what is missed here is learned while the experiment runs."""


async def history(
    client: Client, request: ReadRequest, now: float, seconds: float, step: float, scrape_interval: float
) -> list[Snapshot]:
    """As `History.history`, at `now` (epoch seconds); no denser than it was scraped.

    A template that is evaluated as it stands counts from the start of an experiment and has no history: its counter is
    absent. A time at which there was nothing is left out. Raises Refused, ProviderError, InvalidInput.
    """
    plain = tuple(counter for counter in request.counters if counter.metric is not None)
    end, step = float(math.floor(now)), max(step, scrape_interval)
    batch = Batch.of([replace(request, counters=plain)], end, scrape_interval)
    if not batch.parts:
        return []
    series = sum(row.value for row in await client.query(batch.size, end))
    steps = _steps(series, seconds, step)
    if not steps:
        return []
    rows = await client.query_range(batch.query, end - steps * step, end, step, LIMITS)
    found, troubles = [], []
    for time, shown in rows.items():
        (answer,) = batch.at(time).answers(shown)
        if isinstance(answer, ProviderError):
            troubles.append(answer)
        elif answer.series:
            found.append(answer)
    if troubles and not found:
        raise troubles[-1]
    return found


def _steps(series: float, seconds: float, step: float) -> int:
    """How many steps back can be afforded of the seconds that are wanted; 0 of a baseline that has no series now.

    Raises ProviderError when they would be too few.
    """
    if not series:
        return 0
    wanted, most = int(seconds / step), int(MOST_SAMPLES / series) - 1
    if most < min(wanted, SHORTEST / step):
        raise ProviderError(f"the baseline has {series:,.0f} series, too many for their history to be read")
    return min(wanted, most)
