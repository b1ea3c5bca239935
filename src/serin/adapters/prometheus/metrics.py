"""`PrometheusMetrics`: many who read at their own time, few queries.

Every experiment reads for itself. What is asked within a moment is gathered, evaluated at one time and asked for in
batches; each answer is kept until the source can have changed. A request that Prometheus refuses is found by halving
its batch, gets its own error, and spoils no other. Requests with templates that are evaluated as they stand go in
queries of their own: what such a template costs is the user's choice, and must not cost the others their readings.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2

from serin.adapters.prometheus.auth import Auth
from serin.adapters.prometheus.batch import Batch
from serin.adapters.prometheus.client import Client, Limits, Refused
from serin.adapters.prometheus.computed import why_no_count
from serin.adapters.prometheus.missing import explained
from serin.adapters.prometheus.past import history
from serin.core.observation import Snapshot
from serin.errors import InvalidInput, ProviderError, SerinError
from serin.ports import Clock, CounterQuery, ReadRequest

GATHERED_FOR = 0.2
"""Seconds that a request waits for others."""

BATCH = 100
"""Requests in one query: with more of them the cost of each hardly falls (`python -m benchmarks prometheus`)."""

AT_ONCE = 3
"""Queries at the same time, and as many again of those with templates; more would only compete with each other."""

HISTORIES_AT_ONCE = 2
"""Beside all these: many experiments that begin together must not cost the others their readings."""

_Key = tuple[object, ...]


class _AwayError(Exception):
    """The source as a whole does not answer; `error` says why."""

    def __init__(self, error: SerinError) -> None:
        super().__init__(str(error))
        self.error = error


_Answer = Snapshot | SerinError


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A request, and who waits for its answer (or for `_AwayError`)."""

    request: ReadRequest
    answer: asyncio.Future[_Answer]

    @property
    def computed(self) -> bool:
        """Whether a template has to be evaluated for it."""
        return any(counter.metric is None for counter in self.request.counters)

    @property
    def place(self) -> list[tuple[str, ...]]:
        """For sorting: what lies together is selected together."""
        return sorted(tuple(labels[label] for label in sorted(labels, reverse=True)) for labels in self._versions)

    @property
    def _versions(self) -> list[dict[str, str]]:
        return [dict(labels) for labels in self.request.versions.values()]

    def fail(self, error: Exception) -> None:
        """Raise an error where the answer is waited for."""
        if not self.answer.done():
            self.answer.set_exception(error)


class PrometheusMetrics:
    """The ports `Metrics` and `History` on a Prometheus, or on whatever speaks its API and keeps instances apart.

    url               `http://prometheus.istio-system:9090`, with the path if the API is served under one
    auth              who we are; credentials in the URL are understood as basic ones
    ca                file (PEM) with the authorities that sign its certificate; without one those of the system
    scrape_interval   seconds between two scrapes of the counters: no experiment reads more often
    limits            of one query
    gather, batch     how long a request waits for others, and how many make one query
    jitter            a number in [0, 1), anew each time
    wire              what carries requests; without one the network
    """

    def __init__(
        self,
        url: str,
        *,
        auth: Auth | None = None,
        ca: Path | None = None,
        clock: Clock,
        scrape_interval: float = 15.0,
        limits: Limits | None = None,
        gather: float = GATHERED_FOR,
        batch: int = BATCH,
        jitter: Callable[[], float] = random.random,
        wire: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """Raises InvalidInput: no such URL can be asked, or the file of authorities cannot be read."""
        self._client = Client(url, auth=auth, ca=ca, clock=clock, limits=limits, jitter=jitter, wire=wire)
        self._clock = clock
        self._scrape_interval = scrape_interval
        self._gather = gather
        self._batch = batch
        self._kept: dict[_Key, tuple[float, _Answer]] = {}
        self._waiting: list[_Waiting] = []
        self._enough = asyncio.Event()
        self._turns = {computed: asyncio.Semaphore(AT_ONCE) for computed in (False, True)}
        self._looking_back = asyncio.Semaphore(HISTORIES_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def aclose(self) -> None:
        """Ask nothing more; whoever still waits is told."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.aclose()

    def check(self, counter: CounterQuery) -> str | None:
        """Why this source can never answer `counter`, in a sentence with the way out; None when it can."""
        if counter.metric is not None:
            return None
        reason = why_no_count(counter.template)
        return None if reason is None else f"the metric {counter.name!r} cannot be used: {reason}"

    async def read(self, requests: Sequence[ReadRequest]) -> list[Snapshot | Exception]:
        """As `Metrics.read`; within one interval of scrapes the same request has the same answer, time and all."""
        now = self._clock.now()
        answers = [self._refused(request) or self._known(request, now) or self._ask(request) for request in requests]
        waiting = [answer for answer in answers if isinstance(answer, asyncio.Future)]
        await asyncio.gather(*waiting, return_exceptions=True)
        found: list[Snapshot | Exception] = []
        away = []
        for answer in answers:
            if not isinstance(answer, asyncio.Future):
                found.append(answer)
            elif isinstance(error := answer.exception(), _AwayError):
                away.append(error.error)
                found.append(error.error)
            else:
                found.append(answer.result())
        if away and len(away) == len(found):
            raise away[0]
        return found

    async def history(self, request: ReadRequest, seconds: float, step: float) -> list[Snapshot]:
        """As `History.history`: what Prometheus has kept, within the bounds of `past`."""
        async with self._looking_back:
            return await history(self._client, request, self._clock.now(), seconds, step, self._scrape_interval)

    def _refused(self, request: ReadRequest) -> InvalidInput | None:
        refusal = next((text for counter in request.counters if (text := self.check(counter))), None)
        return None if refusal is None else InvalidInput(refusal)

    def _known(self, request: ReadRequest, now: float) -> _Answer | None:
        time, answer = self._kept.get(_key(request), (-math.inf, None))
        return answer if 0 <= now - time < self._scrape_interval else None

    def _ask(self, request: ReadRequest) -> asyncio.Future[_Answer]:
        """Put the request among those that wait; the first of them has the others gathered."""
        answer: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(request, answer))
        if len(self._waiting) == 1:
            task = asyncio.create_task(self._gathered(), name="read from Prometheus")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if len(self._waiting) >= self._batch:
            self._enough.set()
        return answer

    async def _gathered(self) -> None:
        """Wait for others a moment, or until they are enough for a query; then answer all."""
        ends = [asyncio.ensure_future(self._clock.sleep(self._gather)), asyncio.ensure_future(self._enough.wait())]
        waiting: list[_Waiting] = []
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            waiting, self._waiting = self._waiting, []
            self._enough.clear()
            now = self._clock.now()
            self._kept = {k: kept for k, kept in self._kept.items() if 0 <= now - kept[0] < self._scrape_interval}
            await asyncio.gather(*(self._answered(part, float(math.floor(now))) for part in self._parts(waiting)))
        finally:
            for end in ends:
                end.cancel()
            for each in waiting or self._waiting:
                each.fail(_AwayError(ProviderError("the source of metrics was closed before it answered")))

    def _parts(self, waiting: Sequence[_Waiting]) -> Iterator[list[_Waiting]]:
        """Who is asked for in one query: those with templates each alone, the others by place."""
        plain = sorted((w for w in waiting if not w.computed and not w.answer.done()), key=lambda w: w.place)
        yield from (plain[i : i + self._batch] for i in range(0, len(plain), self._batch))
        yield from ([w] for w in waiting if w.computed and not w.answer.done())

    async def _answered(self, waiting: Sequence[_Waiting], time: float) -> None:
        batch = Batch.of((w.request for w in waiting), time, self._scrape_interval)
        try:
            async with self._turns[waiting[0].computed]:
                answers = await self._asked(batch)
        except SerinError as error:
            for each in waiting:
                each.fail(_AwayError(error))
            return
        except Exception as error:  # a fault of ours is raised where it is read, not lost in this task
            for each in waiting:
                each.fail(error)
            return
        for each, answer in zip(waiting, answers, strict=True):
            self._kept[_key(each.request)] = time, answer
            if not each.answer.done():
                each.answer.set_result(answer)

    async def _asked(self, batch: Batch) -> list[_Answer]:
        """The answers to a batch. If it is refused, but not everything is, the requests to blame are found."""
        try:
            return await self._answers(batch)
        except Refused as error:
            if len(batch.requests) == 1:
                return [error]
            await self._client.query("vector(1)", batch.time)
            return [answer for half in batch.halves() for answer in await self._halved(half)]

    async def _halved(self, batch: Batch) -> list[_Answer]:
        """Who is refused in a batch, found by halving it; everybody else is answered."""
        try:
            return await self._answers(batch)
        except Refused as error:
            if len(batch.requests) == 1:
                return [error]
            return [answer for half in batch.halves() for answer in await self._halved(half)]

    async def _answers(self, batch: Batch) -> list[_Answer]:
        rows = await self._client.query(batch.query, batch.time) if batch.query else []
        return list(await explained(self._client, batch, rows, batch.answers(rows)))


def _key(request: ReadRequest) -> _Key:
    """What makes two requests the same; the start matters only to templates."""
    versions = tuple((version, *sorted(labels.items())) for version, labels in sorted(request.versions.items()))
    computed = any(counter.metric is None for counter in request.counters)
    return request.counters, versions, request.since if computed else None
