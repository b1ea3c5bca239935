"""Go's duration strings, as Kubernetes objects write them: `15s`, `1h10m10s`, `500ms`."""

from __future__ import annotations

import re

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_WHOLE = re.compile(rf"([+-]?)((?:{_PART.pattern})+)")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")


def seconds(text: str) -> float:
    """Seconds of a Go duration. Raises ValueError with a sentence that says how to write it."""
    if text in ("0", "+0", "-0"):
        return 0.0
    match = _WHOLE.fullmatch(text)
    if match is None:
        if _NUMBER.fullmatch(text):
            raise ValueError(f"'{text}' has no unit; write '{text}s' or '{_minutes(text)}'")
        raise ValueError(f"'{text}' is no duration; write for example '15s', '1m30s' or '500ms'")
    total = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(match[2]))
    return -total if match[1] == "-" else total


def _minutes(number: str) -> str:
    return "1m" if number != "1" else "2m"


def text(value: float) -> str:
    """The Go duration of so many seconds, to the millisecond: 3600 is `1h`, 90 is `1m30s`, 0 is `0s`."""
    sign = "-" if value < 0 else ""
    milliseconds = round(abs(value) * 1000)
    parts = []
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, milliseconds = divmod(milliseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return sign + "".join(parts) if parts else "0s"
