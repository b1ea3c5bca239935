"""What deciding costs: milliseconds of a reading, an iteration, a status, and how exact the chances to win are."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import numpy as np
from scipy import special

from benchmarks import engine
from serin.core import lifecycle
from serin.core.evidence.posterior import Beta, rank_probabilities
from serin.core.lifecycle import Surroundings


@dataclass(frozen=True)
class Speed:
    """Milliseconds of taking one reading in, of an iteration, of what people see; bytes of the state."""

    candidates: int
    criteria: int
    reading: float
    iteration: float
    status: float
    state: int


def speeds() -> list[Speed]:
    """One candidate and one criterion; nine and four: with the plans and the readings of `benchmarks.engine`."""
    return [_speed(candidates, criteria) for candidates, criteria in ((1, 1), (9, 4))]


def _speed(candidates: int, criteria: int) -> Speed:
    plan = engine.plan(candidates, criteria)
    around = Surroundings(ready=frozenset(plan.ids), failed={})
    state = lifecycle.begin(plan, 1000.0)
    first, *rest = engine.snapshots(plan, 1000.0)
    state, _ = lifecycle.observe(plan, state, first)
    readings, iterations, statuses = [], [], []
    for i, snapshot in enumerate(rest, 1):
        began = time.perf_counter()
        state, _ = lifecycle.observe(plan, state, snapshot)
        readings.append(time.perf_counter() - began)
        if i % 5 == 0:
            began = time.perf_counter()
            state, _ = lifecycle.iterate(plan, state, 1000.0 + i, around)
            iterations.append(time.perf_counter() - began)
    for _ in range(3):
        began = time.perf_counter()
        lifecycle.assess(plan, state)
        statuses.append(time.perf_counter() - began)
    cost = [1e3 * statistics.median(x) for x in (readings, iterations, statuses)]
    return Speed(candidates, criteria, cost[0], cost[1], cost[2], len(state.to_json()))


def chances(versions: int = 10, panels: int = 200, nodes: int = 30) -> tuple[float, float]:
    """P(best) of `versions` rates over a few states: (largest difference to a quadrature with far more nodes, ms)."""
    worst, took, random = 0.0, [], np.random.default_rng(20)
    once, weights = np.polynomial.legendre.leggauss(nodes)
    x = ((once + 1.0) / 2.0 + np.arange(panels)[:, None]).ravel() / panels
    w = np.tile(weights, panels) / (2.0 * panels)
    for _ in range(3):
        requests = random.integers(500, 5000, versions)
        events = random.binomial(requests, random.uniform(0.03, 0.08, versions))
        beliefs = [Beta(0.5 + float(e), 0.5 + float(n - e)) for e, n in zip(events, requests, strict=True)]
        began = time.perf_counter()
        found = [row[0] for row in rank_probabilities(beliefs, [1.0] * versions)]
        took.append(1e3 * (time.perf_counter() - began))
        low = min(float(special.betaincinv(b.a, b.b, 1e-14)) for b in beliefs)
        high = max(float(special.betainccinv(b.a, b.b, 1e-14)) for b in beliefs)
        at = low + (high - low) * x
        below = np.array([b.cdf(at) for b in beliefs])
        for v, belief in enumerate(beliefs):
            others = np.prod(np.delete(below, v, axis=0), axis=0)
            exact = float(np.sum(w * belief.pdf(at) * others) * (high - low))
            worst = max(worst, abs(exact - found[v]))
    return worst, min(took)
