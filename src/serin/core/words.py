"""Numbers as people read them: estimates with their intervals, limits, chances, spans of time.

Every reason the core gives is built here, so that a condition, an event and a log line say the same thing alike.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from serin.core.model import Criterion, Interval, LimitKind, Measure, MeasureKind

if TYPE_CHECKING:  # so that whoever only words numbers, as the command line does, need not load numpy and scipy
    from serin.core.evidence.criterion import Evidence

_PREFIX = "iter8_"
_NOTHING = 1e-6
"""Ends of an interval that are smaller than this part of the value are 0 to a reader."""


def number(x: float) -> str:
    """Three significant digits, never an exponent: 3.94, 0.0123, 1230."""
    if not math.isfinite(x):
        return "unbounded" if x > 0 else "-unbounded" if x < 0 else "unknown"
    if x == 0.0:
        return "0"
    digits = 2 - math.floor(math.log10(abs(x)))
    if digits <= 0:
        return f"{round(x):d}"
    text = f"{x:.{min(digits, 12)}f}"
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text


def amount(x: float, measure: Measure) -> str:
    """A value in the units of its metric; a share of requests in percent."""
    if measure.kind is MeasureKind.RATE:
        return f"{number(100.0 * x)} %"
    return f"{number(x)} {measure.units}".rstrip()


def one_in(nats: float) -> str:
    """Evidence as a bound on the chance to see it by accident, never rounded up: `1 in 3400`, `1 in 2.1 million`."""
    if nats >= math.log(1e12):
        return "1 in a million million"
    odds = math.exp(max(0.0, nats)) * (1.0 + 1e-9)
    unit, name = next(((u, n) for u, n in ((1e9, " billion"), (1e6, " million")) if odds >= u), (1.0, ""))
    odds /= unit
    step = 10.0 ** (math.floor(math.log10(odds)) - 1) if odds >= 1.0 else 1.0
    return f"1 in {number(math.floor(odds / step + 1e-9) * step)}{name}"


def span(seconds: float) -> str:
    """A span of time: `12 s`, `3 min`, `2.5 h`."""
    if seconds < 100.0:
        return f"{max(0.0, seconds):.0f} s"
    if seconds < 6000.0:
        return f"{seconds / 60.0:.0f} min"
    return f"{number(seconds / 3600.0)} h"


def since(seen: float | None) -> str:
    """When a last request was seen, epoch seconds: `none since 12:00:03 UTC`, or `none ever`.

    A moment and not a span: a sentence that changes by itself would be news at every look.
    """
    if seen is None:
        return "none ever"
    seconds = int(seen) % 86400
    return f"none since {seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02} UTC"


def metric(criterion: Criterion) -> str:
    """The name of a metric as one would say it: `iter8_mean_latency` is `mean latency`.

    Of a quantile what is counted instead: `requests within 500 ms`.
    """
    if criterion.within is not None:
        return f"requests within {number(criterion.within)} {criterion.measure.units}".rstrip()
    return criterion.metric.removeprefix(_PREFIX).replace("_", " ")


def limit(criterion: Criterion, baseline: float | None = None) -> str:
    """The limit of a criterion: `a limit of 100 ms`, `a limit of 1.2 times the baseline's 3.9 ms`."""
    if criterion.limit is None:
        return "no limit"
    if criterion.limit.kind is LimitKind.ABSOLUTE:
        return f"a limit of {amount(criterion.limit.value, criterion.measure)}"
    factor = number(criterion.limit.value)
    if baseline is None:
        return f"a limit of {factor} times the baseline's value"
    return f"a limit of {factor} times the baseline's {amount(baseline, criterion.measure)}"


def estimate(criterion: Criterion, evidence: Evidence, interval: Interval | None) -> str:
    """What was seen, with its interval where it has two ends: `mean latency 3.94 ms (3.6 to 4.3)`."""
    value = evidence.value
    text = f"{metric(criterion)} {'unknown' if value is None else amount(value, criterion.measure)}"
    if interval is None or not math.isfinite(interval.upper - interval.lower) or interval.upper == interval.lower:
        return text
    scale = 100.0 if criterion.measure.kind is MeasureKind.RATE else 1.0
    lower, upper = (0.0 if abs(end) < _NOTHING * abs(value or 1.0) else end for end in (interval.lower, interval.upper))
    return f"{text} ({number(scale * lower)} to {number(scale * upper)})"


def against_limit(
    criterion: Criterion, evidence: Evidence, interval: Interval | None, baseline: float | None = None
) -> str:
    """`mean latency 3.9 ms (3.6 to 4.3) against a limit of 100 ms`."""
    if evidence.value is None:
        return f"no {metric(criterion)} yet to hold against {limit(criterion, baseline)}"
    return f"{estimate(criterion, evidence, interval)} against {limit(criterion, baseline)}"
