"""`serin load` as a person types it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytestmark = pytest.mark.real


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str, bytes]] = []  # noqa: RUF012

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.seen.append((self.command, self.path, body))
        self.send_response(503 if self.path == "/sick" else 200)
        self.send_header("x-serin-version", "v1" if len(self.seen) % 4 else "v2")
        self.send_header("content-length", "0")
        self.end_headers()

    do_POST = do_GET  # noqa: N815

    def log_message(self, *words):
        pass


@pytest.fixture
def server():
    Handler.seen.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def serin_load(*words, **changes):
    return subprocess.run(
        [sys.executable, "-m", "serin", "load", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        **changes,
    )


def test_the_summary_is_aligned_and_says_all(server):
    done = serin_load(server, "--count", "100")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line[:11].rstrip() for line in lines] == [
        "Target", "Time", "Requests", "Failed", "Latency", "Versions", "",
    ]  # fmt: skip
    assert lines[5] == "Versions   v1   75.0%   75"
    assert lines[6] == "           v2   25.0%   25"
    assert done.stderr == ""


def test_the_same_as_json(server):
    done = serin_load(server + "/sick", "--count", "20", "--concurrency", "2", "-o", "json")
    assert done.returncode == 0
    report = json.loads(done.stdout)
    assert report["requests"] == {
        "total": 20,
        "failed": 20,
        "under_way": 0,
        "by_version": {"v1": 15, "v2": 5},
        "failed_by_version": {"v1": 15, "v2": 5},
    }
    assert report["errors"] == {"status 503": 20}
    assert set(report["latency_ms"]) == {"p50", "p90", "p99", "max", "mean"}


def test_failures_are_an_error_when_asked(server):
    done = serin_load(server + "/sick", "--count", "3", "--fail-on-error")
    assert done.returncode == 9
    assert done.stderr == "serin: 3 of 3 requests failed (3 status 503)\n"
    assert "3 status 503" in done.stdout


def test_a_body_comes_from_a_file_or_from_standard_input(server, tmp_path):
    file = tmp_path / "body.json"
    file.write_text('{"a": 1}')
    assert serin_load(server + "/p", "--body", str(file), "--count", "1").returncode == 0
    assert serin_load(server + "/p", "--body", "-", "-X", "post", "--count", "1", input="xyz").returncode == 0
    assert Handler.seen == [("POST", "/p", b'{"a": 1}'), ("POST", "/p", b"xyz")]


@pytest.mark.parametrize(("words", "code"), [((), 0), (("--duration", "1h"), 130)])
def test_ctrl_c_ends_it_and_prints_the_summary(server, words, code):
    command = [sys.executable, "-m", "serin", "load", server, "--rate", "50", *words]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while len(Handler.seen) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=30)
    assert (running.returncode, err) == (code, "")
    assert "Failed     0" in out


def test_a_target_that_is_away_is_exit_6():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = serin_load(f"http://127.0.0.1:{port}/")
    assert done.returncode == 6
    assert done.stderr == f"serin: 127.0.0.1 port {port} cannot be reached (Connection refused); is the gateway up?\n"


WRONG = [
    (("localhost",), 2, "is no address"),
    (("http://x/", "--rate", "0"), 2, "rate"),
    (("http://x/", "--rate", "5", "--concurrency", "2"), 2, "give one of them"),
    (("http://x/", "--poisson"), 2, "--poisson needs --rate"),
    (("http://x/", "--duration", "15"), 2, "'15' has no unit; write '15s'"),
    (("http://x/", "--duration", "-3s"), 2, "not above 0"),
    (("http://x/", "--body", "a", "--images", "b"), 2, "give --body or --images"),
    (("http://x/", "--body", "/no/file"), 3, "cannot read the body /no/file: No such file"),
    (("http://x/", "--images", "/no/folder"), 3, "is not there"),
    (("http://x/", "--feedback", "1s"), 2, "--feedback needs --images"),
    (("http://x/", "--feedback-random"), 2, "need --feedback, the delay"),
    (("http://x/", "--feedback-to", "http://x/"), 2, "need --feedback, the delay"),
    (("http://x/", "--images", "a", "--feedback", "1s"), 2, "does not end with :predict"),
    (("http://x/", "-H", "nonsense"), 2, "write 'NAME: VALUE'"),
    (("http://x/", "-H", "Content-Length: 7"), 2, "is set by the program itself"),
    (("http://x/", "-X", "B A D"), 3, "cannot be sent"),
]


@pytest.mark.parametrize(("words", "code", "sentence"), WRONG, ids=range(len(WRONG)))
def test_wrong_usage_is_one_sentence(words, code, sentence, capsys):
    from serin.cli import main

    assert main(["load", *words]) == code
    said = capsys.readouterr().err
    assert said.startswith("serin: ")
    assert sentence in said
    assert said.count("\n") == 1
