"""What processes show of themselves, read twice and subtracted."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import httpx2
from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]


class Page:
    """A page of metrics: name and labels -> value."""

    def __init__(self, values: Mapping[tuple[str, Labels], float]) -> None:
        self._values = values

    @classmethod
    def of(cls, text: str) -> Page:
        families = text_string_to_metric_families(text)
        return cls({(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples})

    def __sub__(self, before: Page) -> Page:
        return Page({key: value - before._values.get(key, 0.0) for key, value in self._values.items()})

    def total(self, name: str, **labels: str) -> float:
        """The sum of all series of this name that have these labels; 0.0 of none."""
        wanted = set(labels.items())
        return math.fsum(value for (found, those), value in self._values.items() if found == name and wanted <= those)

    def by(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """The same, by the values of one label."""
        sums: dict[str, float] = defaultdict(float)
        wanted = set(labels.items())
        for (found, those), value in self._values.items():
            if found == name and wanted <= those:
                sums[dict(those).get(label, "")] += value
        return dict(sums)

    def quantile(self, name: str, share: float) -> float:
        """The upper end of the bucket that the quantile of a histogram lies in; nan without any observation."""
        buckets = sorted((float(end), count) for end, count in self.by(f"{name}_bucket", "le").items())
        if not buckets or not buckets[-1][1]:
            return math.nan
        return next(end for end, count in buckets if count >= share * buckets[-1][1])


def scrape(url: str) -> Page:
    """What the process shows now. Raises httpx2.TransportError when there is none."""
    return Page.of(httpx2.get(url, timeout=30.0, trust_env=False).raise_for_status().text)


def resident(pid: int) -> float:
    """Megabytes (10**6 bytes) of a process in memory, what it shares counted in full."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ValueError("the kernel does not tell the memory of a process")
