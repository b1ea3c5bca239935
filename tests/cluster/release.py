"""The article's release in the lab: its objects on a model that is up at once, its traffic, its controllers."""

from __future__ import annotations

import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import yaml
from lab import Lab, PartFailed

from serin.adapters.local.processes import launch

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/fashion-mnist"
ACCOUNT = "serin-controller"
EXPERIMENT = "fashionmnist-v2-rollout"

Manifest = dict[str, Any]


def documents(name: str) -> list[Manifest]:
    """A file of the article, its models replaced by the lab's."""
    found: list[Manifest] = list(yaml.safe_load_all((EXAMPLE / name).read_text()))
    for each in found:
        if each["kind"] == "Deployment":
            (container,) = each["spec"]["template"]["spec"]["containers"]
            container["image"] = "lab/answer"
            container["readinessProbe"]["httpGet"]["path"] = "/ready"
    return found


def model(version: str, *args: str) -> list[Manifest]:
    """`modelvN.yaml`; `args` are those of `tests/survival/answer.py`."""
    found = documents(f"model{version}.yaml")
    for each in found:
        if each["kind"] == "Deployment":
            each["spec"]["template"]["spec"]["containers"][0]["args"] = list(args)
    return found


def outside(host: str) -> list[Manifest]:
    """`externalize.yaml` under a host of one's own."""
    text = (EXAMPLE / "externalize.yaml").read_text().replace("fashionmnist.com", host)
    return list(yaml.safe_load_all(text))


def experiment(host: str, *, interval: str = "2s", iterations: int = 6, **spec: Any) -> Manifest:
    """`fashionmnist-v2-rollout.yaml`, faster."""
    (found,) = yaml.safe_load_all((EXAMPLE / f"{EXPERIMENT}.yaml").read_text().replace("fashionmnist.com", host))
    found["spec"]["duration"] = {"interval": interval, "maxIterations": iterations}
    found["spec"] |= spec
    return dict(found)


def install(lab: Lab) -> None:
    """The custom resource, the settings and the controller's rights, as they are installed; no Pods."""
    manifests = yaml.safe_load_all((ROOT / "deploy/install.yaml").read_text())
    wanted = [each for each in manifests if each["kind"] not in ("Deployment", "PodDisruptionBudget", "NetworkPolicy")]
    for each in wanted:
        if each["metadata"]["name"] == "iter8config-metrics":
            each["data"] = {name: text.replace("kubernetes-pods", JOB) for name, text in each["data"].items()}
    lab.kubectl_run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump_all(wanted))
    lab.kubectl_run("wait", "--for=condition=Established", "crd/experiments.iter8.tools", "--timeout=30s")


JOB = "kubernetes-pods"


def eventually(what: str, holds: Callable[[], Any], patience: float = 60.0) -> Any:
    """Ask until the answer is true, and return it."""
    deadline = time.monotonic() + patience
    while True:
        with suppress(PartFailed, httpx2.HTTPError):
            if found := holds():
                return found
        assert time.monotonic() < deadline, f"not within {patience:.0f} s: {what}"
        time.sleep(0.1)


class Place:
    """A namespace of the lab with the article's release in it."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab, self.name, self.host = lab, name, f"{name}.fashionmnist.com"

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        return self.lab.kubectl_run("--namespace", self.name, *words, stdin=stdin)

    def apply(self, *manifests: Manifest) -> None:
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests))

    def get(self, kind: str, name: str) -> Manifest:
        return dict(json.loads(self.kubectl("get", kind, name, "-o", "json")))

    def message(self, name: str = EXPERIMENT) -> str:
        return str(self.get("experiment", name).get("status", {}).get("message", ""))

    def weights(self) -> dict[str, int]:
        """Subset -> weight of the route."""
        routes = self.get("virtualservice", "fashionmnist")["spec"]["http"]
        return {
            each["destination"].get("subset", each["destination"]["host"]): each.get("weight", 100)
            for each in routes[0]["route"]
        }

    def production(self) -> None:
        """Model v1 behind its gateway, answering."""
        self.apply(*model("v1"), *outside(self.host))
        self.kubectl("wait", "--for=condition=Available", "deployment/fashionmnist-v1", "--timeout=30s")
        with Traffic(self) as traffic:
            eventually("the gateway answers", lambda: traffic.answered > 3)

    def finished(self, name: str = EXPERIMENT, timeout: float = 90.0) -> None:
        self.kubectl("wait", "--for=condition=ExperimentCompleted", f"experiment/{name}", f"--timeout={timeout:.0f}s")


class Traffic:
    """Prediction requests through the gateway, one after the other in each of two threads, while the block lasts.

    answered   requests with status 200
    lost       what went wrong with the others, after the first that was answered
    """

    def __init__(self, place: Place, *, pause: float = 0.008, threads: int = 2) -> None:
        self._url = f"{place.lab.gateway}/v1/models/fashionmnist:predict"
        self._host = place.host
        self._pause = pause
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(threads)]
        self.answered = 0
        self.lost: list[str] = []

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        with httpx2.Client(headers={"host": self._host}, trust_env=False, timeout=10.0) as client:
            while not self._over.wait(self._pause):
                try:
                    code = client.post(self._url, json={"instances": [[0.0]]}).status_code
                    problem = "" if code == 200 else f"{time.strftime('%H:%M:%S')} status {code}"
                except httpx2.HTTPError as error:
                    problem = f"{time.strftime('%H:%M:%S')} {type(error).__name__}"
                if not problem:
                    self.answered += 1
                elif self.answered:
                    self.lost.append(problem)


class Channel:
    """A webhook that keeps what it is told, and the ConfigMap that names it, while the block lasts."""

    def __init__(self, lab: Lab) -> None:
        told: list[str] = []
        self.told = told

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._lab = lab
        self._server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> list[str]:
        self._thread.start()
        self._configure({"channel": f"notifier: slack\nurl: http://127.0.0.1:{self._server.server_port}/hook"})
        return self.told

    def __exit__(self, *_: object) -> None:
        self._configure(None)
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _configure(self, data: dict[str, str] | None) -> None:
        patch = json.dumps({"data": data})
        self._lab.kubectl_run("patch", "configmap", "iter8config-notifiers", "-n", "iter8", "--type=merge", "-p", patch)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


class Controller:
    """A controller in a process of its own, with the rights that are installed and no more."""

    def __init__(self, lab: Lab, folder: Path, number: int, *options: str) -> None:
        self.log = folder / f"controller-{number}.log"
        self._ports = _free_ports(2)
        kubeconfig = folder / f"controller-{number}.kubeconfig"  # with a token of its own
        kubeconfig.write_text(lab.kubeconfig_for(ACCOUNT, "iter8").read_text())
        self._words = [
            *(sys.executable, "-I", "-S", launch.__file__, str(os.getpid())),
            *(sys.executable, "-m", "serin", "controller", "--prometheus", lab.prometheus),
            *("--kubeconfig", str(kubeconfig), f"--health-port={self._ports[0]}", f"--metrics-port={self._ports[1]}"),
            *("--scrape-interval=1", "--propagation=1", "--drain=2", *options),
        ]
        self._begin()

    def _begin(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self._words, stdout=log, stderr=log)

    def revive(self) -> bool:
        """Start it again if it has given up, as a kubelet does. Always true, to stand in a condition."""
        if self.process.poll() is not None:
            self._begin()
        return True

    def said(self, what: str) -> bool:
        return what in self.log.read_text(errors="replace")

    def page(self, path: str) -> httpx2.Response:
        """`/healthz`, `/readyz` or `/metrics`."""
        port = self._ports[path == "/metrics"]
        return httpx2.get(f"http://127.0.0.1:{port}{path}", trust_env=False, timeout=5.0)

    def end(self) -> int:
        """SIGTERM, and the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(30)

    def kill(self) -> None:
        """As a machine that loses power."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def controllers(
    lab: Lab, folder: Path, count: int = 1, *options: str, refused: bool = False
) -> Iterator[list[Controller]]:
    """So many controllers, of which one leads; ended with the block.

    options   of their command lines
    refused   the API server may say no at times, as one does that has just started
    """
    begun = [Controller(lab, folder, number, *options) for number in range(count)]
    try:
        eventually("a controller leads", lambda: any(each.said('"leading"') for each in begun), 60.0)
        yield begun
    finally:
        for each in begun:
            if each.process.poll() is None:
                each.process.send_signal(signal.SIGCONT)
                each.end()
        for each in begun:
            text = each.log.read_text(errors="replace")
            assert "unexpectedly" not in text, text[-4000:]
            assert refused or "does not allow" not in text, text[-4000:]
