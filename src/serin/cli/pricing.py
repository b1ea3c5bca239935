"""What the settings of a running experiment cost: the forecast for what was measured so far, in one line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from serin.cli.ages import seconds_at
from serin.cli.tables import dig
from serin.errors import SerinError
from serin.ports import Object

ENOUGH = 200.0
"""Requests without which nothing is said."""

_PATHS = 6
"""Rough, and quick enough for somebody who looks."""

_WIDTH_95 = 3.92
"""Standard errors between the ends of a 95 % interval."""


def price_of(experiment: Object, now: float) -> str:
    """`a candidate like the baseline is proven in …`; empty before enough is known, and after the end.

    now   epoch seconds
    """
    status = experiment.get("status") or {}
    started = seconds_at(status.get("startTimestamp"))
    assessment = status.get("assessment") or {}
    versions = [each for each in (assessment.get("baseline"), *(assessment.get("candidates") or ())) if each]
    requests = sum(float(each.get("request_count") or 0.0) for each in versions)
    if status.get("phase") == "Completed" or started is None or now <= started or requests < ENOUGH:
        return ""
    try:
        return _priced(experiment, versions[0], requests / (now - started))
    except SerinError:
        return ""  # what is wrong with it is said elsewhere


def _priced(experiment: Object, baseline: Mapping[str, Any], rate: float) -> str:
    from serin.api.v1alpha2 import convert, validation
    from serin.cli.assuming import Assumptions, Pair
    from serin.cli.forecasting import price
    from serin.core.forecast import forecast

    loaded = validation.load(experiment)
    definitions = convert.definitions(loaded)
    if definitions is None:
        return ""
    plan = convert.plan(loaded, definitions)
    seen = {str(each.get("id")): each for each in baseline.get("criterion_assessments") or ()}
    values, cvs = {}, {}
    for c in plan.criteria:
        value = dig(seen.get(c.id), "statistics", "value")
        if isinstance(value, int | float) and value >= 0.0:
            values[c.metric] = Pair(float(value), float(value))
            cvs[c.metric] = _cv(seen[c.id], float(value), float(baseline.get("request_count") or 0.0))
        elif c.limit is not None or c.is_reward:
            return ""
    return price(forecast(plan, Assumptions(rate, values, cvs=cvs).of(plan), _PATHS, 0))


def _cv(seen: Mapping[str, Any], value: float, requests: float) -> float:
    """By the width of the interval that is shown; 1 where there is none."""
    interval = dig(seen, "statistics", "ratio_statistics", "credible_interval")
    lower, upper = dig(interval, "lower"), dig(interval, "upper")
    if not isinstance(lower, int | float) or not isinstance(upper, int | float) or value <= 0.0 or requests <= 0.0:
        return 1.0
    return min(max((upper - lower) / _WIDTH_95 * math.sqrt(requests) / value, 0.01), 10.0)
