"""What the versions' state means for an experiment: what to wait for, what has failed, what the evidence is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from serin.api.v1alpha2 import conditions
from serin.api.v1alpha2.conditions import Message
from serin.control.memory import Memory
from serin.control.workloads import Target, Targets
from serin.core.lifecycle import Surroundings
from serin.core.model import BASELINE

SERVICE = "service"
"""What stands for the internal service among the ids of what was seen."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The versions at a turn.

    around      for the core: which versions take traffic, which have failed for good
    trouble     what to wait for, as the status says it; None when all is there
    memory      with what was learned at this look
    replaced    versions whose program is another one than the evidence is about
    wake        seconds until a deadline runs out, None without one
    """

    around: Surroundings
    trouble: Message | None
    memory: Memory
    replaced: frozenset[str]
    wake: float | None


def judge(targets: Targets, memory: Memory, rolled_back: frozenset[str], deadline: float, now: float) -> Standing:
    """Compare what is there with what is remembered. Pure.

    rolled_back   versions that have no part any more: nobody waits for them
    deadline      seconds that a version may exist without being ready
    """
    versions = {v: t for v, t in targets.versions.items() if v not in rolled_back}
    seen = memory.seen | {v for v, t in versions.items() if t.present} | ({SERVICE} if targets.service else set())
    unready = {v: t for v, t in versions.items() if not t.ready and v in seen}
    since = {v: memory.unready_since.get(v, now) for v in unready}
    failed = {v: _failure(versions[v], now - start) for v, start in since.items() if now - start >= deadline}
    replaced = frozenset(
        v for v, t in versions.items() if t.ready and memory.fingerprints.get(v, t.fingerprint) != t.fingerprint
    )
    remaining = [deadline - (now - start) for v, start in since.items() if v not in failed]
    return Standing(
        around=Surroundings(ready=frozenset(v for v, t in versions.items() if _takes_traffic(v, t)), failed=failed),
        trouble=_trouble(targets, versions, seen, frozenset(failed)),
        memory=replace(memory, seen=frozenset(seen), unready_since=since),
        replaced=replaced,
        wake=min(remaining, default=None),
    )


def _takes_traffic(version: str, target: Target) -> bool:
    """A baseline that is being rolled out goes on serving; a candidate must be one program to be judged."""
    return target.serving if version == BASELINE else target.ready


def _failure(target: Target, seconds: float) -> str:
    state = f"not ready ({target.why})" if target.present else "deleted"
    return f"{target.name} has been {state} for {seconds:.0f} s"


def _trouble(
    targets: Targets, versions: Mapping[str, Target], seen: frozenset[str], failed: frozenset[str]
) -> Message | None:
    if not targets.service:
        word = conditions.Target.SERVICE
        return conditions.deleted(word) if SERVICE in seen else conditions.missing(word)
    for version, target in versions.items():
        if version in failed:
            continue
        word = conditions.Target.BASELINE if version == BASELINE else conditions.Target.CANDIDATE
        if not target.present:
            return conditions.deleted(word) if version in seen else conditions.missing(word)
        if not target.ready:
            return conditions.not_ready(word, f"{target.name}: {target.why}")
    return None
