"""What a person assumes of the versions, on the command line, and what a forecast makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from serin.errors import UsageError

if TYPE_CHECKING:  # numpy and scipy come with them
    from serin.core.evidence.criterion import Past
    from serin.core.forecast import Assumed, Behaviour
    from serin.core.model import Criterion, Plan

BAD = 2.0
"""How many times over its limit a candidate is that is to be rolled back, unless somebody says otherwise."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The baseline's value of a metric, and that of a candidate that is to be promoted."""

    baseline: float
    candidate: float

    @classmethod
    def parse(cls, text: str) -> Pair:
        """`0.2%`, `0.002`, `0.2%:0.3%`. Raises ValueError with a sentence."""
        parts = text.split(":")
        if len(parts) > 2:
            raise ValueError(f"'{text}' has more than two values; write BASELINE or BASELINE:CANDIDATE")
        values = [_number(part) for part in parts]
        return cls(values[0], values[-1])


def _number(text: str) -> float:
    try:
        value = float(text.removesuffix("%")) / (100.0 if text.endswith("%") else 1.0)
    except ValueError:
        raise ValueError(f"'{text}' is no number; write for example 0.002, 0.2% or 4.5") from None
    if not 0.0 <= value < 1e12:
        raise ValueError(f"'{text}' is not a number from 0 on")
    return value


@dataclass(slots=True)
class Assumptions:
    """What was typed, or read from a home.

    values    metric name -> values; `reward` stands for the metric of the reward
    cv        standard deviation over mean of single values; None is 1 where `cvs` has nothing of a metric
    burst     how many failures come at once
    bad       how many times over its limit a candidate is that is to be rolled back
    reading   seconds between two readings
    history   seconds of the baseline's counters that are known
    past      what they say by criterion, where they have been read
    """

    rate: float
    values: Mapping[str, Pair]
    cv: float | None = None
    burst: float = 1.0
    bad: float = BAD
    reading: float = 1.0
    history: float = 0.0
    past: Mapping[str, Past] | None = None
    cvs: Mapping[str, float] = field(default_factory=dict)

    def of(self, plan: Plan) -> Assumed:
        """For one plan. Raises UsageError when a value is missing that matters."""
        from serin.core.forecast import Assumed

        baseline, good, bad = {}, {}, {}
        for c in plan.criteria:
            if c.limit is None and not c.is_reward:
                continue
            pair = self._pair(c)
            baseline[c.id], good[c.id] = self._does(c, pair.baseline), self._does(c, pair.candidate)
            if c.limit is not None:
                bad[c.id] = self._does(c, violating(c, pair.baseline, self.bad))
        return Assumed(self.rate, baseline, good, bad, self.reading, self.history, self.past)

    def _does(self, criterion: Criterion, value: float) -> Behaviour:
        from serin.core.forecast import Behaviour

        return Behaviour(value, self.cv or self.cvs.get(criterion.metric, 1.0), self.burst)

    def _pair(self, criterion: Criterion) -> Pair:
        from serin.core.decide import is_relative
        from serin.core.model import MeasureKind

        if criterion.is_reward and "reward" in self.values:
            return self.values["reward"]
        if (pair := self.values.get(criterion.metric)) is not None:
            return pair
        if is_relative(criterion) and criterion.measure.kind is MeasureKind.MEAN:
            return Pair(1.0, 1.0)  # only ratios matter
        option = {"iter8_error_rate": "--error-rate", "iter8_mean_latency": "--latency"}.get(criterion.metric)
        option = option or ("--reward" if criterion.is_reward else f"--metric {criterion.metric}=")
        raise UsageError(
            f"nothing is assumed of {criterion.metric}; give {option}{'' if option.endswith('=') else ' '}VALUE, "
            "or --from-baseline"
        )


def violating(criterion: Criterion, baseline: float, times: float) -> float:
    """The value of a candidate that is so many times over its limit; of a share near 1 it is the failures that are."""
    from serin.core.decide import is_relative
    from serin.core.model import MeasureKind

    assert criterion.limit is not None
    limit = criterion.limit.value * (baseline if is_relative(criterion) else 1.0)
    share = criterion.measure.kind is MeasureKind.RATE
    if criterion.measure.lower_is_better:
        return min(limit * times, (1.0 + limit) / 2.0) if share else limit * times
    if share and limit > 0.5:
        return max(1.0 - (1.0 - limit) * times, limit / 2.0)
    return limit / times


def pairs_of(typed: Sequence[str], aliases: Mapping[str, str]) -> dict[str, Pair]:
    """`--metric NAME=VALUE[:CANDIDATE]`, several times. Raises UsageError."""
    found = {}
    for text in typed:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--metric {text}: write NAME=VALUE or NAME=BASELINE:CANDIDATE")
        try:
            found[aliases.get(name, name)] = Pair.parse(value)
        except ValueError as error:
            raise UsageError(f"--metric {name}: {error}") from None
    return found
