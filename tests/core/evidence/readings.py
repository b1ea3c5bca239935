"""Criteria and readings that the tests of the evidence share."""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np

from serin.core.evidence.criterion import Evidence, Sums, start
from serin.core.model import Analysis, Criterion, Limit, LimitKind, Measure, MeasureKind, Mode

Reading = tuple[Sums, Sums | None, float]


def criterion(
    kind: MeasureKind, limit: float | None, relative: bool = False, lower_is_better: bool = True
) -> Criterion:
    bound = None if limit is None else Limit(LimitKind.RELATIVE if relative else LimitKind.ABSOLUTE, limit)
    return Criterion("0", "a_metric", Measure(kind, "total", "trials", lower_is_better), bound)


def begun(
    kind: MeasureKind,
    limit: float | None,
    relative: bool = False,
    lower_is_better: bool = True,
    mode: Mode = Mode.ROBUST,
    horizon: int = 120,
) -> Evidence:
    return start(criterion(kind, limit, relative, lower_is_better), Analysis(mode=mode), horizon)


def after(evidence: Evidence, readings: Iterable[Reading]) -> Evidence:
    for own, baseline, seconds in readings:
        evidence = evidence.update(own, baseline, seconds)
    return evidence


def as_bytes(evidence: Evidence) -> str:
    return json.dumps(evidence.to_json(), sort_keys=True, separators=(",", ":"), allow_nan=False)


def rate_readings(
    rng: np.random.Generator, rate: float, trials: float, count: int, seconds: float = 15.0, base: float | None = None
) -> list[Reading]:
    """Poisson requests, binomial events; the baseline with three times the traffic where `base` is given."""
    found: list[Reading] = []
    for n, m in zip(rng.poisson(trials, count).tolist(), rng.poisson(3 * trials, count).tolist(), strict=True):
        other = None if base is None else Sums(m, int(rng.binomial(m, base)))
        found.append((Sums(n, int(rng.binomial(n, rate))), other, seconds))
    return found


def mean_readings(
    rng: np.random.Generator,
    mean: float,
    trials: float,
    count: int,
    seconds: float = 15.0,
    base: float | None = None,
    spread: float = 0.5,
) -> list[Reading]:
    """Poisson requests with lognormal values of this mean; `spread` is their log standard deviation."""

    def total(n: int, of: float) -> float:
        return float(rng.lognormal(np.log(of) - spread**2 / 2, spread, n).sum())

    found: list[Reading] = []
    for n, m in zip(rng.poisson(trials, count).tolist(), rng.poisson(3 * trials, count).tolist(), strict=True):
        other = None if base is None else Sums(m, total(m, base))
        found.append((Sums(n, total(n, mean)), other, seconds))
    return found
