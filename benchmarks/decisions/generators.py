"""The scenarios' data: one function each. Pure; the generator of random numbers comes with the call.

Every function gives `n` experiments, and `past` looks of the baseline's pods before each. What came before is drawn by
a generator of its own, so that an experiment is the same whether or not anybody asks for its past.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from benchmarks.decisions.readings import ERRORS, LATENCY, REQUESTS, REWARD, SCRAPE, Array, Readings, above, up_to
from benchmarks.decisions.traffic import (
    Frame,
    Random,
    events,
    geometric_bursts,
    latencies,
    path,
    requests,
    tails,
    wander,
)

EDGES = (50.0, 100.0, 250.0, 500.0, 1000.0)
_CONVERTED = 0.10


@dataclass(frozen=True)
class Noise:
    """What disturbs a rate or a latency: wandering of both versions together, and of each by itself.

    common, own    (correlation from look to look, log standard deviation)
    cluster        events that come at once; `geometric`: only in the mean
    """

    common: tuple[float, float] = (0.0, 0.0)
    own: tuple[float, float] = (0.0, 0.0)
    cluster: int = 1
    geometric: bool = False


STILL = Noise()
BURSTS_OF_FIVE = Noise(common=(0.9, 0.7), cluster=5)


def _paths(now: Random, earlier: Random, n: int, looks: int, past: int, noise: Noise) -> tuple[Array, Array, Array]:
    """(past, baseline, candidate): factors at each look; of the past, (2, N, H), for each half of the baseline's pods.

    A stationary autoregression looks the same backwards, so the past is drawn from the start on, backwards. What
    belongs to one version in the experiment belongs to one half of the pods in the past.
    """
    (rho, sd), (rho_own, sd_own) = noise.common, noise.own
    together = path(now, n, looks, rho)
    of_baseline, of_candidate = path(now, n, looks, rho_own), path(now, n, looks, rho_own)
    before = wander(path(earlier, n, past, rho, together[:, 0])[:, ::-1], sd)
    halves = [wander(path(earlier, n, past, rho_own), sd_own) for _ in range(2)]
    common = wander(together, sd)
    return (
        before * np.stack(halves),
        common * wander(of_baseline, sd_own),
        common * wander(of_candidate, sd_own),
    )


def _halves(random: Random, n: int, frame: Frame, past: int) -> Array:
    """Requests of each half of the baseline's pods before the start, when it has all the traffic, (2, N, H)."""
    return np.stack(requests(random, n, replace(frame, share=(0.5, 0.5), looks=past)))


def _events(random: Random, trials: Array, rate: Array, noise: Noise) -> Array:
    if noise.geometric:
        return geometric_bursts(random, trials, rate, noise.cluster)
    return events(random, trials, rate, noise.cluster)


def errors(
    random: Random,
    n: int,
    past: int,
    frame: Frame,
    rate: float,
    base: float,
    noise: Noise = STILL,
    onset: tuple[float, float] | None = None,
    before: tuple[float, Noise] | None = None,
    calm_baseline: bool = False,
) -> Readings:
    """S1, S1b, S1lo, S1c, S4, S8: requests that fail.

    onset           (seconds, rate of the candidate from then on)
    before          (rate, noise) of the past, where it was another; `calm_baseline`: the noise is the candidate's alone
    """
    now, earlier = random.spawn(2)
    earlier_on, of_baseline, of_candidate = _paths(now, earlier, n, frame.looks, past, noise)
    n_b, n_c = requests(now, n, frame)
    rates = np.full(frame.looks, rate)
    if onset is not None:
        rates[int(onset[0] / SCRAPE) :] = onset[1]
    quiet = STILL if calm_baseline else noise
    if calm_baseline:
        of_baseline, earlier_on = np.ones_like(of_baseline), np.ones_like(earlier_on)
    failed = np.stack([_events(now, n_b, base * of_baseline, quiet), _events(now, n_c, rates * of_candidate, noise)])
    old_rate, old_noise = before or (base, quiet)
    if before is not None:
        one, two = earlier.spawn(2)
        earlier_on = _paths(one, two, n, 1, past, old_noise)[0]
    seen = _halves(earlier, n, frame, past)
    return Readings(
        {REQUESTS: np.stack([n_b, n_c]), ERRORS: failed},
        {REQUESTS: seen, ERRORS: _events(earlier, seen, old_rate * earlier_on, old_noise)},
    )


def retries(random: Random, n: int, past: int, frame: Frame, rate: float, base: float) -> Readings:
    """Clients try again: 80 % of what failed, twice at most, and half of that fails again.

    rate, base    of all requests that are counted, the repeated ones among them
    """
    now, earlier = random.spawn(2)
    n_b, n_c = requests(now, n, frame)
    found = [_with_retries(now, trials, of) for trials, of in ((n_b, base), (n_c, rate))]
    before = _with_retries(earlier, _halves(earlier, n, frame, past), base)
    return Readings(
        {REQUESTS: np.stack([f[0] for f in found]), ERRORS: np.stack([f[1] for f in found])},
        {REQUESTS: before[0], ERRORS: before[1]},
    )


def _with_retries(random: Random, trials: Array, rate: float) -> tuple[Array, Array]:
    again, fails = 0.8, 0.5
    repeated = again + again * again * fails  # requests more for each first failure
    failing = 1.0 + again * fails + (again * fails) ** 2
    counted, failed = trials, events(random, trials, rate / (failing - rate * repeated))
    last = failed
    for _ in range(2):
        tried = events(random, last, again)
        last = events(random, tried, fails)
        counted, failed = counted + tried, failed + last
    return counted, failed


def latency(
    random: Random,
    n: int,
    past: int,
    frame: Frame,
    factor: float,
    noise: Noise = STILL,
    log_sd: float = 0.8,
    drift: tuple[float, float] = (1.0, 1.0),
    cold: tuple[float, float] = (0.0, 1.0),
) -> Readings:
    """S2, S3, S6: lognormal latencies, the candidate's `factor` times as long.

    drift    factor of both at the first and the last look, linear in between
    cold     (a, seconds): the candidate takes 1 + a exp(-t/seconds) times as long at first
    """
    now, earlier = random.spawn(2)
    earlier_on, of_baseline, of_candidate = _paths(now, earlier, n, frame.looks, past, noise)
    n_b, n_c = requests(now, n, frame)
    drifting = np.linspace(*drift, frame.looks)
    middle = SCRAPE * (np.arange(frame.looks) + 0.5)
    warming = 1.0 + cold[0] * np.exp(-middle / cold[1])
    took = [
        latencies(now, n_b, of_baseline * drifting, log_sd),
        latencies(now, n_c, factor * of_candidate * drifting * warming, log_sd),
    ]
    before = _halves(earlier, n, frame, past)
    return Readings(
        {REQUESTS: np.stack([n_b, n_c]), LATENCY: np.stack(took)},
        {REQUESTS: before, LATENCY: latencies(earlier, before, earlier_on * drift[0], log_sd)},
    )


def everything(random: Random, n: int, past: int, frame: Frame, noise: Noise = STILL, base: float = 0.01) -> Readings:
    """A/A: identical versions, errors and latencies."""
    failing, slow = random.spawn(2)
    one, two = errors(failing, n, past, frame, base, base, noise), latency(slow, n, past, frame, 1.0, noise)
    spent = two.counts[LATENCY] / np.maximum(two.counts[REQUESTS], 1.0) * one.counts[REQUESTS]
    spent_before = two.past[LATENCY] / np.maximum(two.past[REQUESTS], 1.0) * one.past[REQUESTS]
    return Readings({**one.counts, LATENCY: spent}, {**one.past, LATENCY: spent_before})


def stalls(random: Random, n: int, past: int, frame: Frame, share: float) -> Readings:
    """S7: `share` of the candidate's requests take 750 ms. The mean hardly shows it; P(> 500 ms) is 0.064 % + share."""
    now, earlier = random.spawn(2)
    n_b, n_c = requests(now, n, frame)
    baseline, candidate = (
        tails(now, trials, 1.0, 0.5, edges=EDGES, stalled=(of, 750.0)) for trials, of in ((n_b, 0.0), (n_c, share))
    )
    before = _halves(earlier, n, frame, past)
    spent, under = tails(earlier, before, 1.0, 0.5, edges=EDGES)
    return Readings(
        {
            REQUESTS: np.stack([n_b, n_c]),
            LATENCY: np.stack([baseline[0], candidate[0]]),
            **{up_to(e): np.stack([b, c]) for e, b, c in zip(EDGES, baseline[1], candidate[1], strict=True)},
            above(500.0): np.stack([n_b - baseline[1][3], n_c - candidate[1][3]]),
        },
        {
            REQUESTS: before,
            LATENCY: spent,
            **{up_to(e): u for e, u in zip(EDGES, under, strict=True)},
            above(500.0): before - under[3],
        },
    )


def delayed_rewards(random: Random, n: int, _past: int, frame: Frame, lift: float, delay: float = 600.0) -> Readings:
    """S5: one request in ten is rewarded, the candidate's `lift` times as often, each after an exponential delay."""
    trials = requests(random, n, frame)
    rewards = []
    for of_version, rate in zip(trials, (_CONVERTED, _CONVERTED * lift), strict=True):
        converted = events(random, of_version, rate)
        seen = np.zeros_like(converted)
        for look in range(frame.looks):
            left = frame.looks - look
            ends = np.exp(-SCRAPE * np.arange(left + 1) / delay)
            chances = np.append(ends[:-1] - ends[1:], ends[-1])  # the last: only after the experiment
            seen[:, look:] += random.multinomial(converted[:, look].astype(np.int64), chances)[:, :left]
        rewards.append(seen)
    return Readings({REQUESTS: np.stack(trials), REWARD: np.stack(rewards)})


def arms(
    random: Random, n: int, _past: int, looks: int, rate: float, rewards: tuple[float, ...], failing: tuple[float, ...]
) -> Readings:
    """S9: several versions with equal shares; each request may be rewarded, and may fail."""
    each = random.poisson(rate * SCRAPE / len(rewards), (len(rewards), n, looks)).astype(float)
    rewarded = np.stack([events(random, t, r) for t, r in zip(each, rewards, strict=True)])
    failed = np.stack([events(random, t, r) for t, r in zip(each, failing, strict=True)])
    return Readings({REQUESTS: each, REWARD: rewarded, ERRORS: failed})


def lost_requests(random: Random, n: int, _past: int, frame: Frame, lost: float) -> Readings:
    """SRM: the candidate loses a share of its requests before anybody counts them."""
    n_b, n_c = requests(random, n, frame)
    kept = random.binomial(n_c.astype(np.int64), 1.0 - lost).astype(float)
    return Readings({REQUESTS: np.stack([n_b, kept])})
