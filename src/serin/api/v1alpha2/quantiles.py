"""Quantiles from histogram buckets, without guessing: `p99 at most 500 ms` is `at least 99 % within 500 ms`.

A bucket counts exactly how many values are at most its edge, and nothing about where they lie below it. So a limit that
is an edge is judged exactly, as a share of requests; a limit within a bucket could neither be proven nor refuted by
anything but a guess, and is refused with the two edges beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from serin.api.places import Problem
from serin.api.v1alpha2.types import Criterion
from serin.core.model import LimitKind
from serin.core.words import number
from serin.ports import CounterQuery, Matcher

ISTIO = "istio_request_duration_milliseconds"
EDGES = (
    0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000,
)  # fmt: skip
"""Of Istio's histogram of durations, in milliseconds; Envoy's own."""


def family(counter: CounterQuery) -> str | None:
    """The histogram that a counter is the sum or the buckets of: its name without the ending. None: of none."""
    for ending in ("_sum", "_bucket"):
        if counter.metric is not None and counter.metric.endswith(ending):
            return counter.metric.removesuffix(ending)
    return None


def buckets(counter: CounterQuery, limit: float) -> tuple[CounterQuery, CounterQuery] | None:
    """Values of at most `limit`, and all of them: two buckets of the histogram behind a counter; None without one."""
    name = family(counter)
    if name is None or counter.metric is None:
        return None
    return _bucket(counter, name, _text(limit)), _bucket(counter, name, "+Inf")


def problems(path: str, criterion: Criterion, counter: CounterQuery | None) -> Iterator[Problem]:
    """Why the quantile of a criterion cannot be judged, with the way out.

    counter   the numerator of its metric (or the metric itself), None when it is no ratio
    """
    name = None if counter is None else family(counter)
    if name is None:
        yield Problem(
            f"{path}.quantile",
            f"'{criterion.metric}' is not made of a histogram; a quantile needs a metric whose numerator is the "
            "histogram's _sum, as iter8_mean_latency",
        )
        return
    limit = criterion.threshold
    if limit is not None and limit.type is LimitKind.RELATIVE:
        yield Problem(
            f"{path}.quantile",
            "cannot be relative to the baseline's: between the edges of buckets, which in Istio's histogram lie factors"
            " of 2 and more apart, a quantile can only be guessed; write an absolute limit, or compare shares: a "
            "zero_to_one ratio of two buckets as the metric, without quantile, and a relative threshold",
        )
    elif criterion.is_reward or limit is None:
        yield Problem(
            f"{path}.quantile", "needs a threshold of type absolute, which is an edge of the histogram's buckets"
        )
    elif name == ISTIO and limit.value not in EDGES:
        yield Problem(f"{path}.threshold.value", _between(limit.value))


def _between(value: float) -> str:
    if value > EDGES[-1]:
        return f"lies in the last bucket, above {EDGES[-1]}, where nothing can be told; write {EDGES[-1]} or less"
    if value < EDGES[0]:
        return f"lies in the first bucket, below {EDGES[0]}, where nothing can be told; write {EDGES[0]} or more"
    low, high = next((low, high) for low, high in pairwise(EDGES) if low < value < high)
    return (
        f"lies between the buckets' edges {number(low)} and {number(high)}, and within a bucket a quantile can only be "
        f"guessed; write {number(low)} or {number(high)}"
    )


def _text(limit: float) -> str:
    return str(int(limit)) if limit == int(limit) else repr(limit)


def _bucket(counter: CounterQuery, name: str, edge: str) -> CounterQuery:
    """One bucket as a counter. Edges are written `500` or `500.0`, by whoever shows them."""
    pattern = re.escape(edge) if edge == "+Inf" else f"{re.escape(edge)}(\\.0+)?"
    assert counter.metric is not None
    others = tuple(m for m in counter.matchers if m.label != "le")
    return CounterQuery(
        f"{counter.name}:within {edge}",
        counter.template.replace(counter.metric, f"{name}_bucket"),
        f"{name}_bucket",
        (*others, Matcher("le", "=~", pattern)),
    )
