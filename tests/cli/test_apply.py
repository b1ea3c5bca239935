import json
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest

from serin.errors import Conflict
from tests.cli.conftest import Cli, FakeHome

EXPERIMENT_FILE = """\
apiVersion: iter8.tools/v1alpha2
kind: Experiment
metadata:
  name: fashionmnist-v2-rollout
spec:
  service:
    name: fashionmnist
    baseline: fashionmnist-v1
    candidates: [fashionmnist-v2]
  criteria:
    - metric: iter8_mean_latency
      threshold: {type: absolute, value: 100}
  duration:
    interval: 15s
"""
CONFIG_MAP_FILE = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: blue}
"""
DEPLOYMENT_FILE = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: fashionmnist-v1}
spec:
  paused: true
  selector: {matchLabels: {app: fashionmnist}}
  template:
    metadata: {labels: {app: fashionmnist}}
    spec:
      containers: [{name: serving, image: example/fashionmnist}]
"""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with three files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT_FILE)
    (tmp_path / "settings.yaml").write_text(CONFIG_MAP_FILE)
    (tmp_path / "deployment.yaml").write_text(DEPLOYMENT_FILE)
    return tmp_path


def test_applying_says_created_configured_and_unchanged(cli: Cli, files: Path) -> None:
    assert cli("apply", "-f", "settings.yaml").out == "configmap/settings created\n"
    assert cli("apply", "-f", "settings.yaml").out == "configmap/settings unchanged\n"
    (files / "settings.yaml").write_text(CONFIG_MAP_FILE.replace("blue", "green"))
    assert cli("apply", "-f", "settings.yaml").out == "configmap/settings configured\n"


def test_several_files_one_of_them_standard_input(cli: Cli, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=BytesIO(CONFIG_MAP_FILE.encode())))
    lines = cli("apply", "-f", "-", "-f", "experiment.yaml", "-f", "deployment.yaml").out.splitlines()
    assert lines == [
        "configmap/settings created",
        "experiment.iter8.tools/fashionmnist-v2-rollout created",
        "deployment.apps/fashionmnist-v1 created",
    ]
    assert len(cli("get", "cm,exp,deploy", "-o", "name").out.splitlines()) == 3


def test_a_tree_of_folders(cli: Cli, files: Path) -> None:
    (files / "deep").mkdir()
    (files / "deep" / "settings.yaml").write_text(CONFIG_MAP_FILE.replace("settings", "deeper"))
    assert len(cli("apply", "-f", ".").out.splitlines()) == 3
    assert len(cli("apply", "-R", "-f", ".").out.splitlines()) == 4


def test_fields_that_the_home_does_not_act_on_are_named_with_their_place(cli: Cli, files: Path) -> None:
    result = cli("apply", "-f", "deployment.yaml")
    assert (result.code, result.out) == (0, "deployment.apps/fashionmnist-v1 created\n")
    assert result.err == "warning: deployment.yaml:5: spec.paused: is not acted on here\n"


def test_nothing_is_changed_when_any_document_is_wrong(cli: Cli, files: Path, home: FakeHome) -> None:
    (files / "wrong.yaml").write_text(EXPERIMENT_FILE.replace("interval: 15s", "interval: 15"))
    result = cli("apply", "-f", "settings.yaml", "-f", "wrong.yaml")
    assert (result.code, result.out) == (3, "")
    assert result.err == "serin: wrong.yaml:14: spec.duration.interval: '15' has no unit; write '15s' or '1m'\n"
    assert home.writes == []


def test_every_problem_of_every_document_is_told(cli: Cli, files: Path) -> None:
    (files / "one.yaml").write_text(EXPERIMENT_FILE.replace("interval: 15s", "interval: 15"))
    (files / "two.yaml").write_text(CONFIG_MAP_FILE.replace("ConfigMap", "Secret"))
    lines = cli("apply", "-f", "one.yaml", "-f", "two.yaml").err.splitlines()
    assert [line.split(":")[:3] for line in lines] == [["serin", " one.yaml", "14"], ["serin", " two.yaml", "2"]]


def test_a_metric_that_is_not_defined_is_refused_with_its_place(cli: Cli, files: Path, home: FakeHome) -> None:
    (files / "wrong.yaml").write_text(EXPERIMENT_FILE.replace("iter8_mean_latency", "iter8_mean_latncy"))
    result = cli("apply", "-f", "wrong.yaml")
    assert result.code == 3
    assert result.err.startswith("serin: wrong.yaml:11: spec.criteria[0].metric: 'iter8_mean_latncy' is not defined")
    assert home.writes == []


def test_a_metric_may_be_defined_in_the_same_files(cli: Cli, files: Path) -> None:
    (files / "mine.yaml").write_text(EXPERIMENT_FILE.replace("iter8_mean_latency", "books"))
    (files / "metrics.yaml").write_text(
        "apiVersion: v1\n"
        "kind: ConfigMap\n"
        "metadata: {name: iter8config-metrics, namespace: iter8}\n"
        "data:\n"
        "  counter_metrics.yaml: |\n"
        "    - {name: books, preferred_direction: lower,\n"
        "       query_template: 'sum(increase(books_total[$interval])) by ($version_labels)'}\n"
        "    - {name: iter8_request_count,\n"
        "       query_template: 'sum(increase(istio_requests_total[$interval])) by ($version_labels)'}\n"
        "  ratio_metrics.yaml: |\n"
        "    []\n"
    )
    assert cli("apply", "-f", "mine.yaml").code == 3
    assert cli("apply", "-f", "mine.yaml", "-f", "metrics.yaml").code == 0
    assert cli("apply", "-f", "mine.yaml").out == "experiment.iter8.tools/fashionmnist-v2-rollout unchanged\n"


@pytest.mark.parametrize("flag", ["--dry-run", "--dry-run=client", "--dry-run=server"])
def test_a_dry_run_says_what_would_be_done(cli: Cli, files: Path, home: FakeHome, flag: str) -> None:
    assert cli("apply", flag, "-f", "settings.yaml").out == "configmap/settings created (dry run)\n"
    assert home.writes == []


def test_the_namespace_is_given_where_it_is_missing_and_never_contradicted(cli: Cli, files: Path) -> None:
    assert cli("apply", "-n", "other", "-f", "settings.yaml").code == 0
    assert cli("get", "cm", "-n", "other", "-o", "name").out == "configmap/settings\n"
    (files / "settings.yaml").write_text(CONFIG_MAP_FILE.replace("name: settings", "name: settings, namespace: mine"))
    result = cli("apply", "-n", "other", "-f", "settings.yaml")
    assert result.code == 3
    assert result.err == "serin: settings.yaml:3: metadata.namespace: is 'mine', but -n says 'other'\n"
    assert cli("apply", "-f", "settings.yaml").code == 0
    assert cli("get", "cm", "-n", "mine", "-o", "name").out == "configmap/settings\n"


def test_programs_get_the_objects(cli: Cli, files: Path) -> None:
    assert json.loads(cli("apply", "-f", "settings.yaml", "-o", "json").out)["data"] == {"colour": "blue"}
    assert cli("apply", "-f", "settings.yaml", "-o", "name").out == "configmap/settings\n"
    assert cli("apply", "-f", "settings.yaml", "-o", "wide").code == 2


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ([], 2, "name a file or a folder with -f"),
        (["-f", "absent.yaml"], 3, "absent.yaml: there is no such file"),
        (["-f", "-", "-f", "-"], 2, "-f - can be given once only"),
        (["-f", "https://example.com/a.yaml"], 2, "fetch it first"),
        (["-f", "empty"], 3, "empty: the folder holds no manifest"),
        (["-R", "-f", "empty"], 3, "neither the folder nor those in it"),
        (["-f", "broken.yaml"], 3, "broken.yaml:2: is not YAML"),
    ],
)
def test_files_that_cannot_be_read(cli: Cli, files: Path, arguments: list[str], code: int, sentence: str) -> None:
    (files / "empty").mkdir()
    (files / "broken.yaml").write_text("a: [1\nb: 2\n")
    result = cli("apply", *arguments)
    assert (result.code, result.out) == (code, "")
    assert sentence in result.err
    assert cli.connections == 0


def test_what_the_home_refuses_is_said(cli: Cli, files: Path, home: FakeHome) -> None:
    home.fail_next(Conflict("it is being deleted; wait"), verb="create")
    result = cli("apply", "-f", "settings.yaml")
    assert (result.code, result.out, result.err) == (5, "", "serin: it is being deleted; wait\n")


def test_lint_needs_no_home(cli: Cli, files: Path) -> None:
    assert cli("lint", "-f", "experiment.yaml").out == "1 object, nothing wrong\n"
    (files / "experiment.yaml").write_text(EXPERIMENT_FILE.replace("maxIncrement", "x") + "  cleanUp: true\n")
    result = cli("lint", "-f", "experiment.yaml")
    assert result.code == 3
    assert result.err == "serin: experiment.yaml:15: spec.cleanUp: unknown field 'cleanUp'; did you mean 'cleanup'?\n"
    assert cli.connections == 0


def test_what_nobody_does_yet_is_said_before_an_experiment_waits_for_it(cli: Cli, files: Path) -> None:
    asked = (files / "experiment.yaml").read_text() + "  analysis:\n    exposureBudget: 5\n"
    (files / "experiment.yaml").write_text(asked)
    line = asked.splitlines().index("    exposureBudget: 5") + 1
    sentence = f"warning: experiment.yaml:{line}: spec.analysis.exposureBudget: no criterion counts failures; "
    assert cli("lint", "-f", "experiment.yaml").err.startswith(sentence)
    assert cli("apply", "-f", "experiment.yaml").err.startswith(sentence)
