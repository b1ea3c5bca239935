"""What is counted of verdicts: how often they are wrong, when they are right, and what it costs until then."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.decisions.bounds import least_seconds
from benchmarks.decisions.loop import Setting
from benchmarks.decisions.readings import REQUESTS, Array, Readings
from benchmarks.decisions.scenarios import Case, Truth
from benchmarks.decisions.verdicts import PROMOTED, ROLLED_BACK, UNDECIDED, Verdicts, as_seconds


@dataclass(frozen=True)
class Share:
    """So many of so many, with the exact binomial interval (Clopper and Pearson) at 95 %."""

    count: int
    of: int

    @property
    def value(self) -> float:
        return self.count / self.of if self.of else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        if not self.of:
            return 0.0, 1.0
        found = stats.binomtest(self.count, self.of).proportion_ci(0.95, "exact")
        return float(found.low), float(found.high)

    def by_chance(self, rate: float) -> float:
        """The chance to see so many or more when the true rate is `rate`."""
        return float(stats.binom.sf(self.count - 1, self.of, rate))


@dataclass(frozen=True)
class Sample:
    """What one batch leaves for the measures of one rule: arrays over its experiments."""

    verdicts: Verdicts
    seconds: Array
    candidate: Array
    exposed: Array

    @classmethod
    def of(cls, case: Case, readings: Readings, verdicts: Verdicts) -> Sample:
        """candidate: its requests until the decision; exposed: their share of all of them, where it violates."""
        requests = readings.so_far(REQUESTS)
        last = np.minimum(verdicts.decided, readings.looks - 1)[None, :, None]
        until = np.take_along_axis(requests, np.broadcast_to(last, (*requests.shape[:2], 1)), axis=2)[:, :, 0]
        share = until[1] / np.maximum(until.sum(axis=0), 1.0) if case.truth is Truth.BAD else np.zeros(until.shape[1])
        return cls(
            verdicts, as_seconds(np.minimum(verdicts.decided, readings.looks - 1), readings.seconds), until[1], share
        )

    @classmethod
    def joined(cls, parts: list[Sample]) -> Sample:
        return cls(
            Verdicts.joined([p.verdicts for p in parts]),
            np.concatenate([p.seconds for p in parts]),
            np.concatenate([p.candidate for p in parts]),
            np.concatenate([p.exposed for p in parts]),
        )


@dataclass(frozen=True)
class Measures:
    """Of one rule in one case.

    median, p90      seconds to the right decision; undecided and wrong ones count as never (inf)
    requests         of the candidate until the right decision, median
    exposed          of all requests until the end of the experiment, the share that a violating candidate answered
    regret           rewards lost per 1,000 requests after the end, against the best version that keeps the limits
    found            a version that may win was promoted, where there are several
    infeasible       a version that violates a limit was promoted, where there are several
    efficiency       least mean time of any rule with this power / mean time; None where the bound is not known
    """

    case: str
    scenario: str
    level: str
    truth: str
    rule: str
    replications: int
    promoted: Share
    rolled_back: Share
    undecided: Share
    median: float
    p90: float
    requests: float
    exposed: float
    efficiency: float | None
    regret: float | None = None
    found: Share | None = None
    infeasible: Share | None = None
    milliseconds: float | None = None

    @property
    def wrong(self) -> tuple[Share, ...]:
        """What must not be: of a good candidate a rollback, of a bad one a promotion, at the limit either."""
        if self.truth == Truth.GOOD:
            return (self.rolled_back,)
        if self.truth == Truth.BAD:
            return (self.promoted,)
        return (self.promoted, self.rolled_back)

    @property
    def right(self) -> Share | None:
        """None at the limit, where nothing is to be found."""
        return {Truth.GOOD: self.promoted, Truth.BAD: self.rolled_back}.get(Truth(self.truth))

    def plain(self) -> dict[str, object]:
        """For JSON: shares with their intervals."""
        found = asdict(self)
        for name in ("promoted", "rolled_back", "undecided"):
            share: Share = getattr(self, name)
            found[name] = {"count": share.count, "share": share.value, "interval": list(share.interval)}
        if self.infeasible is not None:
            found["infeasible"] = {"count": self.infeasible.count, "share": self.infeasible.value}
        if self.found is not None:
            found["found"] = {"count": self.found.count, "share": self.found.value}
        for name in ("median", "p90", "requests"):
            found[name] = found[name] if np.isfinite(found[name]) else None
        return found


def measure(case: Case, rule: str, sample: Sample, alpha: float = 0.05, milliseconds: float | None = None) -> Measures:
    """All of it."""
    verdict = sample.verdicts.verdict
    n = len(verdict)
    good = verdict == (PROMOTED if case.truth is Truth.GOOD else ROLLED_BACK)
    if sample.verdicts.winner is not None and case.truth is Truth.GOOD:
        good &= np.isin(sample.verdicts.winner, list(case.winners))
    if case.truth is Truth.AT_LIMIT:
        good = np.zeros(n, dtype=bool)
    when = np.where(good, sample.seconds, np.inf)
    spent = np.where(good, sample.candidate, np.inf)
    horizon = case.frame.looks * 15.0
    bound = least_seconds(case, float(good.mean()), alpha)
    mean = float(np.where(verdict == UNDECIDED, horizon, sample.seconds).mean())
    return Measures(
        case=case.key,
        scenario=case.scenario,
        level=case.level,
        truth=case.truth,
        rule=rule,
        replications=n,
        promoted=_share(verdict == PROMOTED),
        rolled_back=_share(verdict == ROLLED_BACK),
        undecided=_share(verdict == UNDECIDED),
        median=_quantile(when, 0.5),
        p90=_quantile(when, 0.9),
        requests=_quantile(spent, 0.5),
        exposed=float((sample.exposed * sample.seconds / horizon).mean()),
        efficiency=None if bound is None else bound / mean,
        regret=_regret(case, sample.verdicts),
        found=_share(good) if case.earns else None,
        infeasible=_infeasible(case, sample.verdicts),
        milliseconds=milliseconds,
    )


def _regret(case: Case, verdicts: Verdicts) -> float | None:
    if not case.earns or verdicts.winner is None:
        return None
    best = max(r for v, r in enumerate(case.earns) if v not in case.infeasible)
    stays = np.where(verdicts.verdict == PROMOTED, verdicts.winner, 0)
    return float(np.maximum(1000.0 * (best - np.array(case.earns)[stays]), 0.0).mean())


def _infeasible(case: Case, verdicts: Verdicts) -> Share | None:
    if not case.earns or verdicts.winner is None:
        return None
    return _share((verdicts.verdict == PROMOTED) & np.isin(verdicts.winner, case.infeasible))


def _share(flags: NDArray[np.bool_]) -> Share:
    return Share(int(flags.sum()), len(flags))


def _quantile(values: Array, share: float) -> float:
    """By the inverse of the empirical distribution, so that never is never."""
    return float(np.quantile(values, share, method="inverted_cdf"))


@dataclass(frozen=True)
class LoopMeasures:
    """Of one rule in one closed loop.

    exposed    of all requests until the horizon, the candidate's share
    extra      its failures beyond what the limit allows, in the mean
    """

    case: str
    level: str
    truth: str
    rule: str
    replications: int
    promoted: Share
    rolled_back: Share
    median: float
    exposed: float
    exposed_p90: float
    extra: float

    def plain(self) -> dict[str, object]:
        """For JSON."""
        found = asdict(self)
        for name in ("promoted", "rolled_back"):
            share: Share = getattr(self, name)
            found[name] = {"count": share.count, "share": share.value, "interval": list(share.interval)}
        found["median"] = self.median if np.isfinite(self.median) else None
        return found


def measure_loop(
    setting: Setting, rule: str, verdict: NDArray[np.int64], look: NDArray[np.int64], exposed: Array, extra: Array
) -> LoopMeasures:
    """All of a closed loop."""
    right = verdict == {Truth.GOOD: PROMOTED, Truth.BAD: ROLLED_BACK}.get(setting.truth, 99)
    return LoopMeasures(
        setting.name,
        setting.level,
        setting.truth,
        rule,
        len(verdict),
        _share(verdict == PROMOTED),
        _share(verdict == ROLLED_BACK),
        _quantile(np.where(right, 15.0 * (look + 1), np.inf), 0.5),
        float(exposed.mean()),
        _quantile(exposed, 0.9),
        float(extra.mean()),
    )
