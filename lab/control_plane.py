"""etcd, the API server and the controllers that make Pods of Deployments and endpoints of Pods."""

from __future__ import annotations

from pathlib import Path

from lab.identities import API_ADVERTISED, PORT, Identities
from lab.part import Program, answers

_ETCD = "http://127.0.0.1:2379"
_PEERS = "http://127.0.0.1:2380"
_CONTROLLERS = (
    "deployment-controller",
    "replicaset-controller",
    "endpoints-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "disruption-controller",
    "clusterrole-aggregation-controller",
)
_AUDIT = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
"""


def etcd(binary: Path, data: Path) -> Program:
    """etcd, for one lab's life: it does not wait for the disk. It is reached from inside the namespace only."""
    words = (
        binary, "--data-dir", data, "--unsafe-no-fsync", "--log-level", "warn", "--quota-backend-bytes", 4 << 30,
        "--listen-client-urls", _ETCD, "--advertise-client-urls", _ETCD,
        "--listen-peer-urls", _PEERS, "--initial-advertise-peer-urls", _PEERS,
        "--initial-cluster", f"default={_PEERS}",
    )  # fmt: skip
    return Program("etcd", [str(word) for word in words], lambda: True)  # the API server asks it until it answers


def api_server(binary: Path, given: Identities, audit: Path | None) -> Program:
    """The API server: tokens, RBAC. `audit`: where each request is noted, one JSON object a line."""
    words: list[str | Path] = [
        binary,
        f"--etcd-servers={_ETCD}",
        "--bind-address=0.0.0.0",
        f"--secure-port={PORT}",
        f"--tls-cert-file={given.certificate}",
        f"--tls-private-key-file={given.key}",
        f"--advertise-address={API_ADVERTISED}",
        f"--token-auth-file={given.tokens}",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-signing-key-file={given.key}",
        f"--service-account-key-file={given.certificate}",
        "--service-cluster-ip-range=10.96.0.0/12",
        "--disable-admission-plugins=ServiceAccount",
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-certificate-authority={given.certificate}",
        f"--cert-dir={given.folder}",
    ]
    if audit:
        policy = given.folder / "audit-policy.yaml"
        policy.write_text(_AUDIT)
        words += [f"--audit-policy-file={policy}", f"--audit-log-path={audit}", "--audit-log-maxsize=1000"]
    return Program("kube-apiserver", words, answers("/readyz", given.client()))


def controllers(binary: Path, kubeconfig: Path) -> Program:
    """The controllers that a Deployment needs; no node life cycle, no volumes, no certificates."""
    words = (
        binary,
        f"--kubeconfig={kubeconfig}",
        f"--controllers={','.join(_CONTROLLERS)}",
        "--leader-elect=false",
        "--secure-port=0",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    )
    return Program("kube-controller-manager", words, lambda: True)  # it works on what it finds whenever it is up
