"""Where a cluster keeps each kind: the paths, and for Istio's kinds the API version that it serves."""

from __future__ import annotations

from urllib.parse import quote

from serin.adapters.kube.api import Api, Request
from serin.adapters.kube.failures import Target, not_served
from serin.ports import Kind

_NEWEST_FIRST = ("v1", "v1beta1", "v1alpha3")


class Served:
    """The API versions in use. Asked once a group; `forget` after the cluster has said that it knows one no more."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._known: dict[str, tuple[str, ...]] = {}

    async def version(self, kind: Kind) -> str:
        """`v1`. Raises Unreachable when the cluster serves none that we understand."""
        if len(kind.versions) == 1:
            return kind.versions[0]
        if kind.group not in self._known:
            self._known[kind.group] = await self._ask(kind)
        offered = self._known[kind.group]
        for version in _NEWEST_FIRST:
            if version in offered and version in kind.versions:
                return version
        self.forget(kind)
        raise not_served(kind)

    async def api_version(self, kind: Kind) -> str:
        """`networking.istio.io/v1`, as it stands in an object."""
        version = await self.version(kind)
        return f"{kind.group}/{version}" if kind.group else version

    async def path(self, kind: Kind, namespace: str | None, name: str = "", sub: str = "") -> str:
        """The path of one object, of one of its subresources, or of all of a kind (namespace None: everywhere)."""
        parts = [f"/apis/{kind.group}" if kind.group else "/api", await self.version(kind)]
        if kind.namespaced and namespace is not None:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(kind.plural)
        parts += [quote(name, safe="")] if name else []
        parts += [sub] if sub else []
        return "/".join(parts)

    def forget(self, kind: Kind) -> None:
        """Ask again the next time: a CRD may have come, gone or changed."""
        self._known.pop(kind.group, None)

    async def _ask(self, kind: Kind) -> tuple[str, ...]:
        target = Target("discover", kind, None)
        answer = await self._api.send(Request(target, "GET", f"/apis/{kind.group}"))
        if answer.failure is not None:
            raise not_served(kind) if answer.failure.code == 404 else answer.failure.error(target)
        return tuple(str(each.get("version")) for each in answer.body.get("versions") or ())
