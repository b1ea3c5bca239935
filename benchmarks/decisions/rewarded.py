"""S5 and S9 for ours: the whole lifecycle, with the split that it makes, since a reward is a matter of all versions.

The peers judge the data of `generators.arms` and `generators.delayed_rewards`; here the same rates are drawn behind our
own weights.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from benchmarks.decisions.measures import Sample
from benchmarks.decisions.readings import ERRORS, REQUESTS, REWARD, SCRAPE
from benchmarks.decisions.scenarios import Case, Truth
from benchmarks.decisions.traffic import Random
from benchmarks.decisions.verdicts import PROMOTED, ROLLED_BACK, UNDECIDED, Verdicts
from serin.core.lifecycle import Surroundings, begin, iterate, observe, unsupported
from serin.core.model import BASELINE, Analysis, Outcome, Plan, Strategy
from serin.core.observation import Series, Snapshot

FAMILIES = frozenset({REQUESTS, ERRORS, REWARD})
FAILING = 0.005


@dataclass
class Service:
    """Versions that earn and fail; what is earned shows after an exponential delay of this mean (0: at once)."""

    case: Case
    ids: tuple[str, ...]
    random: Random
    counters: dict[str, dict[str, float]] = field(default_factory=dict)
    waiting: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.counters = {v: dict.fromkeys(FAMILIES, 0.0) for v in self.ids}
        self.waiting = dict.fromkeys(self.ids, 0.0)

    def run(self, weights: dict[str, int]) -> None:
        """One look at this split."""
        shares = np.array([weights[v] for v in self.ids], dtype=float)
        total = int(self.random.poisson(self.case.frame.rate * SCRAPE))
        ends = 1.0 - np.exp(-SCRAPE / self.case.delay) if self.case.delay else 1.0
        for i, (v, n) in enumerate(zip(self.ids, self.random.multinomial(total, shares / shares.sum()), strict=True)):
            self.waiting[v] += float(self.random.binomial(n, self.case.earns[i]))
            comes = float(self.random.binomial(int(self.waiting[v]), ends))
            self.waiting[v] -= comes
            failing = 0.02 if i in self.case.infeasible else FAILING
            for counter, more in ((REQUESTS, n), (ERRORS, self.random.binomial(n, failing)), (REWARD, comes)):
                self.counters[v][counter] += float(more)

    def snapshot(self, now: float) -> Snapshot:
        series = tuple(Series(v, c, v, x, 0.0) for v, by in self.counters.items() for c, x in by.items())
        return Snapshot(now, series, FAMILIES)


STRATEGIES = (Strategy.UNIFORM, Strategy.TOP_TWO_TS)
"""The split is ours here, and the strategy decides how soon the best is known."""


def taken(case: Case) -> tuple[Strategy, ...]:
    """The strategies by which the engine takes such an experiment today."""
    return tuple(s for s in STRATEGIES if not unsupported(plan_of(case, s)))


def plan_of(case: Case, strategy: Strategy) -> Plan:
    """An A/B/n experiment: all criteria of the case, an interval of 30 s."""
    names = tuple(f"v{i + 2}" for i in range(max(1, len(case.earns) - 1)))
    analysis = Analysis(false_promotion=0.05, false_rollback=0.05, early_stop=True)
    step = 100 // (len(names) + 1)
    return Plan(
        "v1",
        names,
        case.criteria,
        REQUESTS,
        30.0,
        case.frame.looks // 2,
        strategy,
        max_increment=step,
        analysis=analysis,
    )


def judge(case: Case, random: Random, n: int, strategy: Strategy) -> Sample:
    """What the engine makes of `n` such experiments."""
    ended = [_one(plan_of(case, strategy), case, one) for one in random.spawn(n)]
    verdict, look, winner, candidates = (np.array(x) for x in zip(*ended, strict=True))
    verdicts = Verdicts(verdict.astype(np.int64), look.astype(np.int64), winner.astype(np.int64))
    seconds = SCRAPE * np.minimum(look + 1.0, case.frame.looks)
    exposed = np.zeros(n) if case.truth is not Truth.BAD else candidates
    return Sample(verdicts, seconds, candidates.astype(np.float64), exposed)


def _one(plan: Plan, case: Case, random: Random) -> tuple[int, int, int, float]:
    """(verdict, look, winner, requests of all candidates) of one experiment."""
    service, around = Service(case, plan.ids, random), Surroundings(frozenset(plan.ids), {})
    state = begin(plan, 0.0)
    state, _ = observe(plan, state, service.snapshot(0.0))
    state, _ = iterate(plan, state, 0.001, around)
    look = 0
    while not state.ended and look < case.frame.looks:
        service.run(dict(state.weights))
        look += 1
        state, _ = observe(plan, state, service.snapshot(SCRAPE * look))
        if not state.ended and look % 2 == 0:
            state, _ = iterate(plan, state, SCRAPE * look, around)
    verdict = {Outcome.PROMOTED: PROMOTED, Outcome.BASELINE_WON: ROLLED_BACK}.get(state.outcome, UNDECIDED)
    winner = plan.ids.index(state.winner) if state.winner else 0
    requests = sum(by[REQUESTS] for v, by in service.counters.items() if v != BASELINE)
    return verdict, (look - 1 if verdict else case.frame.looks), winner, requests
