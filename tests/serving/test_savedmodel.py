"""Loading: what cannot be loaded is said, and TensorFlow is imported in part only."""

import subprocess
import sys
from pathlib import Path

import pytest

from serin.errors import InvalidInput
from serin.serving.savedmodel import SavedModel

pytestmark = pytest.mark.tensorflow


def test_a_folder_that_is_no_saved_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"this is no protocol buffer")
    with pytest.raises(InvalidInput, match="cannot be loaded") as caught:
        SavedModel(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_saved_model_without_its_variables_is_refused(models: Path, tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes((models / "image" / "1" / "saved_model.pb").read_bytes())
    with pytest.raises(InvalidInput, match="cannot be loaded"):
        SavedModel(tmp_path)


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.real
def test_the_import_starts_no_thread_and_brings_no_keras() -> None:
    code = """
from serin.serving.environment import prepare
prepare()
import os, sys
from serin.serving.savedmodel import runtime
runtime()
print(len(os.listdir("/proc/self/task")), "keras" in sys.modules)
"""
    assert run(code) == "1 False"


@pytest.mark.real
def test_a_missing_tensorflow_is_one_sentence() -> None:
    code = """
import importlib.util
importlib.util.find_spec = lambda name: None
from serin.errors import NotFound
from serin.serving.savedmodel import runtime
try:
    runtime()
except NotFound as error:
    print(error)
"""
    assert run(code) == "TensorFlow is not installed; install it with: pip install 'serin[tensorflow]'"


@pytest.mark.real
def test_all_of_tensorflow_serves_too_where_its_parts_are_not_enough(models: Path) -> None:
    code = f"""
import importlib, importlib.util, sys
found, real = [], importlib.util.module_from_spec
def broken(spec):
    module = real(spec)
    module.__path__ = []
    return module
importlib.util.module_from_spec = broken
from serin.serving.savedmodel import SavedModel
importlib.util.module_from_spec = real
import serin.serving.savedmodel as savedmodel
class Util:
    find_spec = staticmethod(importlib.util.find_spec)
    module_from_spec = staticmethod(broken)
class Lib:
    util = Util
    import_module = staticmethod(importlib.import_module)
savedmodel.importlib = Lib
from pathlib import Path
model = SavedModel(Path({str(models / "half" / "123")!r}))
print("keras" in sys.modules, model.answer("predict", b'{{"instances": [1.0]}}').code)
"""
    assert run(code) == "True OK"
