"""The metrics page of one pod: fetched within bounds, and of it only what somebody asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import httpx2

from serin.adapters.scrape.exposition import Sample, families
from serin.errors import ProviderError

LARGEST = 10 * 1024 * 1024
"""Bytes of a page at most."""
WITHIN = 5.0
"""Seconds for a page, from the connection to its last byte."""

_TEXT = "text/plain;version=0.0.4,*/*;q=0.1"
_PARTS = ("_total", "_bucket", "_count", "_sum")
_NOT_COUNTED = {
    "gauge": "is a gauge, which goes up and down; only counters can be compared",
    "gaugehistogram": "is a histogram of gauges; only counters can be compared",
    "info": "is no counter but a text",
    "stateset": "is no counter but a state",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """What a page shows of the metrics that were asked for.

    series    metric -> its series; none yet for a metric that the page only announces by its type
    unusable  metric -> why its series cannot be read as a counter
    """

    series: Mapping[str, tuple[Sample, ...]] = field(default_factory=dict)
    unusable: Mapping[str, str] = field(default_factory=dict)


def shown(page: str, wanted: Iterable[str]) -> Shown:
    """What a page shows of `wanted`. Raises ProviderError on lines that are not in Prometheus' text format.

    Only the lines about these metrics are read: a page of megabytes must not hold up the home.
    """
    metrics = frozenset(wanted)
    series: dict[str, tuple[Sample, ...]] = {}
    unusable: dict[str, str] = {}
    for family in families("".join(_about(page, metrics))):
        samples: dict[str, list[Sample]] = {}
        for sample in family.samples:
            samples.setdefault(sample.name, []).append(sample)
        announced = {family.name, *(family.name + part for part in _PARTS)} if family.type != "unknown" else set()
        for metric in metrics & {*samples, *announced}:
            if metric in samples or metric not in series:
                series[metric] = tuple(samples.get(metric, ()))
            if why := _NOT_COUNTED.get(family.type):
                unusable[metric] = why
            elif family.type == "summary" and metric == family.name:
                unusable[metric] = f"is a quantile of a summary; there are {metric}_sum and {metric}_count"
    return Shown(series, unusable)


def _about(page: str, metrics: frozenset[str]) -> Iterable[str]:
    """The lines that may be about these metrics, their ends on."""
    starts = tuple(metrics)
    for line in page.splitlines(keepends=True):
        if line.startswith("# TYPE "):
            name = line[7:].split(maxsplit=1)[0] if line[7:].strip() else ""
            if any(metric.startswith(name.removesuffix("_total")) for metric in metrics):
                yield line
        elif line.startswith(starts):
            yield line if line.endswith("\n") else line + "\n"


class Pages:
    """A client of metrics pages. Follows no redirect and uses no proxy."""

    def __init__(self, *, largest: int = LARGEST, within: float = WITHIN) -> None:
        self._largest, self._within = largest, within
        self._client: httpx2.AsyncClient | None = None

    async def get(self, url: str) -> str:
        """The page. Raises ProviderError: it is away, late, too large, or no page of text."""
        try:
            async with asyncio.timeout(self._within):
                return await self._get(url)
        except TimeoutError:
            raise ProviderError(f"{url} does not answer within {self._within:g} s") from None
        except httpx2.ConnectError:
            raise ProviderError(f"nobody listens at {url}") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise ProviderError(f"{url} cannot be read ({type(error).__name__})") from None
        except UnicodeDecodeError:
            raise ProviderError(f"{url} shows no text") from None

    async def _get(self, url: str) -> str:
        if self._client is None:
            self._client = httpx2.AsyncClient(
                headers={"accept": _TEXT, "user-agent": "serin"}, timeout=None, trust_env=False, verify=False
            )
        async with self._client.stream("GET", url) as response:
            if response.status_code != 200:
                raise ProviderError(f"{url} answers with {response.status_code}")
            chunks, size = [], 0
            async for chunk in response.aiter_bytes():
                size += len(chunk)
                if size > self._largest:
                    raise ProviderError(f"{url} shows more than {self._largest:,} bytes")
                chunks.append(chunk)
        return b"".join(chunks).decode()

    async def close(self) -> None:
        """Give back the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None
