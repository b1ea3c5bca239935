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


@dataclass(frozen=True, slots=True)
class Family:
    """A metric with its type (`unknown` when the page does not say) and its samples, NaN left out."""

    name: str
    type: str
    samples: tuple[Sample, ...]


def families(page: str) -> Iterator[Family]:
    """The families of a page. Raises ProviderError on a page that is none."""
    try:
        for family in text_string_to_metric_families(page):
            found = (Sample(name, labels, value) for name, labels, value, *_ in family.samples)
            yield Family(family.name, family.type, tuple(sample for sample in found if not math.isnan(sample.value)))
    except (ValueError, KeyError, IndexError) as error:
        raise ProviderError(f"a page of counters is not in Prometheus' text format: {error}") from error


def samples(page: str) -> Iterator[Sample]:
    """The samples of a page, NaN left out. Raises ProviderError on a page that is none."""
    for family in families(page):
        yield from family.samples
