"""The whole lab: what it is made of, in which order it starts, and how it ends."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx2
import yaml

from lab import build, claim, control_plane, identities, kinds, mesh, namespace, prometheus
from lab.errors import CannotHaveLab, PartFailed
from lab.part import Part, Program, answers
from serin.adapters.local.processes.addresses import claim_subnet

REPOSITORY = Path(__file__).parent.parent
EXAMPLE = REPOSITORY / "examples" / "fashion-mnist"
ANSWER = "lab/answer"
"""The image of `tests/survival/answer.py`: a version that is up at once, and fails and dawdles as its args say."""
_EXPORTER = 9091


def _quietly(_line: str) -> None:
    """Nobody wants to know."""


class Lab:
    """A running lab; ends with the `with` block, and with the process in any case.

    folder       everything that this lab keeps, logs among it; gone afterwards
    bin          a folder for PATH: kubectl, and istioctl with a mesh, of the versions that run here
    kubeconfig   the administrator's
    api          URL of the API server
    gateway      URL of the ingress gateway; a request names its service by the Host header
    prometheus   URL of Prometheus
    parts        its processes by name: each can be stopped, started, frozen and thawed
    """

    def __init__(
        self,
        name: str = "lab",
        *,
        images: Mapping[str, Sequence[str]] | None = None,
        scrape_interval: float = 1.0,
        drain: float = 1.0,
        audit: bool = False,
        mesh: bool = True,
        concurrency: int = 1,
        say: Callable[[str], None] = _quietly,
    ) -> None:
        """What is to be started; nothing is before the `with`.

        images            image -> command line, beside those of Fashion-MNIST, `lab/answer` and `lab/pause`;
                          `$(POD_IP)` stands for the Pod's address
        scrape_interval   seconds between two scrapes by Prometheus
        drain             seconds from a Pod's deletion to its SIGTERM, when it has no `lifecycle.preStop`
        audit             note each API request, one JSON object a line, in `audit_log`
        mesh              without it there are no istiod, gateway and Prometheus, and what they cost
        concurrency       threads of the gateway
        say               told how far the start is, line by line
        """
        self.name = name
        self._own_images = dict(images or {})
        self._interval, self._drain, self._audit, self._concurrency = scrape_interval, drain, audit, concurrency
        self._with_mesh, self._say = mesh, say
        self._claim: claim.Claim | None = None
        self._namespace: namespace.Namespace | None = None
        self._pipe: int | None = None
        self.parts: dict[str, Part] = {}

    def __enter__(self) -> Lab:
        """Start it. Raises CannotHaveLab when this machine cannot have one, PartFailed when a part does not start."""
        if because := namespace.missing():
            raise CannotHaveLab(because)
        self.programs = build.control_plane(self._say)
        if self._with_mesh:
            self.mesh_programs = build.mesh(self._say)
        try:
            self._claim = claim.claim(self.name)
            self.folder = self._claim.folder
            self._namespace = namespace.create(self._claim.namespace, claim_subnet(self._claim.namespace))
            self._place()
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every process, the namespace and the folder. Nothing is left."""
        if self._namespace:
            namespace.destroy(self._namespace.name)
            self._namespace.subnet.close()
            self._namespace = None
        for part in self.parts.values():
            part.stop(0)
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None
        if self._claim:
            self._claim.release()
            self._claim = None

    @property
    def kubectl(self) -> Path:
        """kubectl of the API server's own version."""
        return self.programs.kubectl

    @property
    def audit_log(self) -> Path:
        """Where the API server notes each request, when `audit` was asked for."""
        return self.folder / "audit.log"

    def run(self, *words: str | Path, kubeconfig: Path | None = None, stdin: str | None = None) -> str:
        """Run a program with KUBECONFIG set, on the machine's side, and return what it prints. Raises PartFailed."""
        done = subprocess.run(
            [str(word) for word in words],
            capture_output=True,
            text=True,
            check=False,
            input=stdin,
            env={**os.environ, "KUBECONFIG": str(kubeconfig or self.kubeconfig)},
        )
        if done.returncode:
            raise PartFailed(f"'{' '.join(map(str, words))}' failed: {(done.stderr or done.stdout).strip()[-2000:]}")
        return done.stdout

    def kubectl_run(self, *words: str, stdin: str | None = None, kubeconfig: Path | None = None) -> str:
        """Run kubectl. Raises PartFailed with what it says."""
        return self.run(self.kubectl, *words, stdin=stdin, kubeconfig=kubeconfig)

    def inside(self, *words: str | Path) -> list[str]:
        """The command line that runs these words in the lab's namespace, where the Pods' addresses are."""
        assert self._namespace
        return self._namespace.inside(words)

    def kubeconfig_for(self, account: str, namespace: str = "default") -> Path:
        """A kubeconfig for a ServiceAccount that is there, with what RBAC gives it and no more. Raises PartFailed."""
        token = self.kubectl_run("create", "token", account, "-n", namespace, "--duration=24h").strip()
        return self._identities.kubeconfig(f"{namespace}-{account}", token)

    def istiod_debug(self, what: str) -> Any:
        """What istiod says under /debug: `syncz` (what proxies acknowledged), `configz`, `endpointz`."""
        answer = httpx2.get(f"{self._istiod}/debug/{what}", timeout=10.0, trust_env=False)
        return json.loads(answer.raise_for_status().text)

    def acknowledged(self) -> bool:
        """Whether the gateway has taken over all that istiod has sent it so far."""
        sent = self._sent()
        return bool(sent) and all(each.get("sent") == each.get("acked") and "lastError" not in each for each in sent)

    def rejections(self) -> list[str]:
        """What the gateway says against what istiod sent it last, in Envoy's words."""
        return [each["lastError"] for each in self._sent() if "lastError" in each]

    def istio_refusal(self, manifests: str) -> str | None:
        """What Istio's own validation says against these manifests (YAML); None when it accepts them."""
        try:
            self.run(self.mesh_programs.istioctl, "validate", "--filename=-", stdin=manifests)
        except PartFailed as refusal:
            return str(refusal).partition(" failed: ")[2]
        return None

    def stop_apiserver(self, grace: float = 0.0) -> None:
        """End the API server: at once, or SIGTERM and so many seconds."""
        self.parts["kube-apiserver"].stop(grace)

    def start_apiserver(self) -> None:
        """Start it again, and wait until it is ready."""
        self.parts["kube-apiserver"].start()

    def restart_apiserver(self) -> None:
        """End it at once, so that every watch breaks, and start it again."""
        self.stop_apiserver()
        self.start_apiserver()

    def stop_prometheus(self) -> None:
        """End Prometheus; its data stays."""
        self.parts["prometheus"].stop()

    def start_prometheus(self) -> None:
        """Start it again, and wait until it answers."""
        self.parts["prometheus"].start()

    def _sent(self) -> list[dict[str, str]]:
        return [kind for proxy in self.istiod_debug("syncz") for kind in proxy.get("resources", {}).values()]

    def _place(self) -> None:
        """Addresses and files that everything else is told of."""
        assert self._namespace
        address = self._namespace.address
        self._identities = identities.make(self.folder, address, secrets.token_urlsafe())
        self.kubeconfig = self._identities.kubeconfig(identities.ADMIN, self._identities.admin_token)
        self.api = self._identities.server
        self.gateway = f"http://{address}"
        self.gateway_admin = f"http://{address}:{mesh.ADMIN}"
        self.prometheus = f"http://{address}:{prometheus.PORT}"
        self._istiod = f"http://{address}:{mesh.DEBUG}"
        self._images = self._write_images()
        self.bin = self.folder / "bin"
        self.bin.mkdir()
        (self.bin / "kubectl").symlink_to(self.kubectl)
        if self._with_mesh:
            (self.bin / "istioctl").symlink_to(self.mesh_programs.istioctl)
        self._access_log = self.folder / "access.pipe"
        os.mkfifo(self._access_log, 0o600)
        # Open in both directions: neither the gateway nor the exporter waits for the other, or breaks with it.
        self._pipe = os.open(self._access_log, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def _start(self) -> None:
        """Everything, each part when what it cannot do without is there."""
        made = self.programs
        self._say("starting etcd and the API server")
        self._part(control_plane.etcd(made.etcd, self.folder / "etcd")).begin()
        audit = self.audit_log if self._audit else None
        self._part(control_plane.api_server(made.api_server, self._identities, audit)).start()
        self._say("starting the controllers and the node")
        begun = [
            self._part(control_plane.controllers(made.controllers, self.kubeconfig)).begin(),
            self._part(self._node()).begin(),
        ]
        if self._with_mesh:
            self._say("starting istiod, the gateway and Prometheus")
            begun += [part.begin() for part in self._mesh_parts()]
        self._say("applying the kinds of Istio and of the Gateway API")
        self.kubectl_run("create", "namespace", mesh.NAMESPACE)
        kinds.create(made.kinds, self._identities)
        for part in begun:
            part.wait()

    def _mesh_parts(self) -> list[Part]:
        made, folder, address = self.mesh_programs, self.folder, self._address
        gateway = f"{address}:{_EXPORTER}"
        return [
            self._part(mesh.istiod(made.istiod, self.kubeconfig, address, folder, self._access_log)),
            self._part(self._exporter()),
            self._part(mesh.gateway(made.envoy, address, folder, self._concurrency)),
            self._part(prometheus.prometheus(made.prometheus, address, folder, gateway, self._targets, self._interval)),
        ]

    def _node(self) -> Program:
        words = (
            sys.executable, "-m", "lab.node", "--kubeconfig", self.kubeconfig, "--images", self._images,
            "--folder", self.folder / "node", "--key", self._identities.key,
            "--certificate", self._identities.certificate, "--drain", str(self._drain),
        )  # fmt: skip
        there = answers(f"/api/v1/nodes/{identities.NODE_NAME}", self._identities.client())
        return Program("node", words, there, {"PYTHONPATH": str(REPOSITORY)})

    def _exporter(self) -> Program:
        words = (
            sys.executable, "-m", "lab.telemetry", "--kubeconfig", self.kubeconfig, "--log", self._access_log,
            "--address", self._address, "--port", str(_EXPORTER), "--targets", self._targets,
        )  # fmt: skip
        ready = answers(f"http://{self._address}:{_EXPORTER}/metrics")
        return Program("telemetry", words, ready, {"PYTHONPATH": str(REPOSITORY)})

    def _write_images(self) -> Path:
        """The images file of the node: Fashion-MNIST's, the tiny one, and the caller's own."""
        images: dict[str, Any] = yaml.safe_load((EXAMPLE / "images.yaml").read_text())["images"]
        for image in images.values():
            image["directory"] = str(EXAMPLE / image.get("directory", "."))
        images[ANSWER] = {"entrypoint": [sys.executable, str(REPOSITORY / "tests" / "survival" / "answer.py")]}
        images |= {name: {"entrypoint": list(words)} for name, words in self._own_images.items()}
        path = self.folder / "images.yaml"
        path.write_text(yaml.safe_dump({"images": images}))
        return path

    @property
    def _targets(self) -> Path:
        return self.folder / "targets.json"

    @property
    def _address(self) -> str:
        assert self._namespace
        return self._namespace.address

    def _part(self, program: Program) -> Part:
        assert self._namespace
        self.parts[program.name] = Part(program, self._namespace, self.folder)
        return self.parts[program.name]
