"""The weights that Envoy really has, by its own admin interface, looked at all the time."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.survival.manifests import HOST

_PAUSE = 0.05


class Wire:
    """Notes every split that Envoy routes by: workload -> weight, and everything odd about it."""

    def __init__(self, admin: Path) -> None:
        self._admin = admin
        self.splits: list[dict[str, int]] = []
        self.odd: list[str] = []
        self.looks = 0

    @property
    def split(self) -> dict[str, int]:
        """The latest one."""
        return self.splits[-1] if self.splits else {}

    async def watch(self) -> None:
        """Look until cancelled; an Envoy that is away is not looked at."""
        while True:
            try:
                async with asyncio.timeout(2.0):
                    routes = await self._routes()
            except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
                await asyncio.sleep(_PAUSE)
                continue
            self.looks += 1
            for route in routes:
                self._note(route)
            await asyncio.sleep(_PAUSE)

    def _note(self, route: dict[str, Any]) -> None:
        action = route.get("route", {})
        if "weighted_clusters" in action:
            clusters = [(each["name"], int(each.get("weight", 0))) for each in action["weighted_clusters"]["clusters"]]
        elif "cluster" in action:
            clusters = [(action["cluster"], 100)]
        else:
            clusters = []
        split: dict[str, int] = {}
        for name, weight in clusters:  # namespace/service/workload/port/labels
            workload = name.split("/")[2]
            split[workload] = split.get(workload, 0) + weight
        if self.splits and self.splits[-1] == split:
            return
        self.splits.append(split)
        if clusters and sum(split.values()) != 100:
            self.odd.append(f"weights {split}")

    async def _routes(self) -> list[dict[str, Any]]:
        """The routes of our host, as Envoy has them now."""
        reader, writer = await asyncio.open_unix_connection(str(self._admin))
        try:
            query = "/config_dump?resource=dynamic_route_configs"
            writer.write(f"GET {query} HTTP/1.1\r\nhost: envoy\r\nconnection: close\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            body = await reader.read()
        finally:
            writer.close()
        if b"transfer-encoding: chunked" in head:
            body = _unchunked(body)
        found = []
        for each in json.loads(body).get("configs", []):
            config = each.get("route_config", {})
            if not config.get("name", "").startswith("gateway-"):
                continue
            for host in config.get("virtual_hosts", []):
                if HOST in host["domains"]:
                    found += host["routes"]
        return found


def _unchunked(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        whole += body[:length]
        body = body[length + 2 :]
        if not length:
            break
    return whole
