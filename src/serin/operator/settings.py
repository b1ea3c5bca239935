"""What a controller is told: by options, by the environment. Secrets come from the environment and files only."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from serin.adapters.prometheus import Auth, Basic, Bearer
from serin.errors import UsageError


@dataclass(frozen=True, slots=True)
class Settings:
    """One controller.

    prometheus        URL of the API
    namespace         whose experiments and versions it serves; None: all
    selector          labels of the experiments that it serves, in kubectl's words; empty: all
    lease_namespace   where its Lease is; None: its own namespace, `iter8` for one that runs outside the cluster
    scrape_interval   seconds between two scrapes of Prometheus, and so between two readings
    propagation       seconds until every proxy routes by a rule that was written
    drain             seconds until requests to a version without traffic are answered
    health_port, metrics_port    0: none
    """

    prometheus: str
    namespace: str | None = None
    selector: str = ""
    lease_namespace: str | None = None
    kubeconfig: str | None = None
    context: str | None = None
    scrape_interval: float = 15.0
    propagation: float = 2.0
    drain: float = 10.0
    address: str = "0.0.0.0"
    health_port: int = 8081
    metrics_port: int = 8080
    log_level: str = "info"


def authorization(environment: Mapping[str, str] = os.environ) -> tuple[Auth | None, Path | None]:
    """Who we are to Prometheus, and the file of authorities that sign it: `SERIN_PROMETHEUS_*`. Raises UsageError.

    `TOKEN`, or `USER` and `PASSWORD`; `TOKEN_FILE` and `PASSWORD_FILE` name files that are read anew at each request.
    """
    token, user, password = (_given(environment, name) for name in ("TOKEN", "USER", "PASSWORD"))
    if token and user:
        raise UsageError("Prometheus takes a token or a user, not both; unset SERIN_PROMETHEUS_TOKEN or _USER")
    if password and not user:
        raise UsageError("SERIN_PROMETHEUS_PASSWORD is set without SERIN_PROMETHEUS_USER; set both")
    authorities = environment.get("SERIN_PROMETHEUS_CA", "")
    auth: Auth | None = None
    if token:
        auth = Bearer(token)
    elif user:
        auth = Basic(str(user), password or "")
    return auth, Path(authorities) if authorities else None


def identity() -> str:
    """A name that no other process has, as client-go makes it."""
    return f"{socket.gethostname()}_{uuid.uuid4()}"


def _given(environment: Mapping[str, str], name: str) -> str | Path | None:
    file = environment.get(f"SERIN_PROMETHEUS_{name}_FILE")
    return Path(file) if file else environment.get(f"SERIN_PROMETHEUS_{name}") or None
