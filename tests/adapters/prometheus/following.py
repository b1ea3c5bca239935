"""Reading after reading through the core, as an experiment does: what was counted, by all that is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from serin.adapters.prometheus import PrometheusMetrics
from serin.core.observation import Increments, Snapshot, increments, origin
from serin.ports import ReadRequest


class RealClock:
    """The machine's."""

    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass
class Following:
    """One experiment's readings: the last one, and what has been counted since the first.

    absences   readings without any series, after one that had some
    """

    metrics: PrometheusMetrics
    request: ReadRequest
    last: Snapshot | None = None
    totals: dict[tuple[str, str], float] = field(default_factory=dict)
    steps: list[Increments] = field(default_factory=list)
    absences: int = 0

    async def read(self) -> Snapshot:
        """One reading, taken in."""
        (answer,) = await self.metrics.read([self.request])
        if isinstance(answer, Exception):
            raise answer
        if self.last is None or answer.time > self.last.time:
            self.absences += bool(self.last and self.last.series and not answer.series)
            found = increments(self.last, answer, list(self.request.versions))
            self.last = origin(self.last, answer, found)
            self.steps.append(found)
            for version, counts in found.counts.items():
                for counter, n in counts.items():
                    self.totals[version, counter] = self.totals.get((version, counter), 0.0) + n
        return answer

    async def until(self, shown: Callable[[Snapshot], bool], what: str, seconds: float = 60.0) -> Snapshot:
        """Read until something is shown, or fail."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            snapshot = await self.read()
            if shown(snapshot):
                return snapshot
            await asyncio.sleep(0.25)
        raise AssertionError(f"not within {seconds} s: {what}; the last reading was {self.last}")

    async def until_reads(self, counter: str, *values: float, version: str = "baseline") -> Snapshot:
        """Read until a counter of a version shows these values, one for each instance."""

        def shown(snapshot: Snapshot) -> bool:
            found = sorted(s.value for s in snapshot.series if (s.version, s.counter) == (version, counter))
            return found == sorted(values)

        return await self.until(shown, f"{counter} of {version} reads {values}")
