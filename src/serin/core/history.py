"""What the baseline's counters from before the start say: how much its values scatter when nothing is being tried.

Raw cumulative counters in, one summary a criterion out. Nothing of it is evidence about a candidate; without history an
experiment learns the same while it runs, and needs longer for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from serin.core.evidence.contract import NOTHING, Clock, Sums
from serin.core.evidence.criterion import Past, learn
from serin.core.model import BASELINE, Criterion, Plan
from serin.core.observation import Increments, Snapshot, increments, origin
from serin.core.reading import sums

_ONE, _OTHER = "half-0", "half-1"
_LONGEST = 240
"""Units that a hole in the history counts for at most."""


def learned(plan: Plan, snapshots: Sequence[Snapshot], pods: bool = False) -> dict[str, Past]:
    """Criterion id -> what history says about it; criteria that history says nothing about are left out.

    snapshots   of the baseline, in any order; readings that contradict themselves are left out
    pods        whether each instance is a pod of the version, so that two halves of them can be compared
    """
    read = sorted(snapshots, key=lambda s: s.time)
    found = {}
    whole = list(_steps(plan, read, (BASELINE,)))
    halves = list(_steps(plan, _halved(read), (_ONE, _OTHER))) if pods else []
    for criterion in plan.criteria:
        service = [pair[0] for pair in _units(criterion, whole, BASELINE, BASELINE)]
        compared = list(_units(criterion, halves, _ONE, _OTHER))
        both = compared if any(a.trials and b.trials for a, b in compared) else []
        past = learn(criterion, service, both)
        if past is not None:
            found[criterion.id] = past
    return found


def _steps(plan: Plan, snapshots: Sequence[Snapshot], versions: Sequence[str]) -> Iterator[Increments]:
    """What was counted from snapshot to snapshot."""
    last: Snapshot | None = None
    measures = [c.measure for c in plan.criteria]
    for snapshot in snapshots:
        if last is not None and snapshot.time <= last.time:
            continue
        step = increments(last, snapshot, versions, measures)
        last = origin(last, snapshot, step)
        if step.gap is None and step.seconds > 0.0:
            yield step


def _units(criterion: Criterion, steps: Sequence[Increments], one: str, other: str) -> Iterator[tuple[Sums, Sums]]:
    """The increments of two versions, put together to units of time; time in which nothing was read is empty."""
    clock, open_ = Clock(), (NOTHING, NOTHING)
    for step in steps:
        clock, over = clock.tick(step.seconds)
        mine, theirs = (sums(criterion, step.counts.get(v, {})) or NOTHING for v in (one, other))
        open_ = (open_[0] + mine, open_[1] + theirs)
        if over:
            yield from [(NOTHING, NOTHING)] * min(over - 1, _LONGEST)
            yield open_
            open_ = (NOTHING, NOTHING)


def _halved(snapshots: Sequence[Snapshot]) -> list[Snapshot]:
    """The same with every other instance of the baseline, in the order of their names, as another version."""
    names = sorted({s.instance for snapshot in snapshots for s in snapshot.series if s.version == BASELINE})
    half = {name: (_ONE, _OTHER)[i % 2] for i, name in enumerate(names)}
    return [
        replace(
            snapshot,
            series=tuple(replace(s, version=half[s.instance]) for s in snapshot.series if s.version == BASELINE),
        )
        for snapshot in snapshots
    ]
