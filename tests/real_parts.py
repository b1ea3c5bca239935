"""Real parts that a machine may lack: a person's run skips their tests with the reason, CI fails them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from lab import CannotHaveLab


@contextmanager
def needed() -> Iterator[None]:
    """Around whatever fetches, builds or starts a real part."""
    try:
        yield
    except CannotHaveLab as error:
        _missing(error)


def kubectl() -> str:
    """The machine's kubectl, where nothing but its kustomize is wanted."""
    found = shutil.which("kubectl")
    if found is None:
        _missing(CannotHaveLab("there is no kubectl; install it to render the kustomizations"))
    return str(found)


def _missing(error: CannotHaveLab) -> None:
    if os.environ.get("CI") == "true":
        raise error
    pytest.skip(str(error))
