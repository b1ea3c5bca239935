"""Shapes of experiments: what a version is, which hosts and gateways lead to it, which rules are used, no candidate."""

from __future__ import annotations

from typing import Any

import pytest

from serin.ports import DEPLOYMENT, DESTINATION_RULE, EXPERIMENT, SERVICE, VIRTUAL_SERVICE, Object
from tests.kinds.place import HOLDER, INIT, ISTIO, ROLE, ROUTER, Place, absolute
from tests.survival.house import eventually, free_port

pytestmark = pytest.mark.real

SAFE = absolute("iter8_error_rate", 0.2)
QUICK = {"interval": "2s", "maxIterations": 4}
TIMED = {"interval": "2s", "maxIterations": 3}


async def spec_of_rules(place: Place) -> list[Object]:
    return [(await place.get(kind, "shop"))["spec"] for kind in (VIRTUAL_SERVICE, DESTINATION_RULE)]


# Performance: one version is judged, and traffic is left alone


@pytest.mark.parametrize("candidates", [[], ["shop-v1"]], ids=["no candidate", "its own candidate"])
async def test_performance_judges_one_version_and_leaves_traffic_alone(place: Place, candidates: list[str]) -> None:
    await place.stage("v1")
    async with place.traffic() as load:
        await place.apply(place.experiment(service={"candidates": candidates}, criteria=[SAFE], duration=QUICK))
        await place.says("Iteration 2/4")
        assert (await place.status())["experimentType"] == ("Canary" if candidates else "Performance")
        status = await place.completed()
        assert set(load.report().by_version) == {"shop-v1"}
        assert load.report().failed == 0
    assert status["outcome"] == "BaselineWon"
    assert status["message"] == "ExperimentCompleted: Traffic To Winner"
    assert status["assessment"]["winner"]["name"] == "shop-v1"
    assert await place.there(DEPLOYMENT, "shop-v1")
    await place.answered_by("v1")
    labels = await place.labels()
    assert (labels[ROLE], HOLDER in labels) == ("stable", False)


async def test_performance_of_a_version_that_violates_wins_nothing_and_moves_nothing(place: Place) -> None:
    await place.stage(rules=True)
    await place.apply(place.deployment("v1", "--errors", "0.5"))
    await place.ready("v1")
    async with place.traffic():
        await place.apply(
            place.experiment(
                service={"candidates": []}, criteria=[SAFE], duration={"interval": "2s", "maxIterations": 8}
            )
        )
        status = await place.completed()
    assert status["outcome"] in ("Nobody", "Inconclusive")
    assert status["assessment"]["winner"]["winning_version_found"] is False
    assert await place.there(DEPLOYMENT, "shop-v1")
    assert "503" not in await place.visits(20)


async def test_performance_with_cleanup_never_deletes_what_it_judges(place: Place) -> None:
    await place.stage("v1")
    async with place.traffic():
        await place.apply(
            place.experiment(service={"candidates": ["shop-v1"]}, criteria=[SAFE], duration=QUICK, cleanup=True)
        )
        await place.completed()
    assert await place.there(DEPLOYMENT, "shop-v1")
    await place.answered_by("v1")


# Kind Service: each version is a Service of its own


async def services(place: Place, *versions: str) -> None:
    """A Deployment and a Service for each version, and no common Service."""
    await place.apply(
        place.gateway(),
        *(place.deployment(version) for version in versions),
        *(place.service(f"shop-{version}", app="shop", version=version) for version in versions),
    )
    await place.ready(*versions)


async def test_kind_service_routes_to_the_services_and_judges_by_them(place: Place) -> None:
    await services(place, "v1", "v2")
    await place.apply(place.service())
    networking = {"hosts": [{"name": place.host, "gateway": "door"}]}
    trial = place.experiment(
        service={"kind": "Service"}, networking=networking, criteria=[SAFE], duration=QUICK,
        trafficControl={"maxIncrement": 30},
    )  # fmt: skip
    await place.apply(trial)
    await place.says("Iteration|no requests|held")
    async with place.traffic() as load:
        await place.says("Iteration 2/4")
        name = f"shop.{place.namespace}.svc.cluster.local.iter8router"
        (route,) = await place.routes(name)
        hosts = [f"shop-{version}.{place.namespace}.svc.cluster.local" for version in ("v1", "v2")]
        assert [each["destination"] for each in route["route"]] == [{"host": host} for host in hosts]
        assert not await place.there(DESTINATION_RULE, name)
        status = await place.completed()
        assert load.report().failed == 0
    assert status["assessment"]["winner"]["name"] == "shop-v2"
    assert status["assessment"]["candidates"][0]["request_count"] > 0
    await place.answered_by("v2")
    assert await place.inside() == "shop-v2"


async def test_kind_service_with_cleanup_deletes_the_losing_service(place: Place) -> None:
    await services(place, "v1", "v2")
    await place.apply(place.service())
    await place.apply(place.experiment(service={"kind": "Service"}, networking=None, duration=TIMED, cleanup=True))
    await place.completed()

    async def gone() -> bool:
        return not await place.there(SERVICE, "shop-v1")

    await eventually("the losing service is deleted", gone)
    assert await place.there(SERVICE, "shop-v2")
    assert await place.there(DEPLOYMENT, "shop-v1")  # the Service is the version; what stands behind it is its owner's


async def test_hosts_only(place: Place) -> None:
    """No internal service: only the external host leads to the versions, and the first host names the rules."""
    await services(place, "v1", "v2")
    networking = {"hosts": [{"name": place.host, "gateway": "door"}]}
    trial = place.experiment(
        service={"kind": "Service", "name": None}, networking=networking, criteria=[SAFE], duration=QUICK,
        trafficControl={"maxIncrement": 30},
    )  # fmt: skip
    async with place.traffic():
        await place.apply(trial)
        await place.says("Iteration 1/4")
        rules = await place.get(VIRTUAL_SERVICE, f"{place.host}.iter8router")
        assert rules["metadata"]["labels"][ROUTER] == place.host
        assert (rules["spec"]["hosts"], rules["spec"]["gateways"]) == ([place.host], ["door"])
        status = await place.completed()
    assert status["effectiveHosts"] == [place.host]
    assert status["assessment"]["winner"]["name"] == "shop-v2"
    await place.answered_by("v2")


async def test_hosts_only_with_deployments_says_what_is_missing(place: Place) -> None:
    await place.stage("v1", "v2")
    trial = place.experiment(service={"name": None}, networking={"hosts": [{"name": place.host, "gateway": "door"}]})
    await place.apply(trial)
    assert "spec.service.name" in await place.says("TargetsError: Invalid service spec")


# Hosts, gateways, router ids, namespaces


async def test_a_wildcard_host(place: Place) -> None:
    """Every name leads to it; the rules are called iter8-wildcard-host where nothing else names them."""
    port = free_port()
    await services(place, "v1", "v2")
    await place.apply(place.gateway("any", "*", port=port))
    networking = {"hosts": [{"name": "*", "gateway": "any"}]}
    await place.apply(place.experiment(service={"kind": "Service", "name": None}, networking=networking))
    await place.weighs(v1=0, v2=100)
    assert (await place.labels(name="iter8-wildcard-host.iter8router"))[ROUTER] == "iter8-wildcard-host"
    for host in (place.host, "anything.at.all", "127.0.0.1"):
        assert await place.visit(host=host, port=port) == "shop-v2"
    await place.order("terminate")
    await place.completed()
    assert await place.visit(host="anything.at.all", port=port) == "shop-v1"


async def test_several_hosts_and_gateways_all_take_part(place: Place) -> None:
    side = free_port()
    other = f"other.{place.namespace}.example"
    await place.stage("v1", "v2", rules=False)
    await place.apply(place.gateway("side-door", other, f"*.{place.namespace}.example", port=side))
    hosts = [
        {"name": place.host, "gateway": "door"},
        {"name": other, "gateway": "side-door"},
        {"name": f"*.{place.namespace}.example", "gateway": "side-door"},
    ]
    await place.apply(place.experiment(networking={"id": "all-of-them", "hosts": hosts}))
    await place.weighs(v1=0, v2=100)
    rules = (await place.get(VIRTUAL_SERVICE, "all-of-them.iter8router"))["spec"]
    internal = f"shop.{place.namespace}.svc.cluster.local"
    assert rules["hosts"] == [internal, *(host["name"] for host in hosts)]
    assert rules["gateways"] == ["mesh", "door", "side-door"]
    assert (await place.status())["effectiveHosts"] == ["shop", *(host["name"] for host in hosts)]
    third = f"third.{place.namespace}.example"
    for version in ("shop-v2", "shop-v1"):
        assert await place.visit() == version
        assert await place.visit(host=other, port=side) == version
        assert await place.visit(host=third, port=side) == version
        assert await place.inside() == version
        if version == "shop-v2":
            await place.order("terminate")
            await place.completed()


@pytest.mark.parametrize("where", ["networking", "trafficControl"])
async def test_the_router_id_chooses_the_rules_in_either_spelling(place: Place, where: str) -> None:
    """Two pairs of stable rules; the experiment takes the one that is named and leaves the other as it is."""
    await place.stage("v1", "v2")
    theirs = {ROUTER: "theirs", ROLE: "stable"}
    route = [{"destination": {"host": "shop", "subset": "iter8-stable"}}]
    spec = {"hosts": ["else.example"], "gateways": ["door"], "http": [{"route": route}]}
    rule = {"host": "shop", "subsets": []}
    await place.apply(
        {"apiVersion": ISTIO, "kind": "VirtualService", "metadata": place.meta("else", **theirs), "spec": spec},
        {"apiVersion": ISTIO, "kind": "DestinationRule", "metadata": place.meta("else", **theirs), "spec": rule},
    )
    hosts = [{"name": place.host, "gateway": "door"}]
    given: dict[str, Any] = (
        {"networking": {"id": "mine", "hosts": hosts}}
        if where == "networking"
        else {"networking": {"hosts": hosts}, "trafficControl": {"maxIncrement": 100, "routerID": "mine"}}
    )
    await place.apply(place.experiment(**given))
    await place.weighs(v1=0, v2=100)
    assert (await place.labels())[HOLDER] == f"trial.{place.namespace}"
    other = await place.get(VIRTUAL_SERVICE, "else")
    assert (other["spec"], other["metadata"]["labels"]) == (spec, theirs)


async def test_an_experiment_in_another_namespace_than_its_service(place: Place) -> None:
    """The experiment lives in one namespace; service, versions and rules in another."""
    await place.stage("v1", "v2")
    trial = place.experiment(service={"namespace": place.namespace}, criteria=[SAFE], duration=QUICK)
    trial["metadata"]["namespace"] = f"{place.namespace}-x"
    trial["spec"]["trafficControl"] = {"maxIncrement": 30}
    elsewhere = Place(place.house, place.client, f"{place.namespace}-x")
    async with place.traffic():
        await place.apply(trial)
        await elsewhere.says("Iteration [123]/4")
        assert (await place.labels())[HOLDER] == f"trial.{elsewhere.namespace}"
        status = await elsewhere.completed()
    assert status["assessment"]["winner"]["name"] == "shop-v2"
    await place.answered_by("v2")
    assert await place.client.list(VIRTUAL_SERVICE, elsewhere.namespace) == []
    await place.client.delete(EXPERIMENT, elsewhere.namespace, "trial")


async def test_a_port_is_put_on_every_destination(place: Place) -> None:
    await place.stage("v1", "v2", rules=False)
    service = place.service()
    service["spec"]["ports"] = [
        {"name": "http-none", "port": 9999, "targetPort": 9999},
        {"name": "http", "port": 80, "targetPort": 8501},
    ]
    await place.apply(service)
    networking = {"hosts": [{"name": place.host, "gateway": "door"}]}
    await place.apply(place.experiment(service={"port": 80}, networking=networking))
    await place.weighs(v1=0, v2=100)
    name = f"shop.{place.namespace}.svc.cluster.local.iter8router"
    (route,) = await place.routes(name)
    assert [each["destination"]["port"] for each in route["route"]] == [{"number": 80}] * 2
    await place.answered_by("v2")
    await place.order("terminate")
    await place.completed()
    await place.answered_by("v1")
    assert INIT not in await place.labels(name=name)
