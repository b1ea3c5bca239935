"""Weights: from the shares that each version should have to whole percents that add up to 100.

Pure arithmetic. It knows nothing of evidence: shares come in, weights go out. Every function gives whole numbers in
0..100 that add up to exactly 100, for every input.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from serin.core.model import BASELINE, OnInconclusive, OnTermination, Outcome, Plan
from serin.errors import InvalidInput

EXPLORATION = 0.05
"""Share of the experiment's traffic that is spread evenly over all versions, as in the original."""

_CLOSE = 1e-9

_NOT_WORTH_A_CHANGE = 1.0
"""Weights that would all move by less than a whole percent stay: a change is a write for every proxy to take over.

But for a version that has nothing and is owed a whole percent: without its turn nothing would ever be learned of it.
"""


@dataclass(frozen=True, slots=True)
class Split:
    """Weights, and what rounding has cost each version so far: it is made good at the next split."""

    weights: dict[str, int]
    carry: dict[str, float]


def all_on(plan: Plan, version: str) -> dict[str, int]:
    """Everything on one version."""
    return {v: 100 if v == version else 0 for v in plan.ids}


def split(
    plan: Plan,
    target: Mapping[str, float],
    last: Mapping[str, int],
    carry: Mapping[str, float],
    may_rise: Iterable[str],
    cut_off: Iterable[str] = (),
    most: Mapping[str, int] | None = None,
) -> Split:
    """The next weights: `target` shares, the exploration share, the largest rise, the percentage, whole numbers.

    target     version id -> share of the versions that take part; others get nothing. It holds the baseline
    last       the weights before
    may_rise   candidates whose weight may grow now; by `max_increment` at most. What they do not get is the baseline's
    cut_off    candidates that get nothing for now, not even the exploration share
    most       the largest weight that a candidate may have now, for those that have one (the exposure budget)
    """
    rising, cut = frozenset(may_rise), frozenset(cut_off)
    candidates = [v for v in plan.ids if v in target and v != BASELINE and v not in cut]
    explore = EXPLORATION / max(1, len(candidates) + 1)
    wanted, caps = dict.fromkeys(plan.ids, 0.0), dict.fromkeys(plan.ids, 0)
    for v in candidates:
        share = (1.0 - EXPLORATION) * min(1.0, max(0.0, target[v])) + explore
        caps[v] = min(100, last.get(v, 0) + (plan.max_increment if v in rising else 0), (most or {}).get(v, 100))
        wanted[v] = min(float(plan.percentage) * share, float(caps[v]))
    given = sum(wanted[v] for v in sorted(candidates, key=plan.name))
    if given > plan.percentage:  # shares that do not add up to 1: never more than what takes part
        wanted = {v: x * plan.percentage / given for v, x in wanted.items()}
    wanted[BASELINE] = 100.0 - sum(wanted[v] for v in sorted(candidates, key=plan.name))
    caps[BASELINE] = 100
    settled = all(abs(wanted[v] - last.get(v, 0)) < _NOT_WORTH_A_CHANGE for v in plan.ids)
    if not settled or sum(last.values()) != 100 or any(last.get(v, 0) > caps[v] for v in plan.ids):
        return _whole(plan, wanted, caps, carry)
    left_out = [v for v in plan.ids if last.get(v, 0) == 0 and caps[v] > 0 and wanted[v] > _CLOSE]
    if any(wanted[v] + _bounded(carry.get(v, 0.0)) >= _NOT_WORTH_A_CHANGE for v in left_out):
        return _whole(plan, wanted, caps, carry)
    same = {v: last.get(v, 0) for v in plan.ids}
    return Split(same, _carried(wanted, same, caps, carry) if left_out else dict(carry))


def step_up(plan: Plan, last: Mapping[str, int], taking_part: Iterable[str]) -> dict[str, int]:
    """Without criteria: each candidate gains `max_increment` until the baseline has none left to give."""
    allowed = set(taking_part) - {BASELINE}
    weights = {v: last.get(v, 0) if v in allowed else 0 for v in plan.ids}
    order = sorted(allowed, key=plan.name)
    room = max(0, plan.percentage - sum(weights.values()))
    for i, v in enumerate(order):
        share = min(plan.max_increment, -(-room // (len(order) - i)))
        weights[v] += share
        room -= share
    weights[BASELINE] = 100 - sum(weights[v] for v in order)
    return weights


def withdraw(plan: Plan, last: Mapping[str, int], from_: Iterable[str], refuge: str = BASELINE) -> dict[str, int]:
    """`last` without the versions in `from_`; their share goes to `refuge`."""
    gone = frozenset(from_) - {refuge}
    weights = {v: 0 if v in gone else last.get(v, 0) for v in plan.ids}
    weights[refuge] += 100 - sum(weights.values())
    return weights


def lowered(plan: Plan, last: Mapping[str, int], most: Mapping[str, int]) -> dict[str, int]:
    """`last` with no candidate above its largest weight in `most`; what they lose is the baseline's."""
    weights = {v: last.get(v, 0) if v == BASELINE else min(last.get(v, 0), most.get(v, 100)) for v in plan.ids}
    weights[BASELINE] += 100 - sum(weights.values())
    return weights


def final_split(
    plan: Plan,
    outcome: Outcome,
    winner: str | None,
    last: Mapping[str, int],
    override: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """The split after the end, by version id.

    winner     version id with PROMOTED and BASELINE_WON, else None
    last       the weights before the end, by version id
    override   the split that a person wrote beside `terminate`, by version name; without one TERMINATED means baseline

    Raises InvalidInput when `override` names an unknown version or does not add up to 100.
    """
    if override:
        return user_split(plan, override)
    ends_on_baseline = outcome in (Outcome.TERMINATED, Outcome.NOBODY)
    if ends_on_baseline or plan.on_termination is OnTermination.TO_BASELINE:
        return all_on(plan, BASELINE)
    undecided = outcome is Outcome.INCONCLUSIVE and plan.analysis.on_inconclusive is OnInconclusive.KEEP
    if undecided or plan.on_termination is OnTermination.KEEP_LAST:
        return {v: last.get(v, 0) for v in plan.ids}
    return all_on(plan, winner or BASELINE)


def user_split(plan: Plan, override: Mapping[str, int]) -> dict[str, int]:
    """The weights by version id of a split written by hand by version name. Raises InvalidInput."""
    ids: dict[str, str] = {}
    for v in plan.ids:  # the baseline first: as its own candidate it is one version
        ids.setdefault(plan.name(v), v)
    weights = dict.fromkeys(plan.ids, 0)
    for name, percent in override.items():
        if name not in ids:
            known = ", ".join(ids)
            raise InvalidInput(f"spec.manualOverride.trafficSplit: {name!r} is no version of this experiment ({known})")
        if isinstance(percent, bool) or not isinstance(percent, int) or not 0 <= percent <= 100:
            raise InvalidInput(f"spec.manualOverride.trafficSplit: {name} has {percent}; write a whole number 0 to 100")
        weights[ids[name]] = percent
    total = sum(weights.values())
    if total != 100:
        raise InvalidInput(f"spec.manualOverride.trafficSplit adds up to {total}; the split must add up to 100")
    return weights


def _whole(plan: Plan, wanted: Mapping[str, float], caps: Mapping[str, int], carry: Mapping[str, float]) -> Split:
    """Largest remainder with the rounding error carried on: whole numbers, unbiased over time, ties by name."""
    owed = {v: wanted[v] + (_bounded(carry.get(v, 0.0)) if caps[v] > 0 else 0.0) for v in plan.ids}
    weights = {v: min(caps[v], max(0, math.floor(owed[v] + _CLOSE))) for v in plan.ids}
    weights[BASELINE] = max(0, weights[BASELINE])

    def by_remainder(v: str) -> tuple[float, str, str]:
        return (round(owed[v] - weights[v], 9), plan.name(v), v)

    while (missing := 100 - sum(weights.values())) != 0:
        room = [v for v in plan.ids if (weights[v] < caps[v] if missing > 0 else weights[v] > 0)]
        step = 1 if missing > 0 else -1
        chosen = max(room, key=by_remainder) if missing > 0 else min(room, key=by_remainder)
        weights[chosen] += step
    return Split(weights, _carried(wanted, weights, caps, carry))


def _carried(
    wanted: Mapping[str, float], weights: Mapping[str, int], caps: Mapping[str, int], carry: Mapping[str, float]
) -> dict[str, float]:
    """What these weights cost each version that may have any, with what it was owed before."""
    error = {v: _bounded(wanted[v] + _bounded(carry.get(v, 0.0)) - weights[v]) for v in caps if caps[v] > 0}
    rounded = {v: round(e, 6) for v, e in error.items()}
    return {v: e for v, e in rounded.items() if e != 0.0}


def _bounded(error: float) -> float:
    return min(1.0, max(-1.0, error))
