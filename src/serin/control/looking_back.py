"""What the baseline of an experiment has counted so far, for whoever plans it. Nothing is started or written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from serin.api.v1alpha2 import convert, validation
from serin.control.telemetry import installed
from serin.core.evidence.contract import UNIT
from serin.core.model import BASELINE
from serin.core.observation import Snapshot
from serin.core.recording import Read, Writer
from serin.errors import InvalidInput
from serin.ports import Clock, History, Metrics, Object, Objects

LONGEST = 3600.0
"""Seconds that are looked back."""


async def baseline(objects: Objects, metrics: Metrics, clock: Clock, experiment: Object) -> list[dict[str, Any]]:
    """The counters of the experiment's baseline in the past and now, as steps of a recording, the oldest first.

    Raises InvalidInput for a wrong experiment or a metric that cannot be read, ProviderError when the source does not
    answer.
    """
    loaded = validation.load(experiment)
    known = convert.definitions(loaded) or await installed(objects)
    problems = validation.metric_problems(loaded, known)
    if problems:
        raise InvalidInput("; ".join(str(problem) for problem in problems))
    request = convert.read_request(loaded, known, clock.now())
    request = replace(request, versions={BASELINE: request.versions[BASELINE]})
    for counter in request.counters:
        if refusal := metrics.check(counter):
            raise InvalidInput(refusal)
    kept = list(await metrics.history(request, LONGEST, UNIT)) if isinstance(metrics, History) else []
    (now,) = await metrics.read([request])
    if isinstance(now, Exception):
        raise now
    return _steps([*sorted(kept, key=lambda snapshot: snapshot.time), now])


def _steps(snapshots: Sequence[Snapshot]) -> list[dict[str, Any]]:
    writer = Writer()
    return [writer.write(Read(snapshot)) for snapshot in snapshots]
