"""Who has the best reward: a duel of every two versions, and who is proven to win against whom.

A difference smaller than the margin does not count. A candidate wins against the baseline when its reward is proven to
be better by more than the margin, the baseline when it is proven not to be; of two candidates one wins when it is
proven not to be worse by more than the margin. Without a margin all three mean 'better'.

The wrong version wins only by a wrong proof against the best one: with V versions one of V - 1 duels, each at
log((V - 1)/alpha), hence with a chance of at most alpha.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

from serin.core.budget import budget
from serin.core.evidence import intervals
from serin.core.evidence.contract import NOTHING, Sums
from serin.core.evidence.duel import Duel
from serin.core.model import BASELINE, Criterion, Interval, MeasureKind, Plan
from serin.core.reading import sums

Duels = Mapping[str, "Duel | Mapping[str, Any]"]
Beaten = Mapping[str, Mapping[str, float]]


def pairs(versions: Iterable[str]) -> list[tuple[str, str]]:
    """Every two versions as (later, earlier): a candidate is always compared with the baseline."""
    return [(later, earlier) for earlier, later in combinations(versions, 2)]


def key(own: str, other: str) -> str:
    """Under which a duel is kept."""
    return f"{own}/{other}"


def thawed(duels: Duels, own: str, other: str) -> Duel:
    """The duel of two versions, begun where there is none."""
    kept = duels.get(key(own, other))
    return Duel() if kept is None else kept if isinstance(kept, Duel) else Duel.from_json(kept)


def updated(
    plan: Plan, duels: Duels, alive: Iterable[str], counts: Mapping[str, Mapping[str, float]], seconds: float
) -> Duels:
    """One reading taken into the duels of the versions that are `alive`."""
    criterion = plan.reward
    if criterion is None:
        return duels
    seen: dict[str, Sums] = {v: sums(criterion, counts.get(v, {})) or NOTHING for v in plan.ids}
    share = _is_share(criterion)
    told = {
        key(v, u): thawed(duels, v, u).update(seen[v], seen[u], seconds, share)
        for v, u in pairs(v for v in plan.ids if v in set(alive))
    }
    return {**duels, **told}


def beaten(plan: Plan, duels: Duels, before: Beaten) -> dict[str, dict[str, float]]:
    """Version -> the versions that it is proven to win against -> the highest evidence for it so far, in nats.

    As with other proofs the highest value counts, until the evidence has turned (below 1).
    """
    criterion, needed = plan.reward, budget(plan).winner
    found: dict[str, dict[str, float]] = {}
    if criterion is None or not duels:
        return found
    for v, u in pairs(plan.ids):
        if key(v, u) not in duels:
            continue
        duel = thawed(duels, v, u)
        for winner, loser, nats in ((v, u, _for(criterion, duel, u)), (u, v, _against(criterion, duel))):
            last = before.get(winner, {}).get(loser, 0.0)
            if nats >= needed or (last and nats > 0.0):
                found.setdefault(winner, {})[loser] = max(nats, last)
    return found


def nats(plan: Plan, duels: Duels, winner: str, loser: str) -> float:
    """Evidence that one version wins against another."""
    criterion = plan.reward
    if criterion is None:
        return 0.0
    order = plan.ids
    if order.index(winner) > order.index(loser):
        return _for(criterion, thawed(duels, winner, loser), loser)
    return _against(criterion, thawed(duels, loser, winner))


def ratios_to_baseline(plan: Plan, duels: Duels, alpha: float) -> dict[str, Interval]:
    """Anytime-valid intervals of the candidates' rewards over the baseline's, of those that have met it in a duel."""
    criterion = plan.reward
    if criterion is None:
        return {}
    met = [v for v in plan.ids if v != BASELINE and key(v, BASELINE) in duels]
    share = _is_share(criterion)
    found = intervals.between([thawed(duels, v, BASELINE).edges(alpha, share) for v in met])
    return dict(zip(met, found, strict=True))


def _for(criterion: Criterion, duel: Duel, other: str) -> float:
    """Nats for the later version: better than the baseline by the margin, not worse than a candidate by it."""
    factor = 1.0 + criterion.margin
    better = 1 if not criterion.measure.lower_is_better else -1
    bound = factor**better if other == BASELINE else factor**-better
    return duel.log_evidence(bound, better, _is_share(criterion))


def _against(criterion: Criterion, duel: Duel) -> float:
    """Nats for the earlier version: the later one is not better than it by the margin."""
    factor = 1.0 + criterion.margin
    better = 1 if not criterion.measure.lower_is_better else -1
    return duel.log_evidence(factor**better, -better, _is_share(criterion))


def _is_share(criterion: Criterion) -> bool:
    return criterion.measure.kind is MeasureKind.RATE
