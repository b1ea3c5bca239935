"""The routing model as a pure function: what the objects mean."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin.adapters.local.envoy.actions import proto_duration, seconds
from serin.adapters.local.envoy.destinations import FINE, apportion, split
from serin.adapters.local.envoy.hosts import covers, full_name, narrower, service_of
from serin.adapters.local.envoy.model import Listener, Routing, Settings, World
from serin.adapters.local.envoy.routing import route
from serin.adapters.local.envoy.workloads import Cluster, Endpoint, workload_of
from serin.ports import Object
from tests.adapters.envoy import objects as make


def world(*found: Object) -> World:
    kinds = ("Service", "Pod", "Gateway", "VirtualService", "DestinationRule")
    return World(*([obj for obj in found if obj["kind"] == kind] for kind in kinds))


def listener(routing: Routing, name: str = "gateway-8080") -> Listener:
    return next(one for one in routing.listeners if one.name == name)


def weights(routing: Routing, domain: str = "shop.com", place: int = 0) -> dict[str, int]:
    host = next(host for host in listener(routing).hosts if domain in host.domains)
    return {target.workload: target.weight for target in host.routes[place].targets}


def routed(*found: Object) -> Routing:
    return route(world(*found), Settings())


PODS = (
    make.pod("one", "127.0.0.2", workload="shop-v1"),
    make.pod("two", "127.0.0.3", workload="shop-v2", version="v2"),
)


@pytest.mark.parametrize(
    ("host", "namespace", "full"),
    [
        ("shop", "test", "shop.test.svc.cluster.local"),
        ("shop.other.svc", "test", "shop.other.svc.cluster.local"),
        ("Shop.COM", "test", "shop.com"),
        ("*", "test", "*"),
        ("*.shop.com", "test", "*.shop.com"),
    ],
)
def test_full_names(host: str, namespace: str, full: str) -> None:
    assert full_name(host, namespace) == full


@pytest.mark.parametrize(
    ("host", "named"),
    [
        ("shop", ("shop", "test")),
        ("shop.other", ("shop", "other")),
        ("shop.other.svc.cluster.local", ("shop", "other")),
        ("api.shop.com", None),
        ("*.other", None),
    ],
)
def test_services_named(host: str, named: tuple[str, str] | None) -> None:
    assert service_of(host, "test") == named


@pytest.mark.parametrize(
    ("left", "right", "both"),
    [
        ("*", "shop.com", "shop.com"),
        ("shop.com", "*", "shop.com"),
        ("*.com", "shop.com", "shop.com"),
        ("*.shop.com", "*.com", "*.shop.com"),
        ("*.shop.com", "shop.com", None),
        ("a.com", "b.com", None),
        ("*", "*", "*"),
    ],
)
def test_what_two_host_patterns_have_in_common(left: str, right: str, both: str | None) -> None:
    assert narrower(left, right) == both
    assert both is None or (covers(left, both) and covers(right, both))


@pytest.mark.parametrize(
    ("text", "value"), [("15s", 15.0), ("1m30s", 90.0), ("250ms", 0.25), ("1.5s", 1.5), ("1h", 3600.0), ("0s", 0.0)]
)
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == value
    assert float(proto_duration(text).removesuffix("s")) == value


@pytest.mark.parametrize("text", ["15", "", "s", "1 s", "-1s", "1d", "1s2"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        seconds(text)


def test_the_articles_split() -> None:
    assert weights(routed(*make.article(80, 20), *PODS)) == {"shop-v1": 80, "shop-v2": 20}


def test_the_order_of_objects_changes_nothing() -> None:
    found = [*make.article(), *PODS, make.service("other"), make.gateway("second", port=81)]
    expected = routed(*found)
    for seed in range(5):
        random.Random(seed).shuffle(found)
        assert routed(*found) == expected


def test_weight_0_is_left_out_but_its_pods_stay_known() -> None:
    routing = routed(*make.article(100, 0), *PODS)
    assert weights(routing) == {"shop-v1": 100}
    assert {cluster.workload for cluster in routing.clusters} == {"shop-v1", "shop-v2"}


def test_pods_that_are_not_ready_take_no_share_but_their_workload_is_known() -> None:
    late = make.pod("late", "127.0.0.4", workload="shop-v1b", ready=False)
    routing = routed(*make.article(80, 20), *PODS, late)
    assert weights(routing) == {"shop-v1": 80, "shop-v2": 20}
    assert next(c.endpoints for c in routing.clusters if c.workload == "shop-v1b") == ()


def endpoints(routing: Routing, workload: str) -> list[set[str]]:
    """The addresses of each cluster of a workload."""
    return [{each.address for each in c.endpoints} for c in routing.clusters if c.workload == workload]


def test_the_last_pod_of_a_version_is_used_while_it_leaves_and_still_answers() -> None:
    leaving = make.pod("two", "127.0.0.3", workload="shop-v2", version="v2", leaving=True)
    routing = routed(*make.article(80, 20), PODS[0], leaving)
    # By its own subset, since nobody else is there; not by the Service as a whole, where the other one is ready.
    assert endpoints(routing, "shop-v2") == [set(), {"127.0.0.3"}]
    assert routing.offered == {"127.0.0.2", "127.0.0.3"}
    assert routed(*make.article(100, 0), PODS[0], leaving).offered == {"127.0.0.2"}


def test_a_pod_that_leaves_is_not_used_where_another_is_ready_nor_when_it_does_not_answer() -> None:
    leaving = make.pod("two", "127.0.0.3", workload="shop-v2", version="v2", leaving=True)
    new = make.pod("new", "127.0.0.4", workload="shop-v2", version="v2")
    assert endpoints(routed(*make.article(80, 20), PODS[0], leaving, new), "shop-v2")[1] == {"127.0.0.4"}
    mute = make.pod("two", "127.0.0.3", workload="shop-v2", version="v2", ready=False, leaving=True)
    assert endpoints(routed(*make.article(80, 20), PODS[0], mute), "shop-v2")[1] == set()


def test_a_subset_over_two_workloads_is_split_by_ready_pods_and_the_whole_keeps_its_weight() -> None:
    more = [make.pod(f"more-{n}", f"127.0.1.{n}", workload="shop-v1b") for n in range(2)]
    assert weights(routed(*make.article(80, 20), *PODS, *more)) == {
        "shop-v1": 266_667,
        "shop-v1b": 533_333,
        "shop-v2": 20 * FINE,
    }


def test_what_is_not_there_is_answered_503_and_said() -> None:
    rule = make.virtual_service({"route": [make.destination("three", 60), make.destination(None, 40, host="nobody")]})
    routing = routed(make.service(), make.gateway(), make.destination_rule(), rule, *PODS)
    targets = listener(routing).hosts[0].routes[0].targets
    assert [(t.workload, t.weight) for t in targets] == [("unknown", 60), ("unknown", 40)]
    assert routing.warnings == (
        "VirtualService default/shop: no DestinationRule of 'shop' has a subset 'three'; it is answered 503",
        "VirtualService default/shop: there is no Service behind the destination host 'nobody'; it is answered 503",
    )


def test_the_same_pods_by_another_subset_name_are_the_same_cluster() -> None:
    stable = make.destination_rule()
    stable["spec"]["subsets"][0]["name"] = "iter8-stable"
    rule = make.virtual_service({"route": [make.destination("iter8-stable")]})
    before = routed(make.service(), make.gateway(), stable, rule, *PODS)
    after = routed(*make.article(100, 0), *PODS)
    assert listener(before).hosts[0].routes[0].targets == listener(after).hosts[0].routes[0].targets


def test_named_target_ports_are_looked_up_in_the_pod() -> None:
    named = make.service(ports=[{"port": 80, "targetPort": "http"}])
    routing = routed(named, *make.article()[1:], make.pod("a", "127.0.0.2", workload="a", ports={"http": 9000}))
    assert {e.port for c in routing.clusters for e in c.endpoints} == {9000}


@pytest.mark.parametrize(("number", "port"), [(80, 8080), (8081, 8081), (81, 8081), (443, 8443), (8080, 8080)])
def test_where_a_gateways_port_listens(number: int, port: int) -> None:
    routing = routed(make.service(), make.gateway(port=number), make.virtual_service(make.split(1, 1)))
    assert {host.domains for host in listener(routing, f"gateway-{port}").hosts} == {("shop.com",)}
    assert listener(routing).port == 8080


def test_a_gateway_that_is_not_http_opens_nothing() -> None:
    routing = routed(make.service(), make.gateway(port=443, protocol="HTTPS"), make.virtual_service(make.split(1, 1)))
    assert [one.name for one in routing.listeners] == ["gateway-8080", "mesh"]


@pytest.mark.parametrize(
    ("server", "rule", "domains"),
    [
        (["*"], ["shop.com", "*.shop.com"], ["*.shop.com", "shop.com"]),
        (["shop.com"], ["*"], ["shop.com"]),
        (["default/shop.com"], ["shop.com"], ["shop.com"]),
        (["./shop.com"], ["shop.com"], ["shop.com"]),
        (["*/shop.com"], ["shop.com"], ["shop.com"]),
        (["elsewhere/shop.com"], ["shop.com"], []),
        (["other.com"], ["shop.com"], []),
        (["*"], ["shop"], ["shop.default.svc.cluster.local"]),
    ],
)
def test_a_gateway_serves_the_hosts_that_it_has_in_common_with_a_rule(
    server: list[str], rule: list[str], domains: list[str]
) -> None:
    routing = routed(make.service(), make.gateway(hosts=server), make.virtual_service(make.split(1, 1), hosts=rule))
    assert [host.domains[0] for host in listener(routing).hosts] == domains


@pytest.mark.parametrize(
    ("gateways", "bound"),
    [(["gw"], True), (["default/gw"], True), (["other/gw"], False), (["mesh"], False), ([], False)],
)
def test_a_rule_is_bound_to_its_gateways_only(gateways: list[str], bound: bool) -> None:
    rule = make.virtual_service(make.split(1, 1), gateways=gateways)
    assert bool(listener(routed(make.service(), make.gateway(), rule)).hosts) is bound


def test_rules_of_one_host_are_joined_the_older_first_and_what_catches_all_comes_last() -> None:
    def rule(name: str, created: str, match: list[dict[str, Any]]) -> Object:
        found = make.virtual_service({"name": name, "match": match, "route": [make.destination()]}, name=name)
        found["metadata"]["creationTimestamp"] = created
        return found

    routing = routed(
        make.service(),
        make.gateway(),
        rule("everything", "2026-01-01", []),
        rule("late", "2026-01-03", [{"uri": {"exact": "/b"}}]),
        rule("early", "2026-01-02", [{"uri": {"exact": "/a"}}]),
    )
    assert [one.http["name"] for one in listener(routing).hosts[0].routes] == ["early", "late", "everything"]


def test_behind_a_route_that_catches_all_nothing_is_reached() -> None:
    rest = make.virtual_service(
        {"route": [make.destination("one")]}, make.split(1, 1, match=[{"uri": {"exact": "/a"}}])
    )
    assert len(listener(routed(make.service(), make.gateway(), make.destination_rule(), rest)).hosts[0].routes) == 1


def test_a_short_name_is_the_default_namespaces_on_the_mesh() -> None:
    def services(*namespaces: str) -> set[str]:
        found = routed(*(make.service(namespace=namespace) for namespace in namespaces))
        return {domain for host in listener(found, "mesh").hosts for domain in host.domains if "." not in domain}

    assert services("test") == {"shop", "shop:*"}
    assert services("test", "other") == set()
    assert services("test", "default") == {"shop", "shop:*"}


def test_every_port_of_a_service_has_its_own_host_on_the_mesh() -> None:
    two = make.service(ports=[{"port": 9000, "name": "admin"}, {"port": 8501, "name": "http"}])
    hosts = {host.domains[0]: host for host in listener(routed(two, *PODS), "mesh").hosts}
    assert set(hosts) == {"shop", "shop:9000"}
    assert "/8501" in hosts["shop"].routes[0].targets[0].cluster
    assert "/9000" in hosts["shop:9000"].routes[0].targets[0].cluster


def test_subsets_lay_their_policy_over_the_rules() -> None:
    rule = make.destination_rule(trafficPolicy={"loadBalancer": {"simple": "RANDOM"}, "tls": {"mode": "DISABLE"}})
    rule["spec"]["subsets"][0]["trafficPolicy"] = {"loadBalancer": {"simple": "ROUND_ROBIN"}}
    found = {c.workload: c.policy for c in routed(make.service(), rule, *PODS).clusters if "version" in c.name}
    assert found == {
        "shop-v1": '{"loadBalancer": {"simple": "ROUND_ROBIN"}}',
        "shop-v2": '{"loadBalancer": {"simple": "RANDOM"}}',
    }


def test_the_workload_of_a_pod() -> None:
    found = make.pod("x-7f-abc", "127.0.0.2", workload="x")
    assert workload_of(found) == "x"
    found["metadata"]["labels"]["pod-template-hash"] = "7f"
    found["metadata"]["ownerReferences"][0] |= {"kind": "ReplicaSet", "name": "x-7f"}
    assert workload_of(found) == "x"
    found["metadata"]["ownerReferences"] = []
    assert workload_of(found) == "x-7f-abc"


@given(st.integers(0, 10**6), st.lists(st.integers(0, 10**4), min_size=1, max_size=9).filter(any))
def test_what_is_apportioned_adds_up_and_is_fair(total: int, shares: list[int]) -> None:
    parts = apportion(total, shares)
    assert sum(parts) == total
    assert all(abs(part - total * share / sum(shares)) < 1 for part, share in zip(parts, shares, strict=True))


def _cluster(name: str, ready: int) -> Cluster:
    endpoints = [Endpoint(f"127.0.0.{n}", 1) for n in range(ready)]
    return Cluster(name, "default", "shop", name, tuple(endpoints))


@given(st.lists(st.tuples(st.integers(0, 100), st.lists(st.integers(0, 5), min_size=1, max_size=3)), max_size=5))
def test_every_destination_keeps_its_weight_however_its_pods_are_spread(
    ways: list[tuple[int, list[int]]],
) -> None:
    made: list[tuple[int, tuple[Cluster, ...], dict[str, Any]]] = [
        (weight, tuple(_cluster(f"{i}-{j}", pods) for j, pods in enumerate(clusters)), {})
        for i, (weight, clusters) in enumerate(ways)
    ]
    targets = split(made)
    scale = sum(t.weight for t in targets) / total if (total := sum(weight for weight, _ in ways)) else 0
    assert scale in (0, 1, FINE)
    for i, (weight, clusters, _) in enumerate(made):
        mine = [t for t in targets if t.cluster.startswith(f"{i}-")]
        assert sum(t.weight for t in mine) == weight * scale
        ready = {c.name for c in clusters if c.endpoints}
        assert not ready or {t.cluster for t in mine} <= ready
    assert all(t.weight > 0 for t in targets)
