"""Everything in batches over the cores; the same seeds give the same results on any number of processes."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.decisions import disturbed, intervals, loop, ours, peers, rewarded, speed
from benchmarks.decisions.disturbed import Invariance, Loss
from benchmarks.decisions.intervals import Coverage
from benchmarks.decisions.measures import LoopMeasures, Measures, Sample, measure, measure_loop
from benchmarks.decisions.peers import PEERS
from benchmarks.decisions.readings import Array
from benchmarks.decisions.scenarios import CASES, Case
from benchmarks.decisions.speed import Speed

BATCH = 50
"""Experiments drawn together: what is in memory at once, and the unit of the seeds."""
CLOSED, EARNED, SEEN, TWICE = 8, 8, 10, 20
"""One in so many of the replications for closed loops, ours with rewards, intervals at every look, S10: the costly."""
ASIDE = 4
"""The engine's other modes judge one batch in so many; the default judges all of them, and so do the peers."""


@dataclass(frozen=True)
class Task:
    """One batch of one case: its number, its size, and which rules judge it. `thorough`: by every mode and strategy."""

    case: int
    seed: int
    batch: int
    size: int
    modes: tuple[str, ...]
    peers: bool
    thorough: bool = True

    @property
    def cost(self) -> float:
        """A guess in milliseconds, so that long ones come first."""
        case = CASES[self.case]
        return 0.4 * self.size * case.frame.looks * len(self.modes) * len(case.criteria)


@dataclass(frozen=True)
class LoopTask:
    """One batch of a closed loop, by the number of its setting; `rule` None: ours."""

    setting: int
    seed: int
    batch: int
    size: int
    rule: str | None

    @property
    def cost(self) -> float:
        return 600.0 * self.size if self.rule is None else 1000.0


@dataclass(frozen=True)
class Extra:
    """A measurement of its own: `coverage` of one of the intervals asked, `invariance`, `losses`."""

    kind: str
    seed: int
    size: int
    number: int = 0

    @property
    def cost(self) -> float:
        return 2000.0 * self.size


Job = Task | LoopTask | Extra


@dataclass(frozen=True)
class Judged:
    """What a batch gave: rule -> sample, and (readings, seconds) that the engine took by mode."""

    samples: dict[str, Sample]
    costs: dict[str, tuple[int, float]]


@dataclass
class Results:
    """All that was measured."""

    seed: int
    replications: int
    measures: list[Measures] = field(default_factory=list)
    loops: list[LoopMeasures] = field(default_factory=list)
    coverages: list[Coverage] = field(default_factory=list)
    invariances: list[Invariance] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    speeds: list[Speed] = field(default_factory=list)
    chances: tuple[float, float] | None = None
    refused: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def with_more(self, other: Results) -> Results:
        """These and other ones; what both have measured is the other's."""
        again = {m.case for m in other.measures}
        measures = [m for m in self.measures if m.case not in again] + other.measures
        order = {c.key: i for i, c in enumerate(CASES)}
        return Results(
            other.seed,
            max(self.replications, other.replications),
            sorted((m for m in measures if m.case in order), key=lambda m: order[m.case]),
            other.loops or self.loops,
            other.coverages or self.coverages,
            other.invariances or self.invariances,
            other.losses or self.losses,
            other.speeds or self.speeds,
            other.chances or self.chances,
            {k: why for k, why in self.refused.items() if k in order and k not in again} | other.refused,
            self.seconds + other.seconds,
        )


def tasks(
    cases: Sequence[Case], replications: int, seed: int, short: bool = False, with_peers: bool = True
) -> list[Job]:
    """The batches of these cases. `short`: the engine's default mode only, and without the cases that are `long`."""
    found: list[Job] = []
    for case in cases:
        if short and case.long:
            continue
        modes = ours.modes_of(case)
        for batch, first in enumerate(range(0, replications, BATCH)):
            size = min(BATCH, replications - first)
            thorough = not short and batch % ASIDE == 0
            judged = modes if thorough else modes[:1]
            found.append(Task(CASES.index(case), seed, batch, size, judged, with_peers, thorough))
    return found


def extras(names: Sequence[str], replications: int, seed: int, short: bool = False) -> list[Job]:
    """Closed loops, intervals, S10 and SRM, as far as they are asked for; all without names. A quarter if `short`."""
    found: list[Job] = []
    if short:
        replications //= 4
    if not names or "loop" in names:
        for number, setting in enumerate(loop.settings()):
            rules = [None, *(loop.LOOPS if setting.name == "closed loop, errors" else ())]
            for rule in rules:
                count = replications if rule else max(1, replications // CLOSED)
                step = BATCH if rule is None else 500
                found += [
                    LoopTask(number, seed, b, min(step, count - first), rule)
                    for b, first in enumerate(range(0, count, step))
                ]
    if not names or "intervals" in names:
        found += [Extra("coverage", seed, max(1, replications // SEEN), i) for i in range(len(intervals.ASKED))]
    if not names or "S10" in names:
        found.append(Extra("invariance", seed, max(1, replications // TWICE)))
    if not names or "SRM" in names:
        found.append(Extra("losses", seed, replications))
    return found


def work(job: Job) -> object:
    """One job, in whatever process."""
    if isinstance(job, Task):
        return _judged(job)
    if isinstance(job, LoopTask):
        return _looped(job)
    by_kind: dict[str, Callable[[], object]] = {
        "coverage": lambda: intervals.coverage(job.seed, job.size, job.number),
        "invariance": lambda: disturbed.invariance(job.seed, job.size),
        "losses": lambda: disturbed.losses(job.seed, job.size),
    }
    return by_kind[job.kind]()


def _judged(task: Task) -> Judged:
    """One batch: drawn once, judged by every rule."""
    case = CASES[task.case]
    for_data, for_peers, for_ours = case.seed(task.seed, task.batch).spawn(3)
    readings = case.make(np.random.default_rng(for_data), task.size, ours.history(task.modes))
    samples, costs = {}, {}
    if case.earns:
        for strategy in rewarded.taken(case)[: None if task.thorough else 1]:
            random = np.random.default_rng(for_ours)
            samples[f"ours, {strategy}"] = rewarded.judge(case, random, max(1, task.size // EARNED), strategy)
    elif not ours.not_yet(case):
        for mode in task.modes:
            judged = ours.judge(case, readings, mode)
            samples[mode] = Sample.of(case, readings, judged.verdicts)
            costs[mode] = (judged.readings, judged.seconds)
    if task.peers:
        random = np.random.default_rng(for_peers)
        for name, rule in _peers(case):
            samples[name] = Sample.of(case, readings, rule(case, readings, random))
    return Judged(samples, costs)


def _peers(case: Case) -> list[tuple[str, peers.Peer]]:
    if case.earns:
        return [("iter8 v1, at the end", peers.iter8_best_arm)]
    return list(PEERS.items()) if peers.judgeable(case) else []


Looped = tuple[NDArray[np.int64], NDArray[np.int64], Array, Array]


def _looped(task: LoopTask) -> Looped:
    """(verdicts, looks, exposed, extra failures) of one batch of a closed loop."""
    setting = loop.settings()[task.setting]
    seeds = np.random.SeedSequence([task.seed, 13, task.setting, task.batch, len(task.rule or "")])
    if task.rule is not None:
        verdict, look, exposed = loop.LOOPS[task.rule](setting, np.random.default_rng(seeds), task.size)
        return verdict, look, exposed, np.full(task.size, np.nan)
    ended = [loop.experiment(setting, np.random.default_rng(s)) for s in seeds.spawn(task.size)]
    return (
        np.array([e.verdict for e in ended]),
        np.array([e.look for e in ended]),
        np.array([e.exposed for e in ended]),
        np.array([e.extra for e in ended]),
    )


def run(
    jobs: Sequence[Job], seed: int, replications: int, processes: int | None = None, speeds: bool = True
) -> Results:
    """All of them, in the order of the cases; progress on stderr."""
    began = time.monotonic()
    todo = sorted(jobs, key=lambda j: -j.cost)
    gathered = list(_with_progress(todo, _in_parallel(todo, processes or os.cpu_count() or 1)))
    results = Results(seed, replications)
    results.measures = _measures([(j, r) for j, r in gathered if isinstance(j, Task)])
    results.loops = _loops([(j, r) for j, r in gathered if isinstance(j, LoopTask)])
    others = sorted(((j, r) for j, r in gathered if isinstance(j, Extra)), key=lambda item: item[0].number)
    results.coverages = [r for _, r in others if isinstance(r, Coverage)]
    results.invariances = [i for j, r in others if j.kind == "invariance" and isinstance(r, list) for i in r]
    results.losses = [i for j, r in others if j.kind == "losses" and isinstance(r, list) for i in r]
    numbers = sorted({j.case for j in jobs if isinstance(j, Task)})
    refused = {CASES[n].key: ours.not_yet(CASES[n]) for n in numbers if not rewarded.taken(CASES[n])}
    results.refused = {key: why for key, why in refused.items() if why}
    if speeds:
        results.speeds, results.chances = speed.speeds(), speed.chances()
    results.seconds = time.monotonic() - began
    return results


def _measures(gathered: list[tuple[Task, object]]) -> list[Measures]:
    samples: dict[tuple[int, str], list[tuple[int, Sample]]] = defaultdict(list)
    costs: dict[tuple[int, str], list[tuple[int, float]]] = defaultdict(list)
    for task, done in gathered:
        assert isinstance(done, Judged)
        for rule, sample in done.samples.items():
            samples[task.case, rule].append((task.batch, sample))
        for mode, cost in done.costs.items():
            costs[task.case, mode].append(cost)
    order = [*ours.MODES, *(f"ours, {s}" for s in rewarded.STRATEGIES), *PEERS]
    found = []
    for number, rule in sorted(samples, key=lambda item: (item[0], order.index(item[1]))):
        parts = sorted(samples[number, rule], key=lambda part: part[0])
        spent = costs[number, rule]
        each = 1e3 * sum(s for _, s in spent) / sum(r for r, _ in spent) if spent else None
        joined = Sample.joined([s for _, s in parts])
        found.append(measure(CASES[number], rule, joined, ours.alpha_of(rule), each))
    return found


def _loops(gathered: list[tuple[LoopTask, object]]) -> list[LoopMeasures]:
    parts: dict[tuple[int, str], list[Looped]] = defaultdict(list)
    for task, done in sorted(gathered, key=lambda item: item[0].batch):
        assert isinstance(done, tuple)
        parts[task.setting, task.rule or "robust"].append(done)
    order = ["robust", *loop.LOOPS]
    keys = sorted(parts, key=lambda item: (item[0], order.index(item[1])))
    return [
        measure_loop(loop.settings()[n], rule, *(np.concatenate(of) for of in zip(*parts[n, rule], strict=True)))
        for n, rule in keys
    ]


def _in_parallel(todo: Sequence[Job], processes: int) -> Iterator[object]:
    if processes == 1 or len(todo) < 2:
        yield from map(work, todo)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap(work, todo)


def _with_progress(todo: Sequence[Job], done: Iterator[object]) -> Iterator[tuple[Job, object]]:
    """By the guessed costs, since the long ones come first."""
    began, all_of_it, so_far = time.monotonic(), sum(j.cost for j in todo), 0.0
    terminal = sys.stderr.isatty()
    told = 0
    for i, (job, result) in enumerate(zip(todo, done, strict=True), 1):
        so_far += job.cost
        passed, share = time.monotonic() - began, so_far / all_of_it
        if terminal or int(20 * share) > told:
            told = int(20 * share)
            left = passed * (1.0 / share - 1.0)
            line = f"decisions: {share:4.0%}, {i} of {len(todo)} batches, {passed:.0f} s, about {left:.0f} s to go"
            print(f"\r\033[K{line}" if terminal else line, end="" if terminal else "\n", file=sys.stderr, flush=True)
        yield job, result
    if terminal:
        print(file=sys.stderr)
