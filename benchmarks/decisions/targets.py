"""What the project wants to reach, and whether it does; what is promised, and whether chance could break it so."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.decisions import ours
from benchmarks.decisions.measures import Measures, Share
from benchmarks.decisions.run import Results
from benchmarks.decisions.scenarios import BOTH, CASES, Promise, Truth
from benchmarks.decisions.speed import Speed
from serin.core.budget import MISMATCH_ALPHA

SURPRISING = 1e-3
"""A promise counts as broken when chance would show so much with less than this probability."""


@dataclass(frozen=True)
class Broken:
    """A promise that chance does not explain."""

    case: str
    rule: str
    what: str
    share: Share
    promised: float

    def __str__(self) -> str:
        return (
            f"{self.case}, {self.rule}: {self.what} {self.share.count} of {self.share.of} where {self.promised:g} is "
            f"promised; by chance that happens with {self.share.by_chance(self.promised):.1g}"
        )


def broken(measures: Sequence[Measures]) -> list[Broken]:
    """The promises that are broken beyond what chance allows: an exact binomial bound, for every promised rate."""
    promised = {c.key: c for c in CASES}
    found = []
    for m in measures:
        if m.rule not in ours.MODES:
            continue
        about = promised[m.case]
        alpha_p, alpha_r = ours.alpha_of(m.rule), ours.ALPHA
        checks = []
        if m.truth != Truth.GOOD and about.promise is not Promise.NONE:
            checks.append(("promoted", m.promoted, alpha_p))
        if m.truth != Truth.BAD and (about.against or about.promise) is not Promise.NONE:
            checks.append(("rolled back", m.rolled_back, alpha_r))
        found += [Broken(m.case, m.rule, w, s, a) for w, s, a in checks if s.by_chance(a) < SURPRISING]
    return found


@dataclass(frozen=True)
class Target:
    """One line of the table: what is wanted, what was measured, and `met`, `missed`, `not shown` or `not measured`."""

    what: str
    wanted: str
    measured: str
    verdict: str
    where: str = ""


WHY = {
    "wrong promotion at a relative limit": "waves that belong to one version alone look like a difference between the "
    "versions, and nothing in the baseline foretells them. History of two pods helps where pods differ as the versions "
    "do; a longer experiment helps for sure",
    "efficiency of `independent`": "what is far from its limit is decided within a few looks, and then a look of 15 s "
    "is long; against a violation half of the evidence is kept for one that begins late, at a price of 0.7 nats",
    "efficiency for means": "how values scatter has to be learned in the same few blocks; below five looks it is the "
    "look that is long, not the proof",
    "median delay": "half of the evidence is spent on 'bad from the start', which nobody can know beforehand",
    "its time": "a hair above it, on a machine that was not quiet",
    "an iteration with its reading": "small arrays and objects of Python, made anew at every reading",
    "the same, 9 candidates": "as above, for 50 pairs of a version and a criterion; a third is the chance of each "
    "candidate to keep a relative limit, a quadrature each",
}
"""Why a target is missed, as far as it is understood; by the beginning of its name."""


def reason(target: Target) -> str:
    """Empty where it is met, or nobody knows."""
    return next((why for name, why in WHY.items() if target.what.startswith(name)), "")


class _Found:
    """The measures by case and rule."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self.by_key = {(m.case, m.rule): m for m in results.measures}

    def all(self, cases: Sequence[str], rules: Sequence[str] = ("robust",)) -> list[Measures]:
        return [m for m in self.results.measures if m.rule in rules and any(_is(m, c) for c in cases)]


def _is(m: Measures, name: str) -> bool:
    """By the whole key, or `S4*` for all that begin so."""
    return m.case == name or (name.endswith("*") and m.case.startswith(name[:-1]))


def rate_target(what: str, bound: float, shares: Sequence[tuple[str, Share]]) -> Target:
    """Met when the upper 95 % limit of the worst one is within the bound; not shown when only the share itself is."""
    wanted = f"at most {100 * bound:g} %"
    if not shares:
        return Target(what, wanted, "", "not measured")
    where, worst = max(shares, key=lambda item: item[1].interval[1])
    low, high = worst.interval
    text = f"{100 * worst.value:.2g} % ({100 * low:.2g} to {100 * high:.2g})"
    verdict = "met" if high <= bound else "not shown" if worst.value <= bound else "missed"
    return Target(what, wanted, text, verdict, where)


def _time(what: str, bound: float, m: Measures | None, minus: float = 0.0) -> Target:
    wanted = f"at most {bound:g} s"
    if m is None:
        return Target(what, wanted, "", "not measured")
    seconds = m.median - minus
    text = f"{seconds:.0f} s" if math.isfinite(seconds) else "never, in the median"
    return Target(what, wanted, text, "met" if seconds <= bound else "missed", f"{m.case}, {m.rule}")


def _number(
    what: str, wanted: str, value: float | None, met: Callable[[float], bool], shown: str, where: str = ""
) -> Target:
    if value is None:
        return Target(what, wanted, "", "not measured", where)
    return Target(what, wanted, shown.format(value), "met" if met(value) else "missed", where)


def targets(results: Results) -> list[Target]:
    """All of them, in the order of the design."""
    found = _Found(results)
    return [*_errors(found), *_times(found), *_others(found)]


def _promoted(found: Sequence[Measures]) -> list[tuple[str, Share]]:
    return [(f"{m.case}, {m.rule}", m.promoted) for m in found]


def _errors(found: _Found) -> list[Target]:
    independent = ["S1 1 %", "S1lo 1 %", "S1, 400 looks 1 %", "S4 x1.5", "S4, common waves x1.5", "S2 x1.1"]
    independent.append("S7 1.00 % above 500 ms")
    at_limit = found.all(independent, ("robust", "independent"))
    noisy = found.all(["S4, clusters of 5 x1.5", "S4, waves of its own x1.5", "S2n x1.1"])
    far = found.all(["S1 2 %", "S1 5 %", "S2 x1.5", "S2 x2", "S2n x1.5", "S2n x2"])
    far += [m for m in found.all(["S4*"]) if m.level in ("x2", "x3", "x6")]
    same = [m for m in found.all(["A/A*"]) if "clusters" not in m.case]
    clustered = [m for m in found.all(["A/A*"]) if "clusters" in m.case]
    return [
        rate_target("wrong promotion exactly at the limit, independent errors", 0.05, _promoted(at_limit)),
        rate_target("wrong rollback exactly at the limit, independent errors", 0.05,
              [(f"{m.case}, {m.rule}", m.rolled_back) for m in at_limit]),
        rate_target("wrong promotion at a relative limit, clusters or noise of one version", 0.065, _promoted(noisy)),
        rate_target("wrong promotion exactly at the limit, bursts in waves (S1c)", 0.05,
                    _promoted(found.all(["S1c 1 %"]))),
        rate_target("wrong promotion far beyond the limit", 0.005, _promoted(far)),
        rate_target("the same in S1c, at twice the limit", 0.03, _promoted(found.all(["S1c 2 %"]))),
        rate_target("wrong rollback of an identical version", 0.01, [(m.case, m.rolled_back) for m in same]),
        rate_target("the same with clusters of 5", 0.05, [(m.case, m.rolled_back) for m in clustered]),
        rate_target("wrong rollback of a good version that is cold at first (S6)", 0.05,
                    [(f"{m.case}, {m.rule}", m.rolled_back) for m in found.all(["S6 x1"], BOTH)]),
        rate_target("wrong while the service slows down or speeds up and the split moves (S3)", 0.01,
              [(m.case, w) for m in found.all(["S3*"]) for w in m.wrong]),
    ]  # fmt: skip


def _times(found: _Found) -> list[Target]:
    get = found.by_key.get
    exposed = [
        x for x in found.results.loops if x.case == "closed loop, errors" and x.level == "5 %" and x.rule == "robust"
    ]
    return [
        _time("median time to roll back 5 % errors at 10 requests a second", 60.0, get(("S1 5 %", "robust"))),
        _time("median time to promote a 0.3 % candidate, robust", 270.0, get(("S1 0.3 %", "robust"))),
        _time("the same, independent", 120.0, get(("S1 0.3 %", "independent"))),
        _time("median delay after a late onset of 5 %", 105.0, get(("S8 5 % from 600 s on", "robust")), 600.0),
        _number("share of all requests that a 5 % candidate answers in 30 minutes, closed loop", "at most 0.4 %",
                100.0 * exposed[0].exposed if exposed else None, lambda v: v <= 0.4, "{:.2f} %"),
        _efficiency(found, "efficiency of `independent` (S1 0.5 %, 2 %, S4 x1, x3)", 0.6, "independent",
                    ["S1 0.5 %", "S1 2 %", "S4 x1", "S4 x3"]),
        _efficiency(found, "efficiency for means with history (S2 x1, x1.05, x1.15, x1.25)", 0.55, BOTH[1],
                    ["S2 x1", "S2 x1.05", "S2 x1.15", "S2 x1.25"]),
    ]  # fmt: skip


def _efficiency(found: _Found, what: str, bound: float, mode: str, cases: list[str]) -> Target:
    known = [(m.efficiency, m.case) for m in found.all(cases, (mode,)) if m.efficiency is not None]
    if not known:
        return Target(what, f"at least {bound:g}", "", "not measured")
    least, where = min(known)
    others = ", ".join(f"{value:.2f}" for value, _ in known)
    return Target(what, f"at least {bound:g}", others, "met" if least >= bound else "missed", where)


def _others(found: _Found) -> list[Target]:
    results = found.results
    small, large = results.speeds if len(results.speeds) == 2 else (None, None)
    error, took = results.chances or (None, None)
    alarms = next((x.alarms for x in results.losses if x.lost == 0.0), None)
    other = [x.other for x in results.invariances]
    raised = "" if alarms is None else f"{alarms.count} of {alarms.of}"
    turned = f"{sum(s.count for s in other)} of {sum(s.of for s in other)}" if other else ""
    held = "not measured" if alarms is None else "met" if alarms.by_chance(MISMATCH_ALPHA) >= SURPRISING else "missed"
    same = "not measured" if not other else "missed" if any(s.count for s in other) else "met"
    missed = [(f"{c.case}, {c.mode}", c.missed) for c in results.coverages]
    return [
        rate_target("an interval that excludes the truth at any look", 0.05, missed),
        Target("alarms on a split that is as configured", "at most 0.1 %", raised, held),
        Target("decisions that a disturbed source turns around (S10)", "none", turned, same),
        _number(
            "error of the chance to be the best, 10 versions", "at most 1e-8", error, lambda v: v <= 1e-8, "{:.0e}"
        ),
        _number("its time", "at most 10 ms", took, lambda v: v <= 10.0, "{:.1f} ms"),
        _cost("an iteration with its reading, 1 candidate, 1 criterion", 0.5, small),
        _cost("the same, 9 candidates, 4 criteria", 5.0, large),
    ]


def _cost(what: str, bound: float, speed: Speed | None) -> Target:
    spent = speed.reading + speed.iteration if speed else None
    return _number(what, f"at most {bound:g} ms", spent, lambda v: v <= bound, "{:.2f} ms")
