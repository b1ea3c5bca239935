"""One prediction of one Fashion-MNIST image: in process, and over HTTP with one version and with two.

Client and server are on this machine; the client is a bare socket, so that what is measured is the server. The ways
take turns, a hundred requests each, so that what else the machine does hits all of them. Below: seconds from the start
to the open port, and memory as the kernel shares it out (PSS) among all processes that run.
"""

from __future__ import annotations

import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from serin.load import images
from serin.serving.environment import prepare

prepare()

from serin.serving.documents import document  # noqa: E402
from serin.serving.savedmodel import SavedModel, runtime  # noqa: E402 - the environment comes first
from serin.serving.tensors import predict_request  # noqa: E402

ROUNDS, TURN = 20, 100
EXAMPLE = Path(__file__).parents[1] / "examples" / "fashion-mnist"


def main(_words: Sequence[str] = ()) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="serin-benchmark-")))
        subprocess.run([sys.executable, str(EXAMPLE / "train.py"), "--model", "v1"], cwd=folder, check=True)
        versions = folder / "versions"
        versions.mkdir()
        for number in ("1", "2"):
            (versions / number).symlink_to(folder / "models" / "v1" / "1")
        body = images.bodies(folder / "data", most=1)[0]
        one = stack.enter_context(served(folder / "models" / "v1"))
        two = stack.enter_context(served(versions, "--model-version-policy", "all"))
        began = time.perf_counter()
        runtime()
        imported = time.perf_counter() - began
        ways = {
            "model alone, in process": alone(folder / "models" / "v1" / "1", body),
            "JSON to JSON, in process": whole(folder / "models" / "v1" / "1", body),
            "HTTP, one version": stack.enter_context(over_http(one, body)),
            "HTTP, two versions": stack.enter_context(over_http(two, body)),
        }
        report(measure(ways))
        print(f"\n{'':<26}{'ready':>9}{'memory':>10}")
        print(f"{'TensorFlow, its import':<26}{imported:>7.1f} s")
        for name, server in (("one version", one), ("two versions", two)):
            print(f"{name:<26}{server.ready:>7.1f} s{memory(server.process.pid) / 1e6:>7.0f} MB")


def alone(folder: Path, body: bytes) -> Callable[[], object]:
    """The prepared call with a ready array: what the model itself costs."""
    model = SavedModel(folder)
    signature = model.signatures["serving_default"]
    (array,) = predict_request(document(body), signature).inputs.values()
    return lambda: model.run("serving_default", {"images": array})


def whole(folder: Path, body: bytes) -> Callable[[], object]:
    model = SavedModel(folder)
    return lambda: model.answer("predict", body)


class Served:
    """A server, its address and how long it took to open its port."""

    def __init__(self, process: subprocess.Popen[str], port: int, ready: float) -> None:
        self.process, self.port, self.ready = process, port, ready


@contextmanager
def served(path: Path, *more: str) -> Iterator[Served]:
    began = time.perf_counter()
    words = ["serve", "--model-name", "m", "--model-path", str(path), "--port", "0", *more]
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "serin", *words], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        port = int(line.split("http://127.0.0.1:")[1].split("/")[0])
        yield Served(process, port, time.perf_counter() - began)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@contextmanager
def over_http(server: Served, body: bytes) -> Iterator[Callable[[], object]]:
    head = f"POST /v1/models/m:predict HTTP/1.1\r\nHost: m\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def request() -> object:
            connection.sendall(head + body)
            answer = connection.recv(65_536)
            while not answer.endswith(b"}"):
                answer += connection.recv(65_536)
            assert answer.startswith(b"HTTP/1.1 200"), answer
            return answer

        yield request


def measure(ways: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Seconds of each call of each way, in turn; the first round warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(ROUNDS + 1):
        for name, way in ways.items():
            for _ in range(TURN):
                began = time.perf_counter()
                way()
                if round_:
                    seconds[name].append(time.perf_counter() - began)
    return seconds


def report(seconds: dict[str, list[float]]) -> None:
    base = statistics.median(next(iter(seconds.values())))
    print(f"{'':<26}{'p50':>9}{'p99':>11}{'above the model':>18}")
    for name, found in seconds.items():
        cuts = statistics.quantiles(found, n=100)
        p50, p99 = cuts[49], cuts[98]
        print(f"{name:<26}{1e3 * p50:>6.2f} ms{1e3 * p99:>8.2f} ms{1e3 * (p50 - base):>15.2f} ms")


def memory(process: int) -> int:
    """Bytes of a process and all below it, shared pages shared out."""
    rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
    own = next(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))
    children = (
        int(word) for path in Path(f"/proc/{process}/task").glob("*/children") for word in path.read_text().split()
    )
    return own + sum(memory(child) for child in children)


if __name__ == "__main__":
    os.chdir(EXAMPLE)
    main()
