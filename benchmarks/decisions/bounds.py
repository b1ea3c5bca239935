"""How fast any rule could be: no test with these error rates reaches its decision sooner in the mean (Wald 1945)."""

from __future__ import annotations

import math

import numpy as np
from scipy import optimize

from benchmarks.decisions.readings import SCRAPE, Array
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
    if criterion.measure.kind is MeasureKind.MEAN:
        rate = _of_mean(case.frame, value, limit, third)
    elif "S4" in case.scenario:
        rate = _of_ratio(case.frame, value, limit, third)
    else:
        rate = case.frame.rate * case.frame.share[0] * divergence(value, limit)
    return divergence(power, alpha) / rate


def least_seconds_to_best(case: Case, delta: float = 0.05) -> float | None:
    """Least mean time to the best of several versions with a chance of an error of at most `delta`.

    T* kl(delta, 1-delta), 1/T* = max over shares w of min over u of w_b kl(mu_b, x) + w_u kl(mu_u, x), x the weighted
    mean of both (Garivier and Kaufmann 2016): with the best possible split, and for nothing but the reward among the
    versions that keep the limits. None where no version is the best, or a margin makes
    others as good.
    """
    if case.best < 0 or any(c.margin for c in case.criteria):
        return None
    means = [r for v, r in enumerate(case.earns) if v not in case.infeasible]
    best = max(means)
    others = [m for m in means if m < best]

    def rate(weights: Array) -> float:
        w = np.exp(weights - np.max(weights))
        w /= w.sum()
        told = []
        for share, mean in zip(w[1:], others, strict=True):
            x = (w[0] * best + share * mean) / (w[0] + share)
            told.append(w[0] * divergence(best, x) + share * divergence(mean, x))
        return -float(min(told))

    found = optimize.minimize(
        rate, np.zeros(len(others) + 1), method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-12}
    )
    return divergence(delta, 1.0 - delta) / (-float(found.fun) * case.frame.rate)


def _of_ratio(frame: Frame, ratio: float, limit: float, base: float) -> float:
    w = frame.share[0]
    true, least = (w * r / (w * r + 1.0 - w) for r in (ratio, limit))
    return frame.rate * (w * ratio * base + (1.0 - w) * base) * divergence(true, least)


def _of_mean(frame: Frame, ratio: float, limit: float, own_noise: float, log_sd: float = 0.8) -> float:
    w, cv2 = frame.share[0], math.expm1(log_sd**2)
    sampling = cv2 * (ratio**2 / (frame.rate * w) + limit**2 / (frame.rate * (1.0 - w)))
    return (ratio - limit) ** 2 / (2.0 * (sampling + SCRAPE * own_noise**2 * (ratio**2 + limit**2)))
