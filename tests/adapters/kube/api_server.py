"""A small API server in memory behind httpx2's transport: enough of Kubernetes to be wrong in every way it can be.

Writes follow `serin.control.semantics`; lists are paged, watches resume, bookmark, expire and break on demand.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2

from serin.control import semantics
from serin.control.semantics import Key, Outcome
from serin.errors import AlreadyExists, Conflict, InvalidInput, NotFound, SerinError
from serin.ports import KINDS, Change, Kind, Object

Reply = Callable[[httpx2.Request], httpx2.Response | Exception | None]


@dataclass
class Trouble:
    """What happens to the next `times` requests that `concerns` picks, instead of or `after` being carried out."""

    reply: Reply
    concerns: Callable[[httpx2.Request], bool] = lambda request: True
    times: int = 1
    after: bool = False


@dataclass
class Watcher:
    kind: Kind
    namespace: str | None
    lines: asyncio.Queue[bytes | Exception | None]


@dataclass
class FakeApiServer:
    """`client()` speaks to it.

    istio      the API versions of networking.istio.io that are served
    seen       every request so far: method and path
    """

    istio: tuple[str, ...] = ("v1", "v1beta1", "v1alpha3")
    now: float = 1_700_000_000.0
    seen: list[str] = field(default_factory=list)
    requests: list[httpx2.Request] = field(default_factory=list)
    stored: dict[Key, Object] = field(default_factory=dict)
    version: int = 100
    oldest: int = 0
    troubles: list[Trouble] = field(default_factory=list)
    watchers: list[Watcher] = field(default_factory=list)
    history: list[tuple[int, str, Key, Object]] = field(default_factory=list)
    _uids: Iterator[str] = field(default_factory=lambda: (f"uid-{n}" for n in itertools.count(1)))

    def client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url="http://api", transport=httpx2.MockTransport(self.handle))

    # -- what a test does to it

    def fail(self, code: int, times: int = 1, *, method: str = "", path: str = "", after: bool = False, **more: Any):
        """Answer `code` to the next requests of this method whose path holds `path`."""
        headers = more.pop("headers", {})
        body = {
            "kind": "Status",
            "code": code,
            "reason": more.pop("reason", ""),
            "message": more.pop("message", "no"),
            **more,
        }
        self.trouble(lambda _: httpx2.Response(code, json=body, headers=headers), times, method, path, after)

    def hang_up(self, times: int = 1, *, method: str = "", path: str = "", after: bool = False) -> None:
        """Close the connection instead of answering."""
        self.trouble(lambda _: httpx2.ReadError("connection reset"), times, method, path, after)

    def trouble(self, reply: Reply, times: int, method: str, path: str, after: bool = False) -> None:
        def concerns(request: httpx2.Request) -> bool:
            return method in ("", request.method) and path in str(request.url)

        self.troubles.append(Trouble(reply, concerns, times, after))

    def drop_watches(self, error: Exception | None = None) -> None:
        """End every open watch: as at its timeout (None), or broken."""
        for watcher in self.watchers:
            watcher.lines.put_nowait(error)
        self.watchers.clear()

    def say(self, event: Object) -> None:
        """Write a line into every open watch."""
        for watcher in self.watchers:
            watcher.lines.put_nowait(json.dumps(event).encode() + b"\n")

    def bookmark(self) -> None:
        for watcher in self.watchers:
            metadata = {"resourceVersion": str(self.version)}
            line = {"type": "BOOKMARK", "object": {"kind": watcher.kind.name, "metadata": metadata}}
            watcher.lines.put_nowait(json.dumps(line).encode() + b"\n")

    def forget_history(self) -> None:
        """Compact: a watch from before now is answered 410."""
        self.oldest = self.version + 1
        self.version += 1

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Changes in this block are told to no watch that is open, as if it were broken."""
        watchers, self.watchers = self.watchers, []
        try:
            yield
        finally:
            self.watchers = watchers

    def put(self, obj: Object) -> Object:
        """Somebody else creates or replaces an object, with its status."""
        place = semantics.key_of(obj)
        before = self.stored.get(place)
        new = semantics.fresh(obj, uid=before["metadata"]["uid"] if before else next(self._uids), now=self.now)
        if "status" in obj:
            new["status"] = semantics.copy(obj["status"])
        return self._keep(place, Change.MODIFIED if before else Change.ADDED, new)

    def drop(self, obj: Object) -> None:
        """Somebody else deletes an object."""
        place = semantics.key_of(obj)
        self._keep(place, Change.DELETED, self.stored[place])

    # -- what it answers

    async def handle(self, request: httpx2.Request) -> httpx2.Response:
        await asyncio.sleep(0)
        self.requests.append(request)
        self.seen.append(f"{request.method} {request.url.path}")
        for trouble in self.troubles:
            if trouble.times and trouble.concerns(request):
                trouble.times -= 1
                if trouble.after:
                    self._answer(request)
                reply = trouble.reply(request)
                if isinstance(reply, Exception):
                    raise reply
                assert reply is not None
                return reply
        return self._answer(request)

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        try:
            return self._route(request)
        except SerinError as error:
            known = {NotFound: 404, AlreadyExists: 409, Conflict: 409, InvalidInput: 422}
            code = known.get(type(error), 500)
            body = {"kind": "Status", "code": code, "reason": type(error).__name__, "message": str(error)}
            return httpx2.Response(code, json=body)

    def _route(self, request: httpx2.Request) -> httpx2.Response:
        parts = request.url.path.strip("/").split("/")
        if parts == ["apis", "networking.istio.io"]:
            versions = [{"groupVersion": f"networking.istio.io/{v}", "version": v} for v in self.istio]
            return httpx2.Response(200 if versions else 404, json={"kind": "APIGroup", "versions": versions})
        group, parts = ("", parts[1:]) if parts[0] == "api" else (parts[1], parts[2:])
        version, parts = parts[0], parts[1:]
        namespace = None
        if parts[0] == "namespaces" and len(parts) > 2:
            namespace, parts = parts[1], parts[2:]
        kind = next((k for k in KINDS if (k.group, k.plural) == (group, parts[0])), None)
        served = kind is not None and version in kind.versions and ("istio" not in group or version in self.istio)
        if kind is None or not served:
            return httpx2.Response(404, json={"kind": "Status", "code": 404, "message": "no such resource"})
        name = parts[1] if len(parts) > 1 else ""
        return self._serve(request, kind, version, namespace, name, status=parts[2:] == ["status"])

    def _serve(
        self, request: httpx2.Request, kind: Kind, version: str, namespace: str | None, name: str, *, status: bool
    ) -> httpx2.Response:
        if request.method == "GET" and not name:
            if "watch" in request.url.params:
                return self._watch(request, kind, namespace)
            return self._list(request, kind, version, namespace)
        body: Object = json.loads(request.content) if request.content else {}
        if request.method == "POST":
            obj = {**body, "metadata": {**body["metadata"], "namespace": namespace}} if namespace else body
            return self._json(self._create(semantics.key_of(obj), obj), 201)
        place = Key(kind, namespace or "", name)
        if place not in self.stored:
            raise place.not_found()
        current = self.stored[place]
        if request.method == "GET":
            return self._json(current)
        if request.method == "DELETE":
            outcome = semantics.deleted(current, self.now)
            done = self._write(place, outcome)
            gone = outcome.change is Change.DELETED
            return self._json({"kind": "Status", "status": "Success", "metadata": {}} if gone else done)
        if request.method == "PUT":
            return self._json(self._write(place, semantics.replaced(current, body)))
        return self._json(self._write(place, semantics.patched(current, body, status=status)))

    def _list(self, request: httpx2.Request, kind: Kind, version: str, namespace: str | None) -> httpx2.Response:
        params = request.url.params
        labels = dict(pair.split("=") for pair in params.get("labelSelector", "").split(",") if pair)
        found = [
            self.stored[key]
            for key in sorted(self.stored, key=lambda key: (key.namespace, key.name))
            if key.kind == kind and namespace in (None, key.namespace) and semantics.selected(self.stored[key], labels)
        ]
        start, limit = int(params.get("continue", 0)), int(params.get("limit", 0)) or len(found) or 1
        page = found[start : start + limit]
        metadata = {"resourceVersion": str(self.version)}
        if start + limit < len(found):
            metadata["continue"] = str(start + limit)
        bare = [{k: v for k, v in obj.items() if k not in ("kind", "apiVersion")} for obj in page]
        api_version = f"{kind.group}/{version}".lstrip("/")
        return self._json({"kind": f"{kind.name}List", "apiVersion": api_version, "metadata": metadata, "items": bare})

    def _watch(self, request: httpx2.Request, kind: Kind, namespace: str | None) -> httpx2.Response:
        since = int(request.url.params["resourceVersion"])
        if since < self.oldest:
            return httpx2.Response(410, json={"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"})
        watcher = Watcher(kind, namespace, asyncio.Queue())
        for version, change, key, obj in self.history:
            if version > since and key.kind == kind and namespace in (None, key.namespace):
                watcher.lines.put_nowait(_line(change, obj))
        self.watchers.append(watcher)

        async def lines() -> AsyncIterator[bytes]:
            while (line := await watcher.lines.get()) is not None:
                if isinstance(line, Exception):
                    raise line
                yield line

        return httpx2.Response(200, content=lines())

    def _create(self, place: Key, obj: Object) -> Object:
        if obj["metadata"].get("resourceVersion"):
            raise InvalidInput("resourceVersion should not be set on objects to be created")
        if place in self.stored:
            raise place.already_exists()
        return self._keep(place, Change.ADDED, semantics.fresh(obj, uid=next(self._uids), now=self.now))

    def _write(self, place: Key, outcome: Outcome) -> Object:
        if outcome.change is None:
            return outcome.object
        return self._keep(place, outcome.change, outcome.object)

    def _keep(self, place: Key, change: Change, obj: Object) -> Object:
        self.version += 1
        metadata = {**obj["metadata"], "resourceVersion": str(self.version)}
        new = semantics.copy({**obj, "metadata": metadata})
        if change is Change.DELETED:
            del self.stored[place]
        else:
            self.stored[place] = new
        self.history.append((self.version, str(change), place, new))
        for watcher in self.watchers:
            if watcher.kind == place.kind and watcher.namespace in (None, place.namespace):
                watcher.lines.put_nowait(_line(change, new))
        return new

    def _json(self, body: Object, code: int = 200) -> httpx2.Response:
        if "items" in body:
            return httpx2.Response(code, json={**body, "items": [_managed(item) for item in body["items"]]})
        return httpx2.Response(code, json=_managed(body))


def _managed(obj: Object) -> Object:
    """As it goes over the wire, with the bookkeeping of field managers."""
    managed = [{"manager": "somebody", "operation": "Update"}]
    return {**obj, "metadata": {**obj["metadata"], "managedFields": managed}} if "metadata" in obj else obj


def _line(change: str, obj: Object) -> bytes:
    return json.dumps({"type": str(change), "object": _managed(obj)}).encode() + b"\n"
