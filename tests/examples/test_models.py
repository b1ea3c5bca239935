"""The trained model, served, and the notebook, executed against it."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import httpx2
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from tests.serving.conftest import Server

pytestmark = [pytest.mark.real, pytest.mark.tensorflow]
Start = Callable[..., Server]


def test_training_says_how_good_the_model_is(trained: Path) -> None:
    said = (trained / "said").read_text()
    match = re.search(r"v1: (\d+\.\d)% of the test images are recognized", said)
    assert match is not None, said
    assert float(match[1]) > 85


def test_the_served_model_recognizes_what_training_said(trained: Path, start: Start, data: ModuleType) -> None:
    server = start("--model-path", str(trained / "models" / "v1"), model="fashionmnist")
    metadata = httpx2.get(f"{server.url}/v1/models/fashionmnist/metadata").json()
    signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert [size["size"] for size in signature["inputs"]["images"]["tensor_shape"]["dim"]] == ["-1", "28", "28", "1"]
    images, labels = data.images(trained / "data")[:1000], data.labels(trained / "data")[:1000]
    body = json.dumps({"signature_name": "serving_default", "instances": images.tolist()})
    scores = np.array(server.predict(":predict", body).json()["predictions"])
    assert scores.shape == (1000, 10)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-4)
    assert (scores.argmax(axis=1) == labels).mean() > 0.83


def test_two_versions_stand_together(trained: Path, start: Start, tmp_path: Path) -> None:
    for number in ("1", "2"):
        shutil.copytree(trained / "models" / "v1" / "1", tmp_path / "versions" / number)
    path = str(tmp_path / "versions")
    server = start("--model-path", path, "--model-version-policy", "all", model="fashionmnist")
    body = json.dumps({"instances": np.zeros((1, 28, 28, 1)).tolist()})
    answers = [server.predict(path, body).json() for path in (":predict", "/versions/1:predict", "/versions/2:predict")]
    assert answers[0] == answers[1] == answers[2]


def test_the_notebook_runs_against_a_served_model(
    trained: Path, start: Start, example: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start("--model-path", str(trained / "models" / "v1"), model="fashionmnist")
    settings = {"GATEWAY": server.url, "REQUESTS": "25", "MODEL": "v1", "PYTHONPATH": str(example)}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(example / "notebook.ipynb", as_version=4)
    folder = {"metadata": {"path": str(trained)}}  # its data and models, and nothing written into the repository
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=folder).execute()
    printed = "".join(
        output.get("text", "") for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs
    )
    assert "classified as Ankle boot" in printed  # the first test image is one
    assert re.search(r"25 requests, (8|9)\d% recognized|25 requests, 100% recognized", printed), printed
    pictures = [output for cell in notebook.cells for output in cell.get("outputs", []) if "image/png" in str(output)]
    assert pictures


def test_the_notebook_is_kept_without_outputs(example: Path) -> None:
    notebook = nbformat.read(example / "notebook.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)


def test_a_wrong_word_to_the_training_is_one_sentence(example: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(example / "train.py"), "--model", "v9"],
        cwd=tmp_path, env={**os.environ}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "invalid choice: 'v9'" in done.stderr
    assert "Traceback" not in done.stderr
