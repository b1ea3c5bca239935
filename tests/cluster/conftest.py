"""A lab for all tests on a real cluster; each test works in a namespace of its own."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import Lab

from tests import real_parts

HERE = Path(__file__).parent
SERIN = "registry.example/serin:0.1.0"
"""The image of the controller. Under the name in the manifests it is unknown, so that few tests start one."""
SHOP = "shop:1"
"""The image of a version that sells, and counts it on a page of its own."""
_number = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is marked `cluster`."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A running lab. A machine that cannot have one skips the tests, CI fails them."""
    shop = [sys.executable, "-S", str(HERE.parent / "kinds" / "shop.py")]
    lab = Lab(f"test-{os.getpid()}", audit=True, images={SERIN: ["serin"], SHOP: shop})
    with real_parts.needed():
        lab.__enter__()
    try:
        yield lab
    finally:
        lab.close()


@pytest.fixture
def namespace(lab: Lab) -> Iterator[str]:
    """A namespace for one test; it is deleted afterwards, and nobody waits for that."""
    name = f"test-{next(_number)}"
    lab.kubectl_run("create", "namespace", name)
    yield name
    lab.kubectl_run("delete", "namespace", name, "--wait=false")
