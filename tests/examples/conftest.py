"""The example's folder, its programs as modules, and a model trained by them (once; then it comes from the cache)."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.serving.conftest import start as start

EXAMPLE = Path(__file__).parents[2] / "examples" / "fashion-mnist"


@pytest.fixture(scope="session")
def example() -> Path:
    return EXAMPLE


@pytest.fixture(scope="session")
def data() -> ModuleType:
    """The example's `data.py`, without putting its folder on the path of every other test."""
    spec = importlib.util.spec_from_file_location("fashion_mnist_data", EXAMPLE / "data.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `models/v1` and `data`, made by `train.py`."""
    folder = tmp_path_factory.mktemp("trained")
    done = subprocess.run(
        [sys.executable, str(EXAMPLE / "train.py"), "--model", "v1"],
        cwd=folder, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "said").write_text(done.stdout)
    return folder
