"""The rules of other tools, each from its documents, over all experiments of a batch at once.

None of them promises an error rate, the sequential test apart; they are judged by the settings that their documents
show, on the same data. Other settings give other numbers. Where a rule knows fixed thresholds only (Flagger, Argo
Rollouts), a relative limit is asked as a query would: the candidate's value divided by the baseline's.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from benchmarks.decisions.readings import ERRORS, Array, Readings
from benchmarks.decisions.scenarios import Case
from benchmarks.decisions.traffic import Random
from benchmarks.decisions.verdicts import PROMOTED, ROLLED_BACK, UNDECIDED, Verdicts, both
from serin.core.model import Criterion, LimitKind, MeasureKind

Flags = NDArray[np.bool_]
Peer = Callable[[Case, Readings, Random], Verdicts]

MINUTE = 4
"""Looks of 15 s."""
FLAGGER_STEPS, FLAGGER_THRESHOLD = 10, 5
ARGO_COUNT, ARGO_FAILURES, ARGO_ERRORS = 10, 3, 4
ITER8_SAMPLE, ITER8_SURE = 10_000, 0.99
KAYENTA_FRACTION, KAYENTA_LEVEL, KAYENTA_EVERY = 0.25, 0.98, 5
ALPHA = 0.05


def limits(case: Case) -> list[Criterion]:
    return [c for c in case.for_peers or case.criteria if c.limit is not None]


def judgeable(case: Case) -> bool:
    """Whether the rules without rewards have anything to say."""
    return all(not c.is_reward for c in case.criteria)


def flagger(case: Case, readings: Readings, _random: Random) -> Verdicts:
    """Each minute the value of the last minute is held against the threshold. Ten good minutes promote, five bad ones
    (also not in a row) roll back.

    Flagger, docs/gitbook/usage/deployment-strategies.md: `interval: 1m`, `threshold: 5`, `maxWeight: 50`,
    `stepWeight: 5`; 'minimum time that it takes to validate and promote: interval * (maxWeight / stepWeight)', 'time it
    takes for a canary to be rollback: interval * threshold'. A check without a value fails and halts the advancement.
    """
    passes = np.logical_and.reduce([_minutes(c, readings)[0] for c in limits(case)])
    good, bad = np.cumsum(passes, axis=1), np.cumsum(~passes, axis=1)
    return Verdicts.at_first(good >= FLAGGER_STEPS, bad >= FLAGGER_THRESHOLD, readings.looks, MINUTE)


def argo(case: Case, readings: Readings, _random: Random) -> Verdicts:
    """Ten measurements of the last minute, one a minute: more than three that miss the condition fail the run, and so
    do more than four in a row without a value. Ten measurements without that promote.

    Argo Rollouts, docs/features/analysis.md: `successCondition: result[0] >= 0.95`, `failureLimit: 3`, `interval`,
    `count`; `consecutiveErrorLimit` is 4 by default. A failed AnalysisRun aborts the Rollout: weight 0.
    """
    verdicts = []
    for criterion in limits(case):
        passes, measured = _minutes(criterion, readings)
        passes, measured = passes[:, :ARGO_COUNT], measured[:, :ARGO_COUNT]
        failed = np.cumsum(measured & ~passes, axis=1) > ARGO_FAILURES
        failed |= _in_a_row(~measured) > ARGO_ERRORS
        done = np.zeros_like(failed)
        done[:, -1] = True
        verdicts.append(Verdicts.at_first(done, failed, readings.looks, MINUTE))
    return both(verdicts, readings.looks)


def kayenta(case: Case, readings: Readings, _random: Random) -> Verdicts:
    """One point a minute of both versions, compared by a Mann-Whitney test every five minutes: a metric is 'High' when
    the lower end of the 98 % interval of the shift is above a quarter of the estimated shift. One such analysis rolls
    back; the last one without promotes. There are no limits: it compares with the baseline.

    Spinnaker, 'How canary judgment works'; kayenta-judge: MannWhitneyClassifier(fraction = 0.25, confLevel = 0.98),
    'bounds are calculated as a fraction of the Hodges-Lehmann estimator'; a score below `marginal` ends the canary. The
    interval is that of R's wilcox.test, by its normal approximation.
    """
    verdicts = []
    for criterion in limits(case):
        values = _values(criterion, readings, MINUTE)
        minutes = values.shape[2]
        checks = range(KAYENTA_EVERY, minutes + 1, KAYENTA_EVERY)
        high = np.stack([_shifted_up(values[1, :, :m], values[0, :, :m], criterion) for m in checks], axis=1)
        done = np.zeros_like(high)
        done[:, -1] = True
        verdicts.append(Verdicts.at_first(done, high, readings.looks, MINUTE * KAYENTA_EVERY))
    return both(verdicts, readings.looks)


def iter8_at_the_end(case: Case, readings: Readings, random: Random) -> Verdicts:
    """The original as it ran: the posterior at the end of the experiment decides.

    iter8-analytics v1 (iter8_analytics/api/experiment.py, detailedcriterion.py, advancedparams.py): a sample of the
    posterior of each criterion gives the chance to satisfy it, from which masks are drawn; a candidate's pseudo-reward
    is 2, the baseline's 1; the chance to win is the share of the draws in which a version is first with a utility above
    0, divided by the sum over all versions; above 0.99 a winner is found. Under a relative limit the baseline has no
    assessment, so its mask is 0: the candidate then wins by whatever draw of it complies. Both are kept here.
    Rates are Beta(1 + events, 1 + others). Means are normal around the estimate; how wide is in a module that we could
    not read again: (range of the values seen so far)/(1 + requests), from memory, is what is used.
    """
    return _iter8(case, readings, random, [readings.looks - 1])


def iter8_at_any_look(case: Case, readings: Readings, random: Random) -> Verdicts:
    """The same rule, believed at the first iteration (every 30 s) that finds a winner, as a person watching would."""
    return _iter8(case, readings, random, range(1, readings.looks, 2))


def t_test_at_every_look(case: Case, readings: Readings, _random: Random) -> Verdicts:
    """A t-test at 5 % on each side, on the values of all looks so far, at every look from the first minute on.

    The textbook's test for one look at a fixed horizon; against the limit, or of candidate - limit x baseline.
    """
    verdicts = []
    for criterion in limits(case):
        n, mean, variance = _running(_differences(criterion, readings))
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.where(variance > 0, mean / np.sqrt(variance / n), 0.0)
        beyond = stats.t.ppf(1.0 - ALPHA, np.maximum(n - 1.0, 1.0))
        told = n >= MINUTE
        verdicts.append(Verdicts.at_first(told & (t <= -beyond), told & (t >= beyond), readings.looks))
    return both(verdicts, readings.looks)


def msprt(case: Case, readings: Readings, _random: Random) -> Verdicts:
    """The mixture sequential probability ratio test with a normal mixture, looked at every time, at 5 % on each side.

    Johari, Pekelis, Walsh (2017), 'Always valid inference': Lambda = sqrt(V/(V + tau^2)) exp(d^2 tau^2/(2V(V + tau^2)))
    with d the estimated difference to the limit, V its estimated variance, rejected at Lambda >= 1/alpha; the sign of d
    says which way. tau is half the limit, a typical effect. V is the plug-in variance: of rates by the formula of the
    binomial, of means by the scatter of the looks, from the tenth on.
    """
    verdicts = []
    for criterion in limits(case):
        difference, variance, told = _estimate(criterion, readings)
        tau = _scale(criterion, readings)
        with np.errstate(divide="ignore", invalid="ignore"):
            log = 0.5 * np.log(variance / (variance + tau**2)) + difference**2 * tau**2 / (
                2.0 * variance * (variance + tau**2)
            )
        sure = told & (variance > 0) & (log >= math.log(1.0 / (2.0 * ALPHA)))
        verdicts.append(Verdicts.at_first(sure & (difference < 0), sure & (difference > 0), readings.looks))
    return both(verdicts, readings.looks)


PEERS: dict[str, Peer] = {
    "iter8 v1, at the end": iter8_at_the_end,
    "iter8 v1, any look": iter8_at_any_look,
    "Flagger": flagger,
    "Argo Rollouts": argo,
    "Kayenta": kayenta,
    "t-test, every look": t_test_at_every_look,
    "mSPRT": msprt,
}


# What they look at


def _values(criterion: Criterion, readings: Readings, looks: int) -> Array:
    """The metric in each window, (versions, N, windows); nan without requests."""
    total = readings.in_windows(criterion.measure.numerator, looks)
    trials = readings.in_windows(criterion.measure.denominator or "requests", looks)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Array = np.where(trials > 0, total / trials, np.nan)
    return found


def _is_relative(criterion: Criterion) -> bool:
    return criterion.limit is not None and criterion.limit.kind is LimitKind.RELATIVE


def _bound(criterion: Criterion) -> float:
    assert criterion.limit is not None
    return criterion.limit.value


def _minutes(criterion: Criterion, readings: Readings) -> tuple[Flags, Flags]:
    """(within the limit, measured at all) in each minute; a ratio to nothing is no number."""
    values = _values(criterion, readings, MINUTE)
    shown = values[1]
    if _is_relative(criterion):
        with np.errstate(divide="ignore", invalid="ignore"):
            shown = values[1] / values[0]
    measured = np.isfinite(shown)
    return measured & (np.where(measured, shown, np.inf) <= _bound(criterion)), measured


def _in_a_row(flags: Flags) -> NDArray[np.int64]:
    """How many of the last flags were set without a break."""
    counted = np.zeros(flags.shape, dtype=np.int64)
    run = np.zeros(flags.shape[0], dtype=np.int64)
    for i in range(flags.shape[1]):
        run = np.where(flags[:, i], run + 1, 0)
        counted[:, i] = run
    return counted


def _shifted_up(own: Array, baseline: Array, criterion: Criterion) -> Flags:
    """Whether the canary judge classifies the metric as High (Low where higher is better), for each experiment."""
    sign = 1.0 if criterion.measure.lower_is_better else -1.0
    m = own.shape[1]
    shifts = np.sort((sign * (own[:, :, None] - baseline[:, None, :])).reshape(own.shape[0], -1), axis=1)
    spread = math.sqrt(m * m * (2 * m + 1) / 12.0)
    rank = math.floor(m * m / 2.0 - float(stats.norm.ppf(0.5 + KAYENTA_LEVEL / 2.0)) * spread)
    lower = shifts[:, max(rank, 1) - 1]
    estimate = np.median(shifts, axis=1)
    found: Flags = lower > KAYENTA_FRACTION * np.abs(estimate)
    return found


def _differences(criterion: Criterion, readings: Readings) -> Array:
    """Candidate's value minus its limit at each look, (N, T); nan where one of both has no requests."""
    values = _values(criterion, readings, 1)
    reference = values[0] if _is_relative(criterion) else 1.0
    found: Array = values[1] - _bound(criterion) * reference
    return found


def _running(values: Array) -> tuple[Array, Array, Array]:
    """(how many, mean, sample variance) of the values so far that are numbers."""
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0)
    n = np.cumsum(known, axis=1).astype(float)
    mean = np.cumsum(filled, axis=1) / np.maximum(n, 1.0)
    square = np.cumsum(filled**2, axis=1)
    return n, mean, np.maximum(square - n * mean**2, 0.0) / np.maximum(n - 1.0, 1.0)


def _estimate(criterion: Criterion, readings: Readings) -> tuple[Array, Array, Flags]:
    """(difference to the limit, its variance, whether it is told yet) by all requests so far, each (N, T)."""
    bound = _bound(criterion)
    if criterion.measure.kind is MeasureKind.MEAN:
        n, mean, variance = _running(_differences(criterion, readings))
        return mean, variance / np.maximum(n, 1.0), n >= 10
    total = readings.so_far(criterion.measure.numerator)
    trials = np.maximum(readings.so_far(criterion.measure.denominator or "requests"), 1.0)
    rate = total / trials
    if not _is_relative(criterion):
        return rate[1] - bound, np.broadcast_to(bound * (1.0 - bound), rate[1].shape) / trials[1], trials[1] > 1.0
    pooled = (total[1] + total[0]) / (bound * trials[1] + trials[0])
    variance = bound * pooled / trials[1] + bound**2 * pooled / trials[0]
    return rate[1] - bound * rate[0], variance, (total[0] > 0) & (total[1] > 0)


def _scale(criterion: Criterion, readings: Readings) -> float:
    """Half the limit, in the units of the difference."""
    if not _is_relative(criterion):
        return 0.5 * _bound(criterion)
    total = readings.counts[criterion.measure.numerator][0].sum()
    return (
        0.5 * _bound(criterion) * float(total / readings.counts[criterion.measure.denominator or "requests"][0].sum())
    )


# The original's posterior


def _iter8(case: Case, readings: Readings, random: Random, looks: object) -> Verdicts:
    at = np.array(list(looks))  # type: ignore[call-overload]
    asked = limits(case)
    own = np.ones((readings.replications, len(at)))
    baseline = np.ones_like(own)
    for criterion in asked:
        pi, of_baseline = _satisfying(criterion, readings, at)
        own, baseline = own * _sampled(random, pi), baseline * _sampled(random, of_baseline)
    wins = random.binomial(ITER8_SAMPLE, own)
    others = random.binomial(ITER8_SAMPLE - wins, baseline)
    with np.errstate(invalid="ignore"):
        chance = wins / (wins + others)
    said = Verdicts.at_first(chance > ITER8_SURE, 1.0 - chance > ITER8_SURE, readings.looks)
    found = np.where(said.verdict == UNDECIDED, readings.looks, at[np.minimum(said.decided, len(at) - 1)])
    return Verdicts(said.verdict, found)


def _sampled(random: Random, pi: Array) -> Array:
    """A chance as a sample of the posterior shows it."""
    return random.binomial(ITER8_SAMPLE, np.clip(pi, 0.0, 1.0)) / ITER8_SAMPLE


def _satisfying(criterion: Criterion, readings: Readings, at: NDArray[np.int64]) -> tuple[Array, Array]:
    """The chance that (candidate, baseline) satisfies the criterion, at these looks."""
    trials = readings.so_far(criterion.measure.denominator or "requests")[:, :, at]
    total = readings.so_far(criterion.measure.numerator)[:, :, at]
    bound, relative = _bound(criterion), _is_relative(criterion)
    if criterion.measure.kind is MeasureKind.MEAN:
        centre, spread = _normal_belief(criterion, readings, at)
        if relative:
            z = (bound * centre[0] - centre[1]) / np.sqrt(spread[1] + bound**2 * spread[0])
            return special.ndtr(z), np.zeros_like(z)
        return special.ndtr((bound - centre[1]) / np.sqrt(spread[1])), special.ndtr(
            (bound - centre[0]) / np.sqrt(spread[0])
        )
    a, b = 1.0 + total, 1.0 + trials - total
    if relative:
        # log of a Beta variable: mean psi(a) - psi(a+b), variance psi'(a) - psi'(a+b); the difference of two as normal
        mean = special.digamma(a) - special.digamma(a + b)
        variance = special.polygamma(1, a) - special.polygamma(1, a + b)
        z = (math.log(bound) + mean[0] - mean[1]) / np.sqrt(variance[0] + variance[1])
        return special.ndtr(z), np.zeros_like(z)
    return special.betainc(a[1], b[1], bound), special.betainc(a[0], b[0], bound)


def _normal_belief(criterion: Criterion, readings: Readings, at: NDArray[np.int64]) -> tuple[Array, Array]:
    """(estimates, variances) of both versions at these looks."""
    trials = np.maximum(readings.so_far(criterion.measure.denominator or "requests"), 1.0)
    value = readings.so_far(criterion.measure.numerator) / trials
    highest = np.maximum.accumulate(value.max(axis=0), axis=1)
    lowest = np.minimum.accumulate(value.min(axis=0), axis=1)
    width = np.maximum(highest - lowest, 1e-9)
    return value[:, :, at], (width / (1.0 + trials))[:, :, at]


def iter8_best_arm(_case: Case, readings: Readings, random: Random) -> Verdicts:
    """The original with a reward and several candidates, at the end: 500 draws of every version's reward and masks.

    Source as `iter8_at_the_end`: utility = reward x mask, the chance to win as there. (The original draws 10,000.)
    """
    draws, v, n = 500, readings.versions, readings.replications
    requests, earned = (readings.counts[c].sum(axis=2) for c in ("requests", "reward"))
    failed = readings.counts[ERRORS].sum(axis=2) if ERRORS in readings.counts else np.zeros_like(requests)
    pi = special.betainc(1.0 + failed, 1.0 + requests - failed, 0.01)
    mask = random.random((draws, v, n)) < pi
    utility = random.beta(1.0 + earned, 1.0 + requests - earned, (draws, v, n)) * mask
    first = np.argmax(utility, axis=1)
    counted = utility.max(axis=1) > 0
    chance = np.stack([((first == k) & counted).sum(axis=0) for k in range(v)]) / np.maximum(counted.sum(axis=0), 1)
    winner, sure = np.argmax(chance, axis=0), chance.max(axis=0) > ITER8_SURE
    verdict = np.where(~sure, UNDECIDED, np.where(winner == 0, ROLLED_BACK, PROMOTED))
    return Verdicts(
        verdict.astype(np.int64), np.where(sure, readings.looks - 1, readings.looks), winner.astype(np.int64)
    )
