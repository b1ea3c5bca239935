"""From a query template to the plain counter behind it.

`sum(increase(SELECTOR[$interval])) by ($version_labels)` asks for the growth of the counter SELECTOR since the
experiment's start, a version each. Read raw and differenced, the counter says the same without the fractions that
`increase` extrapolates to. Any other PromQL needs Prometheus itself.
"""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache

import promql_parser
from promql_parser import (
    AggModifierType,
    AggregateExpr,
    BinaryExpr,
    Call,
    MatchOp,
    MatrixSelector,
    ParenExpr,
    SubqueryExpr,
    VectorSelector,
)

from serin.ports import CounterQuery, Matcher

FORM = "sum(increase(SELECTOR[$interval])) by ($version_labels)"
_INTERVAL = timedelta(seconds=7_777_777)  # stands for $interval while parsing; nobody writes this range by hand
_LABELS = "version_labels_placeholder"
_VERSION_LABELS = (
    frozenset({"destination_workload", "destination_workload_namespace"}),
    frozenset({"destination_service_name", "destination_service_namespace"}),
)
_OPERATORS = ((MatchOp.Equal, "="), (MatchOp.NotEqual, "!="), (MatchOp.Re, "=~"), (MatchOp.NotRe, "!~"))


class _OtherFormError(Exception):
    """Why a template is not of the form that can be read as a counter."""


@lru_cache(maxsize=4096)
def counter_query(name: str, template: str) -> CounterQuery:
    """The counter behind a template; `metric` is None when only a full PromQL engine can answer it (see `why_not`)."""
    try:
        metric, matchers = _counter(template)
    except _OtherFormError:
        return CounterQuery(name, template, None)
    return CounterQuery(name, template, metric, matchers)


def why_not(template: str) -> str | None:
    """Why a template cannot be read as a plain counter, and what would work; None when it can."""
    try:
        _counter(template)
    except _OtherFormError as error:
        return f"{error}; without Prometheus only {FORM} can be read"
    return None


def _counter(template: str) -> tuple[str, tuple[Matcher, ...]]:
    text = template.replace("$interval", f"{_INTERVAL.total_seconds():.0f}s").replace("$version_labels", _LABELS)
    try:
        expression = promql_parser.parse(text)
    except ValueError as error:
        raise _OtherFormError(f"it is not PromQL ({error})") from None
    return _selector(_increase(_grouped(_unwrapped(expression))))


def _unwrapped(expression: object) -> object:
    while isinstance(expression, ParenExpr):
        expression = expression.expr
    return expression


def _grouped(expression: object) -> object:
    """What `sum(…) by ($version_labels)` sums."""
    if isinstance(expression, BinaryExpr):
        raise _OtherFormError("it calculates; define the parts as counter metrics and the result as a ratio metric")
    if not isinstance(expression, AggregateExpr) or str(expression.op) != "sum":
        raise _OtherFormError("it is no sum")
    modifier = expression.modifier
    labels = set(modifier.labels) if modifier is not None and modifier.type == AggModifierType.By else set()
    if labels != {_LABELS} and labels not in _VERSION_LABELS:
        raise _OtherFormError("it does not group by ($version_labels)")
    return _unwrapped(expression.expr)


def _increase(expression: object) -> MatrixSelector:
    """The range that `increase(…)` is taken of."""
    if isinstance(expression, BinaryExpr):
        raise _OtherFormError("it calculates within the sum")
    if not isinstance(expression, Call):
        raise _OtherFormError("it sums something else than increase(…)")
    if expression.func.name != "increase":
        raise _OtherFormError(f"it uses {expression.func.name}(…) where increase(…) would count")
    argument = _unwrapped(expression.args[0])
    if isinstance(argument, SubqueryExpr) or not isinstance(argument, MatrixSelector):
        raise _OtherFormError("it takes increase(…) of a subquery")
    if argument.range != _INTERVAL:
        raise _OtherFormError("its range is not [$interval]")
    return argument


def _selector(matrix: MatrixSelector) -> tuple[str, tuple[Matcher, ...]]:
    selector: VectorSelector = matrix.vector_selector
    if selector.offset is not None or selector.at is not None:
        raise _OtherFormError("it looks at another time by 'offset' or '@'")
    if selector.matchers.or_matchers:
        raise _OtherFormError("it joins matchers by 'or'")
    matchers = [Matcher(m.name, _operator(m.op), m.value) for m in selector.matchers.matchers]
    named = [m.value for m in matchers if m.label == "__name__" and m.op == "="]
    metric = selector.name or (named[0] if len(named) == 1 else None)
    if metric is None:
        raise _OtherFormError("it names no series")
    rest = tuple(m for m in matchers if m.label != "__name__")
    if len(matchers) - len(rest) > len(named):
        raise _OtherFormError("it finds its series by a pattern")
    return metric, rest


def _operator(op: MatchOp) -> str:
    return next(text for known, text in _OPERATORS if known == op)
