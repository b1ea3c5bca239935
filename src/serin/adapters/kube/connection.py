"""How to reach the API server: the kubeconfig or the pod's service account, as an HTTP client.

Reading the configuration, TLS and authentication (tokens, rotated token files, client certificates, exec plugins) are
lightkube's. Never sends a request itself.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import yaml
from lightkube.config.client_adapter import user_auth, verify_cluster
from lightkube.config.kubeconfig import DEFAULT_KUBECONFIG, SERVICE_ACCOUNT, KubeConfig, SingleConfig
from lightkube.config.models import NameValue, User, UserExec
from lightkube.core.exceptions import ConfigError

from serin.errors import SerinError, UsageError

INSTALLATION = "iter8"
_CONNECT = 5.0
_ANSWER = 30.0
_IDLE = 30.0
"""Seconds that an unused connection is kept."""

_EXEC_V1 = "client.authentication.k8s.io/v1"
_EXEC_V1BETA1 = "client.authentication.k8s.io/v1beta1"

# A peer that is gone without a word is noticed within a minute, also by a watch that waits for hours.
_KEEPALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
        if hasattr(socket, name)
    ),
]


@dataclass(frozen=True, slots=True)
class Access:
    """Which cluster, as whom, and in which namespace when none is named."""

    config: SingleConfig
    in_cluster: bool = False

    @property
    def server(self) -> str:
        """The address of the API server."""
        return str(self.config.cluster.server)

    @property
    def namespace(self) -> str:
        """The namespace of the context."""
        return self.config.namespace

    @property
    def own_namespace(self) -> str:
        """Where the pod that this runs in lives; outside a cluster that of the installation."""
        return self.namespace if self.in_cluster else INSTALLATION

    def client(self, *, connections: int = 64) -> httpx2.AsyncClient:
        """A client that speaks to this API server and no other. Raises UsageError when its credentials are wrong."""
        config = self.config
        user = config.user or User()
        try:
            verify = verify_cluster(config.cluster, user, config.abs_file)
            auth = user_auth(_with_exec(user))
        except (ConfigError, OSError, ValueError) as error:
            raise UsageError(f"context '{config.context_name}': {error}; see 'kubectl config view'") from error
        limits = httpx2.Limits(
            max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=_IDLE
        )
        transport = httpx2.AsyncHTTPTransport(verify=verify, limits=limits, socket_options=_KEEPALIVE)
        timeout = httpx2.Timeout(_ANSWER, connect=_CONNECT, pool=None)
        return httpx2.AsyncClient(base_url=self.server, auth=auth, transport=transport, timeout=timeout)


def access(
    kubeconfig: str | None = None, context: str | None = None, *, service_account: str = SERVICE_ACCOUNT
) -> Access:
    """As kubectl finds it: the file given, else `KUBECONFIG`, else the pod's account, else `~/.kube/config`.

    Raises UsageError.
    """
    named = kubeconfig or os.environ.get("KUBECONFIG", "")
    in_cluster = not named and (Path(service_account) / "token").exists()
    try:
        if named:
            found = _from_files([Path(name).expanduser() for name in named.split(os.pathsep) if name])
        elif in_cluster:
            found = KubeConfig.from_service_account(service_account)
        else:
            found = _from_files([Path(DEFAULT_KUBECONFIG).expanduser()])
        config = found.get(context)
    except SerinError:
        raise
    except Exception as error:  # whatever a broken file makes of lightkube, yaml and msgspec
        raise UsageError(f"the kubeconfig cannot be used: {_reason(error)}; see 'kubectl config view'") from error
    assert config is not None
    return Access(config, in_cluster)


def _from_files(paths: list[Path]) -> KubeConfig:
    """One configuration of several files as kubectl merges them: the first that says something is right."""
    there = [path for path in paths if path.is_file()]
    if not there:
        names = ", ".join(map(str, paths))
        raise UsageError(f"no cluster is known: {names} is not there; name a file with --kubeconfig or KUBECONFIG")
    merged: dict[str, Any] = {"clusters": [], "contexts": [], "users": []}
    for path in there:
        document = yaml.safe_load(path.read_text()) or {}
        if not isinstance(document, Mapping):
            raise UsageError(f"{path} is no kubeconfig; see 'kubectl config view'")
        if not merged.get("current-context"):
            merged["current-context"] = document.get("current-context") or None
        for part in ("clusters", "contexts", "users"):
            known = {each["name"] for each in merged[part]}
            merged[part] += [each for each in document.get(part) or () if each["name"] not in known]
    return KubeConfig.from_dict(merged, fname=there[0])


def _with_exec(user: User) -> User:
    """The user with an exec plugin of protocol `v1` in the form that lightkube knows.

    Of what is used of it (`status.token` in the answer) v1 and v1beta1 are the same, but lightkube refuses the name v1
    and gives no `KUBERNETES_EXEC_INFO`, without which plugins of v1 do not run.
    """
    plugin = user.exec
    if plugin is None:
        return user
    spec = {"apiVersion": plugin.apiVersion, "kind": "ExecCredential", "spec": {"interactive": False}}
    info = NameValue(name="KUBERNETES_EXEC_INFO", value=json.dumps(spec))
    version = _EXEC_V1BETA1 if plugin.apiVersion == _EXEC_V1 else plugin.apiVersion
    known = UserExec(apiVersion=version, command=plugin.command, args=plugin.args, env=[*(plugin.env or []), info])
    return User(exec=known)


def _reason(error: Exception) -> str:
    return f"'{error.args[0]}' is missing" if isinstance(error, KeyError) and error.args else str(error)
