"""What a plan asks for and no data could ever prove, or not within its length: told before it is run in vain."""

from __future__ import annotations

import math
from collections.abc import Iterator

from serin.core import decide, words
from serin.core.forecast import Assumed, Behaviour, forecast
from serin.core.model import Criterion, LimitKind, MeasureKind, Plan

_PLENTY = 1e6
"""Requests a second: as many as anybody could wish for."""

_SHORT = 1800.0
"""Seconds; longer experiments leave time for the least data that a proof needs."""


def in_vain(plan: Plan) -> Iterator[tuple[str, str]]:
    """(field of the spec, a sentence with the way out) for what cannot be proven, whatever the traffic."""
    hopeless = {c.id: why for c in plan.limited if (why := _never(c))}
    for c in plan.limited:
        if c.id in hopeless:
            yield f"spec.criteria[{c.id}].threshold.value", hopeless[c.id]
    length = plan.interval * plan.iterations
    judged = [c for c in plan.limited if c.id not in hopeless and c.measure.kind is not MeasureKind.COUNTER]
    if not judged or length >= _SHORT or decide.unsupported(plan):
        return
    best = {c.id: _perfect(c) for c in judged}
    needed = forecast(plan, Assumed(_PLENTY, {c.id: _usual(c) for c in judged}, best, {}), 2, 0).promote
    if needed is not None and needed.median > length:
        enough = math.ceil(needed.median / plan.interval) if math.isfinite(needed.median) else None
        text = (
            f"{plan.iterations} iterations of {words.span(plan.interval)} are too few for any proof, however many "
            "requests there are"
        )
        yield "spec.duration.maxIterations", f"{text}; write {enough} at least" if enough else text


def _never(criterion: Criterion) -> str:
    limit, measure = criterion.limit, criterion.measure
    if limit is None or limit.kind is LimitKind.RELATIVE or measure.kind is MeasureKind.COUNTER:
        return ""
    share = measure.kind is MeasureKind.RATE
    if measure.lower_is_better and limit.value <= 0.0:
        what = "share" if share else "value"
        return f"a limit of 0 can be broken and never proven to be kept; write the largest {what} that is acceptable"
    if share and measure.lower_is_better and limit.value >= 1.0:
        return "a share of requests is never above 1, so this limits nothing; write for example 0.01 for 1 %"
    if share and not measure.lower_is_better and limit.value >= 1.0:
        return "a share of 1 can be missed and never proven to be reached; write for example 0.99"
    return ""


def _usual(criterion: Criterion) -> Behaviour:
    """A baseline in the middle of what may be."""
    limit = criterion.limit
    assert limit is not None
    if limit.kind is LimitKind.RELATIVE:
        return Behaviour(0.1 if criterion.measure.kind is MeasureKind.RATE else 1.0)
    return Behaviour(limit.value)


def _perfect(criterion: Criterion) -> Behaviour:
    """A candidate as far within its limit as can be."""
    usual = _usual(criterion).value
    if criterion.measure.lower_is_better:
        return Behaviour(usual / 100.0, 0.1)
    return Behaviour(
        min(usual * 100.0, 1.0 - 1e-6) if criterion.measure.kind is MeasureKind.RATE else usual * 100.0, 0.1
    )
