"""What the gateway's counters were: scrapes of the last hour, kept in memory, for experiments that start later."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from serin.adapters.scrape.exposition import Sample

EVERY = 15.0
"""Seconds between two scrapes that are kept."""

LONGEST = 3600.0 + 2 * EVERY
MOST_SAMPLES = 200_000
"""Kept at most, some 20 MB: with very many versions history is shorter."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One scrape: its time, who counted (name and start of a life of the gateway), and the series by metric."""

    time: float
    instance: str
    started: float
    series: Mapping[str, Sequence[Sample]]

    @property
    def size(self) -> int:
        """Samples in it."""
        return sum(len(found) for found in self.series.values())


@dataclass(slots=True)
class Memory:
    """The last hour, oldest first. Labels are stored once, however many scrapes show them."""

    _kept: deque[Kept] = field(default_factory=deque)
    _labels: dict[frozenset[tuple[str, str]], Mapping[str, str]] = field(default_factory=dict)
    _samples: int = 0

    def add(self, scrape: Kept) -> None:
        """Keep one more; what is too old or too much is forgotten."""
        series = {name: tuple(self._shared(s) for s in found) for name, found in scrape.series.items()}
        self._kept.append(Kept(scrape.time, scrape.instance, scrape.started, series))
        self._samples += scrape.size
        while self._kept and (scrape.time - self._kept[0].time > LONGEST or self._samples > MOST_SAMPLES):
            self._samples -= self._kept.popleft().size
        if not self._kept:
            self._labels.clear()

    def since(self, time: float) -> Iterator[Kept]:
        """What was kept at `time` or later."""
        return (scrape for scrape in self._kept if scrape.time >= time)

    def _shared(self, sample: Sample) -> Sample:
        key = frozenset(sample.labels.items())
        return Sample(sample.name, self._labels.setdefault(key, sample.labels), sample.value)
