"""PromQL's label matchers, and the sum over the series that they select, or nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from serin.adapters.scrape.exposition import Sample
from serin.ports import CounterQuery, Matcher


def matches(matcher: Matcher, labels: Mapping[str, str]) -> bool:
    """Whether a series with these labels is selected; a label that is not there is an empty one, as in PromQL."""
    value = labels.get(matcher.label, "")
    match matcher.op:
        case "=":
            return value == matcher.value
        case "!=":
            return value != matcher.value
        case "=~":
            return re.fullmatch(matcher.value, value) is not None
        case "!~":
            return re.fullmatch(matcher.value, value) is None
    raise ValueError(f"{matcher.op!r} is no matcher")


def total(found: Sequence[Sample], matchers: Sequence[Matcher]) -> float | None:
    """The sum over the series that all matchers select; None when there is none."""
    values = [sample.value for sample in found if all(matches(matcher, sample.labels) for matcher in matchers)]
    return sum(values) if values else None


def refusal(counter: CounterQuery) -> str | None:
    """Why a counter cannot be read without a Prometheus, or a matcher is none; None when it can."""
    if counter.metric is None:
        return (
            f"the metric {counter.name!r} is more than one plain counter, which needs a Prometheus; on one machine "
            "write it as sum(increase(SERIES{...}[$interval])) by ($version_labels)"
        )
    for matcher in counter.matchers:
        try:
            matches(matcher, {})
        except (ValueError, re.error) as error:
            return f"the metric {counter.name!r}: {matcher.label}{matcher.op}'{matcher.value}' is no matcher: {error}"
    return None
