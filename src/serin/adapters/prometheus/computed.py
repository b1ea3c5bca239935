"""Templates that are more than one plain counter, which Prometheus evaluates as they stand.

`$interval` becomes the seconds since the start of the experiment, so what comes back is how much was counted since
then, and the core differences it like a counter. That is right only for expressions that grow with the interval:
sums of `increase(…[$interval])`, weighted, relabelled, or a whole without a part of itself. Anything else (rates,
quantiles, gauges, fixed ranges) goes up and down without anything being counted; what two readings of it differ by says
nothing, and would be taken for evidence. Joins are no better: what has ended is joined to nothing any more, and takes
its count with it. Such a template is refused with the way out.

What remains is that `increase()` extrapolates to the ends of its range, by at most one interval of scrapes each:

- The count is a fraction, off by no more than what came in two intervals of scrapes. As differences of one growing
  value add up to its last value, the error does not add up.
- The count may fall a little, most of all after requests have ended. `Fall.NOISE` tells the core so: a fall counts
  nothing and keeps the higher origin. By more than half it means that Prometheus has lost the past: a new origin.
- In a short range the extrapolation is large. Nothing is read before `READY` intervals of scrapes have passed, and the
  first value is only the origin.
- `increase()` does not see the value with which a series begins. Errors that are the first of their pod and code are
  missed. A plain counter misses none; that is why a template is read as one wherever it can be.
"""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from typing import NamedTuple

import promql_parser
from promql_parser import (
    AggregateExpr,
    BinaryExpr,
    Call,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    SubqueryExpr,
)

READY = 5
"""Intervals of scrapes after the start before a computed counter is read."""

_INTERVAL = timedelta(seconds=7_777_777)  # stands for $interval while parsing; nobody writes this range by hand
_LABELS = "version_labels_placeholder"
_RELABELLING = frozenset({"label_replace", "label_join"})


class _NoCountError(Exception):
    """Why a template does not count since the start."""


def rendered(template: str, seconds: int, labels: tuple[str, ...]) -> str:
    """The PromQL of a template for one experiment."""
    return template.replace("$interval", f"{seconds}s").replace("$version_labels", ", ".join(labels))


@lru_cache(maxsize=4096)
def why_no_count(template: str) -> str | None:
    """Why what a template gives cannot be differenced, in a sentence that ends with the way out; None when it can."""
    try:
        if "$version_labels" not in template:
            raise _NoCountError("it does not group by ($version_labels)")
        text = template.replace("$interval", f"{_INTERVAL.total_seconds():.0f}s").replace("$version_labels", _LABELS)
        _growing(promql_parser.parse(text))
    except ValueError as error:
        return f"it is not PromQL ({error})"
    except _NoCountError as error:
        return (
            f"{error}, so it is no count since the start; write sum(increase(SERIES{{...}}[$interval])) by "
            "($version_labels) for each count, and divide by a ratio metric"
        )
    return None


def _growing(expression: object) -> None:
    """Raise unless the expression grows with the interval, whatever the series do."""
    expression = _unwrapped(expression)
    if isinstance(expression, BinaryExpr):
        _calculated(expression)
    elif isinstance(expression, AggregateExpr):
        if str(expression.op) != "sum":
            raise _NoCountError(f"it uses {expression.op}(…)")
        _growing(expression.expr)
    elif isinstance(expression, Call) and expression.func.name in _RELABELLING:
        _growing(expression.args[0])
    elif isinstance(expression, Call):
        _increase(expression)
    else:
        raise _NoCountError("it uses a series or a number as it stands")


def _increase(call: Call) -> MatrixSelector:
    if call.func.name != "increase":
        raise _NoCountError(f"it uses {call.func.name}(…)")
    argument = _unwrapped(call.args[0])
    if isinstance(argument, SubqueryExpr) or not isinstance(argument, MatrixSelector):
        raise _NoCountError("it takes increase(…) of a subquery")
    if argument.range != _INTERVAL:
        raise _NoCountError("its range is not [$interval]")
    if argument.vector_selector.offset is not None or argument.vector_selector.at is not None:
        raise _NoCountError("it looks at another time by 'offset' or '@'")
    return argument


def _calculated(expression: BinaryExpr) -> None:
    operator, left, right = str(expression.op), _unwrapped(expression.lhs), _unwrapped(expression.rhs)
    match operator:
        case "+":
            _growing(left)
            _growing(right)
        case "*" if _is_factor(left):
            _growing(right)
        case "*" if _is_factor(right):
            _growing(left)
        case "/" if isinstance(right, NumberLiteral) and right.val > 0:
            _growing(left)
        case "or" if _is_zero(right):
            _growing(left)
        case "-":
            whole, part = _counted(left), _counted(right)
            if whole is None or part is None or not part.is_part_of(whole):
                raise _NoCountError("it subtracts what is not a part of the same sum, selected by further matchers")
        case _:
            raise _NoCountError(f"it calculates with '{operator}'")


def _is_factor(expression: object) -> bool:
    """A number that is not negative."""
    return isinstance(expression, NumberLiteral) and 0 <= expression.val < float("inf")


def _is_zero(expression: object) -> bool:
    """`vector(0)`, or a count times 0: what `or` puts where nothing has been counted yet."""
    if isinstance(expression, Call) and expression.func.name == "vector":
        value = _unwrapped(expression.args[0])
        return isinstance(value, NumberLiteral) and value.val == 0
    if not isinstance(expression, BinaryExpr) or str(expression.op) != "*":
        return False
    _calculated(expression)
    sides = (_unwrapped(expression.lhs), _unwrapped(expression.rhs))
    return any(isinstance(side, NumberLiteral) and side.val == 0 for side in sides)


class _Counted(NamedTuple):
    """`sum(increase(name{matchers}[$interval])) by (labels)`."""

    name: str | None
    labels: frozenset[str]
    matchers: frozenset[tuple[str, str, str]]

    def is_part_of(self, whole: _Counted) -> bool:
        return (self.name, self.labels) == (whole.name, whole.labels) and self.matchers >= whole.matchers


def _counted(expression: object) -> _Counted | None:
    """The one count that an expression is; None when it is another expression."""
    if not isinstance(expression, AggregateExpr) or str(expression.op) != "sum" or expression.modifier is None:
        return None
    inner = _unwrapped(expression.expr)
    if not isinstance(inner, Call):
        return None
    selector = _increase(inner).vector_selector
    if selector.matchers.or_matchers:
        return None
    labels = frozenset({str(expression.modifier.type), *expression.modifier.labels})
    return _Counted(selector.name, labels, frozenset((m.name, str(m.op), m.value) for m in selector.matchers.matchers))


def _unwrapped(expression: object) -> object:
    while isinstance(expression, ParenExpr):
        expression = expression.expr
    return expression
