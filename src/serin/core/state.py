"""What an experiment must remember from one reading to the next, and its canonical JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from serin.core.evidence import criterion as judged
from serin.core.evidence.criterion import Evidence
from serin.core.evidence.duel import Duel
from serin.core.evidence.mismatch import ShareEvidence
from serin.core.model import BASELINE, Criterion, Finding, Outcome, Plan, Reason
from serin.core.observation import Series, Snapshot
from serin.errors import InvalidInput

FORMAT = 2
"""Rises when the JSON changes its meaning; a newer one is refused, never guessed at."""

Raw = Mapping[str, Any]
Counts = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class State:
    """All that must be remembered, small and bounded. `to_json`/`from_json` keep it: same state, same bytes.

    iteration     counted iterations so far
    weights       in effect, whole percents of every version id
    earned        weights by the evidence; others than `weights` only while the baseline cannot take traffic
    carry         what rounding has cost each version so far
    started       epoch seconds of the begin; `iterated` of the last iteration, `moved` of the last change of weights
    read          of the last reading, used or not; None before the first
    last          raw counters that the next reading is compared with
    totals        version id -> counter -> count since the begin, of the requests
    fresh         the same since the last iteration, of all counters; absent is unknown
    pace          trials per second in the interval before the last iteration
    requested     version id -> epoch seconds of the reading that last saw requests of it
    ready         version id -> since when it is ready without a break
    evidence      version id -> criterion id -> evidence, or its JSON as long as nobody has asked for it
    past          criterion id -> what the baseline's history says, as JSON: constant
    proofs        version id -> criterion id -> highest evidence (nats) that the limit is kept, where that is proven
    duels         `later/earlier` version -> who of the two has the better reward, or its JSON
    beaten        version id -> version ids that it is proven to win against -> highest evidence for it, in nats
    mismatch      candidate id -> evidence that requests do not arrive in the shares asked for
    rolled_back   version id -> why
    gaps          readings in a row that could not be used; `gap` says why the last one could not
    outcome       RUNNING until the end; `winner` with it
    """

    iteration: int
    weights: Mapping[str, int]
    earned: Mapping[str, int]
    started: float
    iterated: float
    moved: float
    carry: Mapping[str, float] = field(default_factory=dict)
    read: float | None = None
    last: Snapshot | None = None
    totals: Counts = field(default_factory=dict)
    fresh: Counts = field(default_factory=dict)
    pace: Counts = field(default_factory=dict)
    requested: Mapping[str, float] = field(default_factory=dict)
    ready: Mapping[str, float] = field(default_factory=dict)
    evidence: Mapping[str, Mapping[str, Evidence | Raw]] = field(default_factory=dict)
    past: Mapping[str, Raw] = field(default_factory=dict)
    proofs: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    duels: Mapping[str, Duel | Raw] = field(default_factory=dict)
    beaten: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    mismatch: Mapping[str, ShareEvidence] = field(default_factory=dict)
    rolled_back: Mapping[str, Finding] = field(default_factory=dict)
    gaps: int = 0
    gap: str = ""
    outcome: Outcome = Outcome.RUNNING
    winner: str | None = None
    _text: str | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def ended(self) -> bool:
        """Whether the experiment is over."""
        return self.outcome is not Outcome.RUNNING

    def to_json(self) -> str:
        """Canonical JSON (sorted keys, no spaces, shortest floats), with a format version in it; made once."""
        if self._text is None:
            object.__setattr__(self, "_text", self._encoded())  # a state never changes: neither does its text
        assert self._text is not None
        return self._text

    def _encoded(self) -> str:
        plain = {
            "format": FORMAT,
            "iteration": self.iteration,
            "weights": dict(self.weights),
            "earned": dict(self.earned),
            "carry": dict(self.carry),
            "times": [self.started, self.iterated, self.moved, self.read],
            "last": None if self.last is None else _raw_snapshot(self.last),
            "totals": {v: dict(c) for v, c in self.totals.items()},
            "fresh": {v: dict(c) for v, c in self.fresh.items()},
            "pace": {v: dict(c) for v, c in self.pace.items()},
            "requested": dict(self.requested),
            "ready": dict(self.ready),
            "evidence": {v: {c: _raw_evidence(e) for c, e in by.items()} for v, by in self.evidence.items()},
            "past": {c: dict(kept) for c, kept in self.past.items()},
            "proofs": {v: dict(by) for v, by in self.proofs.items()},
            "duels": {k: d.to_json() if isinstance(d, Duel) else d for k, d in self.duels.items()},
            "beaten": {v: dict(by) for v, by in self.beaten.items()},
            "mismatch": {v: m.to_json() for v, m in self.mismatch.items()},
            "rolledBack": {v: [f.reason, f.text, f.criterion] for v, f in self.rolled_back.items()},
            "gaps": [self.gaps, self.gap],
            "end": [self.outcome, self.winner],
        }
        return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> State:
        """Raises InvalidInput on a text that is none of ours or from a newer format."""
        try:
            plain = json.loads(text)
            version = plain["format"]
        except (ValueError, TypeError, KeyError) as error:
            raise InvalidInput(
                "status.analysisState is not the state of an experiment; delete it to start anew"
            ) from error
        if version != FORMAT:
            newer = isinstance(version, int) and version > FORMAT
            way_out = "use a newer serin" if newer else "delete the experiment and apply it again"
            raise InvalidInput(
                f"status.analysisState has format {version!r}, this version of serin reads {FORMAT}; {way_out}"
            )
        try:
            return _from_plain(plain)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InvalidInput(f"status.analysisState is damaged ({error!r}); delete it to start anew") from error


def evidence_of(plan: Plan, state: State) -> dict[str, dict[str, Evidence]]:
    """The evidence of every version about every criterion, thawed or begun."""
    return {
        v: {c.id: _thawed(plan, v, c, state.evidence.get(v, {}).get(c.id), state.past.get(c.id)) for c in plan.criteria}
        for v in plan.ids
    }


def per_second(state: State, now: float) -> dict[str, dict[str, float]]:
    """What each version counted a second since the last iteration."""
    seconds = max(now - state.iterated, 1e-3)
    return {v: {c: round(n / seconds, 4) for c, n in counts.items()} for v, counts in state.fresh.items()}


def rate(state: State, version: str, counter: str) -> float:
    """Counts per second at present: of the last whole interval, else of the one that has begun."""
    last = state.pace.get(version, {}).get(counter, 0.0)
    if last > 0.0 or state.read is None or state.read <= state.iterated:
        return last
    return per_second(state, state.read).get(version, {}).get(counter, 0.0)


def _thawed(plan: Plan, version: str, criterion: Criterion, kept: Evidence | Raw | None, past: Raw | None) -> Evidence:
    if isinstance(kept, Evidence):
        return kept
    known = None if past is None else judged.past_from_json(past)
    among, mine = max(1, len(plan.candidates)), version == BASELINE
    if kept is not None:
        return judged.from_json(criterion, plan.analysis, kept, mine, among, known)
    return judged.start(criterion, plan.analysis, _horizon(plan), mine, among, known)


def _horizon(plan: Plan) -> int:
    """Readings to be expected; their cadence is the source's (1 s to 15 s), so this is the middle of what may come."""
    return max(plan.iterations, int(plan.iterations * plan.interval / 5.0))


def _raw_evidence(evidence: Evidence | Raw) -> Raw:
    return evidence.to_json() if isinstance(evidence, Evidence) else evidence


def _raw_snapshot(snapshot: Snapshot) -> dict[str, Any]:
    by_instance: dict[str, dict[str, dict[str, float]]] = {}
    for s in snapshot.series:
        by_instance.setdefault(s.instance, {}).setdefault(s.version, {})[s.counter] = s.value
    return {"time": snapshot.time, "series": by_instance, "families": sorted(snapshot.families)}


def _snapshot(plain: Raw | None) -> Snapshot | None:
    if plain is None:
        return None
    series = (
        Series(version, counter, instance, value)
        for instance, versions in plain["series"].items()
        for version, counters in versions.items()
        for counter, value in counters.items()
    )
    ordered = tuple(sorted(series, key=lambda s: (s.version, s.counter, s.instance)))
    return Snapshot(plain["time"], ordered, frozenset(plain["families"]))


def _from_plain(plain: Raw) -> State:
    started, iterated, moved, read = plain["times"]
    return State(
        iteration=int(plain["iteration"]),
        weights=dict(plain["weights"]),
        earned=dict(plain["earned"]),
        started=started,
        iterated=iterated,
        moved=moved,
        carry=dict(plain["carry"]),
        read=read,
        last=_snapshot(plain["last"]),
        totals={v: dict(c) for v, c in plain["totals"].items()},
        fresh={v: dict(c) for v, c in plain["fresh"].items()},
        pace={v: dict(c) for v, c in plain["pace"].items()},
        requested=dict(plain["requested"]),
        ready=dict(plain["ready"]),
        evidence={v: dict(by) for v, by in plain["evidence"].items()},
        past={c: dict(kept) for c, kept in plain["past"].items()},
        proofs={v: dict(by) for v, by in plain["proofs"].items()},
        duels=dict(plain["duels"]),
        beaten={v: dict(by) for v, by in plain["beaten"].items()},
        mismatch={v: ShareEvidence.from_json(m) for v, m in plain["mismatch"].items()},
        rolled_back={v: Finding(Reason(r), text, v, c) for v, (r, text, c) in plain["rolledBack"].items()},
        gaps=int(plain["gaps"][0]),
        gap=str(plain["gaps"][1]),
        outcome=Outcome(plain["end"][0]),
        winner=plain["end"][1],
    )
