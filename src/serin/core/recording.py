"""What an experiment was told, step by step, so that it can be lived through again: see `replay`.

A step is an input of the core (a reading, an iteration with what it knew of its surroundings, a version that was
replaced) together with what came of it. As plain JSON values a step is a few numbers: the counters of a reading, with
null where one has not moved.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from serin.core.model import Decision, Finding, Outcome, Reason
from serin.core.observation import Fall, Series, Snapshot
from serin.core.policies import Surroundings
from serin.core.state import State
from serin.errors import InvalidInput

FORMAT = 1
"""Rises when a step changes its meaning; a newer recording is refused, never guessed at."""

Raw = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Planned:
    """From here on the experiment is this one; `document` is its object, opaque to the core."""

    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Restored:
    """The experiment goes on from this state: at its begin, and where a later process took it over."""

    state: str


@dataclass(frozen=True, slots=True)
class Read:
    """One reading; `decision` and `digest` (of the state after it) where it has proven a violation."""

    snapshot: Snapshot
    decision: Decision | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Iterated:
    """One iteration, what was decided, and the digest of the state after it."""

    time: float
    around: Surroundings
    decision: Decision
    digest: str


@dataclass(frozen=True, slots=True)
class Forgotten:
    """These versions were replaced by other programs."""

    versions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Routed:
    """Proxies route by the weights from this time on, which is later than they were decided."""

    time: float


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing more was recorded, and why: it was ended by hand, or the recording is as long as it may be."""

    why: str


Step = Planned | Restored | Read | Iterated | Forgotten | Routed | Ended


def digest(state: State) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a state's bytes."""
    return hashlib.sha256(state.to_json().encode()).hexdigest()[:16]


class Writer:
    """Steps to plain JSON values, one after the other: a reading is told by how it differs from the one before."""

    def __init__(self) -> None:
        self._shape: list[list[Any]] | None = None
        self._values: list[float] = []

    def write(self, step: Step) -> Raw:
        """One step."""
        match step:
            case Planned(document):
                return {"plan": dict(document)}
            case Restored(state):
                return {"restored": state}
            case Read():
                return self._read(step)
            case Iterated(time, around, decision, found):
                surroundings = [sorted(around.ready), dict(around.failed), around.waiting]
                return {"iterate": time, "around": surroundings, "decision": _raw(decision), "state": found}
            case Forgotten(versions):
                return {"forget": list(versions)}
            case Routed(time):
                return {"routed": time}
            case Ended(why):
                return {"ended": why}

    def forget(self) -> None:
        """Tell the next reading in full: what was written since may never be read."""
        self._shape = None

    def _read(self, step: Read) -> Raw:
        series = step.snapshot.series
        shape: list[list[Any]] = [sorted(step.snapshot.families)]
        shape += [[s.version, s.counter, s.instance, _number(s.started), str(s.fall)] for s in series]
        values = [s.value for s in series]
        raw: Raw = {"read": step.snapshot.time}
        if shape != self._shape:
            raw["series"] = shape
            raw["values"] = [_number(x) for x in values]
        else:
            raw["values"] = [None if x == y else _number(x) for x, y in zip(values, self._values, strict=True)]
        self._shape, self._values = shape, values
        if step.decision is not None:
            raw |= {"decision": _raw(step.decision), "state": step.digest}
        return raw


def read(raws: Iterable[Mapping[str, Any]]) -> Iterator[Step]:
    """The steps that `Writer` has written. Raises InvalidInput with the number of the step that is none."""
    shape: list[Any] = [[]]
    values: list[float] = []
    for number, raw in enumerate(raws, start=1):
        try:
            if "read" in raw:
                given = [_float(x) for x in raw["values"]]
                before = given if "series" in raw else values
                shape = raw.get("series", shape)
                values = [_moved(x, y) for x, y in zip(given, before, strict=True)]
                yield _reading(raw, shape, values)
            else:
                yield _step(raw)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidInput(f"step {number} of the recording cannot be read ({error!r}); record anew") from error


def _moved(now: float | None, before: float | None) -> float:
    """The value of a counter; null is 'as before'."""
    if (value := before if now is None else now) is None:
        raise ValueError("null in the first reading of a counter")
    return value


def _reading(raw: Mapping[str, Any], shape: list[Any], values: list[float]) -> Read:
    families, *keys = shape
    series = tuple(
        Series(version, counter, instance, value, _float(started), Fall(fall))
        for (version, counter, instance, started, fall), value in zip(keys, values, strict=True)
    )
    decision = _decision(raw["decision"]) if "decision" in raw else None
    return Read(Snapshot(float(raw["read"]), series, frozenset(families)), decision, raw.get("state"))


def _step(raw: Mapping[str, Any]) -> Step:
    if "iterate" in raw:
        ready, failed, waiting = raw["around"]
        around = Surroundings(frozenset(ready), dict(failed), waiting)
        return Iterated(float(raw["iterate"]), around, _decision(raw["decision"]), str(raw["state"]))
    if "plan" in raw:
        return Planned(dict(raw["plan"]))
    if "restored" in raw:
        return Restored(str(raw["restored"]))
    if "forget" in raw:
        return Forgotten(tuple(raw["forget"]))
    if "routed" in raw:
        return Routed(float(raw["routed"]))
    return Ended(str(raw["ended"]))


def _raw(decision: Decision) -> Raw:
    return {
        "weights": dict(decision.weights),
        "outcome": str(decision.outcome),
        "counted": decision.counted,
        "held": decision.held,
        "winner": decision.winner,
        "best": decision.best,
        "findings": [[str(f.reason), f.text, f.version, f.criterion] for f in decision.findings],
    }


def _decision(raw: Mapping[str, Any]) -> Decision:
    findings = tuple(Finding(Reason(reason), text, version, c) for reason, text, version, c in raw["findings"])
    return Decision(
        {str(v): int(w) for v, w in raw["weights"].items()},
        Outcome(raw["outcome"]),
        bool(raw["counted"]),
        bool(raw["held"]),
        raw["winner"],
        str(raw["best"]),
        findings,
    )


def _number(x: float | None) -> float | str | None:
    """A number as JSON has it; those that it has not as text."""
    return x if x is None or math.isfinite(x) else str(x)


def _float(x: float | str | None) -> float | None:
    return float(x) if isinstance(x, str) else x
