"""All that a home said while a test ran: every state of its experiments, every split, every event.

What must hold whatever happens is checked as it comes in, and collected in `odd`: weights add up to 100, iterations
never go backwards, none is skipped, and none but the last is counted before its interval is over: none counts twice.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from typing import Any

from serin.api.durations import seconds
from serin.home.client import HomeClient
from serin.ports import EVENT, EXPERIMENT, VIRTUAL_SERVICE, Change, Object

_SLACK = 0.001
"""Seconds by which two times that went through JSON may differ."""


@dataclass(frozen=True, slots=True)
class Said:
    """One state of an experiment, and when it was seen."""

    at: float
    name: str
    status: Object

    @property
    def message(self) -> str:
        return str(self.status.get("message", ""))

    @property
    def iteration(self) -> int:
        return int(self.status.get("currentIteration", 0))

    @property
    def ending(self) -> bool:
        """Whether its end is decided."""
        return bool((self.status.get("analysisState") or {}).get("ending"))

    @property
    def requests(self) -> float:
        """Requests of all versions that were taken into account."""
        assessment = self.status.get("assessment") or {}
        versions = [assessment["baseline"], *assessment["candidates"]] if assessment else []
        return float(sum(version["request_count"] or 0 for version in versions))


class Story:
    """Follows one home, also from one life of it to the next."""

    def __init__(self, client: HomeClient) -> None:
        self._client = client
        self.said: list[Said] = []
        self.events: list[str] = []
        self.splits: list[dict[str, int]] = []
        self.odd: list[str] = []
        self.synced = asyncio.Event()

    async def watch(self) -> None:
        """Follow until cancelled."""
        async for event in self._client.watch(EXPERIMENT, VIRTUAL_SERVICE, EVENT):
            if event.change is Change.SYNCED:
                self.synced.set()
            if event.change in (Change.SYNCED, Change.DELETED):
                continue
            kind, obj = event.object["kind"], event.object
            if kind == EXPERIMENT.name:
                self._take(obj)
            elif kind == VIRTUAL_SERVICE.name:
                self._compare(obj)
            else:
                self.events.append(f"{obj['involvedObject']['name']} {obj['reason']}: {obj['message']}")

    def last(self, name: str = "rollout") -> Said:
        """The latest state of an experiment; an empty one before the first."""
        return next((said for said in reversed(self.said) if said.name == name), Said(0.0, name, {}))

    def heard(self, pattern: str, since: int = 0, name: str = "rollout") -> Said | None:
        """The first state from number `since` on whose message matches."""
        matching = (s for s in self.said[since:] if s.name == name and re.search(pattern, s.message))
        return next(matching, None)

    def event(self, pattern: str) -> str | None:
        """The first event that matches `OBJECT REASON: MESSAGE`."""
        return next((line for line in self.events if re.search(pattern, line)), None)

    def tail(self) -> str:
        """The last words, for an assertion that fails."""
        messages = list(dict.fromkeys(f"{said.name}: {said.message}" for said in self.said[-30:]))
        return "\n  ".join(["", *messages[-8:], *self.events[-12:]])

    def _take(self, obj: Object) -> None:
        said = Said(time.time(), obj["metadata"]["name"], obj.get("status") or {})
        before = self.last(said.name)
        self.said.append(said)
        step = said.iteration - before.iteration
        if before.status and step not in (0, 1):
            self.odd.append(f"iteration {before.iteration} was followed by {said.iteration}")
        took = _iterated(said.status) - _iterated(before.status)
        if (
            before.status
            and step == 1
            and not said.ending
            and took + _SLACK < seconds(obj["spec"]["duration"]["interval"])
        ):
            self.odd.append(f"iteration {said.iteration} was counted {took:.3f} s after the one before")

    def _compare(self, obj: Object) -> None:
        for route in obj["spec"]["http"]:
            split: dict[str, int] = {}
            for entry in route["route"]:
                subset = entry["destination"]["subset"]
                split[subset] = split.get(subset, 0) + entry.get("weight", 100)
            self.splits.append(split)
            if sum(split.values()) != 100:
                self.odd.append(f"weights {split}")


def _iterated(status: dict[str, Any]) -> float:
    return float((status.get("analysisState") or {}).get("iteratedAt", 0.0))
