"""What holds for all tests."""

from __future__ import annotations

import asyncio

import pytest


@pytest.hookimpl
def pytest_configure() -> None:
    """Without a word about the event loop, pytest-asyncio asks asyncio for one, gets a new one and never closes it."""
    asyncio.set_event_loop(None)
