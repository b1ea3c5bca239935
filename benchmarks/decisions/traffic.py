"""How requests, errors and latencies come about: the parts that scenarios are made of. Pure; randomness is injected.

Shapes: N experiments, T looks. Rates are per second, latencies milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from benchmarks.decisions.readings import SCRAPE, Array

Random = np.random.Generator


@dataclass(frozen=True)
class Frame:
    """What all scenarios share.

    rate      requests per second of all versions together
    share     of the candidate, at the first and at the last look; linear in between. The baseline has the rest
    looks     of the experiment
    burst     coefficient of variation of the traffic from look to look (gamma)
    """

    rate: float = 40.0
    share: tuple[float, float] = (0.25, 0.25)
    looks: int = 120
    burst: float = 0.0

    def shares(self) -> Array:
        """The candidate's share at each look."""
        return np.linspace(*self.share, self.looks)


def requests(random: Random, n: int, frame: Frame) -> tuple[Array, Array]:
    """(baseline's, candidate's) requests at each look, each (N, T): Poisson, with bursts if the frame has them."""
    level = np.full((n, frame.looks), frame.rate * SCRAPE)
    if frame.burst:
        shape = frame.burst**-2
        level = level * random.gamma(shape, 1.0 / shape, level.shape)
    share = frame.shares()
    return random.poisson(level * (1.0 - share)).astype(float), random.poisson(level * share).astype(float)


def path(random: Random, n: int, looks: int, correlation: float, beside: Array | None = None) -> Array:
    """A stationary autoregression with variance 1, (N, T). `beside` (N,): the value just before its first look."""
    shocks = random.standard_normal((n, looks))
    if not looks:
        return shocks
    rest = np.sqrt(1.0 - correlation**2)
    shocks[:, 1:] *= rest
    if beside is not None:
        shocks[:, 0] = correlation * beside + rest * shocks[:, 0]
    found: Array = lfilter([1.0], [1.0, -correlation], shocks, axis=1)
    return found


def wander(path_of: Array, log_sd: float) -> Array:
    """Factors with mean 1 along a path."""
    factors: Array = np.exp(log_sd * path_of - 0.5 * log_sd**2)
    return factors


def events(random: Random, trials: Array, rate: Array | float, cluster: int = 1) -> Array:
    """Events among `trials`, of mean trials x rate. `cluster`: so many at once, when they come."""
    chance = np.clip(rate, 0.0, 1.0)
    if cluster == 1:
        return random.binomial(trials.astype(np.int64), chance).astype(np.float64)
    return np.asarray(np.minimum(cluster * random.poisson(trials * chance / cluster), trials), dtype=np.float64)


def geometric_bursts(random: Random, trials: Array, rate: Array | float, mean_size: float) -> Array:
    """Events that come in bursts of geometric size."""
    bursts = random.poisson(trials * np.clip(rate, 0.0, 1.0) / mean_size)
    sizes = bursts + random.negative_binomial(np.maximum(bursts, 1), 1.0 / mean_size) * (bursts > 0)
    return np.asarray(np.minimum(sizes, trials), dtype=np.float64)


def latencies(random: Random, trials: Array, factor: Array | float, log_sd: float, median: float = 100.0) -> Array:
    """Total milliseconds of `trials` lognormal requests with this median times `factor`, look by look."""
    return tails(random, trials, factor, log_sd, median)[0]


def tails(
    random: Random,
    trials: Array,
    factor: Array | float,
    log_sd: float,
    median: float = 100.0,
    edges: tuple[float, ...] = (),
    stalled: tuple[float, float] = (0.0, 0.0),
) -> tuple[Array, list[Array]]:
    """The same, and how many requests took at most each of `edges`. `stalled`: a share of them, and what they take."""
    counts = trials.astype(np.int64).ravel()
    total = int(counts.sum())
    values = median * np.exp(log_sd * random.standard_normal(total))
    values *= np.repeat(np.broadcast_to(factor, trials.shape).ravel(), counts)
    share, took = stalled
    if share:
        values[random.random(total) < share] = took
    ends = np.cumsum(counts)

    def per_look(of: Array) -> Array:
        summed = np.concatenate([[0.0], np.cumsum(of)])
        found: Array = (summed[ends] - summed[ends - counts]).reshape(trials.shape)
        return found

    return per_look(values), [per_look((values <= edge).astype(float)) for edge in edges]
