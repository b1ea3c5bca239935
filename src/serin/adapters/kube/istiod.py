"""istiod's own knowledge of its proxies: `/debug/syncz`. Reads only, and only when its address was given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2

from serin.errors import Unreachable

_KINDS = ("cluster", "route", "listener", "endpoint")
_WITHIN = 2.0


class Istiod:
    """One istiod. With several replicas each knows its own proxies only: give the address of a service of all.

    token   file with a token that istiod accepts (audience `istio-ca`); none where its debug interface is open
    """

    def __init__(self, url: str, token: Path | None = None, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._client = httpx2.AsyncClient(timeout=_WITHIN, transport=transport)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._client.aclose()

    async def settled(self) -> bool:
        """Whether every proxy has acknowledged the last clusters, routes, listeners and endpoints it was sent.

        Raises Unreachable.
        """
        try:
            headers = {"Authorization": f"Bearer {self._token.read_text().strip()}"} if self._token else {}
            response = await self._client.get(f"{self._url}/debug/syncz", headers=headers)
            response.raise_for_status()
            proxies = response.json()
        except (httpx2.HTTPError, OSError, ValueError) as error:
            raise Unreachable(f"istiod at {self._url} does not tell about its proxies ({error})") from error
        if not isinstance(proxies, list):
            raise Unreachable(f"istiod at {self._url} tells about its proxies in a form that is not known here")
        return all(_acknowledged(proxy) for proxy in proxies)


def _acknowledged(proxy: Mapping[str, Any]) -> bool:
    return all(proxy.get(f"{kind}_sent", "") == proxy.get(f"{kind}_acked", "") for kind in _KINDS)
