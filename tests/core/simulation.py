"""A service with versions, simulated: seeded draws become the raw counters that a proxy would show.

What the core sees is what it would see from Envoy: one instance, cumulative counters, a version's series appear with
its first request. Requests are split by the weights in effect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from serin.core.lifecycle import State, Surroundings, begin, iterate, observe
from serin.core.model import Criterion, Decision, Limit, LimitKind, Measure, MeasureKind, Outcome, Plan
from serin.core.observation import Series, Snapshot

REQUESTS, LATENCY, ERRORS = "iter8_request_count", "iter8_total_latency", "iter8_error_count"
MEAN_LATENCY = Measure(MeasureKind.MEAN, LATENCY, REQUESTS, units="ms")
ERROR_RATE = Measure(MeasureKind.RATE, ERRORS, REQUESTS)
ERROR_COUNT = Measure(MeasureKind.COUNTER, ERRORS)


def limit_on(
    measure: Measure, value: float, kind: LimitKind = LimitKind.ABSOLUTE, id: str = "0", cutoff: bool = False
) -> Criterion:
    names = {LATENCY: "iter8_mean_latency", ERRORS: "iter8_error_rate"}
    metric = names[measure.numerator] if measure.denominator else measure.numerator
    return Criterion(id, metric, measure, Limit(kind, value, cutoff))


@dataclass(frozen=True)
class Version:
    """How a version behaves: median latency in ms, its log-sd, the shares of requests that fail, that are counted."""

    latency: float = 4.0
    spread: float = 0.6
    errors: float = 0.001
    counted: float = 1.0


@dataclass
class Service:
    """Versions behind a proxy that has been counting since before the experiment."""

    versions: Mapping[str, Version]
    rate: float = 80.0
    seed: int = 1
    instance: str = "envoy-1"
    counters: dict[str, dict[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)

    def run(self, seconds: float, weights: Mapping[str, int]) -> None:
        total = int(self.random.poisson(self.rate * seconds))
        ids = list(self.versions)
        share = np.array([weights.get(v, 0) for v in ids], dtype=float)
        for v, n in zip(ids, self.random.multinomial(total, share / share.sum()), strict=True):
            counted = int(n * self.versions[v].counted)
            if counted:
                self._answer(v, counted)

    def _answer(self, v: str, n: int) -> None:
        version = self.versions[v]
        seen = self.counters.setdefault(v, {REQUESTS: 0.0, LATENCY: 0.0})
        seen[REQUESTS] += n
        seen[LATENCY] += float(self.random.lognormal(np.log(version.latency), version.spread, n).sum())
        failed = int(self.random.binomial(n, version.errors))
        if failed:
            seen[ERRORS] = seen.get(ERRORS, 0.0) + failed

    def snapshot(self, time: float) -> Snapshot:
        series = tuple(
            Series(v, c, self.instance, x, started=0.0) for v, by in self.counters.items() for c, x in by.items()
        )
        families = frozenset({REQUESTS, LATENCY, ERRORS}) if series else frozenset()
        return Snapshot(time, series, families)


class Twins(Service):
    """The baseline as its own candidate: the same pods, so the same counters under both ids."""

    def snapshot(self, time: float) -> Snapshot:
        plain = super().snapshot(time)
        twins = (replace(s, version="candidate-0") for s in plain.series if s.version == "baseline")
        return replace(plain, series=(*plain.series, *twins))


@dataclass
class Run:
    """An experiment as it went."""

    plan: Plan
    state: State
    decisions: list[Decision]
    seconds: float

    @property
    def last(self) -> Decision:
        return self.decisions[-1]


def experiment(
    plan: Plan,
    service: Service,
    reading: float = 1.0,
    longest: float = 3600.0,
    change: Callable[[float, Service], None] | None = None,
    around: Callable[[float], Surroundings] | None = None,
) -> Run:
    """Run an experiment to its end, or for `longest` seconds; weights take effect at once."""
    start = 1000.0
    state, now, decisions = begin(plan, start), start, []
    everybody = Surroundings(frozenset(plan.ids), {})
    due = start + plan.interval
    while not state.ended and now < start + longest:
        if change is not None:
            change(now - start, service)
        service.run(reading, state.weights)
        now += reading
        state, urgent = observe(plan, state, service.snapshot(now))
        if urgent is not None:
            decisions.append(urgent)
        if now >= due and not state.ended:
            state, decision = iterate(plan, state, now, around(now - start) if around else everybody)
            decisions.append(decision)
            due += plan.interval
    return Run(plan, state, decisions, now - start)


def outcome(run: Run) -> Outcome:
    return run.last.outcome
