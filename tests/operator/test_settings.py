"""Who a controller is to Prometheus, and what its log must not show."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from serin.adapters.prometheus import Basic, Bearer
from serin.cli.errors import run
from serin.errors import UsageError
from serin.operator import log
from serin.operator.settings import authorization, identity


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, None),
        ({"TOKEN": "t"}, Bearer("t")),
        ({"TOKEN_FILE": "/var/token"}, Bearer(Path("/var/token"))),
        ({"USER": "u", "PASSWORD": "p"}, Basic("u", "p")),
        ({"USER": "u", "PASSWORD_FILE": "/var/password"}, Basic("u", Path("/var/password"))),
        ({"USER": "u"}, Basic("u", "")),
        ({"TOKEN": "", "USER": ""}, None),  # as a Secret's optional key leaves them
    ],
)
def test_credentials_come_from_the_environment(given: dict[str, str], expected: object) -> None:
    auth, authorities = authorization({f"SERIN_PROMETHEUS_{name}": value for name, value in given.items()})
    assert (auth, authorities) == (expected, None)


def test_the_authorities_are_a_file() -> None:
    assert authorization({"SERIN_PROMETHEUS_CA": "/etc/ca.crt"}) == (None, Path("/etc/ca.crt"))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"TOKEN": "t", "USER": "u"}, "a token or a user, not both"),
        ({"PASSWORD": "p"}, "without SERIN_PROMETHEUS_USER"),
    ],
)
def test_credentials_that_contradict_each_other(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        authorization({f"SERIN_PROMETHEUS_{name}": value for name, value in given.items()})


def test_no_two_controllers_have_one_name() -> None:
    assert len({identity() for _ in range(100)}) == 100


def test_a_controller_without_prometheus_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SERIN_PROMETHEUS", raising=False)
    assert run(["controller"]) == 2
    assert capsys.readouterr().err == "serin: name Prometheus with --prometheus URL or in SERIN_PROMETHEUS\n"


def test_a_controller_without_a_cluster_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, logging_as_it_was: None
) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    missing = tmp_path / "config"
    assert run(["controller", "--prometheus", "http://p", "--kubeconfig", str(missing)]) == 2
    assert f"no cluster is known: {missing} is not there" in capsys.readouterr().err


@pytest.fixture
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def test_the_log_is_json_without_secrets(logging_as_it_was: None, monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.StringIO()
    monkeypatch.setattr("sys.stderr", output)
    log.configure("info")
    structlog.get_logger("serin.test").info("asked", url="http://me:secret@prometheus", token="secret", count=3)
    logging.getLogger("library").warning("cannot reach %s", "https://me:secret@prometheus/api")
    logging.getLogger("library").debug("not shown")
    first, second = map(json.loads, output.getvalue().splitlines())
    assert (first["url"], first["token"], first["count"]) == ("http://***@prometheus", "***", 3)
    assert second["event"] == "cannot reach https://***@prometheus/api"
    assert "secret" not in output.getvalue()
