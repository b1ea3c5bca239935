"""Why a counter has no series, in a sentence: asked when a reading lacks one counter while it has others.

Three things go wrong with the counters of applications, and they look the same in an answer without rows: nobody
scrapes the pages, the series tell no version, or the template selects something that they are not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from serin.adapters.prometheus.batch import PART, Batch, Row
from serin.adapters.prometheus.client import Client
from serin.adapters.prometheus.labels import may_name_pods, of_pods, one_of, workload_of, written
from serin.core.observation import Snapshot
from serin.errors import ProviderError, SerinError
from serin.ports import CounterQuery, Matcher, ReadRequest

_BY = "pod,kubernetes_pod_name,namespace,kubernetes_namespace"


async def explained(
    client: Client, batch: Batch, rows: Sequence[Row], answers: Sequence[Snapshot | ProviderError]
) -> list[Snapshot | ProviderError]:
    """The answers; in the place of one that lacks a counter for all versions, why that is so, if it can be told."""
    found = list(answers)
    if all(_is_whole(answer, request) for answer, request in zip(answers, batch.requests, strict=True)):
        return found
    asked = {
        number: _why(client, request, lacking[0], batch.time)
        for number, (request, lacking) in enumerate(zip(batch.requests, batch.lacking(rows), strict=True))
        if lacking and not _is_whole(found[number], request)
    }
    for number, sentence in zip(asked, await asyncio.gather(*asked.values()), strict=True):
        found[number] = ProviderError(sentence) if sentence else found[number]
    return found


def _is_whole(answer: Snapshot | ProviderError, request: ReadRequest) -> bool:
    """Whether there is nothing to explain. Where nothing at all was counted there were no requests."""
    if isinstance(answer, ProviderError) or not answer.series:
        return True
    return {counter.name for counter in request.counters} <= answer.families


async def _why(client: Client, request: ReadRequest, counter: CounterQuery, time: float) -> str | None:
    """The sentence; None when there is nothing wrong with the series, or when Prometheus does not say."""
    try:
        rows = await client.query(question(request, counter), time)
    except SerinError:
        return None  # the next reading asks again, and says itself what Prometheus says
    return sentence(request, counter, rows)


def question(request: ReadRequest, counter: CounterQuery) -> str:
    """PromQL for how many series of that name there are, of anybody and of these versions."""
    named = one_of("__name__", [counter.metric or ""])
    labels, *_ = map(sorted, request.versions.values())
    values = {label: {version[label] for version in request.versions.values()} for label in labels}
    versions = map(one_of, labels, values.values())
    parts = {"any": f"count({_selector(named)})", "told": f"count({_selector(named, *versions)})"}
    if may_name_pods(counter, labels):
        parts["pods"] = f"count by ({_BY}) ({_selector(named, *of_pods(*values.values()))})"
    return " or ".join(f'label_replace({promql}, "{PART}", "{part}", "", "")' for part, promql in parts.items())


def sentence(request: ReadRequest, counter: CounterQuery, rows: Iterable[Row]) -> str | None:
    """What the answer to `question` means; None when the versions have such series as the counter selects."""
    counts = {"any": 0.0, "told": 0.0, "pods": 0.0}
    versions = {tuple(labels[each] for each in sorted(labels)) for labels in request.versions.values()}
    for row in rows:
        if (part := row.labels.get(PART, "")) != "pods" or workload_of(row.labels) in versions:
            counts[part] += row.value
    names = " or ".join(f"{space}/{name}" for name, space in sorted(versions))
    reads = f"the metric {counter.name!r} reads {counter.metric!r}"
    theirs = counts["told"] + counts["pods"]
    if not counts["any"]:
        return (
            f"{reads}, of which Prometheus has no series; let it scrape the pods that count it (usually they are "
            'annotated prometheus.io/scrape: "true"), and let the application show the counter from 0 on'
        )
    if not theirs:
        needed = _needed(request, counter)
        return f"{reads}, and none of its {counts['any']:,.0f} series in Prometheus is about {names}; {needed}"
    if not counter.matchers:
        return None
    selects = ", ".join(map(written, counter.matchers))
    return (
        f"{reads} with {selects}, and none of its {theirs:,.0f} series about {names} has these labels; correct the "
        "query template"
    )


def _needed(request: ReadRequest, counter: CounterQuery) -> str:
    labels = sorted(next(iter(request.versions.values())))
    pods = ", or pod and namespace of a pod of the Deployment" if may_name_pods(counter, labels) else ""
    return f"they must have the labels {' and '.join(labels)}{pods}"


def _selector(*matchers: Matcher) -> str:
    return f"{{{','.join(map(written, matchers))}}}"
