"""What Envoy is told: every field acted on changes it, nothing else does, and a real Envoy accepts all of it."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serin.adapters.local.envoy.config import bootstrap, static
from serin.adapters.local.envoy.model import Settings
from serin.adapters.local.envoy.process import refusal
from serin.adapters.local.envoy.render import Config, Renderer
from serin.adapters.local.envoy.routing import route
from serin.api.acted import unacted
from serin.ports import DESTINATION_RULE, GATEWAY, SERVICE, VIRTUAL_SERVICE, Object
from tests.adapters.envoy import objects as make
from tests.adapters.envoy.test_routing import PODS, world

FOLDER = Path("/home/envoy")


def rendered(*found: Object) -> Config:
    return Renderer(FOLDER).render(route(world(*found), Settings()))


def changed(before: Config, after: Config) -> set[str]:
    names = before.versions.keys() | after.versions.keys()
    return {name.partition("/")[0] for name in names if before.versions.get(name) != after.versions.get(name)}


def test_the_same_objects_give_the_same_text() -> None:
    assert rendered(*make.article(), *PODS) == rendered(*PODS, *make.article())


def test_a_weight_changes_the_routes_and_nothing_else() -> None:
    renderer = Renderer(FOLDER)
    before = renderer.render(route(world(*make.article(80, 20), *PODS), Settings()))
    after = renderer.render(route(world(*make.article(81, 19), *PODS), Settings()))
    assert changed(before, after) == {"rds"}
    assert after == rendered(*make.article(81, 19), *PODS)


def test_what_loses_a_pod_keeps_it_until_the_routes_have_changed() -> None:
    renderer = Renderer(FOLDER)

    def render(*more: Object) -> Config:
        return renderer.render(route(world(*make.article(), *PODS, *more), Settings()))

    before, after = render(), render(make.pod("second", "127.0.0.9", workload="shop-v1"))
    assert changed(before, after) == {"cds.json", "rds"}
    assert after.before is None
    without = render(make.pod("second", "127.0.0.9", workload="shop-v1", ready=False))
    assert without.before is not None
    text, version = without.before
    assert "127.0.0.9" in text
    assert "127.0.0.9" not in without.files["cds.json"]
    assert json.loads(text)["version_info"] == version != without.versions["cds.json"]
    assert render().before is None


def test_every_file_carries_the_version_of_its_resources() -> None:
    config = rendered(*make.article(), *PODS)
    for name, text in config.files.items():
        assert json.loads(text)["version_info"] == config.versions[name]
    assert set(config.files) == set(config.versions)


FULL_ROUTE: dict[str, Any] = {
    "name": "primary",
    "match": [
        {
            "name": "m",
            "uri": {"prefix": "/a"},
            "ignoreUriCase": True,
            "scheme": {"exact": "http"},
            "method": {"regex": "GET|POST"},
            "authority": {"exact": "shop.com"},
            "headers": {"user": {"exact": "jason"}},
            "withoutHeaders": {"bot": {"exact": "yes"}},
            "queryParams": {"v": {"exact": "2"}},
        }
    ],
    "route": [
        {"destination": {"host": "shop", "subset": "one", "port": {"number": 8501}}, "weight": 70},
        {
            "destination": {"host": "shop", "subset": "two"},
            "weight": 30,
            "headers": {"request": {"set": {"a": "1"}, "add": {"b": "2"}, "remove": ["c"]}},
        },
    ],
    "rewrite": {"uri": "/b", "authority": "inner"},
    "timeout": "5s",
    "retries": {
        "attempts": 3,
        "perTryTimeout": "1s",
        "retryOn": "5xx,418",
        "retryIgnorePreviousHosts": False,
        "backoff": "10ms",
    },
    "mirror": {"host": "shop", "subset": "two"},
    "mirrorPercentage": {"value": 12.5},
    "headers": {"response": {"set": {"d": "4"}, "add": {"e": "5"}, "remove": ["f"]}},
    "fault": {
        "delay": {"fixedDelay": "1s", "percentage": {"value": 1}},
        "abort": {"httpStatus": 500, "percentage": {"value": 2}},
    },
    "corsPolicy": {
        "allowOrigins": [{"exact": "http://a.com"}, {"regex": "a.*"}],
        "allowMethods": ["GET"],
        "allowHeaders": ["x"],
        "exposeHeaders": ["y"],
        "maxAge": "1h",
        "allowCredentials": True,
    },
}  # fmt: skip
OTHER_ROUTES: list[dict[str, Any]] = [
    {
        "match": [{"uri": {"exact": "/r"}}],
        "redirect": {"uri": "/s", "authority": "b.com", "scheme": "https", "port": 444, "redirectCode": 302},
    },
    {"match": [{"uri": {"exact": "/d"}}], "directResponse": {"status": 418, "body": {"string": "teapot"}}},
    {"match": [{"uri": {"exact": "/e"}}], "directResponse": {"status": 201, "body": {"bytes": "dGVh"}}},
    {"match": [{"port": 80, "uri": {"exact": "/p"}}], "route": [make.destination("two")]},
    {"match": [{"gateways": ["gw"], "uri": {"exact": "/g"}}], "route": [make.destination("two")]},
    {
        "match": [{"uri": {"regex": "/x.*"}}],
        "route": [make.destination()],
        "rewrite": {"uriRegexRewrite": {"match": "a", "rewrite": "b"}},
        "mirrors": [{"destination": {"host": "shop", "subset": "one"}, "percentage": {"value": 50}}],
        "fault": {"delay": {"fixedDelay": "1s", "percent": 3}},
    },
]
FULL_POLICY: dict[str, Any] = {
    "loadBalancer": {"simple": "ROUND_ROBIN"},
    "connectionPool": {
        "tcp": {"connectTimeout": "3s", "maxConnections": 9},
        "http": {
            "http1MaxPendingRequests": 8,
            "http2MaxRequests": 7,
            "maxRequestsPerConnection": 6,
            "maxRetries": 5,
            "idleTimeout": "4s",
        },
    },
    "outlierDetection": {
        "consecutive5xxErrors": 4,
        "consecutiveGatewayErrors": 3,
        "interval": "2s",
        "baseEjectionTime": "1s",
        "maxEjectionPercent": 50,
    },
}


def full() -> list[Object]:
    rule = make.destination_rule(trafficPolicy=FULL_POLICY)
    rule["spec"]["subsets"][0]["trafficPolicy"] = {"loadBalancer": {"simple": "RANDOM"}}
    port = {"port": 8501, "targetPort": 9000, "name": "http-x", "appProtocol": "http2"}
    return copy.deepcopy([
        make.service(ports=[port, {"port": 1}]),
        make.gateway(),
        make.virtual_service(FULL_ROUTE, *OTHER_ROUTES),
        rule,
        *PODS,
    ])  # fmt: skip


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [leaf for key, item in inner for leaf in leaves(item, (*path, key))]
    yield from found or [path]


PLACES = [(i, path) for i, obj in enumerate(full()[:4]) for path in leaves(obj["spec"])]
CHANGES_NOTHING: dict[str, set[tuple[Any, ...]]] = {
    "Gateway": {("selector", "istio"), ("servers", 0, "port", "name")},
    "VirtualService": {
        ("http", 0, "match", 0, "name"),
        ("http", 0, "route", 0, "destination", "port", "number"),  # the one that would be taken anyway
        ("http", 4, "match", 0, "port"),  # holds
        ("http", 5, "match", 0, "gateways", 0),  # no gateway named: any
    },
    "Service": {("ports", 0, "name")},  # only orders ports of which none is named first
    "DestinationRule": set(),
}


@pytest.mark.parametrize(("i", "path"), PLACES, ids=lambda value: str(value))
def test_every_field_that_is_acted_on_changes_what_envoy_is_told(i: int, path: tuple[Any, ...]) -> None:
    before, found = rendered(*full()), full()
    holder: Any = found[i]["spec"]
    for key in path[:-1]:
        holder = holder[key]
    del holder[path[-1]]
    try:
        after = rendered(*found)
    except (KeyError, TypeError, ValueError):
        return  # a field that cannot be missing
    if path in CHANGES_NOTHING[found[i]["kind"]]:
        return
    assert changed(before, after), path


def test_what_these_tests_use_is_acted_on_by_the_word_of_the_api() -> None:
    kinds = (SERVICE, GATEWAY, VIRTUAL_SERVICE, DESTINATION_RULE)
    assert [unacted(obj, kind) for obj, kind in zip(full()[:4], kinds, strict=True)] == [[], [], [], []]


def test_a_percent_sign_in_a_header_is_a_percent_sign() -> None:
    http = {"route": [make.destination()], "headers": {"request": {"set": {"a": "%REQ(x)% 5%"}}}}
    assert (
        "%%REQ(x)%% 5%%"
        in rendered(make.service(), make.gateway(), make.virtual_service(http)).files["rds/gateway-8080.json"]
    )


def test_envoy_is_asked_on_unix_sockets_of_its_owner_alone() -> None:
    given = bootstrap(FOLDER, "./admin.sock", "./worker.sock")
    assert given["admin"] == {"address": {"pipe": {"path": "./admin.sock", "mode": 0o600}}}
    (listener,) = given["static_resources"]["listeners"]
    assert listener["address"] == {"pipe": {"path": "./worker.sock", "mode": 0o600}}


@pytest.mark.real
async def test_a_real_envoy_accepts_everything_at_once() -> None:
    assert await refusal(static(route(world(*full()), Settings()))) is None


_word = st.text("abcxyz019", min_size=1, max_size=4)
_path = _word.map(lambda word: f"/{word}")
_string = st.one_of(
    st.builds(lambda value: {"exact": value}, _path),
    st.builds(lambda value: {"prefix": value}, _path),
    st.builds(lambda value: {"regex": f"{value}.*"}, _path),
)
_named: st.SearchStrategy[dict[str, dict[str, str]]] = st.dictionaries(
    _word, st.one_of(_string, st.just({})), max_size=2
)
_match = st.fixed_dictionaries(
    {},
    optional={
        "uri": _string,
        "method": st.just({"exact": "GET"}),
        "authority": _string,
        "headers": _named,
        "withoutHeaders": _named,
        "queryParams": _named,
        "ignoreUriCase": st.booleans(),
        "port": st.sampled_from([80, 81]),
        "gateways": st.sampled_from([["gw"], ["mesh"]]),
    },
)
_operations = st.fixed_dictionaries(
    {},
    optional={
        "set": st.dictionaries(_word, st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126))),
        "remove": st.lists(_word, max_size=2),
    },
)
_headers = st.fixed_dictionaries({}, optional={"request": _operations, "response": _operations})
_way = st.builds(
    lambda subset, weight, headers: {**make.destination(subset, weight), "headers": headers},
    st.sampled_from([None, "one", "two", "three"]),
    st.integers(0, 100),
    _headers,
)
_duration = st.sampled_from(["1s", "250ms", "1m30s", "0s"])
_http = st.fixed_dictionaries(
    {"route": st.lists(_way, min_size=1, max_size=4)},
    optional={
        "match": st.lists(_match, min_size=1, max_size=3),
        "timeout": _duration,
        "retries": st.fixed_dictionaries(
            {"attempts": st.integers(0, 5)}, optional={"retryOn": st.sampled_from(["5xx", "503,reset"])}
        ),
        "mirror": st.just({"host": "shop", "subset": "two"}),
        "headers": _headers,
        "rewrite": st.fixed_dictionaries({}, optional={"uri": _path, "authority": _word}),
        "fault": st.just({"abort": {"httpStatus": 503, "percentage": {"value": 0.5}}}),
    },
)
_hosts = st.lists(
    st.sampled_from(["shop", "shop.com", "*.shop.com", "*", "Shop.com", "shop.default.svc.cluster.local", "other"]),
    min_size=1,
    max_size=3,
    unique=True,
)
_gateways = st.sampled_from([["gw"], ["gw", "mesh"], ["mesh"], ["default/gw", "second"]])


@pytest.mark.real
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.lists(_http, min_size=1, max_size=3), _hosts, _gateways), max_size=3),
    st.lists(st.booleans(), max_size=5),
)
def test_any_valid_objects_make_a_configuration_that_a_real_envoy_accepts(
    rules: list[tuple[list[dict[str, Any]], list[str], list[str]]], ready: list[bool]
) -> None:
    found = [
        *make.article()[:3],
        make.service("other", ports=[{"port": 1}, {"port": 2, "name": "grpc-x"}]),
        make.service("shop", "elsewhere"),
        make.gateway("second", hosts=["*.com", "shop.default.svc.cluster.local"], port=81),
        *(
            make.virtual_service(*http, name=f"rule-{n}", hosts=hosts, gateways=by)
            for n, (http, hosts, by) in enumerate(rules)
        ),
        *(
            make.pod(f"p{n}", f"127.0.0.{n + 1}", workload=f"shop-{n % 3}", ready=up, version=f"v{n % 2 + 1}")
            for n, up in enumerate(ready)
        ),
    ]
    routing = route(world(*found), Settings())
    names = {cluster.name for cluster in routing.clusters}
    for listener in routing.listeners:
        for host in listener.hosts:
            for one in host.routes:
                assert {target.cluster for target in one.targets} <= names
    assert asyncio.run(refusal(static(routing))) is None
