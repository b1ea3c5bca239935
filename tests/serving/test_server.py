"""`serin serve` as a process: from the folder to the graceful end, with one version and with several."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from serin.serving.zygote import die_with_parent
from tests.serving.conftest import Server

pytestmark = [pytest.mark.real, pytest.mark.tensorflow]
Start = Callable[..., Server]


def test_the_port_opens_when_the_model_is_ready_and_sigterm_ends_it(start: Start, models: Path) -> None:
    server = start("--model-path", str(models / "half"))
    status = httpx2.get(f"{server.url}/v1/models/m").json()  # the very first request finds it available
    assert status["model_version_status"][0] | {"status": None} == {
        "version": "124", "state": "AVAILABLE", "status": None,
    }  # fmt: skip
    curl = ["curl", "-s", "-d", '{"instances": [1.0, 2.0, 5.0]}', f"{server.url}/v1/models/m:predict"]
    printed = subprocess.run(curl, capture_output=True, text=True, check=True).stdout
    assert printed == '{\n    "predictions": [3.5, 4.0, 5.5\n    ]\n}'
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0
    assert "Traceback" not in server.said


def test_a_request_under_way_is_answered_before_the_end(start: Start, models: Path) -> None:
    server = start("--model-path", str(models / "half"), "--fault", "latency=2s")
    url = httpx2.URL(server.url)
    body = b'{"instances": [1.0]}'
    with socket.create_connection((url.host, url.port or 0), timeout=30) as connection:
        head = f"POST /v1/models/m:predict HTTP/1.1\r\nHost: m\r\nContent-Length: {len(body)}\r\n"
        connection.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")  # the server has begun with this request
        connection.sendall(body)
        server.process.send_signal(signal.SIGTERM)
        server.wait_until("that it accepts no more", lambda: not connects(url))
        assert server.process.poll() is None
        answer = b"".join(iter(lambda: connection.recv(10_000), b""))
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"connection: close" in answer
    assert answer.endswith(b'"predictions": [3.5\n    ]\n}')
    assert server.process.wait(30) == 0


def connects(url: httpx2.URL) -> bool:
    try:
        socket.create_connection((url.host, url.port or 0), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def test_an_idle_connection_of_a_proxy_does_not_hold_the_end_up(start: Start, models: Path) -> None:
    server = start("--model-path", str(models / "half"))
    with httpx2.Client() as proxy:
        assert proxy.get(f"{server.url}/v1/models/m").status_code == 200
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        assert time.monotonic() - began < 5


@pytest.fixture
def both(start: Start, models: Path) -> Server:
    return start("--model-path", str(models / "half"), "--model-version-policy", "all", "--version-label", "old=123")


def predicted(server: Server, path: str) -> list[float]:
    answer = server.predict(path, '{"instances": [1.0]}')
    assert answer.status_code == 200, answer.text
    values: list[float] = answer.json()["predictions"]
    return values


def descendants(parent: int) -> list[int]:
    found = subprocess.run(["ps", "--ppid", str(parent), "-o", "pid="], capture_output=True, text=True, check=False)
    children = [int(word) for word in found.stdout.split()]
    return children + [below for child in children for below in descendants(child)]


def test_several_versions_are_served_each_by_its_own_process(both: Server) -> None:
    assert predicted(both, ":predict") == [3.5]
    assert predicted(both, "/versions/123:predict") == [2.5]
    assert predicted(both, "/labels/old:predict") == [2.5]
    assert both.predict("/versions/5:predict", "{}").status_code == 404
    metadata = httpx2.get(f"{both.url}/v1/models/m/versions/123/metadata").json()
    assert metadata["model_spec"]["version"] == "123"
    body = json.dumps({"signature_name": "classify_x_to_y", "examples": [{"x": 20.0}]})
    assert both.predict(":classify", body).json() == {"results": [[["", 13.0]]]}
    zygote, *children = descendants(both.process.pid)
    assert len(children) == 2
    both.process.send_signal(signal.SIGTERM)
    assert both.process.wait(30) == 0
    both.wait_until("no child left", lambda: not any(Path(f"/proc/{pid}").exists() for pid in (zygote, *children)))


def test_a_version_that_dies_is_started_again_while_the_other_answers(both: Server) -> None:
    assert predicted(both, ":predict") == [3.5]
    _, first, second = descendants(both.process.pid)
    for child in (first, second):
        os.kill(child, signal.SIGKILL)
        both.wait_until("its death to be seen", lambda: both.said.count("has ended") >= 1)
    both.wait_until("both back", lambda: both.said.count("is back") >= 2)
    assert predicted(both, ":predict") == [3.5]
    assert predicted(both, "/versions/123:predict") == [2.5]


def test_the_end_of_the_process_that_forks_ends_the_server_with_an_error(both: Server) -> None:
    assert predicted(both, ":predict") == [3.5]
    os.kill(descendants(both.process.pid)[0], signal.SIGKILL)
    assert both.process.wait(30) == 1
    assert "start serin serve again" in both.said


def test_children_do_not_outlive_a_server_that_is_killed(both: Server) -> None:
    assert both.url
    below = descendants(both.process.pid)
    assert len(below) == 3
    both.process.kill()
    both.process.wait()
    both.wait_until("no process left", lambda: not any(alive(pid) for pid in below))


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_rehearsed_crash_ends_at_once_and_a_late_start_is_late(start: Start, models: Path) -> None:
    crashed = start("--model-path", str(models / "half"), "--fault", "crash")
    late = start("--model-path", str(models / "half"), "--fault", "start-delay=3s")
    began = time.monotonic()
    assert crashed.process.wait(30) == 1
    assert crashed.said == "serin: crashed at the start, as --fault crash asks\n"
    assert late.url
    assert time.monotonic() - began >= 2.5
    assert "starting 3s late" in late.said


REFUSED = [
    (["--model-path", "/nowhere"], 4, "the model folder /nowhere is not there"),
    (["--model-path", "{models}/half/123"], 3, "is a SavedModel itself; give --model-path the folder above it"),
    (["--model-path", "{models}/half", "--fault", "slow"], 2, "--fault 'slow' is not known"),
    (["--model-path", "{models}/half", "--max-body-size", "big"], 2, "'big' is no size"),
    (["--model-path", "{models}/half", "--drain", "5"], 2, "'5' has no unit"),
    (["--model-path", "{models}/half", "--host", "192.0.2.1"], 2, "cannot listen on 192.0.2.1:0"),
    (["--model-path", "{models}/half", "--model-version-policy", "7"], 4, "has no version 7; it has 123, 124"),
]


@pytest.mark.parametrize(("arguments", "code", "sentence"), REFUSED)
def test_what_cannot_be_served_is_one_sentence(
    start: Start, models: Path, arguments: list[str], code: int, sentence: str
) -> None:
    server = start(*(word.format(models=models) for word in arguments))
    assert server.process.wait(60) == code
    assert sentence in server.said
    assert server.said.startswith("serin: ")
    assert server.said.count("\n") == 1


def test_a_broken_version_among_several_is_one_sentence(start: Start, models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "versions"
    (folder / "2").mkdir(parents=True)
    (folder / "1").symlink_to(models / "half" / "123")
    (folder / "2" / "saved_model.pb").write_bytes(b"broken")
    server = start("--model-path", str(folder), "--model-version-policy", "all")
    assert server.process.wait(90) == 3
    assert f"the SavedModel in {folder}/2 cannot be loaded" in server.said


def test_help_does_not_import_tensorflow_or_numpy() -> None:
    code = (
        "import sys; from serin.cli import main; code = main(['serve', '--help']);"
        "print(code, [name for name in ('tensorflow', 'numpy', 'starlette') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("0 []\n")


def test_a_child_whose_parent_is_gone_already_does_not_stay() -> None:
    pid = os.fork()
    if pid == 0:
        die_with_parent(parent=1 if os.getppid() != 1 else 2)
        os._exit(42)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1


def test_a_server_for_feedback_only_needs_no_model_and_no_tensorflow(start: Start) -> None:
    server = start("--feedback-only")
    server.wait_until("a server that counts", lambda: "counting feedback on m at http" in server.said)
    address = server.said.split(" at ")[1].split(" after ")[0]
    assert httpx2.post(f"{address}:feedback", json={"correct": [True, False]}).json() == {"counted": 2, "correct": 1}
    maps = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "tensorflow" not in maps
