"""What a play was: the outcome, its reasons and the traffic, for people and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    """One play. `seconds`: from applying the experiment to its end."""

    scenario: Scenario
    experiment: Object
    seconds: float
    traffic: LoadReport
    weights: Sequence[Moment]

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
        answered = sum(self.traffic.by_version.values())
        return self.traffic.by_version.get(self.scenario.candidate, 0) / answered if answered else 0.0

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
            by_itself = self.traffic.failed_by_version.get(self.scenario.candidate, 0)
        return self.traffic.failed - by_itself

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
                "total": self.traffic.sent,
                "failed": self.traffic.failed,
                "lost": self.lost,
                "by_version": dict(self.traffic.by_version),
                "failed_by_version": dict(self.traffic.failed_by_version),
            },
            "latency_ms": self.traffic.to_json()["latency_ms"],
            "candidate_share": round(self.candidate_share, 4),
            "weights": [{"seconds": round(moment.seconds, 1), **moment.weights} for moment in self.weights],
            "as_expected": self.as_expected,
        }

    def summary(self) -> list[str]:
        """The last lines, for people."""
        told = self.to_json()
        versions = ", ".join(f"{name} {count}" for name, count in told["requests"]["by_version"].items())
        rows = [
            ("outcome", f"{told['message']}; winner {self.winner or 'none'}"),
            *(("why", reason) for reason in told["reasons"]),
            ("requests", f"{told['requests']['total']} sent, {told['requests']['failed']} failed, {self.lost} lost"),
            ("by version", f"{versions}; the candidate had {self.candidate_share:.1%}"),
            ("time", f"{told['iterations']} iterations in {self.seconds:.0f} s"),
        ]
        if self.traffic.failed > self.lost:
            count = self.traffic.failed - self.lost
            rows.insert(-2, ("", f"{count} were answered with an error by the failing candidate itself"))
        return [f"  {name:<11}{text}" for name, text in rows]


def as_json(reports: Sequence[Report]) -> dict[str, Any]:
    """The whole report: one entry a scenario under `scenarios`; a single one also at the top."""
    entries = [report.to_json() for report in reports]
    return {**(entries[0] if len(entries) == 1 else {}), "scenarios": entries}
