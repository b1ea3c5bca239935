"""What holds for all tests."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says something about the machine, nothing about the law.
settings.register_profile("serin", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("serin")


@pytest.hookimpl
def pytest_configure() -> None:
    """Without a word about the event loop, pytest-asyncio asks asyncio for one, gets a new one and never closes it."""
    asyncio.set_event_loop(None)
