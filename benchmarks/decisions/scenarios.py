"""The cases: what the data are, what is asked, and what would be right to say."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial

import numpy as np

from benchmarks.decisions import generators
from benchmarks.decisions.generators import STILL, Noise
from benchmarks.decisions.readings import ERRORS, LATENCY, REQUESTS, REWARD, Readings, above, up_to
from benchmarks.decisions.traffic import Frame, Random
from serin.core.model import Criterion, Limit, LimitKind, Measure, MeasureKind

ABSOLUTE, RELATIVE = LimitKind.ABSOLUTE, LimitKind.RELATIVE
ERROR_RATE = Measure(MeasureKind.RATE, ERRORS, REQUESTS)
MEAN_LATENCY = Measure(MeasureKind.MEAN, LATENCY, REQUESTS, units="ms")
CONVERSION = Measure(MeasureKind.RATE, REWARD, REQUESTS, lower_is_better=False)


class Truth(StrEnum):
    """What the candidate is, all the time."""

    GOOD = "good"
    AT_LIMIT = "at the limit"
    BAD = "bad"


class Promise(StrEnum):
    """What is promised about errors of this case: a bound by proof, one by simulation, or nothing at all."""

    EXACT = "exact"
    APPROXIMATE = "approximate"
    NONE = "none"


BOTH = ("robust", "robust, 1 h of history")
STRICT = {True: ("strict",), False: ()}
CAREFUL = {True: ("robust, 1 %",), False: ()}


@dataclass(frozen=True)
class Case:
    """One kind of experiment.

    make       random generator, number of experiments, looks of the baseline's past -> their readings
    truth      of candidate 1 (of the best arm where there are several)
    promise    about promotions in `robust`, the engine's default; `against`: about rollbacks, where that is another
    rules      names of the engine's modes that judge it
    effect     (true value, limit, baseline's value) for the bound on how fast a rule can be; None where none is known
    long       left out of the short form: much like another one, or slow
    until      no promotion before so many seconds (`analysis.minDuration`)
    warmup     `analysis.warmup`
    for_peers  what the peers are asked, where they do not know our question
    best       the version that should win, -1 where none should; `earns` a request of each brings in, `infeasible` the
               versions that violate a limit, `delay` seconds in the mean until it shows
    """

    scenario: str
    level: str
    truth: Truth
    make: Callable[[Random, int, int], Readings]
    criteria: tuple[Criterion, ...]
    promise: Promise = Promise.EXACT
    modes: tuple[str, ...] = ("robust",)
    frame: Frame = field(default_factory=Frame)
    effect: tuple[float, float, float] | None = None
    until: float = 0.0
    against: Promise | None = None
    warmup: float = 0.0
    for_peers: tuple[Criterion, ...] = ()
    best: int = 1
    delay: float = 0.0
    long: bool = False
    earns: tuple[float, ...] = ()
    infeasible: tuple[int, ...] = ()

    @property
    def winners(self) -> frozenset[int]:
        """The versions of which each may win: the best that keeps the limits, and those within the margin of it."""
        if self.best < 0 or not self.earns:
            return frozenset({self.best} - {-1})
        least = self.earns[self.best] / (1.0 + max(c.margin for c in self.criteria))
        return frozenset(v for v, r in enumerate(self.earns) if r >= least and v not in self.infeasible)

    @property
    def key(self) -> str:
        return f"{self.scenario} {self.level}"

    def seed(self, seed: int, batch: int) -> np.random.SeedSequence:
        """Of a batch: the same whatever else runs, in which order and on how many processes."""
        return np.random.SeedSequence([seed, zlib.crc32(self.key.encode()), batch])


def limit(measure: Measure, value: float, kind: LimitKind = ABSOLUTE, id: str = "0") -> Criterion:
    return Criterion(id, measure.numerator, measure, Limit(kind, value))


def truth_of(value: float, bound: float) -> Truth:
    if abs(value - bound) < 1e-12:
        return Truth.AT_LIMIT
    return Truth.GOOD if value < bound else Truth.BAD


def percent(rate: float) -> str:
    return f"{100 * rate:g} %"


def rates() -> Iterable[Case]:
    """S1, S1b, S1lo: independent errors against a fixed limit."""
    frame, ask = Frame(), (limit(ERROR_RATE, 0.01),)
    for p in (0.001, 0.003, 0.005, 0.0075, 0.01, 0.0125, 0.02, 0.05):
        yield Case(
            "S1", percent(p), truth_of(p, 0.01), partial(generators.errors, frame=frame, rate=p, base=0.005), ask,
            modes=(*BOTH, "independent", *STRICT[p in (0.01, 0.02, 0.05)], *CAREFUL[p in (0.003, 0.005, 0.01)]),
            frame=frame, effect=(p, 0.01, 0.005),
        )  # fmt: skip
    for p, bound, base in ((0.005, 0.003, 0.001), (0.02, 0.015, 0.01)):
        yield Case(
            "S1", f"{percent(base)} to {percent(p)}, limit {percent(bound)}", Truth.BAD,
            partial(generators.errors, frame=frame, rate=p, base=base), (limit(ERROR_RATE, bound),),
            frame=frame, effect=(p, bound, base),
        )  # fmt: skip
    for p in (0.02, 0.012):
        yield Case(
            "S1b", f"both {percent(p)}", Truth.BAD, partial(generators.errors, frame=frame, rate=p, base=p), ask,
            frame=frame, effect=(p, 0.01, p),
        )  # fmt: skip
    low = Frame(rate=2.0, looks=480)
    for p in (0.001, 0.01, 0.03, 0.10):
        yield Case(
            "S1lo", percent(p), truth_of(p, 0.01), partial(generators.errors, frame=low, rate=p, base=0.005), ask,
            modes=("robust", "independent"), frame=low, effect=(p, 0.01, 0.005), long=p != 0.10,
        )  # fmt: skip
    long = Frame(looks=400)
    yield Case(
        "S1, 400 looks", percent(0.01), Truth.AT_LIMIT, partial(generators.errors, frame=long, rate=0.01, base=0.005),
        ask, modes=("robust", "independent"), frame=long, long=True,
    )  # fmt: skip


BURSTS = generators.BURSTS_OF_FIVE
"""Clusters of five, and waves that hit both versions: S1c."""


def bursts() -> Iterable[Case]:
    """S1c: errors that come in bursts, and in waves."""
    frame, ask = Frame(), (limit(ERROR_RATE, 0.01),)
    for p in (0.002, 0.005, 0.01, 0.02, 0.05):
        base = 0.01 if p == 0.01 else 0.005
        yield Case(
            "S1c", percent(p), truth_of(p, 0.01),
            partial(generators.errors, frame=frame, rate=p, base=base, noise=BURSTS), ask,
            promise=Promise.APPROXIMATE, against=Promise.NONE, modes=(*BOTH, *STRICT[p >= 0.01]), frame=frame,
        )  # fmt: skip
    for name, noise in (
        ("geometric bursts", replace(BURSTS, geometric=True)),
        ("waves of AR(0.95)", replace(BURSTS, common=(0.95, 0.7))),
        ("waves without clusters", replace(BURSTS, cluster=1)),
        ("clusters without waves", Noise(cluster=5)),
    ):
        yield Case(
            "S1c", f"1 %, {name}", Truth.AT_LIMIT,
            partial(generators.errors, frame=frame, rate=0.01, base=0.01, noise=noise), ask,
            promise=Promise.NONE, modes=(*BOTH, *CAREFUL["without clusters" in name]), frame=frame, long=True,
        )  # fmt: skip


def means() -> Iterable[Case]:
    """S2, S2n, S3, S6: mean latency against the baseline's."""
    frame, ask = Frame(), (limit(MEAN_LATENCY, 1.10, RELATIVE),)
    for name, own in (("S2", 0.02), ("S2n", 0.05)):
        noise = Noise(common=(0.9, 0.10), own=(0.5, own))
        for factor in (0.95, 1.00, 1.05, 1.10, 1.15, 1.25, 1.5, 2.0):
            yield Case(
                name, f"x{factor:g}", truth_of(factor, 1.10),
                partial(generators.latency, frame=frame, factor=factor, noise=noise), ask,
                promise=Promise.APPROXIMATE, modes=BOTH,
                frame=frame, effect=(factor, 1.10, own), long=name == "S2n" and factor != 1.10,
            )  # fmt: skip
    ramp = Frame(share=(0.05, 0.50))
    for name, factor, drift in (
        ("x1 while it slows down", 1.0, (0.4, 1.6)),
        ("x1.1 while it speeds up", 1.1, (1.6, 0.4)),
    ):
        yield Case(
            "S3", name, truth_of(factor, 1.05),
            partial(generators.latency, frame=ramp, factor=factor, drift=drift), (limit(MEAN_LATENCY, 1.05, RELATIVE),),
            promise=Promise.APPROXIMATE, frame=ramp,
        )  # fmt: skip
    for warmup in (0.0, 150.0):
        for factor in (1.0, 1.25):
            yield Case(
                "S6", f"x{factor:g}" + (f", warmup {warmup:g} s" if warmup else ""), truth_of(factor, 1.10),
                partial(generators.latency, frame=frame, factor=factor, cold=(2.0, 30.0)), ask,
                promise=Promise.APPROXIMATE, modes=BOTH if warmup == 0.0 else ("robust",), frame=frame, warmup=warmup,
            )  # fmt: skip
    yield Case(
        "S6", "x1, cold for twice as long", Truth.GOOD,
        partial(generators.latency, frame=frame, factor=1.0, cold=(2.0, 60.0)), ask,
        promise=Promise.NONE, modes=BOTH, frame=frame, long=True,
    )  # fmt: skip


def ratios() -> Iterable[Case]:
    """S4: the error rate against the baseline's, under four kinds of noise."""
    frame, ask = Frame(burst=0.3), (limit(ERROR_RATE, 1.5, RELATIVE),)
    for name, noise, promise in (
        ("S4", STILL, Promise.EXACT),
        ("S4, common waves", Noise(common=(0.95, 0.8)), Promise.EXACT),
        ("S4, clusters of 5", Noise(cluster=5), Promise.APPROXIMATE),
        ("S4, waves of its own", Noise(own=(0.8, 0.3)), Promise.NONE),
    ):
        for ratio in (1.0, 1.5, 2.0, 3.0, 6.0):
            more = ("independent",) if noise is STILL else STRICT[ratio in (1.5, 3.0, 6.0) and not noise.common[1]]
            more = (*more, *CAREFUL[ratio == 1.5 and noise.own[1] > 0])
            yield Case(
                name, f"x{ratio:g}", truth_of(ratio, 1.5),
                partial(generators.errors, frame=frame, rate=0.01 * ratio, base=0.01, noise=noise), ask,
                promise=promise, against=None if promise is Promise.EXACT else Promise.NONE, modes=(*BOTH, *more),
                frame=frame,
                effect=(ratio, 1.5, 0.01) if noise is STILL else None,
                long=noise is not STILL and ratio not in (1.5, 3.0),
            )  # fmt: skip


def the_same_twice() -> Iterable[Case]:
    """A/A: identical versions. A limit of 1.00 can never be proven; a margin can."""
    frame = Frame()
    for bound in (1.05, 1.10, 1.50):
        ask = (limit(ERROR_RATE, bound, RELATIVE), limit(MEAN_LATENCY, bound, RELATIVE, id="1"))
        yield Case(
            "A/A", f"both limits x{bound:g}", Truth.GOOD, partial(generators.everything, frame=frame), ask,
            promise=Promise.APPROXIMATE, frame=frame, long=bound != 1.50,
        )  # fmt: skip
    yield Case(
        "A/A", "clusters of 5, limit x1.5", Truth.GOOD,
        partial(generators.everything, frame=frame, noise=Noise(cluster=5)), (limit(ERROR_RATE, 1.5, RELATIVE),),
        promise=Promise.NONE, modes=("robust", "strict"), frame=frame,
    )  # fmt: skip


def late() -> Iterable[Case]:
    """S8: good for ten minutes, then bad. Nobody is promoted before the end."""
    frame = Frame()
    for p in (0.02, 0.05):
        yield Case(
            "S8", f"{percent(p)} from 600 s on", Truth.BAD,
            partial(generators.errors, frame=frame, rate=0.005, base=0.005, onset=(600.0, p)),
            (limit(ERROR_RATE, 0.01),), frame=frame, until=1800.0,
        )  # fmt: skip


def quantiles() -> Iterable[Case]:
    """S7: a tail that the mean hides. `p99 at most 500 ms`, as the API makes a criterion of it; the peers, who know no
    quantiles of buckets, are asked for at most 1 % above 500 ms."""
    frame = Frame()
    mean = limit(MEAN_LATENCY, 1.25, RELATIVE, id="1")
    within = Measure(MeasureKind.RATE, up_to(500.0), REQUESTS, lower_is_better=False, units="ms")
    p99 = Criterion("0", "p99", within, Limit(ABSOLUTE, 0.99), quantile=0.99, within=500.0)
    slow = limit(Measure(MeasureKind.RATE, above(500.0), REQUESTS), 0.01)
    for share in (0.0, 0.003, 0.0094, 0.015, 0.03):
        beyond = 0.000645 + share
        yield Case(
            "S7", f"{100 * beyond:.2f} % above 500 ms",
            Truth.AT_LIMIT if share == 0.0094 else truth_of(beyond, 0.01),
            partial(generators.stalls, frame=frame, share=share), (p99, mean), for_peers=(slow, mean), frame=frame,
            promise=Promise.APPROXIMATE, effect=(beyond, 0.01, 0.000645),
        )  # fmt: skip


def rewards() -> Iterable[Case]:
    """S5 and S9: which version earns more."""
    moving = Frame(share=(0.10, 0.50))
    for lift, delay in ((1.0, 600.0), (1.05, 600.0)):
        reward = Criterion("0", REWARD, CONVERSION, is_reward=True, margin=0.0, delay=delay)
        yield Case(
            "S5", "equal" if lift == 1.0 else f"{100 * (lift - 1):+.0f} %",
            Truth.AT_LIMIT if lift == 1.0 else Truth.GOOD,
            partial(generators.delayed_rewards, frame=moving, lift=lift), (reward,),
            promise=Promise.NONE, frame=moving, best=1 if lift > 1.0 else -1, earns=(0.10, 0.10 * lift), delay=delay,
        )  # fmt: skip
    equal_errors = (0.005,) * 4
    for level, chances, failing, best, truth in (
        (
            "gaps .050 .055 .065, infeasible .075",
            (0.050, 0.055, 0.065, 0.075),
            (0.005, 0.005, 0.005, 0.02),
            2,
            Truth.GOOD,
        ),
        ("near tie .050 .055 .060 .0605", (0.050, 0.055, 0.060, 0.0605), equal_errors, 3, Truth.GOOD),
        ("near tie, margin 5 %", (0.050, 0.055, 0.060, 0.0605), equal_errors, 3, Truth.GOOD),
        ("A/A/A/A", (0.050,) * 4, equal_errors, -1, Truth.AT_LIMIT),
    ):
        reward = Criterion("1", REWARD, CONVERSION, is_reward=True, margin=0.05 if "margin" in level else 0.0)
        yield Case(
            "S9", level, truth, partial(generators.arms, looks=240, rate=100.0, rewards=chances, failing=failing),
            (limit(ERROR_RATE, 0.01), reward),
            frame=Frame(rate=100.0, looks=240), best=best, earns=chances,
            infeasible=(3,) if failing[3] > 0.01 else (), long=not level.startswith("gaps"),
        )  # fmt: skip


def fresh() -> Iterable[Case]:
    """Kinds of trouble that nothing was ever chosen on: other bursts, retries, heavy tails, a past that misleads."""
    frame = Frame(rate=25.0, share=(0.3, 0.3))
    wild = Noise(common=(0.8, 1.0), cluster=3, geometric=True)
    for p in (0.004, 0.02, 0.06):
        yield Case(
            "fresh", f"wild bursts, {percent(p)} of 2 %", truth_of(p, 0.02),
            partial(generators.errors, frame=frame, rate=p, base=min(p, 0.02), noise=wild),
            (limit(ERROR_RATE, 0.02),), promise=Promise.NONE, modes=BOTH, frame=frame, long=p != 0.02,
        )  # fmt: skip
    for p in (0.002, 0.01, 0.04):
        yield Case(
            "fresh", f"clients retry, {percent(p)} of 1 %", truth_of(p, 0.01),
            partial(generators.retries, frame=Frame(), rate=p, base=0.005), (limit(ERROR_RATE, 0.01),),
            promise=Promise.NONE, modes=BOTH, long=p != 0.01,
        )  # fmt: skip
    tails = Noise(common=(0.9, 0.2), own=(0.7, 0.03))
    for factor in (1.0, 1.2, 1.5):
        yield Case(
            "fresh", f"heavy tails, x{factor:g} of x1.2", truth_of(factor, 1.2),
            partial(generators.latency, frame=Frame(), factor=factor, noise=tails, log_sd=1.5),
            (limit(MEAN_LATENCY, 1.2, RELATIVE),), promise=Promise.NONE, modes=BOTH, long=factor != 1.2,
        )  # fmt: skip
    yield Case(
        "fresh", "bursts after a calm past, 1 % of 1 %", Truth.AT_LIMIT,
        partial(generators.errors, frame=Frame(), rate=0.01, base=0.01, noise=BURSTS, before=(0.0025, STILL)),
        (limit(ERROR_RATE, 0.01),), promise=Promise.NONE, modes=BOTH,
    )  # fmt: skip
    yield Case(
        "fresh", "only the candidate bursts, 1 % of 1 %", Truth.AT_LIMIT,
        partial(generators.errors, frame=Frame(), rate=0.01, base=0.005, noise=Noise(cluster=5), calm_baseline=True),
        (limit(ERROR_RATE, 0.01),), promise=Promise.NONE, modes=BOTH,
    )  # fmt: skip


def _all() -> tuple[Case, ...]:
    found: list[Case] = []
    for part in (the_same_twice, rates, bursts, means, ratios, rewards, quantiles, late, fresh):
        found += part()
    assert len({c.key for c in found}) == len(found)
    return tuple(found)


CASES = _all()


def chosen(names: Iterable[str]) -> tuple[Case, ...]:
    """The cases of these scenarios; `S4` means its variants too. Raises KeyError for a name that there is not."""
    wanted = list(names)
    if not wanted:
        return CASES
    for name in wanted:
        if not any(_belongs(c, name) for c in CASES):
            raise KeyError(name)
    return tuple(c for c in CASES if any(_belongs(c, name) for name in wanted))


def _belongs(case: Case, name: str) -> bool:
    return case.scenario == name or case.scenario.split(",")[0] == name
