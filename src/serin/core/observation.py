"""Raw cumulative counters, and the increments between two readings of them.

Readings may be late, missing, repeated or out of order; counters may start anew, instances come and go. What two
readings cannot tell is left out (absent is unknown, never 0), and a reading that contradicts itself is a gap.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from serin.core.model import Measure, MeasureKind

_ROUNDING = 1e-9
"""Relative slack of `part <= whole`: counters are floats on their way to us."""

_NOISE = 0.5
"""A computed counter that fell to less than this part of itself has lost its past; see `Fall.NOISE`."""

AWAY = 8
"""Instances that are remembered while they are not seen; more of them are pods that went for good."""


_Key = tuple[str, str, str]


class Fall(StrEnum):
    """What it means that a counter is lower than at the reading before.

    ANEW    it began anew at 0: its value is what it has counted since
    LOST    it is a sum of which a part may be gone, or it began anew; which cannot be told, and neither can what was
            counted in between: nothing is, and the lower value is the new origin
    NOISE   it is computed, and its computation wavers: nothing was counted, and the higher value stays the origin, so
            that no wave is counted twice; lower than half of it the past itself is lost, as by LOST
    """

    ANEW = "anew"
    LOST = "lost"
    NOISE = "noise"


@dataclass(frozen=True, slots=True)
class Series:
    """One cumulative counter of one version as one instance of the source showed it.

    instance   who counted, e.g. a proxy's start; another name means another origin
    started    when that instance began to count from 0 (epoch seconds), None when unknown
    value      cumulative, >= 0; a NaN is dropped by whoever reads
    fall       what a value lower than before means
    """

    version: str
    counter: str
    instance: str
    value: float
    started: float | None = None
    fall: Fall = Fall.ANEW


@dataclass(frozen=True)
class Snapshot:
    """All counters of one experiment at one evaluation time. Without slots: what follows from it is found once.

    time       epoch seconds of the evaluation, strictly rising from reading to reading; a repeated one changes nothing
    families   counters whose family the source has shown for any version: an absent series of these is 0 so far,
               of others it is unknown
    """

    time: float
    series: tuple[Series, ...]
    families: frozenset[str] = frozenset()

    @cached_property
    def values(self) -> Mapping[_Key, float]:
        """The counters by version, counter and instance; what a source shows in parts is added up."""
        values: dict[_Key, float] = {}
        for s in self.series:
            key = (s.version, s.counter, s.instance)
            values[key] = values.get(key, 0.0) + s.value
        return values

    @cached_property
    def falls(self) -> Mapping[_Key, Fall]:
        """What a fall of each counter means."""
        return {(s.version, s.counter, s.instance): s.fall for s in self.series}


@dataclass(frozen=True, slots=True)
class Increments:
    """What was counted between two readings: version id -> counter name -> increment >= 0. Absent is unknown, not 0.

    seconds    between the two evaluation times
    gap        why this reading must not be used, or None
    restarted  whether a counter fell and got a new origin: what it had counted since the reading before is lost
    """

    time: float
    seconds: float
    counts: Mapping[str, Mapping[str, float]]
    gap: str | None = None
    restarted: bool = False


def increments(
    before: Snapshot | None, after: Snapshot, versions: Iterable[str], measures: Iterable[Measure] = ()
) -> Increments:
    """What each of `versions` counted between two readings, by the raw counters of each instance.

    A counter that fell has begun anew, and all others of its instance with it: its value is what it counted since (or
    as its `fall` says). A series seen for the first time counts from 0 if its instance and its family are known (a
    response code appears with its first response) or if its instance began after the reading before; otherwise its
    first sight is its origin. A series that is gone keeps what it had, and brings what it counted meanwhile when it
    comes back. The first reading of all (`before` is None) is the origin of everything. `measures` are the ones that
    must not contradict themselves.

    A reading that shows some families and lacks others that were there is a gap: the next one would bring the errors of
    two readings beside the requests of one.
    """
    if before is None:
        return Increments(after.time, 0.0, {})
    seconds = after.time - before.time
    unusable = next((s for s in after.series if not (math.isfinite(s.value) and s.value >= 0.0)), None)
    if unusable is not None:
        text = f"{unusable.counter} of {unusable.version} reads {unusable.value}, which is no count"
        return Increments(after.time, seconds, {}, gap=text)
    if after.families and (missing := before.families - after.families):
        text = f"{', '.join(sorted(missing))} cannot be read, while {', '.join(sorted(after.families))} can"
        return Increments(after.time, seconds, {}, gap=text)

    values, falls = before.values, after.falls
    known = {s.instance for s in before.series}
    began = {s.instance: s.started for s in after.series if s.started is not None}
    anew = _begun_anew(values, after)
    counts: dict[str, dict[str, float]] = {v: dict.fromkeys(sorted(after.families), 0.0) for v in versions}
    restarted = False
    for key, value in after.values.items():
        version, counter, instance = key
        if version not in counts:
            continue
        last = values.get(key)
        if instance in anew and falls[key] is Fall.ANEW:
            step = value
        elif last is None:
            born = began.get(instance, -math.inf) >= before.time
            step = value if born or (instance in known and counter in before.families) else 0.0
        else:
            step = max(0.0, value - last)
            restarted = restarted or (value < last and not _wavers(falls[key], last, value))
        counts[version][counter] = counts[version].get(counter, 0.0) + step
    return Increments(after.time, seconds, counts, _contradiction(counts, measures), restarted or bool(anew))


def _begun_anew(values: Mapping[_Key, float], after: Snapshot) -> frozenset[str]:
    """The instances of which a counter fell that only a new beginning makes fall."""
    fallen = (key for key, value in after.values.items() if value < values.get(key, 0.0))
    return frozenset(key[2] for key in fallen if after.falls[key] is Fall.ANEW)


def origin(before: Snapshot | None, after: Snapshot, found: Increments) -> Snapshot:
    """What the next reading is to be compared with: bounded by what the source shows now, and AWAY instances more.

    A gap keeps the old origin, so that the next reading brings what this one could not (two counters read at slightly
    different moments agree again) unless a counter began anew: then the part that is lost cannot be told any more.
    What is missing is kept, for it may come back with its old count: a series, or a whole instance that could not be
    scraped. When too many instances are away, all of those are forgotten. The higher value of a computed counter that
    wavers is kept, too. A source that shows nothing at all has forgotten no family and no instance.
    """
    if before is not None and found.gap is not None and not found.restarted:
        return before
    values = {} if before is None else dict(before.values)
    here = {s.instance for s in after.series}
    if here and len({instance for _, _, instance in values} - here) > AWAY:
        values = {key: value for key, value in values.items() if key[2] in here}
    for key, value in after.values.items():
        if math.isfinite(value) and value >= 0.0 and not _wavers(after.falls[key], values.get(key, 0.0), value):
            values[key] = value
    series = tuple(Series(v, c, i, x) for (v, c, i), x in sorted(values.items()))
    families = after.families or (frozenset() if before is None else before.families)
    return Snapshot(after.time, series, families)


def _wavers(fall: Fall, last: float, value: float) -> bool:
    """Whether a computed counter is lower than before, but not so much that it has lost its past."""
    return fall is Fall.NOISE and last * _NOISE <= value < last


def _contradiction(counts: Mapping[str, Mapping[str, float]], measures: Iterable[Measure]) -> str | None:
    """A share of requests above one, in words; None when every increment can be true."""
    for measure in measures:
        if measure.kind is not MeasureKind.RATE or measure.denominator is None:
            continue
        for version, seen in sorted(counts.items()):
            part, whole = seen.get(measure.numerator), seen.get(measure.denominator)
            if part is not None and whole is not None and part > whole * (1.0 + _ROUNDING):
                return f"{version} counted {part:g} {measure.numerator} of {whole:g} {measure.denominator}"
    return None
