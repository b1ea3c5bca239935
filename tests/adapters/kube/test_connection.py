"""Which cluster is meant, and as whom: as kubectl would find it."""

from __future__ import annotations

import base64
import stat
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from serin.adapters.kube.connection import access
from serin.errors import UsageError

SERVER = "https://cluster.example.com:6443"


def config(name: str, *, server: str = SERVER, user: dict[str, Any] | None = None, **context: str) -> dict[str, Any]:
    return {
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": server}}],
        "users": [{"name": name, "user": user or {"token": "t"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, **context}}],
    }


@pytest.fixture(autouse=True)
def nothing_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def written(path: Path, document: object) -> str:
    path.write_text(yaml.safe_dump(document))
    return str(path)


def test_the_file_given_then_the_environment_then_the_pod_then_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = tmp_path / "account"
    with pytest.raises(UsageError, match="no cluster is known"):
        access(service_account=str(account))
    (tmp_path / ".kube").mkdir()
    written(tmp_path / ".kube/config", config("home", namespace="mine"))
    found = access(service_account=str(account))
    assert (found.config.context_name, found.namespace, found.own_namespace) == ("home", "mine", "iter8")
    account.mkdir()
    for name, text in (("token", "t"), ("namespace", "serin-system"), ("ca.crt", "")):
        (account / name).write_text(text)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    found = access(service_account=str(account))
    assert (found.server, found.own_namespace) == ("https://10.0.0.1:443", "serin-system")
    monkeypatch.setenv("KUBECONFIG", written(tmp_path / "named", config("named")))
    assert access(service_account=str(account)).config.context_name == "named"
    given = written(tmp_path / "given", config("given"))
    assert access(given, service_account=str(account)).config.context_name == "given"


def test_several_files_are_one_and_the_first_that_says_something_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = written(tmp_path / "first", config("a", server="https://first"))
    clusters = [*config("b")["clusters"], *config("a")["clusters"]]
    second = written(tmp_path / "second", {**config("b"), "clusters": clusters})
    monkeypatch.setenv("KUBECONFIG", f"{first}:{tmp_path}/missing:{second}")
    assert access().server == "https://first"
    assert access(context="b").server == SERVER


@pytest.mark.parametrize(
    ("document", "context", "sentence"),
    [
        (config("a"), "b", "Context 'b' not found"),
        ({**config("a"), "clusters": []}, None, "'a' is missing"),
        ({"contexts": [{}]}, None, "'name' is missing"),
        ([1], None, "is no kubeconfig"),
        ({}, None, "No current context"),
    ],
)
def test_a_broken_file_is_said(tmp_path: Path, document: object, context: str | None, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        access(written(tmp_path / "config", document), context)


async def token_sent(given: str) -> str:
    """The header that a request to this cluster would carry."""
    client = access(given).client()
    seen: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.headers.get("Authorization", ""))
        return httpx2.Response(200, json={})

    await client.aclose()
    async with httpx2.AsyncClient(auth=client.auth, transport=httpx2.MockTransport(answer)) as asked:
        await asked.get(SERVER)
    return seen[-1]


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
async def test_a_plugin_is_asked_for_the_token(tmp_path: Path, version: str) -> None:
    """Plugins of protocol v1 run only when they are told so in KUBERNETES_EXEC_INFO."""
    plugin = tmp_path / "plugin"
    lines = [
        f"#!{sys.executable}",
        "import json, os",
        "asked = json.loads(os.environ['KUBERNETES_EXEC_INFO'])",
        f"assert asked['apiVersion'] == 'client.authentication.k8s.io/{version}', asked",
        "print(json.dumps({'status': {'token': os.environ['PREFIX'] + 'token'}}))",
    ]
    plugin.write_text("\n".join(lines))
    plugin.chmod(plugin.stat().st_mode | stat.S_IEXEC)
    spec = {
        "apiVersion": f"client.authentication.k8s.io/{version}",
        "command": str(plugin),
        "env": [{"name": "PREFIX", "value": "the-"}],
        "interactiveMode": "Never",
    }
    assert await token_sent(written(tmp_path / "config", config("a", user={"exec": spec}))) == "Bearer the-token"


async def test_a_token_and_a_password(tmp_path: Path) -> None:
    assert await token_sent(written(tmp_path / "config", config("a"))) == "Bearer t"
    basic = config("a", user={"username": "u", "password": "p"})
    expected = base64.b64encode(b"u:p").decode()
    assert await token_sent(written(tmp_path / "config", basic)) == f"Basic {expected}"


def test_credentials_that_cannot_be_read_are_said(tmp_path: Path) -> None:
    user = {"client-certificate": "/missing.crt", "client-key": "/missing.key"}
    with pytest.raises(UsageError, match="context 'a'"):
        access(written(tmp_path / "config", config("a", user=user))).client()
