"""A real Prometheus (Debian's, unpacked into the cache), and what it scrapes: counters that a test turns."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from lab import debian
from lab.build import cache_folder

SCRAPES = 0.5
"""Seconds between two scrapes, and within which one has to be done: a busy machine needs them."""

Labels = tuple[tuple[str, str], ...]


def binary() -> Path:
    """Prometheus, fetched once per machine. Raises CannotHaveLab where there is no apt."""
    return debian.program("prometheus", "usr/bin/prometheus", cache_folder() / "debian", print)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Exporter:
    """Counters of several pods on one port, a path for each; whoever holds `lock` turns several between two scrapes.

    away      pods whose scrape fails
    """

    def __init__(self, *pods: str) -> None:
        self.pods = pods
        self.lock = threading.Lock()
        self.away: set[str] = set()
        self._values: dict[str, dict[tuple[str, Labels], float]] = {pod: {} for pod in pods}
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                exporter._answer(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def set(self, pod: str, metric: str, value: float, /, **labels: str) -> None:
        """What a counter of a pod shows."""
        self._values[pod][metric, tuple(sorted(labels.items()))] = value

    def add(self, pod: str, metric: str, more: float, /, **labels: str) -> None:
        key = metric, tuple(sorted(labels.items()))
        self._values[pod][key] = self._values[pod].get(key, 0.0) + more

    def drop(self, pod: str, /, **labels: str) -> None:
        """Show no series any more that has these labels."""
        gone = set(labels.items())
        self._values[pod] = {key: v for key, v in self._values[pod].items() if not gone <= set(key[1])}

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        pod = handler.path.strip("/")
        with self.lock:
            here = pod not in self.away
            page = "".join(
                f"{metric}{{{','.join(f'{label}={json.dumps(value)}' for label, value in labels)}}} {number!r}\n"
                for (metric, labels), number in self._values.get(pod, {}).items()
            ).replace(" nan\n", " NaN\n")
        handler.send_response(200 if here else 503)
        handler.send_header("Content-Type", "text/plain; version=0.0.4")
        handler.end_headers()
        with contextlib.suppress(OSError):
            handler.wfile.write(page.encode() if here else b"")


@dataclass
class Prometheus:
    """One Prometheus with its data in `folder`; it is stopped and started again on the same port.

    web        its `--web.config.file`, as YAML: certificates, users
    """

    folder: Path
    exporter: Exporter
    scrapes: float = SCRAPES
    web: str = ""
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http{'s' if 'tls_server_config' in self.web else ''}://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> Prometheus:
        (self.folder / "prometheus.yml").write_text(json.dumps(self._config()))  # JSON is YAML
        (self.folder / "web.yml").write_text(self.web)
        words = [
            str(binary()), f"--config.file={self.folder}/prometheus.yml", f"--storage.tsdb.path={self.folder}/data",
            f"--web.listen-address=127.0.0.1:{self.port}", f"--web.config.file={self.folder}/web.yml",
            "--log.level=warn",
        ]  # fmt: skip
        with (self.folder / "prometheus.log").open("ab") as log:
            self._process = subprocess.Popen(words, stdout=log, stderr=log)
        self._until_ready()
        return self

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def _config(self) -> Mapping[str, object]:
        pause = f"{round(self.scrapes * 1000)}ms"
        targets = [
            {
                "targets": [f"127.0.0.1:{self.exporter.port}"],
                "labels": {"__metrics_path__": f"/{pod}", "pod": pod, "instance": f"{pod}:15020", "namespace": "mesh"},
            }
            for pod in self.exporter.pods
        ]
        scrape = {"job_name": "kubernetes-pods", "honor_labels": True, "static_configs": targets}
        return {"global": {"scrape_interval": pause, "scrape_timeout": pause}, "scrape_configs": [scrape]}

    def _until_ready(self) -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            assert self._process is not None
            if self._process.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                if self.web:
                    return
                with contextlib.suppress(URLError), urlopen(f"{self.url}/-/ready", timeout=5) as answer:
                    if answer.status == 200:
                        return
            time.sleep(0.05)
        raise AssertionError(f"Prometheus does not start: {(self.folder / 'prometheus.log').read_text()[-1000:]}")


@contextlib.contextmanager
def running(folder: Path, *pods: str, scrapes: float = SCRAPES, web: str = "") -> Iterator[Prometheus]:
    """A Prometheus that scrapes these pods."""
    exporter = Exporter(*pods)
    prometheus = Prometheus(folder, exporter, scrapes, web)
    try:
        yield prometheus.start()
    finally:
        prometheus.stop()
        exporter.close()
