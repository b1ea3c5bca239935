"""S10: the same experiments with and without what a source does wrong. The decision is the same, or it waits.

And SRM: whether requests that get lost on the way are noticed, and requests that do not are not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from benchmarks.decisions import generators, loop
from benchmarks.decisions.loop import Disturb, Setting
from benchmarks.decisions.measures import Share
from benchmarks.decisions.readings import REQUESTS
from benchmarks.decisions.scenarios import ERROR_RATE, limit, truth_of
from benchmarks.decisions.traffic import Frame, Random
from benchmarks.decisions.verdicts import UNDECIDED
from serin.core.budget import MISMATCH_ALPHA
from serin.core.evidence.criterion import Sums
from serin.core.evidence.mismatch import ShareEvidence
from serin.core.observation import Snapshot

EVERY = 7
"""Every seventh reading is disturbed."""


class Restart:
    """A pod of each version begins anew at its own moment: its counters fall to 0 just after a reading."""

    def __init__(self) -> None:
        self.offsets: dict[tuple[str, str], float] = {}

    def __call__(self, look: int, seen: Snapshot) -> list[Snapshot]:
        """What a counter shows is what it counted since the last restart."""
        shown = tuple(replace(s, value=s.value - self.offsets.get((s.instance, s.counter), 0.0)) for s in seen.series)
        if look % EVERY == 0:
            pod = f"pod-{1 + (look // EVERY) % 2}"
            self.offsets.update({(s.instance, s.counter): s.value for s in seen.series if s.instance.endswith(pod)})
        return [replace(seen, series=shown)]


def repeated(_look: int, seen: Snapshot) -> list[Snapshot]:
    """Every reading comes twice."""
    return [seen, seen]


def missing(look: int, seen: Snapshot) -> list[Snapshot]:
    """Every seventh reading does not come."""
    return [] if look % EVERY == 0 else [seen]


def blind(look: int, seen: Snapshot) -> list[Snapshot]:
    """In every seventh reading the error counters of all are missing (NaN, dropped by whoever reads)."""
    if look % EVERY:
        return [seen]
    kept = tuple(s for s in seen.series if s.counter == REQUESTS)
    return [replace(seen, series=kept, families=frozenset({REQUESTS}))]


def appearing(_look: int, seen: Snapshot) -> list[Snapshot]:
    """A series of errors is not there before its first error."""
    return [replace(seen, series=tuple(s for s in seen.series if s.counter == REQUESTS or s.value > 0.0))]


DISTURBANCES: dict[str, type[Restart] | Disturb] = {
    "counters restart": Restart,
    "readings repeated": repeated,
    "readings missing": missing,
    "error counters missing": blind,
    "series appear late": appearing,
}


@dataclass(frozen=True)
class Invariance:
    """One disturbance: in how many experiments the verdict was the same, came later or not at all, or was another."""

    disturbance: str
    level: str
    same: Share
    later: Share
    other: Share


def invariance(seed: int, replications: int) -> list[Invariance]:
    """Candidates of 0.3 % and 3 % against a limit of 1 %, each experiment twice with the same random numbers."""
    found = []
    for p in (0.003, 0.03):
        setting = Setting("S10", f"{100 * p:g} %", truth_of(p, 0.01), (0.005, p), 1.0, limit(ERROR_RATE, 0.01))
        clean = [loop.experiment(setting, _random(seed, i)) for i in range(replications)]
        for name, disturb in DISTURBANCES.items():
            same = later = other = 0
            for i, before in enumerate(clean):
                hook: Disturb = disturb() if isinstance(disturb, type) else disturb
                after = loop.experiment(setting, _random(seed, i), hook)
                if after.verdict == before.verdict and abs(after.look - before.look) <= 2:
                    same += 1
                elif after.verdict in (before.verdict, UNDECIDED):
                    later += 1
                else:
                    other += 1
            shares = (Share(k, replications) for k in (same, later, other))
            found.append(Invariance(name, setting.level, *shares))
    return found


def _random(seed: int, i: int) -> Random:
    return np.random.default_rng(np.random.SeedSequence([seed, 10, i]))


@dataclass(frozen=True)
class Loss:
    """Of candidates that lose this share of their requests: how often the alarm was raised, and after how long."""

    lost: float
    alarms: Share
    median: float


def losses(seed: int, replications: int) -> list[Loss]:
    """SRM at 40 requests a second, 25/75, 30 minutes; the alarm at 0.001."""
    found, frame, needed = [], Frame(), -np.log(MISMATCH_ALPHA)
    for lost in (0.0, 0.02, 0.05, 0.10, 0.20):
        random = np.random.default_rng(np.random.SeedSequence([seed, 11, int(1000 * lost)]))
        requests = generators.lost_requests(random, replications, 0, frame, lost).counts[REQUESTS]
        looks = [_alarm(requests[:, r], needed) for r in range(replications)]
        raised = [look for look in looks if look is not None]
        when = sorted(15.0 * (look + 1) for look in raised)
        half = (replications - 1) // 2
        found.append(Loss(lost, Share(len(raised), replications), when[half] if half < len(when) else float("inf")))
    return found


def _alarm(requests: np.ndarray, needed: float) -> int | None:
    evidence = ShareEvidence()
    for look in range(requests.shape[1]):
        evidence = evidence.update(Sums(25.0, float(requests[1, look])), Sums(75.0, float(requests[0, look])))
        if evidence.log_against >= needed:
            return look
    return None
