"""A version that was replaced by another program: what was learned about the old one is not about the new one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from serin.core.model import BASELINE, LimitKind, Plan
from serin.core.state import State


def forget(plan: Plan, state: State, versions: Iterable[str]) -> State:
    """Drop the evidence about `versions`; with the baseline also everything that compares with it.

    Counters keep their origin, so that what the old program did is not counted for the new one; nobody who was rolled
    back comes back.
    """
    gone = frozenset(versions)
    relative = {c.id for c in plan.criteria if c.is_reward or (c.limit and c.limit.kind is LimitKind.RELATIVE)}
    evidence = {
        version: {c: e for c, e in by.items() if BASELINE not in gone or c not in relative}
        for version, by in state.evidence.items()
        if version not in gone
    }
    proofs = {
        version: {c: nats for c, nats in by.items() if BASELINE not in gone or c not in relative}
        for version, by in state.proofs.items()
        if version not in gone
    }
    duels = {pair: duel for pair, duel in state.duels.items() if gone.isdisjoint(pair.split("/"))}
    beaten = {
        v: {u: nats for u, nats in by.items() if u not in gone} for v, by in state.beaten.items() if v not in gone
    }
    return replace(
        state,
        proofs=proofs,
        duels=duels,
        beaten={v: by for v, by in beaten.items() if by},
        evidence=evidence,
        totals={v: counts for v, counts in state.totals.items() if v not in gone},
        fresh={v: counts for v, counts in state.fresh.items() if v not in gone},
        mismatch={} if BASELINE in gone else {v: m for v, m in state.mismatch.items() if v not in gone},
    )
