"""`up`, `down` and `status`: what they hand to the home's own functions and what they say; and once for real."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from serin.cli.errors import run
from serin.errors import AlreadyExists
from serin.home import lifecycle
from serin.ports import Object
from tests.cli.conftest import Cli, FakeHome

RUNNING: Object = {
    "state": "running",
    "folder": "/h",
    "log": "/h/home.log",
    "pid": 7,
    "uptimeSeconds": 130.2,
    "images": None,
    "gateway": {"address": "http://127.0.0.1:8080", "port": 8080, "warnings": []},
    "pods": [],
    "deployments": 0,
    "experiments": {"total": 0},
    "problems": [],
}
POD = {
    "namespace": "default",
    "name": "fashionmnist-v1-abc-x",
    "phase": "Running",
    "ready": True,
    "address": "127.9.9.1",
    "ports": [8501],
    "pid": 99,
    "restarts": 0,
}


def test_status_is_told_in_words(cli: Cli, home: FakeHome) -> None:
    home.state = {
        **RUNNING,
        "state": "troubled",
        "images": "/h/images.yaml",
        "pods": [POD],
        "deployments": 1,
        "experiments": {"total": 3, "Progressing": 1, "Completed": 2},
        "problems": ["the scraper failed and is started again: no answer"],
        "gateway": {**RUNNING["gateway"], "warnings": ["VirtualService x: there is no Service behind 'y'"]},
    }
    assert cli("status").out == dedent("""\
        Home:          /h
        State:         troubled for 2m10s, pid 7
        Gateway:       http://127.0.0.1:8080
        Images:        /h/images.yaml
        Log:           /h/home.log
        Deployments:   1
        Experiments:   3: 2 Completed, 1 Progressing

        Problems:
          - the scraper failed and is started again: no answer

        Warnings:
          - VirtualService x: there is no Service behind 'y'

        Pods:
          NAMESPACE   NAME                    READY   STATUS    RESTARTS   ADDRESS          PID
          default     fashionmnist-v1-abc-x   yes     Running   0          127.9.9.1:8501   99
    """)


def test_status_for_programs(cli: Cli, home: FakeHome) -> None:
    home.state = RUNNING
    assert json.loads(cli("status", "-o", "json").out) == RUNNING
    assert cli("status", "-o", "jsonpath={.gateway.address}").out == "http://127.0.0.1:8080"
    assert cli("status", "-o", "wide").code == 2


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `lifecycle.up` was asked for."""
    calls: list[dict[str, Any]] = []

    def up(folder: Path, *, say: Callable[[str], None], **given: Any) -> Object:
        calls.append({"folder": folder, **given})
        say("starting the gateway")
        return {**RUNNING, "already": len(calls) > 1}

    monkeypatch.setattr(lifecycle, "up", up)
    return calls


def test_up_says_where_the_home_is(started: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["up", "--home", "/h", "--images", "i.yaml", "--gateway-port", "8081"]) == 0
    assert started == [{"folder": Path("/h"), "images": Path("i.yaml"), "gateway_port": 8081, "foreground": False}]
    said = capsys.readouterr()
    assert (said.out, said.err) == ("home /h is up, gateway at http://127.0.0.1:8080\n", "starting the gateway\n")
    assert run(["up", "--home", "/h"]) == 0
    assert capsys.readouterr().out == "home /h runs already, gateway at http://127.0.0.1:8080\n"
    assert run(["up", "--home", "/h", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["pid"] == 7


def test_up_in_the_foreground_says_nothing_at_the_end(
    started: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["up", "--home", "/h", "--foreground"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("port", ["0", "65536", "http"])
def test_a_port_that_is_none_is_refused(started: list[dict[str, Any]], port: str) -> None:
    assert run(["up", "--gateway-port", port]) == 2
    assert started == []


def test_what_up_refuses_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def up(*_: Any, **__: Any) -> Object:
        raise AlreadyExists("a home runs in /h already; end it with 'serin down' first")

    monkeypatch.setattr(lifecycle, "up", up)
    assert run(["up"]) == 5
    assert capsys.readouterr().err == "serin: a home runs in /h already; end it with 'serin down' first\n"


@pytest.mark.parametrize(("ran", "sentence"), [(True, "home /h is down\n"), (False, "home /h was not running\n")])
def test_down_says_what_became_of_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ran: bool, sentence: str
) -> None:
    waited = []

    def down(_folder: Path, *, timeout: float, say: Callable[[str], None]) -> bool:
        waited.append(timeout)
        return ran

    monkeypatch.setattr(lifecycle, "down", down)
    assert run(["down", "--home", "/h", "--timeout", "1m"]) == 0
    assert capsys.readouterr().out == sentence
    assert waited == [60.0]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.real
def test_a_real_home_answers_to_every_verb(tmp_path: Path) -> None:
    environment = {**os.environ, "SERIN_HOME": str(tmp_path / "home")}

    def serin(*arguments: str, code: int = 0, stdin: str = "") -> str:
        ended = subprocess.run(
            [sys.executable, "-m", "serin", *arguments],
            input=stdin,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ended.returncode == code, ended.stderr
        assert "Traceback" not in ended.stderr
        return ended.stdout

    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {colour: blue}\n"
    try:
        assert "is up" in serin("up", "--gateway-port", str(free_port()))
        assert json.loads(serin("status", "-o", "json"))["state"] == "running"
        assert serin("apply", "-f", "-", stdin=manifest) == "configmap/settings created\n"
        assert serin("apply", "-f", "-", stdin=manifest) == "configmap/settings unchanged\n"
        assert serin("get", "cm", "settings", "-o", "jsonpath={.data.colour}") == "blue"
        assert "colour: blue" in serin("describe", "cm/settings")
        assert (
            serin("wait", "--for=jsonpath={.data.colour}=blue", "cm/settings") == "configmap/settings condition met\n"
        )
        serin("wait", "--for=delete", "cm/settings", "--timeout=200ms", code=8)
        assert serin("delete", "cm", "settings") == 'configmap "settings" deleted\n'
        serin("get", "cm", "settings", code=4)
        serin("logs", "nothing", code=4)
    finally:
        serin("down")
    serin("status", code=6)
