"""Real SavedModels, made once a session, and real servers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from serin.serving.savedmodel import SavedModel

DEADLINE = 90.0


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    script = Path(__file__).with_name("make_models.py")
    done = subprocess.run(
        [sys.executable, str(script), str(folder)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def half(models: Path) -> SavedModel:
    return SavedModel(models / "half" / "123")


@pytest.fixture(scope="session")
def several(models: Path) -> SavedModel:
    return SavedModel(models / "several" / "1")


@pytest.fixture(scope="session")
def image(models: Path) -> SavedModel:
    return SavedModel(models / "image" / "1")


@dataclass
class Server:
    """A `serin serve` in a process of its own."""

    process: subprocess.Popen[str]
    log: Path
    model: str

    @property
    def said(self) -> str:
        return self.log.read_text()

    def wait_until(self, what: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline, f"not seen in time: {what}\n{self.said}"
            time.sleep(0.05)

    @property
    def url(self) -> str:
        self.wait_until("a server that serves", lambda: "serving " in self.said or self.process.poll() is not None)
        assert self.process.poll() is None, self.said
        return self.said.split(" at ")[1].split("/v1/")[0]

    def predict(self, path: str, body: str) -> httpx2.Response:
        return httpx2.post(f"{self.url}/v1/models/{self.model}{path}", content=body, timeout=DEADLINE)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers; every process of theirs is gone afterwards."""
    servers: list[Server] = []

    def begin(*arguments: str, model: str = "m") -> Server:
        log = tmp_path / f"server-{len(servers)}.log"
        with log.open("w") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "serin", "serve", "--model-name", model, "--port", "0", *arguments],
                stdout=out, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            )  # fmt: skip
        servers.append(Server(process, log, model))
        return servers[-1]

    yield begin
    for server in servers:
        if server.process.poll() is None:
            os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
