"""The example in `docs/planning.md` is what the command prints; its figures follow the engine, so they are not held."""

import re
import shlex
from pathlib import Path

import pytest

from serin.cli import main
from tests.docs.pages import page


def test_the_example_is_what_the_command_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = page("planning.md")
    (manifest,) = here.fences("yaml")
    shown = next(content for content in here.fences("console") if "serin plan" in content)
    typed, *told = shown.splitlines()
    file = tmp_path / "shop-v2.yaml"
    file.write_text(manifest)
    words = [str(file) if word == file.name else word for word in shlex.split(typed.removeprefix("$ "))]
    assert main(words[1:]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert shape(printed[0]) == shape(told[0])
    for name in ("CRITERION", "mean latency, at most", "error rate, at most", "all of them", "Assumed: error rate"):
        assert [shape(line) for line in printed if name in line] == [shape(line) for line in told if name in line]


def shape(line: str) -> str:
    """A line without its figures and their units."""
    return " ".join(re.sub(r"[\d.,]+( (s|min|h))?", "#", line).split())
