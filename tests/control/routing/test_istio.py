"""The Istio router over stored objects: what it refuses to touch, and in which order it writes."""

from __future__ import annotations

import asyncio
import copy

import pytest

from serin.control.routing import istio_rules as rules
from serin.control.routing.istio import IstioRouter
from serin.control.routing.router import RoutingRulesError
from serin.errors import Conflict
from serin.fakes import FakeClock, FakeDataPlane, InMemoryObjects
from serin.ports import DESTINATION_RULE, VIRTUAL_SERVICE
from tests.control.routing.test_istio_rules import routing, stable_destination_rule, stable_virtual_service


def labelled(obj: dict, **labels: str | None) -> dict:
    changed = copy.deepcopy(obj)
    changed["metadata"].pop("resourceVersion", None)
    for key, value in labels.items():
        name = f"iter8-tools/{key}"
        if value is None:
            changed["metadata"]["labels"].pop(name, None)
        else:
            changed["metadata"]["labels"][name] = value
    return changed


def named(obj: dict, name: str) -> dict:
    changed = copy.deepcopy(obj)
    changed["metadata"]["name"] = name
    return changed


def router(*objects: dict) -> tuple[IstioRouter, InMemoryObjects]:
    clock = FakeClock()
    store = InMemoryObjects(clock, *objects)
    return IstioRouter(store, FakeDataPlane(), clock), store


VS, DR = labelled(stable_virtual_service()), labelled(stable_destination_rule())

REFUSED = {
    "another experiment's": (
        [labelled(VS, role="progressing", experiment="other.default"), DR],
        "VirtualService fashionmnist is in use by experiment other.default; waiting for its end",
    ),
    "no role": ([labelled(VS, role=None), DR], "has role '' and no experiment; label it iter8-tools/role=stable"),
    "two VirtualServices": ([VS, named(VS, "again"), DR], "virtualservices again, fashionmnist all carry the label"),
    "no DestinationRule": ([VS], "VirtualService fashionmnist has no DestinationRule beside it with the label"),
    "no VirtualService": ([DR], "DestinationRule fashionmnist has no VirtualService beside it with the label"),
    "a rival without labels": (
        [labelled(VS, router=None, role=None)],
        "VirtualService fashionmnist already routes fashionmnist.com; label it and its DestinationRule",
    ),
    "a rival with another id": (
        [labelled(VS, router="another"), labelled(DR, router="another")],
        "has the router id another; set networking.id to it",
    ),
    "the name is taken": (
        [named({**labelled(DR, router=None, role=None)}, "fashionmnist.iter8router")],
        "DestinationRule fashionmnist.iter8router is there but lacks the label",
    ),
}


@pytest.mark.parametrize(("objects", "sentence"), REFUSED.values(), ids=REFUSED)
async def test_rules_that_are_not_free_are_refused_and_not_touched(objects, sentence):
    taking, store = router(*objects)
    before = [await store.list(kind) for kind in (VIRTUAL_SERVICE, DESTINATION_RULE)]
    with pytest.raises(RoutingRulesError) as refused:
        await taking.take(routing())
    assert sentence in str(refused.value)
    assert [await store.list(kind) for kind in (VIRTUAL_SERVICE, DESTINATION_RULE)] == before


async def test_subsets_are_written_before_the_routes_that_name_them():
    taking, store = router()
    await taking.take(routing())
    assert [(call.verb, call.kind.name) for call in store.writes] == [
        ("create", "DestinationRule"),
        ("create", "VirtualService"),
    ]


async def test_a_route_waits_until_the_proxies_know_its_subsets():
    """They are told in the order of the writes, but each on its own way; a route without its subset loses requests."""

    class Late(FakeDataPlane):
        asked = 0

        async def applied(self, rule: dict) -> bool:
            if rule["kind"] == "DestinationRule":
                self.asked += 1
                assert not [call for call in store.writes if call.kind == VIRTUAL_SERVICE]
                return self.asked > 3
            return True

    clock = FakeClock()
    store = InMemoryObjects(clock, VS, DR)
    plane = Late()
    taking = asyncio.create_task(IstioRouter(store, plane, clock).take(routing()))
    await clock.advance(1.0)
    await taking
    assert plane.asked == 4
    assert [call.kind.name for call in store.writes] == ["DestinationRule", "VirtualService"]


async def test_an_unchanged_split_writes_nothing():
    taking, store = router(VS, DR)
    await taking.take(routing())
    await taking.set(routing(), {"baseline": 80, "candidate-0": 20})
    count = len(store.writes)
    found = await taking.set(routing(), {"baseline": 80, "candidate-0": 20})
    assert not found.written
    assert len(store.writes) == count


async def test_a_conflict_starts_the_call_again():
    taking, store = router(VS, DR)
    await taking.take(routing())
    store.fail_next(Conflict("changed in between"), kind=VIRTUAL_SERVICE)

    async def turn(clock):
        for _ in range(20):
            await clock.advance(0.1)

    turning = asyncio.create_task(turn(taking._clock))
    found = await taking.set(routing(), {"baseline": 80, "candidate-0": 20})
    await turning
    assert found.written


async def test_rules_that_the_experiment_created_are_removed_again():
    taking, store = router()
    await taking.take(routing())
    await taking.release(routing(), {"baseline": 0, "candidate-0": 100})
    await taking.remove(routing())
    await taking.remove(routing())
    assert await store.list(VIRTUAL_SERVICE) == []
    assert await store.list(DESTINATION_RULE) == []


async def test_the_previous_experiments_winner_keeps_its_traffic_when_the_next_one_takes_over():
    """Rules left by the original route to `iter8-candidate-0`; the next experiment needs that name itself."""
    left = labelled(stable_destination_rule("iter8-candidate-0", "v0"))
    destination = {"host": "fashionmnist", "subset": "iter8-candidate-0"}
    stable = labelled(stable_virtual_service([{"route": [{"destination": destination}]}]))
    taking, store = router(stable, left)
    served: list[dict[str, int]] = []
    labels: dict[str, str] = {}
    route: list[dict] = []

    async def look(_call) -> None:
        (virtual_service,) = await store.list(VIRTUAL_SERVICE)
        (rule,) = await store.list(DESTINATION_RULE)
        selects = {s["name"]: s["labels"]["version"] for s in rules.subsets(rule)}
        entries = virtual_service["spec"]["http"][0]["route"]
        served.append({selects[e["destination"]["subset"]]: e.get("weight", 100) for e in entries})
        labels.update(selects)
        route[:] = entries

    store.before_write = look
    await taking.take(routing())
    await look(None)
    assert all(weights.get("v2", 0) == 0 for weights in served)
    assert served[0] == {"v0": 100}
    assert served[-1] == {"v1": 100, "v2": 0}


BASELINE = {"baseline": 80, "candidate-0": 20}


async def test_a_users_rule_that_was_deleted_comes_back_as_it_was():
    """Under its own name, with its traffic policy and its other subsets, and not as the experiment's own."""
    rule = labelled(DR)
    rule["spec"]["subsets"].append({"name": "theirs", "labels": {"app": "fashionmnist", "version": "v0"}})
    rule["metadata"]["annotations"] = {"team": "vision"}
    taking, store = router(VS, rule)
    await taking.take(routing())
    await taking.set(routing(), BASELINE)
    (before,) = await store.list(DESTINATION_RULE)
    await store.delete(DESTINATION_RULE, "default", "fashionmnist")
    found = await taking.set(routing(), BASELINE)
    assert found.written
    (after,) = await store.list(DESTINATION_RULE)
    assert after["metadata"]["name"] == "fashionmnist"
    assert [after["spec"][key] for key in ("host", "trafficPolicy")] == [
        before["spec"][key] for key in ("host", "trafficPolicy")
    ]
    assert {s["name"]: s["labels"] for s in rules.subsets(after)} == {
        s["name"]: s["labels"] for s in rules.subsets(before)
    }
    assert after["metadata"]["labels"] == before["metadata"]["labels"]
    await taking.release(routing(), {"baseline": 100, "candidate-0": 0})
    (released,) = await store.list(DESTINATION_RULE)
    assert released["metadata"]["labels"] == rule["metadata"]["labels"]
    assert released["metadata"]["annotations"] == {"team": "vision"}
    assert released["spec"] == rule["spec"]


async def test_a_users_rule_that_is_deleted_before_the_end_comes_back_at_the_end():
    taking, store = router(VS, DR)
    await taking.take(routing())
    await store.delete(DESTINATION_RULE, "default", "fashionmnist")
    await taking.release(routing(), {"baseline": 100, "candidate-0": 0})
    (released,) = await store.list(DESTINATION_RULE)
    assert (released["metadata"]["name"], released["metadata"]["labels"]) == ("fashionmnist", DR["metadata"]["labels"])
    assert released["spec"] == DR["spec"]


async def test_a_users_virtual_service_that_was_deleted_comes_back_as_it_was():
    own = labelled(VS)
    own["spec"]["http"] = [
        {"match": [{"uri": {"prefix": "/gone"}}], "redirect": {"uri": "/"}},
        {**own["spec"]["http"][0], "retries": {"attempts": 3}},
    ]
    taking, store = router(own, DR)
    await taking.take(routing())
    await taking.set(routing(), BASELINE)
    (before,) = await store.list(VIRTUAL_SERVICE)
    await store.delete(VIRTUAL_SERVICE, "default", "fashionmnist")
    await taking.set(routing(), BASELINE)
    (after,) = await store.list(VIRTUAL_SERVICE)
    assert (after["metadata"]["name"], after["spec"]) == ("fashionmnist", before["spec"])
    await taking.release(routing(), {"baseline": 100, "candidate-0": 0})
    (released,) = await store.list(VIRTUAL_SERVICE)
    assert released["metadata"]["labels"] == own["metadata"]["labels"]
    assert {**released["spec"], "http": None} == {**own["spec"], "http": None}
    assert released["spec"]["http"][0] == own["spec"]["http"][0]
    assert released["spec"]["http"][1]["retries"] == {"attempts": 3}


async def test_rules_that_the_experiment_made_come_back_as_its_own():
    taking, store = router()
    await taking.take(routing())
    for kind in (VIRTUAL_SERVICE, DESTINATION_RULE):
        (before,) = await store.list(kind)
        await store.delete(kind, "default", before["metadata"]["name"])
        await taking.set(routing(), {"baseline": 100, "candidate-0": 0})
        (after,) = await store.list(kind)
        assert (after["metadata"]["labels"], after["spec"]) == (before["metadata"]["labels"], before["spec"])
