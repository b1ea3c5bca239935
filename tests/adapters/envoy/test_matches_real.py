"""Match rules and actions on a real Envoy: what a rule takes goes to `two`, the rest to `one`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.adapters.envoy.conftest import House
from tests.adapters.envoy.objects import article, destination, pod, virtual_service
from tests.adapters.envoy.wire import Answer, Backend, backend

pytestmark = pytest.mark.real

Ask = tuple[str, str, dict[str, str]]


def ask(path: str = "/", method: str = "GET", **headers: str) -> Ask:
    return path, method, headers


MATCHES: list[tuple[dict[str, Any], list[Ask], list[Ask]]] = [
    ({"uri": {"exact": "/a"}}, [ask("/a"), ask("/a?x=1")], [ask("/a/"), ask("/A"), ask("/")]),
    ({"uri": {"exact": "/a"}, "ignoreUriCase": True}, [ask("/A")], [ask("/b")]),
    ({"uri": {"prefix": "/a/"}}, [ask("/a/b")], [ask("/a"), ask("/b")]),
    ({"uri": {"prefix": "/a"}, "ignoreUriCase": True}, [ask("/Ab")], [ask("/b")]),
    ({"uri": {"regex": "/a[0-9]+"}}, [ask("/a12")], [ask("/a12/b"), ask("/a")]),
    ({"method": {"exact": "POST"}}, [ask(method="POST")], [ask()]),
    ({"scheme": {"exact": "http"}}, [ask()], []),
    ({"scheme": {"exact": "https"}}, [], [ask()]),
    ({"authority": {"prefix": "shop.com"}}, [ask()], []),
    ({"headers": {"User": {"exact": "jason"}}}, [ask(user="jason")], [ask(), ask(user="json")]),
    ({"headers": {"user": {"prefix": "ja"}}}, [ask(user="jason")], [ask(user="x")]),
    ({"headers": {"user": {"regex": "ja.*"}}}, [ask(user="jason")], [ask(user="xja")]),
    ({"headers": {"user": {}}}, [ask(user="anybody")], [ask()]),
    ({"headers": {"a": {"exact": "1"}, "b": {"exact": "2"}}}, [ask(a="1", b="2")], [ask(a="1")]),
    ({"withoutHeaders": {"user": {"exact": "jason"}}}, [ask(), ask(user="x")], [ask(user="jason")]),
    ({"withoutHeaders": {"user": {}}}, [ask()], [ask(user="x")]),
    ({"queryParams": {"v": {"exact": "2"}}}, [ask("/?v=2"), ask("/?a=1&v=2")], [ask(), ask("/?v=1")]),
    ({"queryParams": {"v": {"regex": "[0-9]+"}}}, [ask("/?v=22")], [ask("/?v=a")]),
    ({"queryParams": {"v": {}}}, [ask("/?v=")], [ask()]),
    ({"port": 80}, [ask()], []),
    ({"port": 81}, [], [ask()]),
    ({"gateways": ["gw"]}, [ask()], []),
    ({"gateways": ["default/gw", "mesh"]}, [ask()], []),
    ({"gateways": ["mesh"]}, [], [ask()]),
    ({"sourceLabels": {"app": "x"}}, [], [ask()]),
    ({"name": "everything"}, [ask()], []),
]


@pytest.fixture
async def pair(home: House) -> AsyncIterator[tuple[Backend, Backend]]:
    async with backend("one") as one, backend("two") as two:
        await home.seed(
            *article(),
            pod("one", one.address, workload="shop-v1"),
            pod("two", two.address, workload="shop-v2", version="v2"),
        )
        yield one, two


async def test_a_match_takes_what_istio_says_it_takes(home: House, pair: tuple[Backend, Backend]) -> None:
    rest = {"route": [destination("one")]}
    for match, taken, left in MATCHES:
        await home.write(virtual_service({"match": [match], "route": [destination("two")]}, rest))
        for asked, expected in [*((a, b"two") for a in taken), *((a, b"one") for a in left)]:
            path, method, headers = asked
            answer = await home.client().get(path, headers, method=method)
            assert answer.body == expected, (match, asked)


async def test_matches_are_alternatives_and_routes_are_tried_in_order(
    home: House, pair: tuple[Backend, Backend]
) -> None:
    first = {"match": [{"uri": {"prefix": "/a"}}, {"uri": {"prefix": "/b"}}], "route": [destination("two")]}
    await home.write(virtual_service(first, {"match": [{"uri": {"prefix": "/a"}}], "route": [destination("one")]}))
    client = home.client()
    assert [(await client.get(path)).status for path in ("/a", "/b", "/c")] == [200, 200, 404]
    assert [(await client.get(path)).body for path in ("/a", "/b")] == [b"two", b"two"]


async def test_actions(home: House, pair: tuple[Backend, Backend]) -> None:
    one, _ = pair
    to_one = {"route": [destination("one")]}

    async def asked(http: dict[str, Any], path: str = "/api/x", **headers: str) -> Answer:
        await home.write(virtual_service(http))
        return await home.client().get(path, headers)

    api = {"match": [{"uri": {"prefix": "/api"}}]}
    await asked({**to_one, **api, "rewrite": {"uri": "/v1", "authority": "inner"}})
    assert (one.seen[-1][":path"], one.seen[-1]["host"]) == ("/v1/x", "inner")
    await asked({**to_one, "rewrite": {"uriRegexRewrite": {"match": "^/api/(.*)$", "rewrite": "/\\1/y"}}})
    assert one.seen[-1][":path"] == "/x/y"

    answer = await asked({"redirect": {"uri": "/new", "authority": "else.com", "redirectCode": 308}})
    assert (answer.status, answer.headers["location"]) == (308, "http://else.com/new")
    answer = await asked({"directResponse": {"status": 418, "body": {"string": "teapot"}}})
    assert (answer.status, answer.body) == (418, b"teapot")

    headers = {
        "request": {"set": {"x-a": "100%", "Host": "set.com"}, "add": {"x-b": "2"}, "remove": ["x-c"]},
        "response": {"set": {"x-d": "4"}},
    }
    answer = await asked({**to_one, "headers": headers}, **{"x-c": "3"})
    seen = one.seen[-1]
    assert (seen["x-a"], seen["x-b"], seen.get("x-c"), seen["host"]) == ("100%", "2", None, "set.com")
    assert answer.headers["x-d"] == "4"
    own = {"headers": {"request": {"set": {"x-own": "1"}}, "response": {"add": {"x-served": "one"}}}}
    answer = await asked({"route": [{**destination("one"), **own}]})
    assert (one.seen[-1]["x-own"], answer.headers["x-served"], answer.version) == ("1", "one", "shop-v1")

    assert (await asked({**to_one, "timeout": "50ms"}, "/sleep/2")).status == 504
    assert (await asked({**to_one, "fault": {"abort": {"httpStatus": 429}}})).status == 429
    cors = {"allowOrigins": [{"exact": "http://page.com"}], "allowMethods": ["GET"], "maxAge": "1h"}
    answer = await asked({**to_one, "corsPolicy": cors}, origin="http://page.com")
    assert answer.headers["access-control-allow-origin"] == "http://page.com"


async def test_a_mirror_gets_a_copy_that_nobody_waits_for(home: House, pair: tuple[Backend, Backend]) -> None:
    _, two = pair
    mirror = {"host": "shop", "subset": "two"}
    await home.write(
        virtual_service({"route": [destination("one")], "mirror": mirror, "mirrorPercentage": {"value": 100}})
    )
    client = home.client()
    assert {(await client.get("/m")).body for _ in range(20)} == {b"one"}
    assert two.requests["/m"] == 20


async def test_retries_as_asked_for(home: House, pair: tuple[Backend, Backend]) -> None:
    one, _ = pair
    await home.write(virtual_service({"route": [destination("one")], "retries": {"attempts": 3, "retryOn": "5xx,418"}}))
    client = home.client()
    assert (await client.get("/status/500")).status == 500
    assert (await client.get("/status/418")).status == 418
    assert one.requests == {"/status/500": 4, "/status/418": 4}
    await home.write(virtual_service({"route": [destination("one")]}))
    assert (await client.get("/status/503")).status == 503
    assert one.requests["/status/503"] == 1
