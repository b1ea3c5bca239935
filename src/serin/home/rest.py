"""Objects over HTTP, as an API server has them: get, list, create, replace, patch, delete; a watch as JSON lines."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from serin.api.places import Problem
from serin.control import semantics
from serin.control.apply import apply
from serin.control.watching import Watch
from serin.errors import InvalidInput, UsageError
from serin.home import wire
from serin.ports import Event, Kind, Object, Objects

Admit = Callable[[Object], Sequence[Problem]]


class Rest:
    """The routes over a store. Errors of `serin.errors` pass through; the application makes bodies of them.

    admit    refuses a wrong manifest (InvalidInput), and gives what a person is to be told about a right one
    """

    def __init__(self, objects: Objects, admit: Admit) -> None:
        self._objects = objects
        self._admit = admit
        self._watches: set[Watch] = set()

    def routes(self) -> list[Route]:
        """The routes, the more particular ones first."""
        found = [
            Route("/apply", self._apply, methods=["POST"]),
            Route("/watch", self._watch, methods=["GET"]),
        ]
        for root in ("/api/{version}", "/apis/{group}/{version}"):
            for inside in ("/namespaces/{namespace}", ""):
                base = f"{root}{inside}/{{plural}}"
                found += [
                    Route(f"{base}/{{name}}/status", self._status, methods=["PATCH"]),
                    Route(f"{base}/{{name}}", self._one, methods=["GET", "PUT", "PATCH", "DELETE"]),
                    Route(base, self._all, methods=["GET", "POST"]),
                ]
        # `/api/v1/namespaces/x` is a Namespace, `/api/v1/namespaces/x/pods` are Pods: more segments come first.
        return sorted(found, key=lambda route: -route.path.count("/"))

    def close(self) -> None:
        """End the watches that are still read."""
        for watch in list(self._watches):
            watch.close()

    async def _all(self, request: Request) -> Response:
        kind, namespace = _kind(request), request.path_params.get("namespace")
        if request.method == "GET":
            found = await self._objects.list(kind, namespace, _selector(request))
            listing = {"apiVersion": kind.api_version, "kind": f"{kind.name}List", "items": found}
            return JSONResponse(listing)
        obj = await _body(request)
        _refuse_other_place(request, kind, obj)
        if _dry_run(request):
            return JSONResponse(semantics.fresh(obj, uid="", now=0.0))
        return JSONResponse(await self._objects.create(obj), status_code=201)

    async def _one(self, request: Request) -> Response:
        kind, place = _kind(request), _place(request)
        if request.method == "GET":
            return JSONResponse(await self._objects.get(kind, *place))
        if request.method == "PUT":
            obj = await _body(request)
            _refuse_other_place(request, kind, obj)
            return JSONResponse(await self._objects.replace(obj))
        if request.method == "PATCH":
            return JSONResponse(await self._objects.patch(kind, *place, await _body(request)))
        await self._objects.delete(kind, *place)
        return JSONResponse({"kind": "Status", "apiVersion": "v1", "status": "Success"})

    async def _status(self, request: Request) -> Response:
        changed = await self._objects.patch(_kind(request), *_place(request), await _body(request), status=True)
        return JSONResponse(changed)

    async def _apply(self, request: Request) -> Response:
        """Apply all of `objects`, or none when one of them is refused."""
        body = await _body(request)
        manifests = body.get("objects")
        if not isinstance(manifests, list) or not all(isinstance(obj, dict) for obj in manifests):
            raise InvalidInput("apply needs a list of objects")
        doubts = [self._admit(obj) for obj in manifests]
        trial = [await apply(self._objects, obj, dry_run=True) for obj in manifests]
        done = trial if body.get("dryRun") else [await apply(self._objects, obj) for obj in manifests]
        answers = [wire.applied(each, said) for each, said in zip(done, doubts, strict=True)]
        return JSONResponse({"applied": answers})

    async def _watch(self, request: Request) -> Response:
        kinds = [wire.kind_named(name) for name in request.query_params.getlist("kind")]
        if not kinds:
            raise UsageError("a watch needs at least one kind")
        events = self._objects.watch(*kinds, namespace=request.query_params.get("namespace"))
        first = await anext(events)  # what refuses the watch is to be an answer, not a broken stream
        return StreamingResponse(self._lines(first, events), media_type="application/jsonl")

    async def _lines(self, first: Event, events: AsyncIterator[Event]) -> AsyncIterator[str]:
        if isinstance(events, Watch):
            self._watches.add(events)
        try:
            yield _line(first)
            async for event in events:
                yield _line(event)
        finally:
            if isinstance(events, Watch):
                self._watches.discard(events)
                events.close()


def _line(event: Event) -> str:
    return json.dumps({"type": event.change, "object": event.object}, separators=(",", ":")) + "\n"


def _kind(request: Request) -> Kind:
    params = request.path_params
    return wire.kind_at(params.get("group", ""), params["version"], params["plural"])


def _place(request: Request) -> tuple[str, str]:
    return request.path_params.get("namespace", ""), request.path_params["name"]


def _dry_run(request: Request) -> bool:
    return request.query_params.get("dryRun") == "All"


def _selector(request: Request) -> dict[str, str]:
    """`a=b,c=d` of `labelSelector`. Raises UsageError for other operators."""
    pairs = [part.partition("=") for part in request.query_params.get("labelSelector", "").split(",") if part]
    for name, equals, value in pairs:
        if not equals or name.endswith("!") or value.startswith("="):
            raise UsageError(f"labelSelector: '{name}{equals}{value}' is not understood; write NAME=VALUE,NAME=VALUE")
    return {name: value for name, _, value in pairs}


async def _body(request: Request) -> Object:
    try:
        found: Any = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise InvalidInput("the request's body is no JSON") from None
    if not isinstance(found, dict):
        raise InvalidInput("the request's body must be a JSON object")
    return found


def _refuse_other_place(request: Request, kind: Kind, obj: Object) -> None:
    """An object must stand where the path says."""
    place = semantics.key_of(obj)
    params = request.path_params
    wanted = semantics.key(kind, params.get("namespace", place.namespace), params.get("name", place.name))
    if place != wanted:
        raise InvalidInput(f"the object is {place}, but the path says {wanted}")
