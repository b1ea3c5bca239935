"""A page in Prometheus' text format, as samples."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from serin.errors import ProviderError


@dataclass(frozen=True, slots=True)
class Sample:
    """One series at the time of the scrape."""

    name: str
    labels: Mapping[str, str]
    value: float


def samples(page: str) -> Iterator[Sample]:
    """The samples of a page, NaN left out. Raises ProviderError on a page that is none."""
    try:
        for family in text_string_to_metric_families(page):
            for name, labels, value, *_ in family.samples:
                if not math.isnan(value):
                    yield Sample(name, labels, value)
    except (ValueError, KeyError, IndexError) as error:
        raise ProviderError(f"a page of counters is not in Prometheus' text format: {error}") from error
