"""What became of the requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from serin.load.latency import Latencies

CONNECT, TIMEOUT, RESET, PROTOCOL = "connect", "timeout", "reset", "protocol"
UNKNOWN = "unknown"
"""The version of an answer that does not say which it is from."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One request's end: a status (and the version that answered), or the kind of its error.

    body   only where it is wanted
    """

    latency: float
    status: int | None = None
    version: str = UNKNOWN
    error: str | None = None
    body: bytes = b""

    @property
    def failure(self) -> str | None:
        """Why it failed, as its kind: `status 503`, `connect`, …; None when it did not. From 400 on is a failure."""
        if self.error is not None or self.status is None:
            return self.error
        return f"status {self.status}" if self.status >= 400 else None


@dataclass(slots=True)
class FeedbackReport:
    """What became of the labels. By version: how many predictions were judged, and how many of them were right.

    waiting   labels whose time had not come; dropped: those that were one too many
    failed    labels that could not be told, and answers that hold no prediction
    """

    sent: int = 0
    failed: int = 0
    waiting: int = 0
    dropped: int = 0
    judged: Counter[str] = field(default_factory=Counter)
    correct: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "sent": self.sent,
            "failed": self.failed,
            "waiting": self.waiting,
            "dropped": self.dropped,
            "by_version": {
                version: {"judged": judged, "correct": self.correct[version]}
                for version, judged in sorted(self.judged.items())
            },
        }


@dataclass(frozen=True, slots=True)
class LoadReport:
    """Counts since the start. Latencies in milliseconds, of all requests that were answered; None when there are none.

    sent         requests that have ended; under_way: those that have not (in the end: that nobody waited for)
    errors       kind of failure -> how many; adds up to `failed`
    by_version   version -> answers, whatever their status
    feedback     what became of the true labels; None when none are told
    """

    target: str
    seconds: float
    sent: int
    failed: int
    under_way: int
    errors: Mapping[str, int]
    statuses: Mapping[int, int]
    by_version: Mapping[str, int]
    failed_by_version: Mapping[str, int]
    latency: Mapping[str, float | None]
    feedback: FeedbackReport | None = None

    def to_json(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "target": self.target,
            "seconds": round(self.seconds, 3),
            "requests": {
                "total": self.sent,
                "failed": self.failed,
                "under_way": self.under_way,
                "by_version": dict(self.by_version),
                "failed_by_version": dict(self.failed_by_version),
            },
            "errors": dict(self.errors),
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "rate": round(self.sent / self.seconds, 3) if self.seconds > 0 else None,
            "latency_ms": {name: None if v is None else round(v, 3) for name, v in self.latency.items()},
            **({"feedback": self.feedback.to_json()} if self.feedback is not None else {}),
        }


class Tally:
    """Counts answers as they come."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._sent = self._failed = 0
        self._errors: Counter[str] = Counter()
        self._statuses: Counter[int] = Counter()
        self._by_version: Counter[str] = Counter()
        self._failed_by_version: Counter[str] = Counter()
        self._latencies = Latencies()

    def add(self, answer: Answer) -> None:
        """Count one."""
        self._sent += 1
        failure = answer.failure
        if answer.status is not None:
            self._statuses[answer.status] += 1
            self._by_version[answer.version] += 1
            self._latencies.add(answer.latency)
            if failure:
                self._failed_by_version[answer.version] += 1
        if failure:
            self._failed += 1
            self._errors[failure] += 1

    def report(self, seconds: float, started: int) -> LoadReport:
        """How things stand with the requests that have been started."""
        quantiles = {f"p{round(100 * share)}": self._latencies.quantile(share) for share in (0.5, 0.9, 0.99)}
        latencies = {**quantiles, "max": self._latencies.most if self._latencies.count else None}
        latencies["mean"] = self._latencies.mean
        return LoadReport(
            target=self._target,
            seconds=seconds,
            sent=self._sent,
            failed=self._failed,
            under_way=started - self._sent,
            errors=dict(self._errors.most_common()),
            statuses=dict(sorted(self._statuses.items())),
            by_version=dict(sorted(self._by_version.items())),
            failed_by_version=dict(sorted(self._failed_by_version.items())),
            latency={name: None if value is None else value * 1000 for name, value in latencies.items()},
        )
