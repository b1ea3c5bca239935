"""What deciding costs: milliseconds of a reading, an iteration, a status, and how exact the chances to win are."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from scipy import special

from benchmarks import engine
from serin.core.evidence.posterior import Beta, probabilities_of_best


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
    """One candidate and one criterion; nine, four and a reward: as `benchmarks.engine` measures them."""
    found = []
    for candidates, criteria, reward in ((1, 1, False), (9, 4, True)):
        cost = engine.measure(candidates, criteria, reward)
        found.append(Speed(candidates, criteria, cost.reading, cost.iteration, cost.assessment, cost.state))
    return found


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
        found = probabilities_of_best(beliefs, lower_is_better=False)
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
