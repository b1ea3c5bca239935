"""Points in time as Kubernetes objects write them: RFC 3339 in UTC, to the second."""

from __future__ import annotations

from datetime import UTC, datetime


def stamp(epoch_seconds: float) -> str:
    """`2021-05-03T10:00:00Z` for epoch seconds; fractions are cut off."""
    return datetime.fromtimestamp(int(epoch_seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def epoch(text: str) -> float:
    """Epoch seconds of a time stamp. Raises ValueError."""
    return datetime.fromisoformat(text).timestamp()
