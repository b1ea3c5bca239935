"""What applying a manifest makes of an object that others have changed, too."""

from __future__ import annotations

import json
from typing import Any

import pytest

from serin.control.apply import LAST_APPLIED, Did, apply, three_way, to_create, to_replace
from serin.errors import Conflict, InvalidInput
from serin.fakes import InMemoryObjects
from serin.ports import CONFIG_MAP, DEPLOYMENT, EXPERIMENT, VIRTUAL_SERVICE, Object

MERGES: list[tuple[str, Any, Any, Any, Any]] = [
    ("what others set stays", {"a": 1}, {"a": 1, "b": 2}, {"a": 1}, {"a": 1, "b": 2}),
    ("what the manifest drops goes", {"a": 1, "b": 2}, {"a": 1, "b": 2}, {"a": 1}, {"a": 1}),
    ("what it never had is not its to drop", {}, {"b": 2}, {"a": 1}, {"a": 1, "b": 2}),
    ("what it says is put right", {"a": 1}, {"a": 7}, {"a": 1}, {"a": 1}),
    ("what it changes is changed", {"a": 1}, {"a": 1}, {"a": 2}, {"a": 2}),
    (
        "mappings merge",
        {"m": {"a": 1, "b": 2}},
        {"m": {"a": 1, "b": 2, "c": 3}},
        {"m": {"b": 4}},
        {"m": {"b": 4, "c": 3}},
    ),
    ("lists are whole", {"l": [1, 2]}, {"l": [1, 2, 3]}, {"l": [2]}, {"l": [2]}),
    ("a mapping in the place of a text", {"m": "t"}, {"m": "t"}, {"m": {"a": 1}}, {"m": {"a": 1}}),
    ("a text in the place of a mapping", {"m": {"a": 1}}, {"m": {"a": 1}}, {"m": "t"}, {"m": "t"}),
    ("null takes away", {"a": 1}, {"a": 1, "b": 2}, {"a": None, "b": None}, {}),
    ("null in a new mapping is nothing", {}, {}, {"m": {"a": None}}, {"m": {}}),
]


@pytest.mark.parametrize(("last", "live", "wanted", "expected"), [m[1:] for m in MERGES], ids=[m[0] for m in MERGES])
def test_three_way(last: Object, live: Object, wanted: Object, expected: Object) -> None:
    assert three_way(last, live, wanted, keep_adjusted=False) == expected


ADJUSTED: list[tuple[str, Any, Any, Any, Any]] = [
    ("what others adjusted stays while the manifest says as before", {"a": 1}, {"a": 7}, {"a": 1}, {"a": 7}),
    ("what others took away stays away", {"a": 1, "m": {"b": 1}}, {}, {"a": 1, "m": {"b": 1}}, {}),
    ("a new word of the manifest counts", {"a": 1}, {"a": 7}, {"a": 2}, {"a": 2}),
    ("what the manifest drops goes", {"a": 1, "b": 1}, {"a": 7, "b": 7}, {"a": 1}, {"a": 7}),
    ("never applied before: the manifest counts", {}, {"a": 7}, {"a": 1}, {"a": 1}),
]


@pytest.mark.parametrize(
    ("last", "live", "wanted", "expected"), [m[1:] for m in ADJUSTED], ids=[m[0] for m in ADJUSTED]
)
def test_three_way_on_what_an_experiment_adjusts(last: Object, live: Object, wanted: Object, expected: Object) -> None:
    assert three_way(last, live, wanted, keep_adjusted=True) == expected


def config_map(**data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm"}, "data": data}


def stable_rule(subset: str = "iter8-stable", **metadata: Any) -> Object:
    labels = {"iter8-tools/router": "web.iter8router", "iter8-tools/role": "stable"}
    return {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "VirtualService",
        "metadata": {"name": "web", "namespace": "default", "labels": labels, **metadata},
        "spec": {"hosts": ["web"], "http": [{"route": [{"destination": {"host": "web", "subset": subset}}]}]},
    }


EXPERIMENT_MANIFEST: Object = {
    "apiVersion": "iter8.tools/v1alpha2",
    "kind": "Experiment",
    "metadata": {"name": "web-v2"},
    "spec": {"service": {"name": "web", "baseline": "web-v1", "candidates": ["web-v2"]}},
}


@pytest.fixture
def store() -> InMemoryObjects:
    return InMemoryObjects()


async def test_created_configured_unchanged(store: InMemoryObjects) -> None:
    assert (await apply(store, config_map(a="1"))).outcome is Did.CREATED
    same = await apply(store, config_map(a="1"))
    assert same.outcome is Did.UNCHANGED
    assert same.object["metadata"]["resourceVersion"] == "1"
    changed = await apply(store, config_map(b="2"))
    assert (changed.outcome, changed.object["data"]) == (Did.CONFIGURED, {"b": "2"})
    kept = json.loads(changed.object["metadata"]["annotations"][LAST_APPLIED])
    assert kept == config_map(b="2")


async def test_a_dry_run_writes_nothing(store: InMemoryObjects) -> None:
    assert (await apply(store, config_map(a="1"), dry_run=True)).outcome is Did.CREATED
    await apply(store, config_map(a="1"))
    trial = await apply(store, config_map(a="2"), dry_run=True)
    assert (trial.outcome, trial.object["data"]) == (Did.CONFIGURED, {"a": "2"})
    assert [call.verb for call in store.writes] == ["create"]


async def test_what_get_prints_can_be_applied_again(store: InMemoryObjects) -> None:
    await apply(store, EXPERIMENT_MANIFEST)
    await store.patch(EXPERIMENT, "default", "web-v2", {"status": {"phase": "Progressing"}}, status=True)
    printed = await store.get(EXPERIMENT, "default", "web-v2")
    again = await apply(store, {**printed, "status": {"phase": "Completed"}})
    assert again.object["status"] == {"phase": "Progressing"}
    assert again.object["metadata"]["uid"] == printed["metadata"]["uid"]
    assert LAST_APPLIED not in json.loads(again.object["metadata"]["annotations"][LAST_APPLIED])["metadata"].get(
        "annotations", {}
    )
    assert (await apply(store, again.object)).outcome is Did.UNCHANGED


async def test_metrics_that_the_engine_wrote_back_stay(store: InMemoryObjects) -> None:
    await apply(store, EXPERIMENT_MANIFEST)
    metrics = {"counter_metrics": [{"name": "iter8_request_count"}]}
    await store.patch(EXPERIMENT, "default", "web-v2", {"spec": {"metrics": metrics}})
    changed = json.loads(json.dumps(EXPERIMENT_MANIFEST))
    changed["spec"]["duration"] = {"maxIterations": 5}
    again = await apply(store, changed)
    assert again.object["spec"]["metrics"] == metrics
    assert again.object["spec"]["duration"] == {"maxIterations": 5}


async def test_a_running_split_survives_a_second_apply_of_the_stable_rules(store: InMemoryObjects) -> None:
    await apply(store, stable_rule())
    split = [{"route": [{"destination": {"host": "web", "subset": "iter8-candidate-0"}, "weight": 100}]}]
    labels = {"iter8-tools/role": "progressing", "iter8-tools/experiment": "web-v2.default"}
    await store.patch(VIRTUAL_SERVICE, "default", "web", {"metadata": {"labels": labels}, "spec": {"http": split}})
    live = await store.get(VIRTUAL_SERVICE, "default", "web")
    again = await apply(store, stable_rule())
    assert again.outcome is Did.UNCHANGED
    assert again.object == live
    mine = await apply(store, stable_rule("another"))
    assert mine.outcome is Did.CONFIGURED
    assert mine.object["spec"]["http"][0]["route"][0]["destination"]["subset"] == "another"
    assert mine.object["metadata"]["labels"]["iter8-tools/role"] == "progressing"


async def test_an_object_that_was_never_applied_is_taken_over_without_loss(store: InMemoryObjects) -> None:
    await store.create(config_map(theirs="1"))
    done = await apply(store, config_map(mine="1"))
    assert done.object["data"] == {"theirs": "1", "mine": "1"}
    await store.patch(CONFIG_MAP, "default", "cm", {"metadata": {"annotations": {LAST_APPLIED: "no JSON"}}})
    assert (await apply(store, config_map(mine="2"))).object["data"] == {"theirs": "1", "mine": "2"}


async def test_somebody_who_comes_between_is_met_again(store: InMemoryObjects) -> None:
    await apply(store, config_map(a="1"))

    async def interfere(_call: object) -> None:
        await store.patch(CONFIG_MAP, "default", "cm", {"data": {"theirs": str(len(store.calls))}})

    store.before_write = interfere
    with pytest.raises(Conflict, match="is being changed by somebody else all the time"):
        await apply(store, config_map(a="2"))
    store.before_write = None
    assert (await apply(store, config_map(a="3"))).object["data"]["a"] == "3"


async def test_a_namesake_that_is_created_in_between_is_configured(store: InMemoryObjects) -> None:
    async def interfere(_call: object) -> None:
        store.before_write = None
        await store.create(config_map(theirs="1"))

    store.before_write = interfere
    done = await apply(store, config_map(mine="1"))
    assert (done.outcome, done.object["data"]) == (Did.CONFIGURED, {"theirs": "1", "mine": "1"})


async def test_what_is_being_deleted_cannot_be_applied(store: InMemoryObjects) -> None:
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "finalizers": ["x/y"]}}
    await apply(store, deployment)
    await store.delete(DEPLOYMENT, "default", "web")
    with pytest.raises(Conflict, match="is being deleted; wait until it is gone"):
        await apply(store, deployment)


def test_annotations_that_are_no_mapping_are_refused() -> None:
    with pytest.raises(InvalidInput):
        to_create({**config_map(), "metadata": {"name": "cm", "annotations": ["a"]}})


def test_a_replacement_is_conditional() -> None:
    live = {**config_map(a="1"), "metadata": {"name": "cm", "namespace": "default", "resourceVersion": "7"}}
    assert to_replace(live, config_map(a="2"))["metadata"]["resourceVersion"] == "7"
