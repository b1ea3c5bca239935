"""One home for all kinds, and a place in it for each test."""

from __future__ import annotations

import asyncio
import hashlib
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import yaml

from serin.home.client import HomeClient
from tests.kinds.place import Place
from tests.survival.house import House


@pytest.fixture(scope="session")
def house() -> Iterator[House]:
    """A home as `serin up` starts it; at the end nothing of it is left."""
    with tempfile.TemporaryDirectory(prefix="serin-", dir="/tmp") as folder:
        found = House(Path(folder))
        shop = [sys.executable, "-S", str(Path(__file__).with_name("shop.py"))]
        collector = [
            sys.executable,
            "-m",
            "serin",
            "serve",
            "--model-name",
            "m",
            "--feedback-only",
            "--host",
            "$(POD_IP)",
        ]
        images = {"shop:*": {"entrypoint": shop}, "collector:*": {"entrypoint": collector}}
        found.images.write_text(yaml.safe_dump({"images": images}))
        asyncio.run(found.up())
        yield found
        assert asyncio.run(found.end()) == []


def namespace_of(test: str) -> str:
    """The beginning of the test's name, and a few digits that keep its parameters apart: two of them share no place."""
    words = re.sub(r"[^a-z0-9]+", "-", test.removeprefix("test_").lower()).strip("-")[:30].strip("-")
    return f"{words}-{hashlib.sha256(test.encode()).hexdigest()[:6]}"


@pytest.fixture
async def place(house: House, request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """A namespace named after the test."""
    client = HomeClient(house.folder)
    here = Place(house, client, namespace_of(request.node.name))
    try:
        yield here
        await here.leave()
    finally:
        await client.aclose()
