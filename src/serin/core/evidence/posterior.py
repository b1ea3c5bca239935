"""Posteriors: what a Bayesian believes about a value. They drive the split and are shown; they never decide.

All numbers come from quadrature, none from sampling: the same state gives the same bytes.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import special
from scipy.optimize import brentq

from serin.core.evidence.mixture import Array
from serin.core.evidence.quadrature import CUTS, NORMAL_AT, NORMAL_WEIGHTS, quadrature, student_cuts
from serin.core.model import Interval

_DIGITS = 12
"""Of chances that come from quadrature: those beyond are noise, which must not decide a tie."""

_ONE_SIGMA = np.array([0.15865525393145707, 0.5, 0.8413447460685429])
_LOWEST = 0.0025
"""Of the baseline's distribution, what is below counts as if it were there: a ratio to nearly 0 says nothing."""


class Posterior(ABC):
    """A distribution over the true value of a metric of one version."""

    known = True

    @abstractmethod
    def cdf(self, x: Array) -> Array:
        """P(value <= x), for each x."""

    @abstractmethod
    def pdf(self, x: Array) -> Array:
        """Density, for each x."""

    @abstractmethod
    def ppf(self, p: Array) -> Array:
        """Quantiles, for each p."""

    def interval(self, level: float = 0.95) -> Interval | None:
        """Central credible interval; None when nothing is known yet."""
        if not self.known:
            return None
        lower, upper = self.ppf(np.array([0.5 - level / 2, 0.5 + level / 2]))
        return Interval(float(lower), float(upper))

    def below(self, x: float) -> float:
        """P(value <= x)."""
        return float(self.cdf(np.array([x]))[0])


@dataclass(frozen=True, slots=True)
class Beta(Posterior):
    """Of a rate: Beta(1/2 + events, 1/2 + others), Jeffreys' prior."""

    a: float
    b: float

    def cdf(self, x: Array) -> Array:
        """P(value <= x)."""
        return np.asarray(special.betainc(self.a, self.b, np.minimum(np.maximum(x, 0.0), 1.0)))

    def pdf(self, x: Array) -> Array:
        """Density; 0 outside (0, 1)."""
        inside = (x > 0) & (x < 1)
        at = np.where(inside, x, 0.5)
        log = (self.a - 1) * np.log(at) + (self.b - 1) * np.log1p(-at) - special.betaln(self.a, self.b)
        return np.where(inside, np.exp(log), 0.0)

    def ppf(self, p: Array) -> Array:
        """Quantiles."""
        return np.asarray(special.betaincinv(self.a, self.b, p))


@dataclass(frozen=True, slots=True)
class Student(Posterior):
    """Of a mean: Student's t around the estimate, scaled by the scatter of the blocks.

    What is shown of it ends at 0: a ratio of two counters is never negative.
    """

    df: float
    location: float
    scale: float

    def interval(self, level: float = 0.95) -> Interval | None:
        """Central credible interval, cut at 0."""
        lower, upper = self.ppf(np.array([0.5 - level / 2, 0.5 + level / 2]))
        return Interval(max(float(lower), 0.0), max(float(upper), 0.0))

    def cdf(self, x: Array) -> Array:
        """P(value <= x)."""
        return np.asarray(special.stdtr(self.df, (x - self.location) / self.scale))

    def pdf(self, x: Array) -> Array:
        """Density."""
        t: Array = (x - self.location) / self.scale
        constant = -float(special.betaln(0.5 * self.df, 0.5)) - 0.5 * math.log(self.df)
        log = constant - 0.5 * (self.df + 1) * np.log1p(t * t / self.df)
        return np.asarray(np.exp(log) / self.scale, dtype=np.float64)

    def ppf(self, p: Array) -> Array:
        """Quantiles."""
        return np.asarray(self.location + self.scale * special.stdtrit(self.df, p), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Exactly(Posterior):
    """Of a count: it is what it is."""

    value: float

    def cdf(self, x: Array) -> Array:
        """1 from the value on."""
        return np.where(x >= self.value, 1.0, 0.0)

    def pdf(self, x: Array) -> Array:
        """No density: a count takes no part in comparisons."""
        return np.zeros_like(x)

    def ppf(self, p: Array) -> Array:
        """The value."""
        return np.full_like(p, self.value)


@dataclass(frozen=True, slots=True)
class Unknown(Posterior):
    """Nothing was seen yet."""

    known = False

    def cdf(self, x: Array) -> Array:
        """One half: as likely as not."""
        return np.full_like(x, 0.5)

    def pdf(self, x: Array) -> Array:
        """No density."""
        return np.zeros_like(x)

    def ppf(self, p: Array) -> Array:
        """No quantiles."""
        return np.full_like(p, np.nan)


@dataclass(frozen=True, slots=True)
class _Times(Posterior):
    """Another value times a positive factor."""

    of: Posterior
    factor: float

    def cdf(self, x: Array) -> Array:
        return self.of.cdf(x / self.factor)

    def pdf(self, x: Array) -> Array:
        return self.of.pdf(x / self.factor) / self.factor

    def ppf(self, p: Array) -> Array:
        return self.of.ppf(p) * self.factor


def probability_of_satisfying(
    own: Posterior, limit: float, lower_is_better: bool = True, baseline: Posterior | None = None
) -> float | None:
    """P(own value is on the good side of `limit`), or of `limit` times the baseline's value when that is given.

    None while nothing is known of a value that it takes.
    """
    if not own.known or (baseline is not None and not baseline.known):
        return None
    if baseline is None or limit <= 0:
        below = own.below(limit if baseline is None else 0.0)
    elif isinstance(own, Exactly) or isinstance(baseline, Exactly):
        return None
    else:
        below = _less(own, _Times(baseline, limit))
    if isinstance(own, Exactly) and not lower_is_better:
        return 1.0 if own.value >= limit else 0.0
    return below if lower_is_better else 1.0 - below


def probability_of_beating(own: Posterior, baseline: Posterior, lower_is_better: bool) -> float | None:
    """P(own value is better than the baseline's); None while nothing is known of one of them."""
    return probability_of_satisfying(own, 1.0, lower_is_better, baseline)


@lru_cache(maxsize=1024)
def improvement(own: Posterior, baseline: Posterior, lower_is_better: bool, level: float = 0.95) -> Interval | None:
    """Central credible interval of the improvement over the baseline in percent; positive is better.

    P(own <= t * baseline) by Gauss-Hermite over the normal scores of the narrower of the two, and the t at which it is
    as wanted. None where one of them is unknown, or where the baseline may as well be 0 or less: no percentage is of
    any use then.
    """
    if not (own.known and baseline.known) or isinstance(own, Exactly) or isinstance(baseline, Exactly):
        return None
    lowest = float(baseline.ppf(np.array([_LOWEST]))[0])
    if lowest <= 0:
        return None
    (left, middle, right), (below, mean, above) = own.ppf(_ONE_SIGMA), baseline.ppf(_ONE_SIGMA)
    ratio, own_spread, spread = middle / mean, (right - left) / 2.0, (above - below) / 2.0
    if own_spread >= ratio * spread:
        at = np.maximum(_scored(baseline), lowest)
        chance: Callable[[float], float] = lambda t: float(NORMAL_WEIGHTS @ own.cdf(t * at))  # noqa: E731
        least = -math.inf
    else:
        at, least = _scored(own), 1e-6 * ratio
        chance = lambda t: 1.0 - float(NORMAL_WEIGHTS @ baseline.cdf(at / t))  # noqa: E731
    step = math.hypot(own_spread, ratio * spread) / mean
    lower = _where(chance, 0.5 - level / 2, ratio, -step, least)
    upper = _where(chance, 0.5 + level / 2, ratio, step, least)
    ends = 100.0 * (lower - 1.0), 100.0 * (upper - 1.0)
    return Interval(-ends[1], -ends[0]) if lower_is_better else Interval(*ends)


@lru_cache(maxsize=256)
def _scored(posterior: Posterior) -> Array:
    """The values at the nodes of Gauss-Hermite: a baseline is compared with many."""
    return posterior.ppf(NORMAL_AT)


def _where(chance: Callable[[float], float], wanted: float, start: float, step: float, least: float) -> float:
    """Where a rising chance is `wanted`, looked for from `start` on by its normal score, which is nearly straight."""
    target = float(special.ndtri(wanted))

    known: dict[float, float] = {}  # the ends are asked for more than once

    def over(t: float) -> float:
        if t not in known:
            known[t] = float(special.ndtri(min(max(chance(t), 1e-15), 1.0 - 1e-15))) - target
        return known[t]

    near, far = start, max(start + 2.0 * step, least)
    for _ in range(60):
        if over(far) * step >= 0.0 or far == least:
            break
        near, far, step = far, max(far + 2.0 * step, least), 2.0 * step
    if over(near) * over(far) > 0.0:
        return far
    return float(brentq(over, near, far, xtol=1e-7 * max(abs(far - near), 1e-300), rtol=1e-8))


def probabilities_of_best(values: Sequence[Posterior], lower_is_better: bool) -> tuple[float, ...]:
    """P(each version has the best value of all), adding up to 1."""
    if len(values) == 2 and (chance := probability_of_beating(values[1], values[0], lower_is_better)) is not None:
        return 1.0 - chance, chance
    return _normalised(_firsts(tuple(values), (1.0,) * len(values), lower_is_better))


def rank_probabilities(
    rewards: Sequence[Posterior], feasible: Sequence[float], lower_is_better: bool = False
) -> list[list[float]]:
    """P(version v meets its criteria and has rank k+1 among those that do): `[v][k]`.

    feasible   P(version meets all its criteria), independent of its reward and of the other versions

    P(v has rank k) = pi_v Integral f_v(x) P(exactly k-1 of the others are feasible and better | x) dx, the latter a
    Poisson-binomial by its recursion, the integral by Gauss-Legendre on panels between quantiles of the versions.
    While the value of one is unknown the order is a matter of chance.
    """
    pi, masses, beaten = _compared(rewards, feasible, lower_is_better)
    table = []
    for v, mass in enumerate(masses):
        better = np.zeros_like(beaten)
        better[0] = 1.0
        for u in range(len(beaten)):
            if u != v:
                better[1:] = better[1:] * beaten[u] + better[:-1] * (1.0 - beaten[u])
                better[0] *= beaten[u]
        table.append([round(float(pi[v] * p), _DIGITS) for p in better @ mass])
    return table


@lru_cache(maxsize=256)
def _firsts(rewards: tuple[Posterior, ...], feasible: tuple[float, ...], lower_is_better: bool) -> tuple[float, ...]:
    """P(version has the first rank): as `rank_probabilities`, with products alone."""
    pi, masses, beaten = _compared(rewards, feasible, lower_is_better)
    ones = np.ones((1, beaten.shape[1]))
    before = np.cumprod(np.concatenate([ones, beaten[:-1]]), axis=0)
    after = np.cumprod(np.concatenate([ones, beaten[:0:-1]]), axis=0)[::-1]
    chances = pi * np.einsum("vx,vx,vx->v", masses, before, after)
    return tuple(round(p, _DIGITS) for p in chances.tolist())


def _compared(
    rewards: Sequence[Posterior], feasible: Sequence[float], lower_is_better: bool
) -> tuple[Array, Array, Array]:
    """pi [v]; the mass of each version at the nodes [v, x]; P(version is out or worse than x) [v, x]."""
    if not all(r.known and not isinstance(r, Exactly) for r in rewards):
        rewards = [Student(5.0, 0.0, 1.0)] * len(rewards)
    x, weights = quadrature([_cuts(r) for r in rewards])
    below = np.array([r.cdf(x) for r in rewards])
    worse = below if not lower_is_better else 1.0 - below
    pi = np.asarray(feasible, dtype=float)
    masses = weights * np.array([r.pdf(x) for r in rewards])
    masses /= masses.sum(axis=1, keepdims=True)
    return pi, masses, (1.0 - pi)[:, None] + pi[:, None] * worse


def win_probabilities(
    feasible: Sequence[float], rewards: Sequence[Posterior] | None = None, lower_is_better: bool = False
) -> tuple[float, ...]:
    """P(each version wins), the baseline's first; adding up to 1.

    A version wins when it meets its criteria and has the best reward of all that do. Without rewards any candidate
    that meets its criteria is preferred to the baseline, and a later one in the list to an earlier one, as the
    original does. When nobody meets them the baseline is where the traffic is safest: that mass is its.
    """
    if rewards is None:
        left, wins = 1.0, []
        for pi in reversed(feasible[1:]):
            wins.append(left * pi)
            left *= 1.0 - pi
        return (left, *reversed(wins))
    first = list(_firsts(tuple(rewards), tuple(feasible), lower_is_better))
    first[0] += float(np.prod([1.0 - pi for pi in feasible]))
    return _normalised(first)


def _normalised(chances: Sequence[float]) -> tuple[float, ...]:
    total = sum(chances)
    return tuple(c / total for c in chances)


@lru_cache(maxsize=1024)
def _cuts(distribution: Posterior) -> Array:
    """Its quantiles at CUTS: a version is compared with many."""
    if isinstance(distribution, _Times):
        return _cuts(distribution.of) * distribution.factor
    if isinstance(distribution, Student):
        return np.asarray(distribution.location + distribution.scale * student_cuts(distribution.df))
    return distribution.ppf(CUTS)


@lru_cache(maxsize=1024)
def _less(own: Posterior, other: Posterior) -> float:
    """P(own < other) for independent values."""
    x, weights = quadrature([_cuts(own), _cuts(other)])
    mass = weights * other.pdf(x)
    return min(max(float(mass @ own.cdf(x) / mass.sum()), 0.0), 1.0)
