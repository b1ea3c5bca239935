"""Many requests as one query, and its rows back to each request. Pure functions; nothing is fetched here.

    batch = Batch.of(requests, time=1700000000.0, scrape_interval=15.0)
    rows = ...                      what Prometheus answers to `batch.query` at `batch.time`
    batch.answers(rows)             a snapshot, or the error of its own, for each request

Experiments ask for the same few counters, so requests are merged by what they select: one part of the query for each
set of matchers, with all metrics and all versions of all requests in it. The parts are joined by `or`, each but the
first marked by a label, since `or` keeps one of two series that differ in nothing but their name. One query sees one
state of Prometheus' memory: what an instance showed in one scrape is read whole or not at all.

A version's own series name it by the version labels, as Istio's do and as an application may. Those of an application
that names nobody are its pod's: they are found by the pod's name, which begins with that of its Deployment.

The series of one version at one instance are summed by Prometheus, which keeps the answers small (a row instead of one
for each response code). They come from one scrape of one process. Such a sum falls when the process began anew or when
it dropped a series; which of the two cannot be told, so the core takes a fall as lost (`Fall.LOST`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import lru_cache

from serin.adapters.prometheus.computed import READY, rendered
from serin.adapters.prometheus.labels import (
    INSTANCE,
    REPLICAS,
    family,
    may_name_pods,
    of_pods,
    one_of,
    process,
    spelled,
    workload_of,
    written,
)
from serin.core.observation import Fall, Series, Snapshot
from serin.errors import ProviderError
from serin.ports import CounterQuery, ReadRequest

PART = "serin_part"
"""The label that marks to which part of a query a row belongs; the first part has none."""

COMPUTED = "computed"
"""The instance of what Prometheus computes."""

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of Prometheus' answer, its labels and its value."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class _Selection:
    """Which series one part of the query is about: matchers as PromQL, and the labels that tell versions apart.

    pods   the series that lack these labels and name the pod of a version instead
    """

    matchers: tuple[str, ...]
    labels: Labels
    pods: bool = False


@dataclass(frozen=True, slots=True)
class _Evaluation:
    """A part of the query that is evaluated as it stands."""

    promql: str
    labels: Labels


_Part = _Selection | _Evaluation


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parts of the query that a counter needs: the counter itself, and its family (which may be the same parts)."""

    own: tuple[_Part, ...] = ()
    family: tuple[_Part, ...] = ()


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is selected by one part: metrics, and the values of the version labels."""

    metrics: set[str] = field(default_factory=set)
    values: dict[str, set[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Count:
    """One counter of one version at one instance; `instance` is None when the labels do not tell who counted."""

    instance: str | None
    value: float


_Found = Mapping[tuple[int, str], Mapping[Labels, list[_Count]]]
"""Part and metric -> values of the version labels -> counts."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests, the time at which they are evaluated, and the parts of the query, in order."""

    requests: tuple[ReadRequest, ...]
    time: float
    scrape_interval: float
    parts: Mapping[_Part, _Wanted]

    @classmethod
    def of(cls, requests: Iterable[ReadRequest], time: float, scrape_interval: float) -> Batch:
        """One query for all of `requests` at `time` (epoch seconds)."""
        asked, parts = tuple(requests), dict[_Part, _Wanted]()
        for request in asked:
            for counter in request.counters:
                for labels in request.versions.values():
                    needed = _parts(counter, request.since, tuple(sorted(labels)), time, scrape_interval)
                    for part in (*needed.own, *needed.family):
                        wanted = parts.setdefault(part, _Wanted())
                        wanted.metrics.add(counter.metric or "")
                        for label, value in labels.items():
                            wanted.values.setdefault(label, set()).add(value)
        return cls(asked, time, scrape_interval, parts)

    @property
    def query(self) -> str:
        """The PromQL; empty when nothing can be asked yet."""
        return " or ".join(_promql(i, part, wanted) for i, (part, wanted) in enumerate(self.parts.items()))

    @property
    def size(self) -> str:
        """PromQL for how many series the query reads; what is evaluated as it stands is not counted."""
        read = [_selector(part, wanted) for part, wanted in self.parts.items() if isinstance(part, _Selection)]
        counts = (f'label_replace(count({selector}), "{PART}", "{i}", "", "")' for i, selector in enumerate(read))
        return f"sum({' or '.join(counts)})"

    def at(self, time: float) -> Batch:
        """The same query, evaluated at another time."""
        return replace(self, time=time)

    def answers(self, rows: Iterable[Row]) -> list[Snapshot | ProviderError]:
        """What the rows say to each request, in their order."""
        return [answer.given() for answer in self._answers(rows)]

    def lacking(self, rows: Iterable[Row]) -> list[tuple[CounterQuery, ...]]:
        """For each request the plain counters of which no version shows anything, not even of their family."""
        return [answer.lacking() for answer in self._answers(rows)]

    def halves(self) -> tuple[Batch, Batch]:
        """The same in two queries."""
        middle = len(self.requests) // 2
        first, second = self.requests[:middle], self.requests[middle:]
        return self.of(first, self.time, self.scrape_interval), self.of(second, self.time, self.scrape_interval)

    def _answers(self, rows: Iterable[Row]) -> list[_Answer]:
        found = self._sorted(rows)
        numbers = {part: number for number, part in enumerate(self.parts)}
        return [_Answer(self, request, found, numbers) for request in self.requests]

    def _sorted(self, rows: Iterable[Row]) -> _Found:
        """The rows by part, metric and version; without those that are not a number."""
        parts = list(self.parts)
        found: dict[tuple[int, str], dict[Labels, list[_Count]]] = {}
        for row in rows:
            if math.isnan(row.value):
                continue
            labels, number = row.labels, int(row.labels.get(PART, 0))
            part = parts[number]
            if isinstance(part, _Evaluation):
                metric, values, count = "", _values(labels, part.labels), _Count(COMPUTED, row.value)
            else:
                metric, count = labels.get("__name__", ""), _Count(_instance(labels, part), row.value)
                values = workload_of(labels) if part.pods else _values(labels, part.labels)
            found.setdefault((number, metric), {}).setdefault(values, []).append(count)
        return found


def _values(labels: Mapping[str, str], names: Labels) -> Labels:
    return tuple([labels.get(name, "") for name in names])


def _parts(counter: CounterQuery, since: float, labels: Labels, time: float, scrape_interval: float) -> _Parts:
    """The parts that a counter needs; none as long as it cannot be asked for."""
    if counter.metric is not None:
        return _selections(counter, labels)
    seconds = int(time - math.floor(since))  # whole seconds, so that the range begins at the same moment every time
    if seconds < READY * scrape_interval:
        return _Parts()
    evaluation = (_Evaluation(rendered(counter.template, seconds, labels), labels),)
    return _Parts(evaluation, evaluation)


@lru_cache(maxsize=4096)
def _selections(counter: CounterQuery, labels: Labels) -> _Parts:
    own, wide = (
        tuple(sorted(written(spelled(m)) for m in matchers)) for matchers in (counter.matchers, family(counter))
    )
    ways = (False, True) if may_name_pods(counter, labels) else (False,)
    return _Parts(*(tuple(_Selection(matchers, labels, pods) for pods in ways) for matchers in (own, wide)))


def _promql(number: int, part: _Part, wanted: _Wanted) -> str:
    """The text of a part, marked with its number; the first one has only the labels that we name, and needs no mark."""
    text = part.promql if isinstance(part, _Evaluation) else _sum(part, wanted)
    if number == 0 and isinstance(part, _Selection):
        return text
    return f'label_replace({text}, "{PART}", "{number}", "", "")'


def _sum(part: _Selection, wanted: _Wanted) -> str:
    by = ",".join(dict.fromkeys(("__name__", *part.labels, *INSTANCE, *REPLICAS)))
    return f"sum by ({by}) ({_selector(part, wanted)})"


def _selector(part: _Selection, wanted: _Wanted) -> str:
    values = (wanted.values[label] for label in part.labels)
    versions = of_pods(*values) if part.pods else map(one_of, part.labels, values)
    return f"{{{','.join((written(one_of('__name__', wanted.metrics)), *part.matchers, *map(written, versions)))}}}"


def _instance(labels: Mapping[str, str], part: _Selection) -> str | None:
    """Who has counted. What a pod says of itself and what it says of a version by name are two counts."""
    who = [labels.get(name, "") for name in INSTANCE]
    return _named(*who, "pod") if part.pods else _named(*who)


@lru_cache(maxsize=16384)
def _named(*who: str) -> str | None:
    """A short name of a process, and of what else is told apart at it.

    It is kept in the status of an experiment as long as the process counts. None when the labels that would tell it
    from others have been summed away.
    """
    known = process(dict(zip(INSTANCE, who, strict=False)))
    more = who[len(INSTANCE) :]
    return None if known is None else hashlib.blake2b("\n".join((known, *more)).encode(), digest_size=8).hexdigest()


class _Answer:
    """What the rows found say to one request."""

    def __init__(self, batch: Batch, request: ReadRequest, found: _Found, numbers: Mapping[_Part, int]) -> None:
        self._batch = batch
        self._request = request
        self._found = found
        self._numbers = numbers

    def given(self) -> Snapshot | ProviderError:
        """The snapshot; an error when a counter cannot be differenced."""
        series: list[Series] = []
        seen: dict[str, set[str | None]] = {version: set() for version in self._request.versions}
        families: list[tuple[CounterQuery, Mapping[str, Sequence[_Count]]]] = []
        for counter in self._request.counters:
            family = {}
            fall = Fall.LOST if counter.metric else Fall.NOISE
            for version, labels in self._request.versions.items():
                own, family[version] = self._counts(counter, labels)
                if trouble := _trouble(counter, own) or _trouble(counter, family[version]):
                    return ProviderError(trouble)
                series += [Series(version, counter.name, c.instance or "", c.value, fall=fall) for c in own]
                if counter.metric:
                    seen[version].update(c.instance for c in own)
            families.append((counter, family))
        asked = {s.version for s in series if s.counter == self._request.counters[0].name}
        seen = {version: by if version in asked else set() for version, by in seen.items()}
        shown = frozenset(counter.name for counter, family in families if _shown(counter, family, seen))
        return Snapshot(self._batch.time, tuple(series), shown)

    def lacking(self) -> tuple[CounterQuery, ...]:
        """The plain counters of which no version shows anything."""
        versions = self._request.versions.values()
        return tuple(
            counter
            for counter in self._request.counters
            if counter.metric is not None and not any(any(self._counts(counter, labels)) for labels in versions)
        )

    def _counts(self, counter: CounterQuery, labels: Mapping[str, str]) -> tuple[Sequence[_Count], Sequence[_Count]]:
        """A version's counts of the counter itself, and of its family."""
        names = tuple(sorted(labels))
        needed = _parts(counter, self._request.since, names, self._batch.time, self._batch.scrape_interval)
        values = _values(labels, names)
        own = self._in(needed.own, counter, values)
        return own, own if needed.own == needed.family else self._in(needed.family, counter, values)

    def _in(self, parts: tuple[_Part, ...], counter: CounterQuery, values: Labels) -> Sequence[_Count]:
        """What these parts have of a counter for the version of these label values."""
        found = (self._found.get((self._numbers[part], counter.metric or ""), {}).get(values, ()) for part in parts)
        return [count for counts in found for count in counts]


def _shown(counter: CounterQuery, family: Mapping[str, Sequence[_Count]], seen: Mapping[str, Set[str | None]]) -> bool:
    """Whether an absent series of the counter is a 0: its family is shown, and by those who count the version.

    family   version id -> the counts of the family
    seen     version id -> the instances that show anything of it; nobody as long as it has had no request (the first
             counter): its own page may be there, but what the proxies count of it cannot be yet

    A version of which other instances tell something, but none that shows the family, may be one that nobody scrapes
    for this counter: then its absence says nothing.
    """
    if counter.metric is None or not any(family.values()):
        return any(family.values())
    anywhere = {count.instance for counts in family.values() for count in counts}
    return all(family[v] or not seen[v] or seen[v] & anywhere for v in family)


def _trouble(counter: CounterQuery, counts: Sequence[_Count]) -> str | None:
    """Why counts cannot be differenced, in a sentence; None when they can."""
    if counter.metric is None or not counts:
        return None
    if any(count.instance is None for count in counts):
        return (
            f"the series of {counter.name} have no label 'instance' or 'pod', so they are sums that fall when a pod "
            "ends; ask the Prometheus that scrapes the proxies, not one that keeps sums"
        )
    if len({count.instance for count in counts}) < len(counts):
        return (
            f"{counter.name} is shown by several replicas of Prometheus; ask one of them, or a querier that "
            "deduplicates (label 'prometheus_replica' or 'replica')"
        )
    return None
