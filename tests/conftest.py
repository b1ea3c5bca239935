"""What holds for all tests."""

from __future__ import annotations

import asyncio
import signal

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says something about the machine, nothing about the law.
settings.register_profile("serin", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("serin")


@pytest.hookimpl
def pytest_configure() -> None:
    """Two things that are inherited.

    Without a word about the event loop, pytest-asyncio asks asyncio for one, gets a new one, never closes it. And who
    was started in the background of a script ignores Ctrl-C, with all that he starts: the programs under test too.
    """
    asyncio.set_event_loop(None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
