"""Every error that a person can meet: one sentence on standard error, the exit code of its class, no traceback."""

import errno
import io
import json
import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from serin import errors
from serin.cli import main
from serin.cli.errors import run
from serin.cli.printing import print_document
from serin.cli.target import Scope
from serin.ports import POD
from tests.cli.conftest import Cli, FakeHome
from tests.cli.scenes import pod


def classes(cls: type[errors.SerinError] = errors.SerinError) -> list[type[errors.SerinError]]:
    return [cls, *(leaf for child in cls.__subclasses__() for leaf in classes(child))]


@pytest.mark.parametrize("error", [error for error in classes() if error.__module__ == errors.__name__])
def test_every_public_error_becomes_its_sentence_and_its_exit_code(
    cli: Cli, home: FakeHome, error: type[errors.SerinError]
) -> None:
    home.fail_next(error("the sentence; what to do"), verb="list", kind=POD)
    result = cli("get", "pods")
    assert (result.code, result.out, result.err) == (error.exit_code, "", "serin: the sentence; what to do\n")


def test_several_problems_are_one_line_each(cli: Cli, home: FakeHome) -> None:
    home.fail_next(errors.InvalidInput("a.yaml:1: one\na.yaml:2: two"), verb="list")
    assert cli("get", "pods").err == "serin: a.yaml:1: one\nserin: a.yaml:2: two\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["frob"], "serin: no such command 'frob'; see 'serin --help'"),
        (["statsu"], "serin: no such command 'statsu'; did you mean 'status'?\n"),
        (["get", "--wach"], "serin: no such option '--wach'; did you mean '--watch' or '--watch-only'?\n"),
        (["get", "--show"], "serin: no such option '--show'; did you mean '--show-kind' or '--home'?\n"),
        (["get", "--frob"], "serin: no such option '--frob'; see 'serin get --help'"),
        (["--frob"], "serin: no such option '--frob'; see 'serin --help'"),
        (["version", "extra"], "serin: got unexpected extra argument (extra); see 'serin version --help'"),
        (["-n"], "serin: option '-n' requires an argument; see 'serin --help'"),
        (["-o", "json", "down"], "serin: no such option '-o'; see 'serin down --help'"),
        (["completion"], "serin: missing argument '{bash|zsh|fish}'; choose from: bash, zsh, fish; see"),
        (["plan", "--rate", "abc"], "serin: invalid value for '--rate': 'abc' is no number; see 'serin plan --help'"),
        (["load", "--count", "1.5", "x"], "serin: invalid value for '--count': '1.5' is no whole number; see"),
        (["completion", "tcsh"], "serin: invalid value for '{bash|zsh|fish}': 'tcsh' is not one of"),
    ],
)  # fmt: skip
def test_a_command_that_is_typed_wrongly(cli: Cli, arguments: list[str], line: str) -> None:
    result = cli(*arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(line)
    assert result.err.count("\n") == 1


def test_a_home_that_cannot_be_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--home", "cluster", "up"]) == 2
    assert "--home cluster: a cluster is not started or ended from here" in capsys.readouterr().err
    assert run(["get", "pods", "--home", ""]) == 2
    assert "--home is empty" in capsys.readouterr().err


KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: nowhere
clusters: [{name: nowhere, cluster: {server: "http://127.0.0.1:1"}}]
contexts: [{name: nowhere, context: {cluster: nowhere, user: ""}}]
"""
PLANNED = """
apiVersion: iter8.tools/v1alpha2
kind: Experiment
metadata: {name: rollout}
spec:
  service: {name: web, baseline: web-v1, candidates: [web-v2]}
  criteria: [{metric: iter8_error_rate, threshold: {type: absolute, value: 0.01}}]
"""


def test_what_a_cluster_does_not_know_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config").write_text(KUBECONFIG)
    (tmp_path / "planned.yaml").write_text(PLANNED)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    monkeypatch.delenv("SERIN_PROMETHEUS", raising=False)
    assert run(["replay", "rollout", "--home", "cluster"]) == 2
    assert "serin: a cluster keeps no recordings of experiments" in capsys.readouterr().err
    plan = ["plan", "-f", str(tmp_path / "planned.yaml"), "--from-baseline", "--home", "cluster"]
    assert run(plan) == 2
    assert "--from-baseline asks Prometheus, which is not named; set SERIN_PROMETHEUS" in capsys.readouterr().err
    monkeypatch.setenv("SERIN_PROMETHEUS", "http://127.0.0.1:1")
    monkeypatch.setenv("SERIN_SCRAPE_INTERVAL", "often")
    assert run(plan) == 2
    assert "SERIN_SCRAPE_INTERVAL is 'often'; write it in seconds, such as 15" in capsys.readouterr().err


def test_a_home_that_does_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in (["get", "pods"], ["status"], ["wait", "--for=delete", "pod/x"], ["logs", "x"]):
        assert run([*verb, "--home", str(tmp_path / "home")]) == 6
        said = capsys.readouterr()
        assert said.err == f"serin: no home is running in {tmp_path}/home; start it with 'serin up'\n"
        assert said.out == ""


def test_ctrl_c_ends_quietly(cli: Cli, home: FakeHome) -> None:
    home.fail_next(KeyboardInterrupt(), verb="list")
    result = cli("get", "pods")
    assert (result.code, result.out, result.err) == (130, "", "")


def test_ctrl_c_while_watching_ends_quietly(cli: Cli, home: FakeHome) -> None:
    home.seed(pod("one"))
    home.stays = True

    def interrupt() -> None:
        raise KeyboardInterrupt

    home.scenario = [interrupt]
    result = cli("get", "pods", "-w")
    assert (result.code, result.err) == (130, "")
    assert "one" in result.out


def test_a_fault_of_the_program_leaves_its_traceback_in_a_file(
    cli: Cli, home: FakeHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    home.fail_next(RuntimeError("the\nfault"), verb="list")
    result = cli("get", "pods")
    (report,) = (tmp_path / "serin-crashes").iterdir()
    assert result.code == 1
    assert result.err == f"serin: a fault of serin itself (RuntimeError: the fault); please report it with {report}\n"
    assert "Traceback" in report.read_text()


def test_a_fault_without_a_place_for_the_traceback_is_said_too(
    cli: Cli, home: FakeHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    home.fail_next(RuntimeError("fault"), verb="list")
    assert "no report could be written" in cli("get", "pods").err


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_full_disk_is_said(cli: Cli, home: FakeHome, number: int) -> None:
    home.fail_next(OSError(number, os.strerror(number)), verb="list")
    result = cli("get", "pods")
    assert result.code == 7
    assert result.err == f"serin: cannot write: {os.strerror(number)}; make room and repeat\n"


def test_standard_output_that_is_full_is_said() -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "serin", "--help"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert ended.returncode == 7
    assert ended.stderr.startswith("serin: cannot write: No space left on device")
    assert "Traceback" not in ended.stderr


def test_a_terminal_that_does_not_know_a_letter_shows_another() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "serin", "get", "--help"],
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"serin get [OPTIONS] KIND [NAME?]" in ended.stdout


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_a_document_for_programs_loses_no_letter(
    monkeypatch: pytest.MonkeyPatch, form: str, read: Callable[[bytes], object]
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="latin-1", errors="replace"))
    value = {"message": "é … 日本\nand more"}
    print_document(value, form)
    sys.stdout.flush()
    assert read(written.getvalue()) == value


def test_a_user_without_a_directory_is_told_to_name_a_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def unknown(_: object) -> None:
        raise KeyError

    for variable in ("HOME", "SERIN_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert run(["get", "pods"]) == 2
    assert run(["get", "pods", "--home", "~nobody-of-this-name"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("serin: '~/.local/state' is below the home directory of a user whom this machine does not")
    assert second.startswith("serin: '~nobody-of-this-name' is below")
    assert second.endswith("name a folder with --home")


def test_a_reader_that_goes_away_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run([sys.executable, "-m", "serin", "--help"], stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (141, "")


def test_main_uses_the_arguments_of_the_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["serin", "--version"])
    assert main() == 0
    assert capsys.readouterr().out.startswith("serin ")


def test_the_home_comes_from_the_option_nearest_to_the_verb(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def folder(*arguments: str) -> Path:
        assert cli(*arguments).code == 0
        return cli.scopes[-1].folder

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("SERIN_HOME", raising=False)
    assert folder("get", "pods") == tmp_path / "serin"
    monkeypatch.setenv("SERIN_HOME", "/a")
    assert folder("get", "pods") == Path("/a")
    assert folder("--home", "/b", "get", "pods") == Path("/b")
    assert folder("--home", "/b", "get", "pods", "--home", "/c") == Path("/c")
    assert folder("get", "--home=./cluster", "pods") == Path.cwd() / "cluster"
    assert Scope(home="~/x").folder == Path.home() / "x"
