"""A forecast in words: how long, how many requests, what stands in the way, what to change. Numbers in, lines out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from serin.cli.layout import paragraph, table
from serin.core import words
from serin.core.budget import budget
from serin.core.model import Criterion, LimitKind, MeasureKind, Plan

if TYPE_CHECKING:  # numpy and scipy come with them
    from serin.cli.assuming import Assumptions
    from serin.core.forecast import Assumed, Behaviour, Expected, Forecast
    from serin.core.remedies import Change

_LIKELY = 0.9
"""What happens less often in time is warned of."""


@dataclass(frozen=True, slots=True)
class Told:
    """One experiment's forecast. `source`: where the assumptions come from."""

    name: str
    plan: Plan
    assumptions: Assumptions
    assumed: Assumed
    found: Forecast
    changes: list[Change]
    source: str = "assumed"

    def lines(self) -> list[str]:
        """For people."""
        plan, found = self.plan, self.found
        every = f"{plan.iterations} iterations of {words.span(plan.interval)}, {words.span(found.seconds)} in all"
        traffic = f"{words.number(self.assumptions.rate)} requests/s"
        lines = [*paragraph(f"{self.name}: {every}; {traffic}", 0), ""]
        lines += (
            self._table()
            if found.criteria or found.win
            else ["  no criterion has a threshold: nothing is to be proven"]
        )
        lines += ["", *(line for text in self._notes() for line in paragraph(text, 2))]
        for text in self.warnings():
            lines += paragraph(text, 2, "warning: ")
        if self.changes:
            lines += ["", "  Any one of these makes it likely (90 %) in time:"]
            lines += [f"  - {each.field}: {each.then:g} (now {each.now:g})" for each in self.changes]
        return lines

    def _table(self) -> list[str]:
        found = self.found
        rows = [["CRITERION", "PROMOTE (90 %)", "REQUESTS", "ROLL BACK (90 %)", "REQUESTS"]]
        rows += [[_criterion(c.criterion), *self._cells(c.promote), *self._cells(c.rollback)] for c in found.criteria]
        if found.win is not None:
            rows.append(["a better reward", *self._cells(found.win), "", ""])
        if len(rows) > 2:
            rows.append(["all of them", *self._cells(found.promote), *self._cells(found.rollback)])
        return table(rows)

    def _cells(self, expected: Expected | None) -> tuple[str, str]:
        if expected is None:
            return "", ""
        median, p90 = (_time(t, self.found.followed) for t in (expected.median, expected.p90))
        return f"{median} ({p90})", _count(expected.median_requests)

    def _notes(self) -> Iterator[str]:
        level, asked, promote = budget(self.plan), self.assumptions, self.found.promote
        yield "Times from the start: half of the cases need no longer, and 90 % of them. Requests are the candidate's."
        for c in (each.criterion for each in self.found.criteria):
            good, bad = self.assumed.good.get(c.id), self.assumed.bad.get(c.id)
            if good is not None and bad is not None:
                yield f"{_capital(self.source)}: {_behaviour(c, self.assumed.baseline[c.id], good, bad)}."
        chances = f"{words.one_in(level.promotion)} to promote, {words.one_in(level.rollback)} to roll back"
        yield f"A proof is an accident of at most {chances}; readings every {words.span(asked.reading)}."
        if promote is not None and promote.in_time >= _LIKELY:
            end = "" if self.plan.analysis.early_stop else ", and promoted at the end (analysis.earlyStop: false)"
            yield f"A good candidate is proven in time in {_percent(promote.in_time)} of the cases{end}."

    def warnings(self) -> list[str]:
        """What cannot be expected to be proven in time, a sentence each."""
        found = []
        for each in self.found.criteria:
            place = f"criteria[{each.criterion.id}]"
            if each.promote is not None and (why := self._never(each.criterion)):
                found.append(f"{place}: {why}")
            if each.rollback is not None and each.rollback.in_time < _LIKELY:
                chance = _percent(each.rollback.in_time)
                found.append(f"{place}: a bad candidate is proven to be bad in time in {chance} of the cases only")
        if (promote := self.found.promote) is not None and promote.in_time < _LIKELY:
            chance, within = _percent(promote.in_time), words.span(self.found.seconds)
            found.append(
                f"a good candidate is proven within the {within} of the experiment in {chance} of the cases only"
            )
        return found

    def _never(self, criterion: Criterion) -> str:
        """Why a good candidate cannot be proven to keep a limit; empty where it can."""
        good, limit = self.assumed.good[criterion.id].value, criterion.limit
        assert limit is not None
        bound = limit.value * (self.assumed.baseline[criterion.id].value if limit.kind is LimitKind.RELATIVE else 1.0)
        if good < bound if criterion.measure.lower_is_better else good > bound:
            return ""
        if limit.kind is LimitKind.RELATIVE:
            return "a candidate that is as assumed is not within the limit, so that is not to be proven; leave room"
        value, at = words.amount(good, criterion.measure), words.amount(bound, criterion.measure)
        return f"a candidate with {value} does not keep the limit of {at}, so that is not to be proven; leave room"

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {
            "name": self.name,
            "seconds": self.found.seconds,
            "rate": self.assumptions.rate,
            "criteria": [
                {
                    "id": each.criterion.id,
                    "metric": each.criterion.metric,
                    "baseline": _value(self.assumed.baseline.get(each.criterion.id)),
                    "good": _value(self.assumed.good.get(each.criterion.id)),
                    "bad": _value(self.assumed.bad.get(each.criterion.id)),
                    "promote": _document(each.promote),
                    "rollback": _document(each.rollback),
                }
                for each in self.found.criteria
            ],
            "win": _document(self.found.win),
            "promote": _document(self.found.promote),
            "rollback": _document(self.found.rollback),
            "warnings": self.warnings(),
            "changes": [{"field": c.field, "now": c.now, "then": c.then} for c in self.changes],
        }


def price(found: Forecast) -> str:
    """What the settings cost, in one sentence; empty where nothing is to be proven."""
    if found.promote is None or found.rollback is None:
        return ""
    good, bad = (
        f"{_time(each.median, found.followed)} (90 %: {_time(each.p90, found.followed)})"
        for each in (found.promote, found.rollback)
    )
    return f"a candidate like the baseline is proven in {good}, one at twice a limit is rolled back in {bad}"


def _criterion(criterion: Criterion) -> str:
    limit = criterion.limit
    assert limit is not None
    bound = "at most" if criterion.measure.lower_is_better else "at least"
    if limit.kind is LimitKind.RELATIVE:
        return f"{words.metric(criterion)}, {bound} {words.number(limit.value)} x baseline"
    return f"{words.metric(criterion)}, {bound} {words.amount(limit.value, criterion.measure)}"


def _behaviour(criterion: Criterion, baseline: Behaviour, good: Behaviour, bad: Behaviour) -> str:
    measure, relative = criterion.measure, criterion.limit is not None and criterion.limit.kind is LimitKind.RELATIVE

    def shown(value: float) -> str:
        if relative and baseline.value > 0.0:
            return f"{words.number(value / baseline.value)} x baseline"
        return words.amount(value, measure)

    parts = [] if relative and measure.kind is MeasureKind.MEAN else [words.amount(baseline.value, measure)]
    if measure.kind is MeasureKind.MEAN:
        parts.append(f"single values scatter {words.number(100.0 * baseline.cv)} %")
    elif baseline.burst > 1.0:
        parts.append(f"in bursts of {words.number(baseline.burst)}")
    if good.value != baseline.value:
        parts.append(f"a good candidate {shown(good.value)}")
    return f"{words.metric(criterion)} {', '.join([*parts, f'a bad candidate {shown(bad.value)}'])}"


def _time(seconds: float, followed: float) -> str:
    return words.span(seconds) if math.isfinite(seconds) else f"over {words.span(followed)}"


def _count(requests: float) -> str:
    return f"{float(f'{requests:.2g}'):,.0f}" if math.isfinite(requests) else ""


def _percent(chance: float) -> str:
    return f"{100.0 * chance:.0f} %"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _value(behaviour: Behaviour | None) -> float | None:
    return None if behaviour is None else behaviour.value


def _document(expected: Expected | None) -> dict[str, float | None] | None:
    if expected is None:
        return None
    return {
        "median_seconds": _finite(expected.median),
        "p90_seconds": _finite(expected.p90),
        "median_requests": _finite(expected.median_requests),
        "p90_requests": _finite(expected.p90_requests),
        "in_time": round(expected.in_time, 4),
    }


def _finite(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None
