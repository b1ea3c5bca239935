"""Who the API server is and who may talk to it: a certificate, tokens, and kubeconfigs made of them."""

from __future__ import annotations

import base64
import csv
import shutil
import ssl
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2
import yaml

from lab.errors import CannotHaveLab
from lab.part import UNKEPT

ADMIN, ADMINS = "lab-admin", "system:masters"
API_SERVICE, API_ADVERTISED, PORT = "10.96.0.1", "10.244.255.1", 6443
NODE_NAME, NODE, KUBELET = "lab-node", "10.244.0.1", 10250


@dataclass(frozen=True, slots=True)
class Identities:
    """Files that the control plane is started with.

    key, certificate   the API server's, signed by itself: clients trust it as their authority
    tokens             as `--token-auth-file` reads them
    """

    folder: Path
    server: str
    key: Path
    certificate: Path
    tokens: Path
    admin_token: str

    def client(self) -> httpx2.Client:
        """The administrator's own way to the API server."""
        return httpx2.Client(
            base_url=self.server,
            verify=ssl.create_default_context(cafile=str(self.certificate)),
            headers={"authorization": f"Bearer {self.admin_token}"},
            timeout=30.0,
            trust_env=False,
            limits=UNKEPT,
        )

    def kubeconfig(self, name: str, token: str) -> Path:
        """Write a kubeconfig of this name for whoever holds the token."""
        authority = base64.b64encode(self.certificate.read_bytes()).decode()
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "lab",
            "clusters": [{"name": "lab", "cluster": {"server": self.server, "certificate-authority-data": authority}}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": name, "namespace": "default"}}],
            "users": [{"name": name, "user": {"token": token}}],
        }
        path = self.folder / f"kubeconfig-{name}"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(config, sort_keys=False))
        return path


def make(folder: Path, address: str, token: str) -> Identities:
    """Everything in `folder`, for an API server that is reached at `address`. Raises CannotHaveLab without openssl."""
    if not (openssl := shutil.which("openssl")):
        raise CannotHaveLab("the lab needs the program 'openssl'; install it (Debian: apt-get install openssl)")
    key, certificate, tokens = folder / "api.key", folder / "api.crt", folder / "tokens.csv"
    names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
    hosts = [f"DNS:{name}" for name in names]
    hosts += [f"IP:{each}" for each in (address, API_SERVICE, API_ADVERTISED, NODE, "127.0.0.1")]
    words: Sequence[str] = (
        openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "365",
        "-keyout", str(key), "-out", str(certificate), "-subj", "/CN=serin-lab",
        "-addext", f"subjectAltName={','.join(hosts)}",
        "-addext", "keyUsage=critical,digitalSignature,keyCertSign",
    )  # fmt: skip
    made = subprocess.run(words, capture_output=True, text=True, check=False)
    if made.returncode:
        raise CannotHaveLab(f"openssl cannot make the lab's certificate: {made.stderr.strip()[-300:]}")
    tokens.touch(mode=0o600)
    with tokens.open("w", newline="") as file:
        csv.writer(file).writerow((token, ADMIN, ADMIN, ADMINS))
    return Identities(folder, f"https://{address}:{PORT}", key, certificate, tokens, token)
