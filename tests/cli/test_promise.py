"""What `describe` says of how much errors scatter, and for what the evidence holds."""

from __future__ import annotations

from serin.cli.describing import _promise

VERSION = {"name": "v2"}


def test_both_guarantees_are_told_with_what_they_rest_on() -> None:
    found = {"dispersion": {"factor": 3.2, "seconds": 120, "history_seconds": 3600}}
    assert _promise(VERSION, found) == (
        "v2: 3.2 events tell as much as one independent one, most so over 2 min, as learned from 60 min of history and "
        "since the start; that holds for the time that was seen, and for the long run as far as bursts and waves are "
        "of a kind seen by now"
    )


def test_without_history_it_says_so_and_without_dispersion_nothing() -> None:
    found = {"dispersion": {"factor": 2, "seconds": 15, "history_seconds": 0}}
    assert "as learned from the start on, without history" in _promise(VERSION, found)
    assert _promise(VERSION, {}) == ""
