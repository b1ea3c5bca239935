"""As much of PromQL as a batch uses, evaluated over series that a test makes up: it reads the text that is sent."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import promql_parser
from promql_parser import AggregateExpr, BinaryExpr, Call, MatchOp, ParenExpr, VectorSelector

from serin.adapters.prometheus.batch import Batch, Row
from serin.core.observation import Snapshot
from serin.ports import CounterQuery, Matcher, ReadRequest

REQUESTS = CounterQuery("iter8_request_count", "…", "istio_requests_total", (Matcher("reporter", "=", "source"),))
LATENCY = CounterQuery(
    "iter8_total_latency", "…", "istio_request_duration_milliseconds_sum", (Matcher("reporter", "=", "source"),)
)
ERRORS = CounterQuery(
    "iter8_error_count",
    "…",
    "istio_requests_total",
    (Matcher("reporter", "=", "source"), Matcher("response_code", "=~", "5..")),
)


def request(*counters: CounterQuery, since: float = 0.0, **versions: Any) -> ReadRequest:
    """Counters of versions, each given as `workload` or `namespace/workload`."""
    labels = {}
    for version, name in (versions or {"baseline": "shop-v1", "candidate": "shop-v2"}).items():
        namespace, _, workload = name.rpartition("/")
        labels[version] = {"destination_workload": workload, "destination_workload_namespace": namespace or "default"}
    return ReadRequest(counters or (REQUESTS, LATENCY, ERRORS), labels, since)


def sample(metric: str, value: float, workload: str = "shop-v1", pod: str = "gateway-1", **labels: str) -> Row:
    """A series as Istio's proxies show it; labels are changed by name, and dropped by an empty value."""
    istio = metric.startswith("istio_")
    given = {
        "__name__": metric,
        "job": "kubernetes-pods",
        "instance": f"{pod}:15020",
        "pod": pod,
        "destination_workload": workload,
        "destination_workload_namespace": "default",
        **({"reporter": "source", "response_code": "200"} if istio else {}),
        **labels,
    }
    return Row({label: text for label, text in given.items() if text}, value)


@dataclass
class World:
    """Series that Prometheus would have."""

    series: list[Row] = field(default_factory=list)

    def add(self, *series: Row) -> World:
        self.series += series
        return self

    def answers(self, *requests: ReadRequest, time: float = 1000.0) -> list[Snapshot]:
        """What a batch of these requests would be answered; errors are raised."""
        batch = Batch.of(requests, time, 15.0)
        found = batch.answers(evaluate(batch.query, self.series))
        for answer in found:
            if isinstance(answer, Exception):
                raise answer
        return [answer for answer in found if isinstance(answer, Snapshot)]


def evaluate(query: str, series: Iterable[Row]) -> list[Row]:
    """The rows of an instant query."""
    return _evaluate(promql_parser.parse(query), list(series)) if query else []


def _evaluate(expression: object, series: list[Row]) -> list[Row]:
    match expression:
        case Call() if expression.func.name == "vector":
            return [Row({}, expression.args[0].val)]
        case ParenExpr():
            return _evaluate(expression.expr, series)
        case BinaryExpr() if str(expression.op) == "or":
            left, right = _evaluate(expression.lhs, series), _evaluate(expression.rhs, series)
            there = {_unnamed(row) for row in left}
            return left + [row for row in right if _unnamed(row) not in there]
        case Call() if expression.func.name == "label_replace":
            inner, label, value, source, regex = expression.args
            assert (source.val, regex.val) == ("", "")
            return [Row({**row.labels, label.val: value.val}, row.value) for row in _evaluate(inner, series)]
        case AggregateExpr() if str(expression.op) in ("sum", "count"):
            by = [] if expression.modifier is None else sorted(expression.modifier.labels)
            sums: dict[tuple[tuple[str, str], ...], float] = {}
            for row in _evaluate(expression.expr, series):
                key = tuple((x, row.labels[x]) for x in by if x in row.labels)
                sums[key] = sums.get(key, 0.0) + (row.value if str(expression.op) == "sum" else 1.0)
            return [Row(dict(key), value) for key, value in sums.items()]
        case VectorSelector():
            return [row for row in series if _selected(expression, row)]
    raise AssertionError(f"a batch does not use {expression}")


def _unnamed(row: Row) -> frozenset[tuple[str, str]]:
    return frozenset(item for item in row.labels.items() if item[0] != "__name__")


def _selected(selector: VectorSelector, row: Row) -> bool:
    def fits(matcher: promql_parser.Matcher) -> bool:
        value = row.labels.get(matcher.name, "")
        if matcher.op in (MatchOp.Equal, MatchOp.NotEqual):
            return bool((value == matcher.value) == (matcher.op == MatchOp.Equal))
        return bool((re.fullmatch(matcher.value, value) is not None) == (matcher.op == MatchOp.Re))

    name = selector.name
    return (name is None or row.labels["__name__"] == name) and all(fits(m) for m in selector.matchers.matchers)
