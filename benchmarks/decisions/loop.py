"""Closed loops: the split follows the rule, so a rule decides also how much it will see, and how many it exposes.

Ours is the whole lifecycle: raw counters of two pods a version, `observe` at every reading, `iterate` once an interval,
with the defaults of the API but for `earlyStop` (else a promotion waits for the end, whatever is proven).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import special

from benchmarks.decisions.peers import (
    ARGO_COUNT,
    ARGO_FAILURES,
    FLAGGER_STEPS,
    FLAGGER_THRESHOLD,
    ITER8_SAMPLE,
    ITER8_SURE,
    MINUTE,
)
from benchmarks.decisions.readings import ERRORS, LATENCY, REQUESTS, SCRAPE, Array
from benchmarks.decisions.scenarios import ERROR_RATE, MEAN_LATENCY, RELATIVE, Truth, limit, truth_of
from benchmarks.decisions.traffic import Random
from benchmarks.decisions.verdicts import PROMOTED, ROLLED_BACK, UNDECIDED
from serin.core.lifecycle import State, Surroundings, begin, iterate, observe
from serin.core.model import BASELINE, Analysis, Criterion, Outcome, Plan, candidate_id
from serin.core.observation import Series, Snapshot

RATE, LOOKS = 40.0, 120
CANDIDATE = candidate_id(0)
_PODS = ("pod-1", "pod-2")
_FAMILIES = frozenset({REQUESTS, ERRORS, LATENCY})
_OUTCOMES = {Outcome.PROMOTED: PROMOTED, Outcome.BASELINE_WON: ROLLED_BACK, Outcome.NOBODY: ROLLED_BACK}
_LOG_SD, _MEDIAN = 0.8, 100.0


@dataclass(frozen=True)
class Setting:
    """A closed loop: what fails or is slow, and what is asked."""

    name: str
    level: str
    truth: Truth
    errors: tuple[float, float]
    factor: float
    criterion: Criterion
    budget: float | None = None
    step: int = 2

    @property
    def key(self) -> str:
        return f"{self.name} {self.level}"

    @property
    def plan(self) -> Plan:
        analysis = Analysis(false_promotion=0.05, false_rollback=0.05, early_stop=True, exposure_budget=self.budget)
        return Plan(
            "v1", ("v2",), (self.criterion,), REQUESTS, 30.0, LOOKS // 2, max_increment=self.step, analysis=analysis
        )


def settings() -> tuple[Setting, ...]:
    found = [
        Setting("closed loop, errors", f"{100 * p:g} %", truth_of(p, 0.01), (0.005, p), 1.0, limit(ERROR_RATE, 0.01))
        for p in (0.001, 0.005, 0.01, 0.02, 0.05)
    ]
    found += [
        Setting("closed loop, latency", f"x{f:g}", truth_of(f, 1.1), (0.0, 0.0), f, limit(MEAN_LATENCY, 1.1, RELATIVE))
        for f in (1.0, 1.1, 1.25)
    ]
    found += [
        Setting(
            f"exposure budget {budget or 'none'}, steps of 20", f"{100 * p:g} %", truth_of(p, 0.01), (0.005, p), 1.0,
            limit(ERROR_RATE, 0.01), budget, 20,
        )
        for budget in (None, 20.0)
        for p in (0.005, 0.05, 0.25)
    ]  # fmt: skip
    return tuple(found)


@dataclass
class Service:
    """Two versions of two pods each, behind a split."""

    setting: Setting
    random: Random
    counters: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)

    def run(self, weights: dict[str, int]) -> tuple[float, float]:
        """One look at this split; the requests of (baseline, candidate)."""
        total = int(self.random.poisson(RATE * SCRAPE))
        candidate = int(self.random.binomial(total, weights.get(CANDIDATE, 0) / 100.0))
        for version, n, rate, factor in (
            (BASELINE, total - candidate, self.setting.errors[0], 1.0),
            (CANDIDATE, candidate, self.setting.errors[1], self.setting.factor),
        ):
            first = int(self.random.binomial(n, 0.5))
            for pod, share in zip(_PODS, (first, n - first), strict=True):
                self._answer(version, pod, share, rate, factor)
        return float(total - candidate), float(candidate)

    def _answer(self, version: str, pod: str, n: int, rate: float, factor: float) -> None:
        counters = self.counters.setdefault((version, pod), {REQUESTS: 0.0, LATENCY: 0.0, ERRORS: 0.0})
        counters[REQUESTS] += n
        counters[ERRORS] += float(self.random.binomial(n, rate))
        if self.setting.factor != 1.0 or not self.setting.errors[1]:
            values = np.exp(_LOG_SD * self.random.standard_normal(n))
            counters[LATENCY] += _MEDIAN * factor * float(values.sum())

    def snapshot(self, now: float) -> Snapshot:
        series = tuple(
            Series(version, counter, f"{version}/{pod}", value, started=0.0)
            for (version, pod), counters in self.counters.items()
            for counter, value in counters.items()
        )
        return Snapshot(now, series, _FAMILIES)


Disturb = Callable[[int, Snapshot], list[Snapshot]]
"""What the experiment gets to see of the reading at a look: perhaps nothing, perhaps something twice."""


@dataclass(frozen=True)
class Ended:
    """How one experiment ended: verdict, look, and the share of all requests that the candidate answered until the
    horizon; after a promotion it answers all of them. `extra`: its failures beyond what the limit allows."""

    verdict: int
    look: int
    exposed: float
    extra: float
    held: bool


def experiment(setting: Setting, random: Random, disturb: Disturb | None = None) -> Ended:
    """One of ours."""
    plan, service = setting.plan, Service(setting, random)
    around = Surroundings(frozenset(plan.ids), {})
    state: State = begin(plan, 0.0)
    service.counters.update({(v, p): dict.fromkeys(_FAMILIES, 0.0) for v in plan.ids for p in _PODS})
    state, _ = observe(plan, state, service.snapshot(0.0))
    state, _ = iterate(plan, state, 0.001, around)
    exposed, look, held = 0.0, 0, False
    while not state.ended and look < LOOKS:
        _, candidate = service.run(dict(state.weights))
        exposed += candidate
        look += 1
        now = SCRAPE * look
        seen = service.snapshot(now)
        for one in [seen] if disturb is None else disturb(look, seen):
            state, _ = observe(plan, state, one)
        if not state.ended and look % 2 == 0:
            state, decision = iterate(plan, state, now, around)
            held = held or decision.held
    verdict = _OUTCOMES.get(state.outcome, UNDECIDED)
    failed = sum(counters[ERRORS] for (version, _), counters in service.counters.items() if version == CANDIDATE)
    extra = max(0.0, failed - 0.01 * exposed)
    if verdict == PROMOTED:
        exposed += (LOOKS - look) * SCRAPE * RATE
    return Ended(verdict, look - 1 if verdict else LOOKS, exposed / (LOOKS * SCRAPE * RATE), extra, held)


# The peers, all experiments of a batch at once; errors against a fixed limit only

Verdict = NDArray[np.int64]


def flagger(setting: Setting, random: Random, n: int) -> tuple[Verdict, Verdict, Array]:
    """Five percent more after each good minute; see `peers.flagger`."""
    good, bad = np.zeros(n), np.zeros(n)

    def step(look: int, window: tuple[Array, Array]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        if (look + 1) % MINUTE:
            return np.zeros(n, bool), np.zeros(n, bool)
        within = _within(window)
        good[:], bad[:] = good + within, bad + ~within
        return good >= FLAGGER_STEPS, bad >= FLAGGER_THRESHOLD

    return _loop(setting, random, n, step, lambda _look: np.minimum(0.05 * (1.0 + good), 0.50))


def argo(setting: Setting, random: Random, n: int) -> tuple[Verdict, Verdict, Array]:
    """`setWeight: 20` while the analysis runs; see `peers.argo`."""
    failed = np.zeros(n)

    def step(look: int, window: tuple[Array, Array]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        if (look + 1) % MINUTE:
            return np.zeros(n, bool), np.zeros(n, bool)
        failed[:] = failed + ~_within(window)
        over = np.full(n, (look + 1) // MINUTE >= ARGO_COUNT)
        return over & (failed <= ARGO_FAILURES), failed > ARGO_FAILURES

    return _loop(setting, random, n, step, lambda _look: np.full(n, 0.20))


def iter8(setting: Setting, random: Random, n: int) -> tuple[Verdict, Verdict, Array]:
    """`progressive` with `maxIncrement: 2`, every 30 s; the posterior at the end decides; see `peers`."""
    share, seen = np.full(n, 0.02), np.zeros((4, n))

    def step(look: int, window: tuple[Array, Array]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        del window
        if look % 2 == 0:
            return np.zeros(n, bool), np.zeros(n, bool)
        n_b, e_b, n_c, e_c = seen
        own, base = (special.betainc(1.0 + e, 1.0 + t - e, 0.01) for t, e in ((n_c, e_c), (n_b, e_b)))
        wins = random.binomial(ITER8_SAMPLE, own)
        others = random.binomial(ITER8_SAMPLE - wins, base)
        chance = wins / np.maximum(wins + others, 1)
        share[:] = np.minimum(0.95 * chance + 0.025, share + 0.02)
        last = np.full(n, look + 1 == LOOKS)
        return last & (chance > ITER8_SURE), last & (chance < 1.0 - ITER8_SURE)

    return _loop(setting, random, n, step, lambda _look: share, seen)


LOOPS = {"Flagger": flagger, "Argo Rollouts": argo, "iter8 v1, at the end": iter8}

Step = Callable[[int, tuple[Array, Array]], tuple[NDArray[np.bool_], NDArray[np.bool_]]]


def _within(window: tuple[Array, Array]) -> NDArray[np.bool_]:
    """The error rate of the last minute within 1 %; without requests it is not."""
    requests, failed = window
    found: NDArray[np.bool_] = (requests > 0) & (failed <= 0.01 * requests)
    return found


def _loop(
    setting: Setting, random: Random, n: int, step: Step, share: Callable[[int], Array], seen: Array | None = None
) -> tuple[Verdict, Verdict, Array]:
    """(verdicts, looks, share of all requests that the candidate answered)."""
    verdict, decided = np.zeros(n, np.int64), np.full(n, LOOKS, np.int64)
    exposed, window = np.zeros(n), (np.zeros(n), np.zeros(n))
    for look in range(LOOKS):
        weight = np.where(verdict == ROLLED_BACK, 0.0, np.where(verdict == PROMOTED, 1.0, share(look)))
        total = random.poisson(RATE * SCRAPE, n)
        n_c = random.binomial(total, weight)
        e_c, e_b = random.binomial(n_c, setting.errors[1]), random.binomial(total - n_c, setting.errors[0])
        exposed += n_c
        if seen is not None:
            seen += np.stack([total - n_c, e_b, n_c, e_c])
        window = (window[0] + n_c, window[1] + e_c)
        promotes, rolls_back = step(look, window)
        running = verdict == UNDECIDED
        verdict = np.where(running & rolls_back, ROLLED_BACK, np.where(running & promotes, PROMOTED, verdict))
        decided = np.where(running & (verdict != UNDECIDED), look, decided)
        if (look + 1) % MINUTE == 0:
            window = (np.zeros(n), np.zeros(n))
    return verdict, decided, exposed / (RATE * SCRAPE * LOOKS)
