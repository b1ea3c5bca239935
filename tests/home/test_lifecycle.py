"""Whole homes: real daemons, processes and gateways, started, killed and ended."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
import yaml

from serin.errors import AlreadyExists, InvalidInput, SerinError, StorageError, Unreachable, UsageError
from serin.home import lifecycle
from serin.home.client import HomeClient
from serin.home.paths import Paths
from serin.ports import CONFIG_MAP, DEPLOYMENT, POD, Object

pytestmark = pytest.mark.real

PATIENCE = 120.0

PROGRAM = """
import os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        print("asked for", self.path, flush=True)
        time.sleep(float(self.path.rpartition("=")[2] or 0) if "=" in self.path else 0)
        body = os.environ["VERSION"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass

print("serving", flush=True)
ThreadingHTTPServer((os.environ["POD_IP"], 8501), Answer).serve_forever()
"""


class Homes:
    """Starts homes for one test, and ends them all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[Path] = []
        program = folder / "answer.py"
        program.write_text(textwrap.dedent(PROGRAM))
        self.images = folder / "images.yaml"
        entrypoint = {"entrypoint": [sys.executable, "answer.py"]}
        self.images.write_text(yaml.safe_dump({"images": {"answer:*": entrypoint}}))

    def up(self, name: str = "home", **options: Any) -> Object:
        self.started.append(self.folder / name)
        return lifecycle.up(self.folder / name, **options)

    def end(self) -> None:
        for folder in self.started:
            with suppress(SerinError):
                pid = lifecycle.status(folder)["pid"]
                with suppress(SerinError):
                    lifecycle.down(folder, timeout=20.0)
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@pytest.fixture
def homes(tmp_path: Path) -> Iterator[Homes]:
    homes = Homes(tmp_path)
    yield homes
    homes.end()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def eventually(what: str, holds: Callable[[], Any], patience: float = PATIENCE) -> Any:
    deadline = time.monotonic() + patience
    while not (found := holds()):
        assert time.monotonic() < deadline, f"not within {patience:.0f} s: {what}"
        time.sleep(0.05)
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def manifests(version: str = "v1") -> list[Object]:
    metadata = {"labels": {"app": "answer"}}
    container = {
        "name": "answer",
        "image": "answer:1",
        "env": [{"name": "VERSION", "value": version}],
        "ports": [{"containerPort": 8501}],
        "readinessProbe": {"tcpSocket": {"port": 8501}, "periodSeconds": 1},
    }
    spec = {"selector": {"matchLabels": {"app": "answer"}}, "template": {**metadata, "metadata": metadata}}
    spec["template"] = {"metadata": metadata, "spec": {"containers": [container]}}
    istio = "networking.istio.io/v1beta1"
    server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
    route = {"route": [{"destination": {"host": "answer", "port": {"number": 8501}}}]}
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": f"answer-{version}"}, "spec": spec},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "answer"},
            "spec": {"selector": {"app": "answer"}, "ports": [{"port": 8501, "name": "http"}]},
        },
        {
            "apiVersion": istio,
            "kind": "Gateway",
            "metadata": {"name": "answer"},
            "spec": {"selector": {"istio": "ingressgateway"}, "servers": [server]},
        },
        {
            "apiVersion": istio,
            "kind": "VirtualService",
            "metadata": {"name": "answer"},
            "spec": {"hosts": ["answer.com"], "gateways": ["answer"], "http": [route]},
        },
    ]


def ask(folder: Path, method: str, *words: Any, **options: Any) -> Any:
    """One call on a home's client."""

    async def call() -> Any:
        async with aclosing(HomeClient(folder)) as client:
            return await getattr(client, method)(*words, **options)

    return asyncio.run(call())


def answer(status: Object, path: str = "/", timeout: float = 20.0) -> str | None:
    """What the gateway answers; None while it does not answer with 200."""
    with suppress(httpx2.HTTPError):
        got = httpx2.get(status["gateway"]["address"] + path, headers={"host": "answer.com"}, timeout=timeout)
        if got.status_code == 200:
            return got.text
    return None


def refusal(folder: Path) -> str:
    """What `status` says when there is no home."""
    try:
        return str(lifecycle.status(folder))
    except Unreachable as error:
        return str(error)


def pods(folder: Path) -> list[Object]:
    found: list[Object] = lifecycle.status(folder)["pods"]
    return found


def test_a_home_is_started_shown_and_ended(homes: Homes) -> None:
    port = free_port()
    said: list[str] = []
    status = homes.up(images=homes.images, gateway_port=port, say=said.append)
    folder = Path(status["folder"])
    assert said[-1] == "starting the engine"
    assert (status["state"], status["problems"]) == ("running", [])
    assert status["gateway"]["address"] == f"http://127.0.0.1:{port}"
    assert [part["state"] for part in status["parts"]] == ["running"] * len(status["parts"])
    metrics = ask(folder, "get", CONFIG_MAP, "iter8", "iter8config-metrics")
    assert "iter8_request_count" in metrics["data"]["counter_metrics.yaml"]

    ask(folder, "apply", manifests("v1"))
    assert eventually("the gateway answers", lambda: answer(status)) == "v1"
    (pod,) = pods(folder)
    assert (pod["ready"], pod["phase"], pod["ports"], pod["deployment"]) == (True, "Running", [8501], "answer-v1")
    assert alive(pod["pid"])
    assert alive(status["gateway"]["pid"])

    async def printed() -> list[str]:
        async with aclosing(HomeClient(folder)) as client:
            return [line async for line in client.logs("default", pod["name"])]

    assert asyncio.run(printed())[:2] == ["serving", "asked for /"]

    again = homes.up()
    assert (again["already"], again["pid"]) == (True, status["pid"])
    with pytest.raises(AlreadyExists, match=rf"runs in .* already, with gateway port {port}; end it with 'serin down'"):
        homes.up(gateway_port=free_port())

    assert lifecycle.down(folder) is True
    assert not any(map(alive, [status["pid"], status["gateway"]["pid"], pod["pid"]]))
    assert is_free(port)
    assert not Paths(folder).socket.exists()
    assert lifecycle.down(folder) is False
    with pytest.raises(Unreachable, match=f"no home is running in {folder}; start it with 'serin up'"):
        lifecycle.status(folder)


def test_a_killed_home_leaves_nothing_running_and_goes_on_with_everything(homes: Homes) -> None:
    port = free_port()
    status = homes.up(images=homes.images, gateway_port=port)
    folder = Path(status["folder"])
    ask(folder, "apply", manifests("v1"))
    eventually("the gateway answers", lambda: answer(status))
    (pod,) = pods(folder)
    before = ask(folder, "list", DEPLOYMENT)
    os.kill(status["pid"], signal.SIGKILL)
    children = [status["pid"], status["gateway"]["pid"], pod["pid"]]
    eventually("the children are gone", lambda: not any(map(alive, children)))
    eventually("the port is free", lambda: is_free(port))
    eventually("nobody listens", lambda: "no home is running" in refusal(folder))
    assert Paths(folder).socket.exists()

    status = homes.up()
    assert status["gateway"]["port"] == port
    assert status["images"] == str(homes.images)
    assert eventually("the gateway answers again", lambda: answer(status)) == "v1"
    (after,) = ask(folder, "list", DEPLOYMENT)
    assert after["metadata"]["uid"] == before[0]["metadata"]["uid"]
    assert after["spec"] == before[0]["spec"]


def test_homes_do_not_disturb_each_other(homes: Homes) -> None:
    one = homes.up("one", images=homes.images, gateway_port=free_port())
    two = homes.up("two", images=homes.images, gateway_port=free_port())
    ask(Path(one["folder"]), "apply", manifests("one"))
    ask(Path(two["folder"]), "apply", manifests("two"))
    assert eventually("the first answers", lambda: answer(one)) == "one"
    assert eventually("the second answers", lambda: answer(two)) == "two"
    assert lifecycle.down(Path(one["folder"]))
    assert answer(two) == "two"
    assert answer(one) is None


def test_a_request_under_way_is_answered_before_the_home_ends(homes: Homes) -> None:
    status = homes.up(images=homes.images, gateway_port=free_port())
    folder = Path(status["folder"])
    ask(folder, "apply", manifests("v1"))
    eventually("the gateway answers", lambda: answer(status))
    answers: list[str | None] = []
    asking = threading.Thread(target=lambda: answers.append(answer(status, "/?wait=3")))
    asking.start()
    log = Paths(folder).pod_logs / "default" / pods(folder)[0]["name"] / "current.log"
    eventually("the request has arrived", lambda: "wait=3" in log.read_text())
    began = time.monotonic()
    assert lifecycle.down(folder)
    took = time.monotonic() - began
    asking.join()
    assert answers == ["v1"]
    assert 1.0 < took < 15.0


def test_a_home_may_lie_deep(homes: Homes) -> None:
    deep = "/".join(["deep" * 20] * 4)
    status = homes.up(deep, images=homes.images, gateway_port=free_port())
    folder = Path(status["folder"])
    assert len(str(folder)) > 300
    ask(folder, "apply", manifests("v1"))
    assert eventually("the gateway answers", lambda: answer(status)) == "v1"
    os.kill(status["pid"], signal.SIGKILL)
    eventually("it is gone", lambda: not alive(status["pid"]))
    assert homes.up(deep)["state"] == "running"
    assert lifecycle.down(folder)


def test_a_gateway_port_that_is_taken_is_said_and_nothing_is_left(homes: Homes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UsageError) as raised:
            homes.up(gateway_port=port)
    sentence = f"the gateway port {port} is in use by another program; choose one with --gateway-port"
    assert str(raised.value) == sentence
    assert lifecycle.down(homes.folder / "home") is False
    assert homes.up(gateway_port=free_port())["state"] == "running"


def test_what_up_was_told_wrongly_is_not_remembered(homes: Homes, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("images: [")
    with pytest.raises(InvalidInput, match=r"broken\.yaml:"):
        homes.up(images=broken, gateway_port=free_port())
    with pytest.raises(
        InvalidInput, match=r"cannot read the images file .*/none\.yaml: .*; mend that, or name another"
    ):
        homes.up(images=tmp_path / "none.yaml", gateway_port=free_port())
    assert homes.up(gateway_port=free_port())["images"] is None


def test_a_damaged_store_is_said_and_left_as_it_is(homes: Homes) -> None:
    paths = Paths(homes.folder / "home")
    paths.folder.mkdir(mode=0o700)
    paths.lock.touch()
    paths.objects.write_bytes(b"no database " * 1000)
    with pytest.raises(StorageError, match=r"objects\.db is damaged .*; move it away, and apply your manifests again"):
        homes.up(gateway_port=free_port())
    assert paths.objects.read_bytes() == b"no database " * 1000


def test_a_folder_that_is_no_home_is_refused_before_anything_is_started(homes: Homes) -> None:
    with pytest.raises(StorageError, match="holds other files and is no home"):
        homes.up(".")
    with pytest.raises(StorageError, match="cannot be made or used"):
        lifecycle.up(Path("/proc/serin"))


def test_a_daemon_that_dies_without_a_word_is_said(homes: Homes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(SerinError, match="ended while it started: look into"):
        homes.up()


def foreground(homes: Homes) -> tuple[subprocess.Popen[str], int]:
    port = free_port()
    words = [sys.executable, "-m", "serin.home", "--home", str(homes.folder / "home"), "--foreground"]
    words += ["--images", str(homes.images), "--gateway-port", str(port)]
    homes.started.append(homes.folder / "home")
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def ready() -> bool:
        assert process.poll() is None, process.stderr and process.stderr.read()
        with suppress(Unreachable):
            return bool(lifecycle.status(homes.folder / "home"))
        return False

    eventually("the home is ready", ready)
    return process, port


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_home_in_the_foreground_ends_by_a_signal(homes: Homes, number: signal.Signals) -> None:
    process, port = foreground(homes)
    with process:
        process.send_signal(number)
        assert process.wait(20.0) == 0
    assert is_free(port)
    assert not Paths(homes.folder / "home").socket.exists()


def test_a_second_interrupt_ends_at_once_and_leaves_nothing(homes: Homes) -> None:
    process, port = foreground(homes)
    folder = homes.folder / "home"
    status = lifecycle.status(folder)
    ask(folder, "apply", manifests("v1"))
    eventually("the gateway answers", lambda: answer(status))
    (pod,) = pods(folder)
    asking = threading.Thread(target=lambda: answer(status, "/?wait=20"))
    asking.start()
    log = Paths(folder).pod_logs / "default" / pod["name"] / "current.log"
    eventually("the request has arrived", lambda: "wait=20" in log.read_text())
    with process:
        process.send_signal(signal.SIGINT)
        eventually("it ends", lambda: lifecycle.status(folder)["state"] == "ending")
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
    asking.join()
    eventually("the children are gone", lambda: not alive(pod["pid"]) and not alive(status["gateway"]["pid"]))
    assert is_free(port)


def test_who_interrupts_the_start_is_told_that_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: SimpleNamespace(wait=lambda: 0))
    monkeypatch.setattr(lifecycle, "_listened", interrupted)
    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        lifecycle.up(tmp_path / "home", say=said.append)
    assert said == [f"the home in {tmp_path / 'home'} goes on starting; 'serin down' ends it"]


def test_status_tells_of_pods_that_cannot_run(homes: Homes) -> None:
    status = homes.up(gateway_port=free_port())
    folder = Path(status["folder"])
    ask(folder, "apply", manifests("v1"))
    (pod,) = eventually("there is a Pod", lambda: pods(folder))
    assert (pod["ready"], pod["pid"]) == (False, None)
    stored = ask(folder, "list", POD)[0]
    assert stored["metadata"]["ownerReferences"][0]["name"] == "answer-v1"


def test_two_who_start_the_same_home_at_once_get_one_home(homes: Homes) -> None:
    port = free_port()
    said: list[Object | SerinError] = []

    def start() -> None:
        try:
            said.append(homes.up(gateway_port=port))
        except SerinError as error:
            said.append(error)

    starting = [threading.Thread(target=start) for _ in range(2)]
    for thread in starting:
        thread.start()
    for thread in starting:
        thread.join()
    pid = lifecycle.status(homes.folder / "home")["pid"]
    for each in said:
        if isinstance(each, SerinError):
            assert isinstance(each, AlreadyExists), each
            assert "a home" in str(each)
        else:
            assert each["pid"] == pid
    assert any(isinstance(each, dict) for each in said)


def test_a_missing_part_of_the_installation_is_named(homes: Homes, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = homes.folder / "hidden" / "envoy"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'envoy'\", name='envoy')")
    before = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{hidden.parent}:{before}" if before else str(hidden.parent))
    with pytest.raises(UsageError, match=r"needs the Python module 'envoy'.*pip install 'serin\[local\]'"):
        homes.up(gateway_port=free_port())


def config_map(name: str, size: int = 1) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "x" * size}}


def test_a_locked_store_and_a_full_disk_are_said_and_pass_without_a_trace(homes: Homes) -> None:
    status = homes.up(images=homes.images, gateway_port=free_port())
    folder = Path(status["folder"])
    ask(folder, "apply", manifests("v1"))
    eventually("the gateway answers", lambda: answer(status))

    other = sqlite3.connect(Paths(folder).objects, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match=r"objects\.db is locked by another process; end that process and try again"):
        ask(folder, "create", config_map("locked"))
    assert answer(status) == "v1"
    other.execute("ROLLBACK")
    other.close()
    ask(folder, "create", config_map("after-the-lock"))

    before = resource.prlimit(status["pid"], resource.RLIMIT_FSIZE)
    resource.prlimit(status["pid"], resource.RLIMIT_FSIZE, (1, before[1]))  # what a full disk looks like to one process
    with pytest.raises(StorageError, match=r"the disk that holds .*objects\.db is full; nothing was changed"):
        ask(folder, "create", config_map("full", 100_000))
    assert answer(status) == "v1"
    resource.prlimit(status["pid"], resource.RLIMIT_FSIZE, before)
    ask(folder, "create", config_map("after-the-full-disk"))

    found = {obj["metadata"]["name"] for obj in ask(folder, "list", CONFIG_MAP, "default")}
    assert found == {"after-the-lock", "after-the-full-disk"}
    assert eventually("all is well", lambda: lifecycle.status(folder)["state"] == "running")
    assert lifecycle.down(folder)
    check = sqlite3.connect(Paths(folder).objects)
    assert check.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    check.close()
