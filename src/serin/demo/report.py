"""What a play was: the outcome, its reasons and the traffic, for people and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from serin.demo.scenarios import Scenario
from serin.load.report import LoadReport
from serin.ports import Object


@dataclass(frozen=True, slots=True)
class Moment:
    """The weights in effect from so many seconds after the experiment was applied: version name -> percent."""

    seconds: float
    weights: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Report:
    """One play. `seconds`: from applying the experiment to its end.

    traffic   everybody's requests, but for those of `groups`: the header of who takes part -> their requests
    """

    scenario: Scenario
    experiment: Object
    seconds: float
    traffic: LoadReport
    weights: Sequence[Moment]
    groups: Mapping[str, LoadReport] = field(default_factory=dict)

    @property
    def status(self) -> Object:
        """The experiment's status."""
        status: Object = self.experiment.get("status") or {}
        return status

    @property
    def winner(self) -> str | None:
        """The name of the declared winner."""
        winner = (self.status.get("assessment") or {}).get("winner") or {}
        return winner.get("name") if winner.get("winning_version_found") else None

    @property
    def candidate_share(self) -> float:
        """The candidate's share of all requests that were answered."""
        answered = sum(self.by_version.values())
        return self.by_version.get(self.scenario.candidate, 0) / answered if answered else 0.0

    @property
    def streams(self) -> tuple[LoadReport, ...]:
        """Everybody's."""
        return (self.traffic, *self.groups.values())

    @property
    def by_version(self) -> Mapping[str, int]:
        """Version -> answers, everybody's."""
        return _sum(stream.by_version for stream in self.streams)

    @property
    def failed(self) -> int:
        """Requests that failed, everybody's."""
        return sum(stream.failed for stream in self.streams)

    @property
    def as_expected(self) -> bool:
        """Whether the outcome is the scenario's: its winner, everything on it, and no request lost on the way."""
        final = self.weights[-1].weights if self.weights else {}
        return (
            self.status.get("phase") == "Completed"
            and self.winner == self.scenario.winner
            and {name: weight for name, weight in final.items() if weight} == {self.scenario.winner: 100}
            and self.lost == 0
        )

    @property
    def lost(self) -> int:
        """Requests that failed, but for the errors that a failing candidate answers itself."""
        by_itself = 0
        if self.scenario.winner != self.scenario.candidate:
            by_itself = sum(stream.failed_by_version.get(self.scenario.candidate, 0) for stream in self.streams)
        return self.failed - by_itself

    def to_json(self) -> dict[str, Any]:
        """The report of one scenario."""
        return {
            "scenario": self.scenario.name,
            "phase": self.status.get("phase"),
            "message": self.status.get("message"),
            "winner": self.winner,
            "outcome": self.status.get("outcome"),
            "reasons": [reason["text"] for reason in self.status.get("reasons") or ()],
            "iterations": self.status.get("currentIteration"),
            "seconds": round(self.seconds, 1),
            "requests": {
                "total": sum(stream.sent for stream in self.streams),
                "failed": self.failed,
                "lost": self.lost,
                "by_version": dict(self.by_version),
                "failed_by_version": dict(_sum(stream.failed_by_version for stream in self.streams)),
                **({"groups": {name: dict(g.by_version) for name, g in self.groups.items()}} if self.groups else {}),
            },
            **({"feedback": self.traffic.feedback.to_json()} if self.traffic.feedback else {}),
            "latency_ms": self.traffic.to_json()["latency_ms"],
            "candidate_share": round(self.candidate_share, 4),
            "weights": [{"seconds": round(moment.seconds, 1), **moment.weights} for moment in self.weights],
            "as_expected": self.as_expected,
        }

    @property
    def _part(self) -> str:
        if self.scenario.candidate_file is None:
            return "there was no candidate"
        return f"the candidate had {self.candidate_share:.1%}"

    @property
    def _told(self) -> list[tuple[str, str]]:
        """Who answered whom where not everybody takes part, and how often each version was right."""
        rows = []
        if self.groups:
            streams = {**self.groups, "all others": self.traffic}
            for name, stream in streams.items():
                versions = ", ".join(f"{version} {count}" for version, count in stream.by_version.items())
                rows.append(("", f"{name}: {versions}"))
        if (told := self.traffic.feedback) is not None:
            right = ", ".join(
                f"{v} {told.correct[v] / judged:.1%} of {judged}" for v, judged in sorted(told.judged.items())
            )
            rows.append(("right", f"{right}; {told.sent} labels told, {told.failed} failed"))
        return rows

    def summary(self) -> list[str]:
        """The last lines, for people."""
        told = self.to_json()
        versions = ", ".join(f"{name} {count}" for name, count in told["requests"]["by_version"].items())
        rows = [
            ("outcome", f"{told['message']}; winner {self.winner or 'none'}"),
            *(("why", reason) for reason in told["reasons"]),
            ("requests", f"{told['requests']['total']} sent, {told['requests']['failed']} failed, {self.lost} lost"),
            ("by version", f"{versions}; {self._part}"),
            *self._told,
            ("time", f"{told['iterations']} iterations in {self.seconds:.0f} s"),
        ]
        if self.failed > self.lost:
            count = self.failed - self.lost
            rows.insert(-2, ("", f"{count} were answered with an error by the failing candidate itself"))
        return [f"  {name:<11}{text}" for name, text in rows]


def _sum(counts: Iterable[Mapping[str, int]]) -> Mapping[str, int]:
    """Counts of several streams as one."""
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(sorted(total.items()))


def as_json(reports: Sequence[Report]) -> dict[str, Any]:
    """The whole report: one entry a scenario under `scenarios`; a single one also at the top."""
    entries = [report.to_json() for report in reports]
    return {**(entries[0] if len(entries) == 1 else {}), "scenarios": entries}
