"""Who sends requests: everybody, or a group that takes part and all others; and who answers them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path

from serin.demo.scenarios import GROUP, Scenario
from serin.demo.stage import Stage
from serin.errors import SerinError
from serin.load import images
from serin.load.plan import Feedback, LoadPlan, parse_target
from serin.load.report import LoadReport
from serin.load.stream import Load

HOST = "fashionmnist.com"
PATH = "/v1/models/fashionmnist"

Reports = Mapping[str, LoadReport]
"""The stream's name, empty for everybody's (or everybody else's), -> its report."""


class Audience:
    """The streams of a play, from `begin` to `stop`."""

    def __init__(self, scenario: Scenario, stage: Stage, data: Path, rate: float) -> None:
        self._scenario, self._stage, self._data = scenario, stage, data
        if scenario.group is None:
            self._loads = {"": self._load(rate)}
        else:
            header = scenario.group
            self._loads = {
                "": self._load(rate * (1.0 - GROUP)),
                f"{header[0]}: {header[1]}": self._load(rate * GROUP, header),
            }
        self._sending: list[asyncio.Task[LoadReport]] = []

    def begin(self) -> None:
        """Send."""
        self._sending = [asyncio.create_task(load.run(), name="traffic") for load in self._loads.values()]

    def reports(self) -> Reports:
        """How it went so far."""
        return {name: load.report() for name, load in self._loads.items()}

    async def stop(self) -> Reports:
        """Send nothing more, wait for the answers, and say how it went."""
        for load in self._loads.values():
            load.stop()
        return dict(zip(self._loads, [await sending for sending in self._sending], strict=True))

    async def drop(self) -> None:
        """Whatever its state, nothing of it goes on."""
        for load, sending in zip(self._loads.values(), self._sending, strict=False):
            load.drop()
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, SerinError):
                await sending

    def by_hand(self, rate: float) -> list[str]:
        """The commands that send the same."""
        url = f"http://127.0.0.1:{self._stage.port}{PATH}:predict"
        words = f"serin load {url} --host-header {HOST} --images {self._data}"
        if self._scenario.feedback is not None:
            words += f" --feedback {self._scenario.feedback:g}s --feedback-random"
        if self._scenario.group is None:
            return [f"{words} --rate {rate:g}"]
        name, value = self._scenario.group
        return [f"{words} --rate {rate * (1.0 - GROUP):g}", f"{words} --rate {rate * GROUP:g} -H '{name}: {value}'"]

    def _load(self, rate: float, *headers: tuple[str, str]) -> Load:
        address = f"http://127.0.0.1:{self._stage.port}{PATH}"
        feedback = None
        if (delay := self._scenario.feedback) is not None:
            feedback = Feedback(parse_target(f"{address}:feedback"), delay, images.labelled(self._data), random=True)
        return Load(
            LoadPlan(
                target=parse_target(f"{address}:predict"),
                rate=rate,
                method="POST",
                headers=(("Host", HOST), *headers),
                bodies=images.bodies(self._data),
                feedback=feedback,
            )
        )


def since(before: Reports, now: Reports) -> str:
    """One line: what was sent so far, and who answered since `before`."""
    parts = []
    for name, report in now.items():
        earlier = before[name].by_version if name in before else {}
        fresh = {version: count - earlier.get(version, 0) for version, count in report.by_version.items()}
        total = sum(fresh.values())
        shares = ", ".join(f"{version} {count / total:.0%}" for version, count in fresh.items() if count and total)
        parts.append(f"{name + ' ' if name else ''}{shares or 'no answer'}")
    sent, failed = (sum(getattr(report, what) for report in now.values()) for what in ("sent", "failed"))
    return f"{sent} requests, {failed} failed; since the last line: {'; '.join(reversed(parts))}"
