"""How long ago, as kubectl says it: `45s`, `3m20s`, `5h`, `2d4h`."""

from __future__ import annotations

from datetime import datetime

UNKNOWN = "<unknown>"


def age(timestamp: object, now: float) -> str:
    """The time since an RFC 3339 timestamp, `<unknown>` when there is none. `now` is epoch seconds."""
    since = seconds_at(timestamp)
    return UNKNOWN if since is None else duration(now - since)


def seconds_at(timestamp: object) -> float | None:
    """Epoch seconds of an RFC 3339 timestamp; None when it is none."""
    if not isinstance(timestamp, str):
        return None
    try:
        return datetime.fromisoformat(timestamp).timestamp()
    except ValueError:
        return None


def duration(seconds: float) -> str:
    """A duration with at most two units, as Kubernetes' `duration.HumanDuration` rounds it."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 120:
        return f"{max(whole, 0)}s"
    minutes, hours = whole // 60, whole // 3600
    if minutes < 10:
        return f"{minutes}m" + _rest(whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h" + _rest(minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 24 * 8:
        return f"{hours // 24}d" + _rest(hours % 24, "h")
    if hours < 24 * 365 * 2:
        return f"{hours // 24}d"
    years, days = divmod(hours // 24, 365)
    return f"{years}y" + (_rest(days, "d") if years < 8 else "")


def _rest(value: int, unit: str) -> str:
    return f"{value}{unit}" if value else ""
