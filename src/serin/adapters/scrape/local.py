"""The port `Metrics` of the local home: the gateway's counters as Istio's, and those of the applications themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from serin.adapters.scrape.istio import METRICS
from serin.core.observation import Snapshot
from serin.errors import ProviderError
from serin.ports import CounterQuery, History, Metrics, ReadRequest


class LocalMetrics:
    """Implements `serin.ports.Metrics`: each counter from who counts it, all of a request in one snapshot.

    Applications are read before the gateway: what a request has led to must not be known before the request is. The
    snapshot has the gateway's time, or the applications' where nothing of the gateway's is asked for.
    """

    def __init__(self, gateway: Metrics, applications: Metrics) -> None:
        self._gateway, self._applications = gateway, applications

    def check(self, counter: CounterQuery) -> str | None:
        """Why nobody here can ever answer `counter`, in a sentence with the way out; None when somebody may."""
        return self._of(counter).check(counter)

    async def read(self, requests: Sequence[ReadRequest]) -> list[Snapshot | Exception]:
        """As `Metrics.read`."""
        applications = await self._part(self._applications, requests)
        gateway = await self._part(self._gateway, requests)
        return [_joined(*pair) for pair in zip(gateway, applications, strict=True)]

    async def history(self, request: ReadRequest, seconds: float, step: float) -> list[Snapshot]:
        """As `History.history`, of what the gateway counts; nobody keeps what applications have counted."""
        if not isinstance(self._gateway, History):
            return []
        counters = tuple(c for c in request.counters if self._of(c) is self._gateway)
        return await self._gateway.history(replace(request, counters=counters), seconds, step)

    async def _part(self, source: Metrics, requests: Sequence[ReadRequest]) -> list[Snapshot | Exception | None]:
        """What one source answers; None for a request that wants nothing of it."""
        parts = [replace(r, counters=tuple(c for c in r.counters if self._of(c) is source)) for r in requests]
        asked = [part for part in parts if part.counters]
        answers = iter(await source.read(asked) if asked else ())
        return [next(answers) if part.counters else None for part in parts]

    def _of(self, counter: CounterQuery) -> Metrics:
        return self._gateway if counter.metric is None or counter.metric in METRICS else self._applications


def _joined(first: Snapshot | Exception | None, second: Snapshot | Exception | None) -> Snapshot | Exception:
    """Two answers as one: an error of either is the error of the whole."""
    for answer in (first, second):
        if isinstance(answer, Exception):
            return answer
    known = [answer for answer in (first, second) if isinstance(answer, Snapshot)]
    if not known:
        return ProviderError("no counter was asked for; every experiment needs its request count")
    series = tuple(series for snapshot in known for series in snapshot.series)
    return Snapshot(known[0].time, series, frozenset().union(*(snapshot.families for snapshot in known)))
