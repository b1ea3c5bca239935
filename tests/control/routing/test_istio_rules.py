"""Desired objects are pure functions: tables, and the laws that hold for every user's rules."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin.control.routing import istio_rules as rules
from serin.control.routing import renaming
from serin.control.routing.router import Destination, Routing, RoutingRulesError

HOST = "fashionmnist.default.svc.cluster.local"


def routing(match=(), candidates=1, port=None) -> Routing:
    names = ["baseline", *(f"candidate-{i}" for i in range(candidates))]
    return Routing(
        experiment="rollout.default",
        router_id="fashionmnist.iter8router",
        namespace="default",
        hosts=(HOST, "fashionmnist.com"),
        gateways=("mesh", "fashionmnist-gateway"),
        service_hosts=frozenset({HOST, "fashionmnist", "fashionmnist.default"}),
        destinations=tuple(
            Destination(v, HOST, f"iter8-{v}", (("app", "fashionmnist"), ("version", f"v{i + 1}")), port)
            for i, v in enumerate(names)
        ),
        match=match,
    )


def stable_virtual_service(http=None) -> dict:
    route = {"route": [{"destination": {"host": "fashionmnist", "subset": "iter8-stable", "port": {"number": 8501}}}]}
    return {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "VirtualService",
        "metadata": {
            "name": "fashionmnist",
            "namespace": "default",
            "resourceVersion": "7",
            "labels": {rules.ROUTER_LABEL: "fashionmnist.iter8router", rules.ROLE_LABEL: "stable"},
        },
        "spec": {"hosts": ["fashionmnist.com"], "gateways": ["fashionmnist-gateway"], "http": http or [route]},
    }


def stable_destination_rule(subset="iter8-stable", version="v1") -> dict:
    return {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "DestinationRule",
        "metadata": {
            "name": "fashionmnist",
            "namespace": "default",
            "labels": {rules.ROUTER_LABEL: "fashionmnist.iter8router", rules.ROLE_LABEL: "stable"},
        },
        "spec": {
            "host": "fashionmnist",
            "trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}},
            "subsets": [{"name": subset, "labels": {"app": "fashionmnist", "version": version}}],
        },
    }


def weights(virtual_service: dict, route: int = 0) -> dict[str, int]:
    return {e["destination"]["subset"]: e["weight"] for e in virtual_service["spec"]["http"][route]["route"]}


def test_without_rules_the_experiment_makes_its_own_pair():
    virtual_service = rules.progressing_virtual_service(None, routing(), {"baseline": 100, "candidate-0": 0})
    rule = rules.progressing_destination_rule(None, routing(), ())
    for obj in (virtual_service, rule):
        assert obj["metadata"]["name"] == "fashionmnist.iter8router"
        assert obj["metadata"]["labels"] == {
            rules.ROUTER_LABEL: "fashionmnist.iter8router",
            rules.ROLE_LABEL: "progressing",
            rules.EXPERIMENT_LABEL: "rollout.default",
            rules.INIT_LABEL: "True",
        }
    assert virtual_service["spec"]["hosts"] == [HOST, "fashionmnist.com"]
    assert virtual_service["spec"]["gateways"] == ["mesh", "fashionmnist-gateway"]
    assert [route["name"] for route in virtual_service["spec"]["http"]] == ["iter8-experiment"]
    assert weights(virtual_service) == {"iter8-baseline": 100, "iter8-candidate-0": 0}
    assert [s["name"] for s in rule["spec"]["subsets"]] == ["iter8-baseline", "iter8-candidate-0"]
    assert rule["spec"]["host"] == HOST


def test_a_users_pair_keeps_its_name_version_and_port():
    virtual_service = rules.progressing_virtual_service(
        stable_virtual_service(), routing(), {"baseline": 80, "candidate-0": 20}
    )
    assert virtual_service["apiVersion"] == "networking.istio.io/v1alpha3"
    assert virtual_service["metadata"]["name"] == "fashionmnist"
    assert rules.INIT_LABEL not in virtual_service["metadata"]["labels"]
    assert virtual_service["spec"]["hosts"] == ["fashionmnist.com", HOST]
    assert {e["destination"]["port"]["number"] for e in virtual_service["spec"]["http"][0]["route"]} == {8501}
    rule = rules.progressing_destination_rule(stable_destination_rule(), routing(), ["iter8-stable"])
    assert [s["name"] for s in rule["spec"]["subsets"]] == ["iter8-stable", "iter8-baseline", "iter8-candidate-0"]
    assert rule["spec"]["trafficPolicy"] == {"loadBalancer": {"simple": "RANDOM"}}


def test_a_match_makes_a_second_route_to_the_baseline():
    match = ({"headers": {"user": {"exact": "tester"}}},)
    virtual_service = rules.progressing_virtual_service(
        stable_virtual_service(), routing(match), {"baseline": 90, "candidate-0": 10}
    )
    first, second = virtual_service["spec"]["http"]
    assert (first["name"], second["name"]) == ("iter8-experiment", "iter8-base")
    assert first["match"] == list(match)
    assert "match" not in second
    assert weights(virtual_service, 1) == {"iter8-baseline": 100}


def test_a_users_own_match_and_the_experiments_hold_both():
    theirs = {
        "match": [{"uri": {"prefix": "/a"}}, {"uri": {"prefix": "/b"}}],
        "retries": {"attempts": 1},
        "route": [{"destination": {"host": "fashionmnist"}}],
    }
    other = {"match": [{"uri": {"exact": "/other"}}], "route": [{"destination": {"host": "elsewhere"}}]}
    virtual_service = rules.progressing_virtual_service(
        stable_virtual_service([other, theirs]),
        routing(({"headers": {"user": {"exact": "tester"}}},)),
        {"baseline": 90, "candidate-0": 10},
    )
    untouched, experiment, base = virtual_service["spec"]["http"]
    assert untouched == other
    assert experiment["match"] == [
        {"uri": {"prefix": "/a"}, "headers": {"user": {"exact": "tester"}}},
        {"uri": {"prefix": "/b"}, "headers": {"user": {"exact": "tester"}}},
    ]
    assert base["match"] == theirs["match"]
    assert experiment["retries"] == base["retries"] == {"attempts": 1}


@pytest.mark.parametrize(
    ("route", "match", "sentence"),
    [
        ({"route": [{"destination": {"host": "elsewhere"}}]}, (), "no route of the VirtualService leads to"),
        (
            {"match": [{"uri": {"prefix": "/a"}}], "route": [{"destination": {"host": "fashionmnist"}}]},
            ({"uri": {"prefix": "/b"}},),
            "both ask for 'uri'",
        ),
    ],
)
def test_rules_that_cannot_be_used_are_refused(route, match, sentence):
    with pytest.raises(RoutingRulesError, match=sentence):
        rules.progressing_virtual_service(stable_virtual_service([route]), routing(match), {"baseline": 100})


def test_the_end_leaves_the_final_split_and_no_mark_of_ours():
    before = stable_virtual_service()
    running = rules.progressing_virtual_service(before, routing(), {"baseline": 40, "candidate-0": 60})
    released = rules.released_virtual_service(running, routing(), {"baseline": 0, "candidate-0": 100}, {})
    assert weights(released) == {"iter8-candidate-0": 100}
    assert released["metadata"]["labels"] == before["metadata"]["labels"]
    assert "annotations" not in released["metadata"]
    assert released["spec"]["hosts"] == before["spec"]["hosts"]
    rule = rules.progressing_destination_rule(stable_destination_rule(), routing(), ["iter8-stable"])
    assert [s["name"] for s in rules.released_destination_rule(rule, released)["spec"]["subsets"]] == [
        "iter8-stable",
        "iter8-candidate-0",
    ]


def test_back_to_the_baseline_a_users_pair_is_as_it_was():
    before, rule_before = stable_virtual_service(), stable_destination_rule()
    running = rules.progressing_virtual_service(before, routing(), {"baseline": 40, "candidate-0": 60})
    rule = rules.progressing_destination_rule(rule_before, routing(), ["iter8-stable"])
    names = rules.released_subset_names(rule, routing())
    released = rules.released_virtual_service(running, routing(), {"baseline": 100, "candidate-0": 0}, names)
    assert released == before
    assert rules.released_destination_rule(rule, released) == rule_before


def test_a_subset_in_use_is_never_given_other_pods():
    left_behind = stable_destination_rule("iter8-candidate-0", "v0")
    virtual_service = stable_virtual_service(
        [{"route": [{"destination": {"host": HOST, "subset": "iter8-candidate-0"}, "weight": 100}]}]
    )
    renames = renaming.colliding_subsets(left_behind, virtual_service, routing())
    assert renames == {"iter8-candidate-0": "iter8-previous-iter8-candidate-0"}
    copied = renaming.with_copied_subsets(left_behind, renames)
    moved = renaming.with_renamed_subsets(virtual_service, renames)
    assert rules.subsets_in_use(moved) == ["iter8-previous-iter8-candidate-0"]
    taken = rules.progressing_destination_rule(copied, routing(), rules.subsets_in_use(moved))
    labels = {s["name"]: s["labels"]["version"] for s in taken["spec"]["subsets"]}
    assert labels == {"iter8-previous-iter8-candidate-0": "v0", "iter8-baseline": "v1", "iter8-candidate-0": "v2"}
    assert renaming.with_copied_subsets(copied, renames) == copied


routes = st.lists(
    st.fixed_dictionaries(
        {"route": st.just([{"destination": {"host": "fashionmnist", "subset": "iter8-stable"}}])},
        optional={
            "name": st.sampled_from(["mine", "other"]),
            "match": st.lists(st.fixed_dictionaries({"uri": st.just({"prefix": "/a"})}), min_size=1, max_size=2),
            "timeout": st.just("3s"),
            "retries": st.just({"attempts": 2}),
            "headers": st.just({"request": {"set": {"a": "b"}}}),
        },
    ),
    min_size=1,
    max_size=4,
)


@given(http=routes, share=st.integers(0, 100), matched=st.booleans())
def test_whatever_a_user_has_comes_back_but_for_the_destinations(http, share, matched):
    wanted = routing(({"headers": {"user": {"exact": "t"}}},) if matched else ())
    before = stable_virtual_service(http)
    running = rules.progressing_virtual_service(before, wanted, {"baseline": 100 - share, "candidate-0": share})
    again = rules.progressing_virtual_service(running, wanted, {"baseline": 100 - share, "candidate-0": share})
    assert again == running
    for route in running["spec"]["http"]:
        assert sum(entry["weight"] for entry in route["route"]) == 100
    released = rules.released_virtual_service(running, wanted, {"baseline": 0, "candidate-0": 100}, {})
    strip = [{k: v for k, v in route.items() if k != "route"} for route in released["spec"]["http"]]
    assert strip == [{k: v for k, v in route.items() if k != "route"} for route in http]


def test_a_version_that_is_gone_keeps_its_subset():
    running = rules.progressing_destination_rule(None, routing(), ())
    gone = replace(routing(), destinations=(routing().destinations[0], replace(routing().destinations[1], labels=())))
    assert rules.progressing_destination_rule(running, gone, ()) == running


def to(subset: str | None, weight: int | None = None, **more) -> dict:
    entry: dict = {"destination": {"host": "fashionmnist"}, **more}
    if subset:
        entry["destination"]["subset"] = subset
    if weight is not None:
        entry["weight"] = weight
    return entry


def with_other_subset() -> dict:
    rule = stable_destination_rule()
    rule["spec"]["subsets"].append({"name": "archive", "labels": {"app": "fashionmnist", "version": "v0"}})
    return rule


def test_a_route_to_pods_that_have_no_part_is_left_alone():
    """`/archive` goes to another version's pods; neither the experiment nor its end has a say in that."""
    archive = {"match": [{"uri": {"prefix": "/archive"}}], "route": [to("archive")]}
    before = stable_virtual_service([archive, {"route": [to("iter8-stable")]}])
    rule = with_other_subset()
    running = rules.progressing_virtual_service(before, routing(), {"baseline": 80, "candidate-0": 20}, rule)
    assert running["spec"]["http"][0] == archive
    assert running["spec"]["http"][1]["name"] == "iter8-experiment"
    again = rules.progressing_virtual_service(
        running, routing(), {"baseline": 80, "candidate-0": 20}, rules.progressing_destination_rule(rule, routing(), ())
    )
    assert again == running
    released = rules.released_virtual_service(running, routing(), {"baseline": 0, "candidate-0": 100}, {})
    assert released["spec"]["http"][0] == archive


def test_where_every_route_leads_to_pods_without_a_part_all_are_the_experiments():
    """Stable rules that were left on an older version: the release is what brings them up to date."""
    before = stable_virtual_service([{"route": [to("archive")]}])
    running = rules.progressing_virtual_service(before, routing(), {"baseline": 100}, with_other_subset())
    assert weights(running) == {"iter8-baseline": 100}


def test_what_the_user_says_beside_a_destination_stays():
    header: dict = {"headers": {"request": {"set": {"x-model": "fashion"}}}}
    before = stable_virtual_service([{"route": [to("iter8-stable", **header)]}])
    running = rules.progressing_virtual_service(before, routing(), {"baseline": 80, "candidate-0": 20})
    assert [entry["headers"] for entry in running["spec"]["http"][0]["route"]] == [header["headers"]] * 2
    released = rules.released_virtual_service(running, routing(), {"baseline": 100, "candidate-0": 0}, {})
    assert released["spec"]["http"][0]["route"][0]["headers"] == header["headers"]


def test_a_route_that_is_shared_with_another_service_is_refused():
    legacy = {"destination": {"host": "legacy"}, "weight": 10}
    before = stable_virtual_service([{"route": [to("iter8-stable", 90), legacy]}])
    with pytest.raises(RoutingRulesError, match="to legacy as well; an experiment cannot divide"):
        rules.progressing_virtual_service(before, routing(), {"baseline": 100})


def test_mirrors_name_subsets_too():
    route = {
        "route": [to("iter8-stable")],
        "mirrors": [{"destination": {"host": "fashionmnist", "subset": "iter8-candidate-0"}}],
    }
    before = stable_virtual_service([route])
    assert rules.subsets_in_use(before) == ["iter8-stable", "iter8-candidate-0"]
    renamed = renaming.with_renamed_subsets(before, {"iter8-candidate-0": "iter8-previous-iter8-candidate-0"})
    assert rules.subsets_in_use(renamed) == ["iter8-stable", "iter8-previous-iter8-candidate-0"]


def test_an_end_at_the_baseline_leaves_every_route_just_as_it_was():
    """As the user spelled it: nothing for a tool that compares the cluster with a repository to complain about."""
    before = stable_virtual_service()
    running = rules.progressing_virtual_service(before, routing(), {"baseline": 80, "candidate-0": 20})
    own = {"baseline": "iter8-stable", "candidate-0": "iter8-candidate-0"}
    assert rules.released_virtual_service(running, routing(), {"baseline": 100}, own)["spec"] == before["spec"]
    released = rules.released_virtual_service(running, routing(), {"baseline": 0, "candidate-0": 100}, own)
    assert released["spec"]["http"][0]["route"] == [
        {"destination": {"host": HOST, "subset": "iter8-candidate-0", "port": {"number": 8501}}, "weight": 100}
    ]
