"""The port `Objects` on an API server, each call a request. What reads from memory is `cached`.

Objects come and go as JSON. Istio's are written in the API version that the cluster serves, whatever the caller wrote.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from serin.adapters.kube.api import MERGE_PATCH, Answer, Api, Request
from serin.adapters.kube.failures import Target
from serin.adapters.kube.reflector import Reflector, Scope
from serin.adapters.kube.served import Served
from serin.adapters.kube.shelf import Shelf
from serin.control import semantics
from serin.control.semantics import Key
from serin.control.watching import Watches
from serin.errors import Conflict, InvalidInput
from serin.ports import POD, Event, Kind, Object

Listing = list[Object]

_TRIES = 5
_PAGE = "500"
_GIVEN_BY_STORE = ("uid", "creationTimestamp", "generation")


class KubeObjects:
    """An API server as the port `Objects`.

    dry_run   writes are checked and answered as if they were stored, and are not
    """

    def __init__(self, api: Api, served: Served | None = None, *, dry_run: bool = False) -> None:
        self.api = api
        self.served = served or Served(api)
        self._params = {"dryRun": "All"} if dry_run else None

    async def aclose(self) -> None:
        """Close all connections."""
        await self.api.aclose()

    async def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """As `Objects.get`."""
        return _clean(await self.api.demand(await self._request("get", "GET", semantics.key(kind, namespace, name))))

    async def list(
        self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> list[Object]:
        """As `Objects.list`, page by page."""
        wanted = ",".join(f"{name}={value}" for name, value in (labels or {}).items())
        return await self.select(kind, Scope(namespace, wanted))

    async def select(self, kind: Kind, scope: Scope) -> Listing:
        """All objects of a kind in a scope, in kubectl's words."""
        space = scope.namespace if kind.namespaced else None
        params = {"limit": _PAGE, **scope.params()}
        found: Listing = []
        path = await self.served.path(kind, space)
        target = Target("list", kind, space)
        while True:
            answer = await self.api.send(Request(target, "GET", path, params))
            if answer.failure is not None and answer.failure.expired and "continue" in params:
                found = []
                params = {name: value for name, value in params.items() if name not in ("continue", "limit")}
                continue
            if answer.failure is not None:
                raise answer.failure.error(target)
            items = answer.body.get("items") or []
            found += [_clean({"apiVersion": answer.body["apiVersion"], "kind": kind.name, **item}) for item in items]
            again = answer.body["metadata"].get("continue")
            if not again:
                return sorted(found, key=lambda obj: (obj["metadata"].get("namespace", ""), obj["metadata"]["name"]))
            params["continue"] = again

    async def watch(self, *kinds: Kind, namespace: str | None = None) -> AsyncGenerator[Event, None]:
        """As `Objects.watch`. Raises what keeps the first lists from being had; later troubles are waited out."""
        watches = Watches()
        reflectors = [
            Reflector(
                self.api,
                self.served,
                Shelf(kind, watches.give, time.monotonic),
                Scope(namespace if kind.namespaced else None),
            )
            for kind in kinds
        ]
        tasks = [asyncio.create_task(each.run(), name=f"watch {each.kind.name}") for each in reflectors]
        try:
            for reflector in reflectors:
                await first_of(reflector.synced, reflector.failed)
                if not reflector.synced.is_set() and reflector.trouble is not None:
                    raise reflector.trouble
            events = watches.open(lambda: _present(reflectors), kinds, namespace)
            async for event in events:
                yield event
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def create(self, obj: Object) -> Object:
        """As `Objects.create`."""
        place = semantics.key_of(obj)
        new = semantics.fresh(obj, uid="", now=0.0)
        new["metadata"] = {name: value for name, value in new["metadata"].items() if name not in _GIVEN_BY_STORE}
        new["apiVersion"] = await self.served.api_version(place.kind)
        answer = await self.api.send(await self._request("create", "POST", place, body=new))
        if answer.doubtful and answer.failure is not None and answer.failure.reason == "AlreadyExists":
            # An attempt that got no answer may have been carried out: is what is there what we wanted to have there?
            live = await self.get(*place)
            if semantics.merged(live, _owned(new)) == live:
                return live
        return self._written(answer, "create", place)

    async def replace(self, obj: Object) -> Object:
        """As `Objects.replace`."""
        place = semantics.key_of(obj)
        new = semantics.copy(obj)
        new["apiVersion"] = await self.served.api_version(place.kind)
        new["metadata"].pop("managedFields", None)
        if new["metadata"].get("resourceVersion"):
            return await self._put(place, new)
        for tries_left in reversed(range(_TRIES)):
            # Custom resources cannot be replaced without a resourceVersion; the latest is what the caller means.
            current = (await self.get(*place))["metadata"]["resourceVersion"]
            try:
                return await self._put(place, {**new, "metadata": {**new["metadata"], "resourceVersion": current}})
            except Conflict:
                if not tries_left:
                    raise
        raise AssertionError("unreachable")

    async def patch(self, kind: Kind, namespace: str, name: str, patch: Object, *, status: bool = False) -> Object:
        """As `Objects.patch`."""
        place = semantics.key(kind, namespace, name)
        body = _checked(place, patch, status=status)
        request = await self._request(
            "patch", "PATCH", place, body=body, sub="status" if status else "", content_type=MERGE_PATCH
        )
        answer = await self.api.send(request)
        uid = (body.get("metadata") or {}).get("uid")
        refused = answer.failure is not None and answer.failure.code == 422
        # The API server holds a foreign uid to be an attempt to change it.
        if uid and refused and (await self.get(*place))["metadata"]["uid"] != uid:
            raise place.conflict()
        return self._written(answer, "patch", place)

    async def delete(self, kind: Kind, namespace: str, name: str) -> None:
        """As `Objects.delete`; what it owns is collected in the background."""
        await self.delete_now(kind, namespace, name)

    async def delete_now(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """Delete; returns the object if it is still there (finalizers, a grace period), None when it is gone."""
        place = semantics.key(kind, namespace, name)
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        answer = await self.api.send(await self._request("delete", "DELETE", place, body=options))
        if answer.doubtful and answer.failure is not None and answer.failure.code == 404:
            return None
        if answer.failure is not None:
            raise answer.failure.error(Target("delete", *place))
        return None if answer.body.get("kind") == "Status" else _clean(answer.body)

    async def logs(
        self, namespace: str, pod: str, *, follow: bool = False, tail: int | None = None, previous: bool = False
    ) -> AsyncGenerator[str, None]:
        """The lines that a Pod's container has printed."""
        target = Target("get", POD, namespace, pod)
        params = {name: "true" for name, wanted in (("follow", follow), ("previous", previous)) if wanted}
        if tail is not None:
            params["tailLines"] = str(tail)
        path = await self.served.path(POD, namespace, pod, "log")
        async with self.api.stream(Request(target, "GET", path, params), silence=None) as answer:
            if not isinstance(answer, AsyncIterator):
                raise answer.error(target)
            async for line in answer:
                yield line.decode(errors="replace")

    async def _put(self, place: Key, body: Object) -> Object:
        return self._written(
            await self.api.send(await self._request("update", "PUT", place, body=body)), "update", place
        )

    def _written(self, answer: Answer, verb: str, place: Key) -> Object:
        if answer.failure is not None:
            raise answer.failure.error(Target(verb, *place))
        return _clean(answer.body)

    async def _request(
        self,
        verb: str,
        method: str,
        place: Key,
        *,
        body: Object | None = None,
        sub: str = "",
        content_type: str = "application/json",
    ) -> Request:
        namespace = place.namespace or None
        name = "" if method == "POST" else place.name
        path = await self.served.path(place.kind, namespace, name, sub)
        params = None if method == "GET" else self._params
        return Request(Target(verb, *place), method, path, params, body, content_type)


def _checked(place: Key, patch: Object, *, status: bool) -> Object:
    """The half of a patch that counts. Raises InvalidInput for what no API server would take."""
    body = dict(patch)
    metadata = body.get("metadata", {})
    if not isinstance(metadata, dict):
        raise InvalidInput(f"{place}: a patch's metadata is a mapping, not {metadata!r}")
    named: dict[str, Any] = {"kind": body.get("kind")} | {part: metadata.get(part) for part in ("name", "namespace")}
    own = {"kind": place.kind.name, "name": place.name, "namespace": place.namespace}
    if any(value not in (None, own[field]) for field, value in named.items()):
        raise InvalidInput(f"{place}: kind, name and namespace cannot be changed; create another and delete this one")
    body.pop("apiVersion", None)
    if status:
        if not place.kind.has_status:
            raise InvalidInput(f"{place}: a {place.kind.name} has no status")
        return {part: body[part] for part in ("metadata", "status") if part in body}
    if place.kind.has_status:
        body.pop("status", None)
    return body


def _owned(new: Object) -> Object:
    """What tells that an object is the one that was to be created: all of it but the version it is written in."""
    return {name: value for name, value in new.items() if name != "apiVersion"}


def _clean(obj: Object) -> Object:
    """An object as the port gives it: without the bookkeeping of field managers."""
    obj["metadata"].pop("managedFields", None)
    return obj


def _present(reflectors: list[Reflector]) -> Listing:
    return [obj for reflector in reflectors for obj in reflector.shelf.find()]


async def first_of(*events: asyncio.Event) -> None:
    """Return when one of them is set."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
