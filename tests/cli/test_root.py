import json
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec

import click
import pytest

import serin
from serin.cli.root import COMMANDS, root
from tests.cli.conftest import Cli

HEAVY = ("pydantic", "httpx2", "rich", "numpy", "scipy", "yaml", "starlette", "asyncio", "tensorflow", "serin.ports")
PRESENT = [name for name in COMMANDS if find_spec(f"serin.cli.{name}")]


def modules_after(*arguments: str) -> set[str]:
    """The modules that a process has loaded when a command line has run."""
    script = (
        "import sys, io; from serin.cli import main; out, sys.stdout = sys.stdout, io.StringIO();"
        f"code = main({list(arguments)!r}); print(code, *sys.modules, file=out)"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert found[0] == "0"
    return set(found[1:])


def test_the_help_loads_nothing_heavy_and_no_command() -> None:
    loaded = modules_after("--help")
    assert not loaded & set(HEAVY)
    assert not loaded & {f"serin.cli.{name}" for name in COMMANDS}


def test_the_help_of_a_command_loads_no_other_command() -> None:
    loaded = modules_after("get", "--help")
    assert "serin.cli.get" in loaded
    assert not loaded & {f"serin.cli.{name}" for name in COMMANDS if name != "get"}
    assert not loaded & {"pydantic", "httpx2", "numpy", "scipy", "tensorflow"}


def test_the_help_names_every_command(cli: Cli) -> None:
    lines = [line.split() for line in cli("--help").out.splitlines()]
    named = [words[0] for words in lines if words and words[0] in COMMANDS]
    assert named == list(COMMANDS)
    assert cli().out == cli("-h").out


@pytest.mark.parametrize("name", PRESENT)
def test_every_command_has_help_and_is_the_one_that_is_listed(cli: Cli, name: str) -> None:
    command = getattr(import_module(f"serin.cli.{name}"), name)
    assert isinstance(command, click.Command)
    assert command.name == name
    result = cli(name, "--help")
    assert result.code == 0
    assert result.out.startswith(f"Usage: serin {name}")
    assert max(map(len, result.out.partition("Examples:")[0].splitlines())) <= 100


def test_a_module_that_holds_no_command_is_a_fault_and_not_a_mystery(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serin.cli.version.version", "no command")
    with pytest.raises(TypeError, match=r"serin\.cli\.version\.version is no click command"):
        root.get_command(click.Context(root), "version")


def test_versions_are_told(cli: Cli) -> None:
    assert cli("--version").out == f"serin {serin.__version__}\n"
    told = json.loads(cli("version", "-o", "json").out)
    assert told["serin"] == serin.__version__
    assert told["python"] == sys.version.split()[0]
    assert cli("version").out.splitlines()[0] == f"serin         {serin.__version__}"
    assert cli("version", "-o", "name").code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(cli: Cli, shell: str) -> None:
    result = cli("completion", shell)
    assert result.code == 0
    assert "_SERIN_COMPLETE" in result.out
    assert f"{shell}_complete" in result.out


def test_python_dash_m_serin_is_serin() -> None:
    ended = subprocess.run([sys.executable, "-m", "serin", "--version"], capture_output=True, text=True, check=True)
    assert ended.stdout == f"serin {serin.__version__}\n"
