"""Faults for rehearsals: a model server that is slow, fails, crashes or starts late on purpose.

Only predictions are touched; status, metadata and metrics stay as they are, as with a model that is well loaded and
works badly. What is random is drawn from a generator with a seed, so that a rehearsal repeats itself.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from serin.api import durations
from serin.errors import UsageError

_LATENCY = re.compile(r"(?P<mean>[^±+]+)(?:(?:±|\+-|\+/-)(?P<spread>.+))?")
_SHARE = re.compile(r"(\d+(?:\.\d+)?|\.\d+)%")


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong on purpose. latency, spread, start_delay in seconds; errors a share of requests, 0 to 1."""

    latency: float = 0.0
    spread: float = 0.0
    errors: float = 0.0
    crash: bool = False
    start_delay: float = 0.0


def parse(specs: Sequence[str]) -> Faults:
    """Faults of `latency=150ms`, `latency=150ms±50ms`, `errors=20%`, `crash`, `start-delay=15s`. Raises UsageError."""
    faults = Faults()
    seen = set()
    for spec in specs:
        kind, equals, value = spec.partition("=")
        if kind in seen:
            raise UsageError(f"--fault {kind} is given twice; give it once")
        seen.add(kind)
        if kind == "latency" and equals:
            faults = _with_latency(faults, spec, value)
        elif kind == "errors" and equals:
            faults = replace(faults, errors=_share(spec, value))
        elif kind == "start-delay" and equals:
            faults = replace(faults, start_delay=_seconds(spec, value))
        elif kind == "crash" and not equals:
            faults = replace(faults, crash=True)
        else:
            raise UsageError(
                f"--fault '{spec}' is not known; write latency=150ms, latency=150ms±50ms, errors=20%, crash or "
                "start-delay=15s"
            )
    return faults


class Dice:
    """The faults of one request after the other, from a seeded generator: independent, and the same in every run."""

    def __init__(self, faults: Faults, seed: int = 0) -> None:
        self._faults = faults
        self._random = random.Random(seed)

    def latency(self) -> float:
        """Seconds by which the next answer is late, uniform in latency ± spread."""
        faults = self._faults
        return faults.latency + faults.spread * self._random.uniform(-1, 1) if faults.spread else faults.latency

    def fails(self) -> bool:
        """Whether the next request is answered with an error."""
        return self._faults.errors > 0 and self._random.random() < self._faults.errors


def _with_latency(faults: Faults, spec: str, value: str) -> Faults:
    match = _LATENCY.fullmatch(value)
    if match is None:
        raise UsageError(f"--fault '{spec}' has no duration; write latency=150ms or latency=150ms±50ms")
    latency = _seconds(spec, match["mean"])
    spread = _seconds(spec, match["spread"]) if match["spread"] else 0.0
    if spread > latency:
        raise UsageError(f"--fault '{spec}' would answer before it was asked; let the part after ± be the smaller one")
    return replace(faults, latency=latency, spread=spread)


def _seconds(spec: str, value: str) -> float:
    try:
        seconds = durations.seconds(value.strip())
    except ValueError as error:
        raise UsageError(f"--fault '{spec}': {error}") from None
    if seconds < 0:
        raise UsageError(f"--fault '{spec}': a duration cannot be negative; write for example '150ms'")
    return seconds


def _share(spec: str, value: str) -> float:
    match = _SHARE.fullmatch(value.strip())
    share = float(match[1]) / 100 if match else -1.0
    if not 0 <= share <= 1:
        raise UsageError(f"--fault '{spec}' needs a share between 0% and 100%; write for example errors=20%")
    return share
