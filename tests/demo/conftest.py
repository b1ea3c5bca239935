"""An example in the form of Fashion-MNIST's that plays in seconds: its own files, with a tiny server for the model."""

from __future__ import annotations

import shutil
import struct
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from serin.ports import Object

EXAMPLE = Path(__file__).parents[2] / "examples" / "fashion-mnist"
SERVER = Path(__file__).parents[1] / "survival" / "answer.py"
QUICK = {"metric": "iter8_error_rate", "threshold": {"type": "absolute", "value": 0.2}}
"""A limit that is proven within seconds where errors count as independent."""


@pytest.fixture
def example() -> Iterator[Path]:
    """The folder; its path is short, since a unix socket's address is."""
    with tempfile.TemporaryDirectory(prefix="serin-example-", dir="/tmp") as name:
        folder = Path(name)
        for file in EXAMPLE.glob("*.yaml"):
            shutil.copy(file, folder)
        entrypoint = [sys.executable, "-S", str(SERVER)]
        images = {"images": {"serin.example/fashionmnist:*": {"entrypoint": entrypoint}}}
        (folder / "images.yaml").write_text(yaml.safe_dump(images))
        (folder / "train.py").write_text("print('nothing to train')\n")
        data = folder / "data"
        data.mkdir()
        pixels = bytes(range(6))
        (data / "t10k-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 0x803, 1, 2, 3) + pixels)
        for file in folder.glob("fashionmnist-v*.yaml"):
            _hurried(file)
        _serves(folder / "modelv2-failing.yaml", ["--errors", "0.6"])
        yield folder


def _hurried(file: Path) -> None:
    """The experiment with short iterations."""
    (experiment,) = yaml.safe_load_all(file.read_text())
    spec: Object = experiment["spec"]
    spec["criteria"] = [QUICK]
    spec["duration"] = {"interval": "2s", "maxIterations": 6}
    spec["trafficControl"] = {**(spec.get("trafficControl") or {}), "maxIncrement": 30}
    spec["analysis"] = {"mode": "independent"}
    file.write_text(yaml.safe_dump(experiment))


def _serves(file: Path, arguments: list[str]) -> None:
    """The Deployment with other arguments."""
    objects = list(yaml.safe_load_all(file.read_text()))
    (deployment,) = (obj for obj in objects if obj["kind"] == "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["args"] = arguments
    file.write_text(yaml.safe_dump_all(objects))
