"""How fast any rule could be: no test with these error rates reaches its decision sooner in the mean (Wald 1945)."""

from __future__ import annotations

import math

from benchmarks.decisions.readings import SCRAPE
from benchmarks.decisions.scenarios import Case
from benchmarks.decisions.traffic import Frame
from serin.core.model import MeasureKind


def divergence(p: float, q: float) -> float:
    """Kullback-Leibler divergence of two Bernoulli distributions, nats."""
    found = 0.0
    if p > 0.0:
        found += p * math.log(p / q)
    if p < 1.0:
        found += (1.0 - p) * math.log((1.0 - p) / (1.0 - q))
    return found


def least_seconds(case: Case, power: float, alpha: float) -> float | None:
    """Least mean time to the right decision with this power against a candidate exactly at the limit.

    kl(power, alpha)/D, D nats per second of all requests: of rates R w kl(p, p0); of ratios
    R (w p_c + (1-w) p_b) kl(th_1, th_0), th = w rho/(w rho + 1 - w); of means
    (ratio - rho)^2 / (2 (cv^2 (ratio^2/(R w) + rho^2/(R (1-w))) + dt sd^2 (ratio^2 + rho^2))), sd of the noise of one
    version from look to look. None where it is not known, or where the candidate is at the limit.
    """
    if case.effect is None or power <= alpha or case.effect[0] == case.effect[1]:
        return None
    value, limit, third = case.effect
    criterion = case.criteria[0]
    if criterion.measure.kind is MeasureKind.MEAN and criterion.quantile is None:
        rate = _of_mean(case.frame, value, limit, third)
    elif "S4" in case.scenario:
        rate = _of_ratio(case.frame, value, limit, third)
    else:
        rate = case.frame.rate * case.frame.share[0] * divergence(value, limit)
    return divergence(power, alpha) / rate


def _of_ratio(frame: Frame, ratio: float, limit: float, base: float) -> float:
    w = frame.share[0]
    true, least = (w * r / (w * r + 1.0 - w) for r in (ratio, limit))
    return frame.rate * (w * ratio * base + (1.0 - w) * base) * divergence(true, least)


def _of_mean(frame: Frame, ratio: float, limit: float, own_noise: float, log_sd: float = 0.8) -> float:
    w, cv2 = frame.share[0], math.expm1(log_sd**2)
    sampling = cv2 * (ratio**2 / (frame.rate * w) + limit**2 / (frame.rate * (1.0 - w)))
    return (ratio - limit) ** 2 / (2.0 * (sampling + SCRAPE * own_noise**2 * (ratio**2 + limit**2)))
