"""What is generated is what is committed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from deploy.rendering import __main__
from deploy.rendering.chart import CHART, TEMPLATES, replaced
from deploy.rendering.generated import METRICS, ROOT, files
from deploy.rendering.sources import BASE, base_files, named

from serin.metrics.definitions import built_in, parse_config_map

GENERATED = {str(path.relative_to(ROOT)): content for path, content in files().items()}


@pytest.mark.parametrize("name", GENERATED)
def test_a_committed_file_is_current(name: str) -> None:
    assert (ROOT / name).read_text() == GENERATED[name], "run scripts/deploy"


def test_the_chart_has_no_file_that_nobody_makes() -> None:
    there = {path for path in CHART.rglob("*") if path.is_file()}
    assert there == {path for path in files() if path.is_relative_to(CHART)}
    assert TEMPLATES / "deployment.yaml" in there


def test_every_file_of_the_base_is_applied() -> None:
    there = {path for path in BASE.rglob("*.yaml") if path.name != "kustomization.yaml"}
    assert there == {path for path in base_files() if path.is_relative_to(BASE)}


def test_the_metrics_are_those_out_of_the_box() -> None:
    assert parse_config_map(yaml.safe_load(METRICS.read_text())) == built_in()


def test_writing_writes_what_differs_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = {tmp_path / "deep" / "a.yaml": "a", tmp_path / "b.yaml": "b"}
    (tmp_path / "b.yaml").write_text("b")
    monkeypatch.setattr(__main__, "files", lambda: made)
    monkeypatch.setattr(__main__, "ROOT", tmp_path)
    for told in ("deep/a.yaml\n", ""):
        __main__.main()
        assert capsys.readouterr().out == told
    assert (tmp_path / "deep" / "a.yaml").read_text() == "a"


def test_a_base_that_needs_more_than_a_list_of_files_is_told(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: []\nnamePrefix: a-\n")
    with pytest.raises(SystemExit, match="namePrefix is not understood here"):
        list(named(tmp_path))


def test_a_block_gives_way_with_all_that_is_below_it() -> None:
    text = "a:\n  b:\n    - 1\n    - 2\n  c: 3\n"
    assert replaced(text, "  b:", "  b: {{ x }}") == "a:\n  b: {{ x }}\n  c: 3\n"
    for unclear in ("  d:", "    - "):
        with pytest.raises(ValueError, match="unpack"):
            replaced(text, unclear, "")
