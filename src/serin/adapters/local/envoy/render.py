"""From the routing model to the files that Envoy watches; only what changed is worked out again.

Deterministic: the same model gives the same text, so that what has not changed is not written. A file's `version_info`
is the digest of its resources; Envoy shows it when it has taken the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from serin.adapters.local.envoy.config import (
    Json,
    digest,
    envoy_cluster,
    envoy_listener,
    route_configuration,
    virtual_host,
)
from serin.adapters.local.envoy.model import Host, Listener, Routing
from serin.adapters.local.envoy.workloads import Cluster


@dataclass(frozen=True, slots=True)
class Config:
    """All files of a configuration: path relative to the proxy's folder -> text; versions by the same paths.

    before  the clusters (text and version) to have while the routes change: those that lose an endpoint as they were,
            so that no request is sent to nowhere. None when nothing is lost.
    """

    files: Mapping[str, str]
    versions: Mapping[str, str]
    before: tuple[str, str] | None = None

    @property
    def version(self) -> str:
        """One version for the whole."""
        return digest("".join(f"{path}={self.versions[path]};" for path in sorted(self.versions)))


class Renderer:
    """Renders models for a folder, whose absolute path the files name. Keeps the texts of the last model."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hosts: dict[tuple[str, tuple[str, ...]], tuple[Host, str]] = {}
        self._clusters: dict[str, tuple[Cluster, str]] = {}

    def render(self, routing: Routing) -> Config:
        """The files of a routing model."""
        clusters = {cluster.name: self._cluster(cluster) for cluster in routing.clusters}
        texts = {
            "cds.json": _list(text for _, text in clusters.values()),
            "lds.json": _list(_text(envoy_listener(listener, self._folder)) for listener in routing.listeners),
        }
        hosts = {}
        for listener in routing.listeners:
            texts[f"rds/{listener.name}.json"], own = self._routes(listener)
            hosts.update(own)
        versions = {path: digest(text) for path, text in texts.items()}
        files = {path: _file(text, versions[path]) for path, text in texts.items()}
        lost = {name: known for name, known in self._clusters.items() if _loses(known[0], clusters.get(name))}
        before = None
        if lost:
            text = _list(text for _, text in (clusters | lost).values())
            before = _file(text, digest(text)), digest(text)
        self._hosts, self._clusters = hosts, clusters
        return Config(files, versions, before)

    def _cluster(self, cluster: Cluster) -> tuple[Cluster, str]:
        known = self._clusters.get(cluster.name)
        return known if known and known[0] == cluster else (cluster, _text(envoy_cluster(cluster)))

    def _routes(self, listener: Listener) -> tuple[str, dict[tuple[str, tuple[str, ...]], tuple[Host, str]]]:
        texts = {}
        for host in listener.hosts:
            key = listener.name, host.domains
            known = self._hosts.get(key)
            texts[key] = known if known and known[0] == host else (host, _text(virtual_host(host)))
        frame = _text(route_configuration(Listener(listener.name, listener.address, listener.port, ())))
        empty = '"virtual_hosts":[]'
        filled = f'"virtual_hosts":{_list(text for _, text in texts.values())}'
        return _list([frame.replace(empty, filled)]), texts


def _loses(old: Cluster, new: tuple[Cluster, str] | None) -> bool:
    return new is None or not set(old.endpoints) <= set(new[0].endpoints)


def _file(resources: str, version: str) -> str:
    return f'{{"version_info":"{version}","resources":{resources}}}'


def _list(texts: Iterable[str]) -> str:
    return "[" + ",".join(texts) + "]"


def _text(resource: Json) -> str:
    return json.dumps(resource, sort_keys=True, separators=(",", ":"))
