"""What `serin plan` foretells beside what happens: the engine itself on drawn traffic, with the same assumptions.

Seconds from the start, half of the runs and 90 % of them; requests of the candidate in half of them. `off` is how far
the foretold median is from the one seen, which with so few runs is itself sure to about 10 %.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from tests.core.simulation import ERROR_RATE, MEAN_LATENCY, REQUESTS, Service, Version, experiment, limit_on

from serin.core.forecast import Assumed, Behaviour, Expected, forecast
from serin.core.model import Analysis, Criterion, LimitKind, MeasureKind, Outcome, Plan, Strategy

RUNS, LONG_RUNS = 60, 200
LONGEST = 1800.0


@dataclass(frozen=True)
class Scene:
    """One criterion, a baseline, a good and a bad candidate."""

    name: str
    criterion: Criterion
    baseline: Version
    good: Version
    bad: Version
    rate: float = 40.0
    strategy: Strategy = Strategy.PROGRESSIVE


def failing(share: float) -> Version:
    return Version(errors=share)


RELATIVE = LimitKind.RELATIVE
BOUGHT = Criterion("0", "bought", replace(ERROR_RATE, lower_is_better=False), is_reward=True)
SCENES = (
    Scene("errors 0.1 / 5 %, limit 1 %", limit_on(ERROR_RATE, 0.01), failing(0.001), failing(0.001), failing(0.05)),
    Scene("errors 0.3 / 3 %, limit 1 %", limit_on(ERROR_RATE, 0.01), failing(0.003), failing(0.003), failing(0.03)),
    Scene("errors 2 / 8 %, limit x2", limit_on(ERROR_RATE, 2.0, RELATIVE), failing(0.02), failing(0.02), failing(0.08)),
    Scene("latency x1 / x1.5, limit x1.2", limit_on(MEAN_LATENCY, 1.2, RELATIVE), Version(), Version(), Version(6.0)),
    Scene("latency 4.8 / 7.2, limit 5.5 ms", limit_on(MEAN_LATENCY, 5.5), Version(), Version(), Version(6.0), 20.0),
    Scene("reward 20 / 25 %", BOUGHT, failing(0.2), failing(0.25), failing(0.2), strategy=Strategy.UNIFORM),
)


def behaviour(scene: Scene, version: Version) -> dict[str, Behaviour]:
    if scene.criterion.measure.kind is MeasureKind.RATE:
        return {"0": Behaviour(version.errors)}
    mean = version.latency * math.exp(version.spread**2 / 2)
    return {"0": Behaviour(mean, math.sqrt(math.exp(version.spread**2) - 1))}


def seen(plan: Plan, scene: Scene, candidate: Version, runs: int) -> tuple[float, float, float]:
    """Median and 90 % of the seconds, median of the requests."""
    times, requests = [], []
    for seed in range(runs):
        service = Service({"baseline": scene.baseline, "candidate-0": candidate}, scene.rate, 1000 + seed)
        run = experiment(plan, service, reading=5.0, longest=LONGEST)
        times.append(run.seconds if run.state.outcome in (Outcome.PROMOTED, Outcome.BASELINE_WON) else 1e9)
        requests.append(run.state.totals.get("candidate-0", {}).get(REQUESTS, 0.0))
    return float(np.median(times)), float(np.quantile(times, 0.9)), float(np.median(requests))


def row(name: str, told: Expected, found: tuple[float, float, float], took: float) -> str:
    off = told.median / found[0] - 1.0
    shown = [_seconds(x) for x in (told.median, found[0], told.p90, found[1])]
    requests = f"{told.median_requests:8.0f} {found[2]:8.0f}"
    return f"{name:40} {shown[0]:>6} {shown[1]:>6} {off:+6.0%}   {shown[2]:>6} {shown[3]:>6}   {requests}   {took:5.2f}"


def _seconds(x: float) -> str:
    return f"{x:.0f}" if x <= LONGEST else "-"


def main(options: Sequence[str]) -> None:
    runs = LONG_RUNS if "--long" in options else RUNS
    print(f"{runs} runs each, at most {LONGEST:.0f} s")
    print(f"{'':40} {'median s':^20}   {'90 % s':^13}   {'requests':^17}   forecast")
    print(f"{'':40} {'told':>6} {'seen':>6} {'off':>6}   {'told':>6} {'seen':>6}   {'told':>8} {'seen':>8}   {'s':>5}")
    for scene in SCENES:
        analysis = Analysis(early_stop=True)
        plan = Plan("v1", ("v2",), (scene.criterion,), interval=15.0, iterations=120, strategy=scene.strategy,
                    max_increment=20, analysis=analysis)  # fmt: skip
        does = [behaviour(scene, version) for version in (scene.baseline, scene.good, scene.bad)]
        limited = scene.criterion.limit is not None
        assumed = Assumed(scene.rate, does[0], does[1], does[2] if limited else {}, reading=5.0)
        began = time.perf_counter()
        told = forecast(plan, assumed)
        took = time.perf_counter() - began
        for what, expected, candidate in (
            ("promote", told.promote, scene.good),
            ("roll back", told.rollback, scene.bad),
        ):
            if expected is not None:
                print(row(f"{scene.name}: {what}", expected, seen(plan, scene, candidate, runs), took), flush=True)
