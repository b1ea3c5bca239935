"""Scenes for tests; short folders, since a unix socket's address holds a hundred letters."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.survival.scene import Scene, playing


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short path."""
    with tempfile.TemporaryDirectory(prefix="serin-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
async def scene(short: Path) -> AsyncIterator[Scene]:
    """A home with a service, its baseline and the way in."""
    async with playing(short) as scene:
        yield scene
