"""What every store of objects must do. A subclass gives the fixture `store`; its tests are these.

The store counts time by `clock`, a `FakeClock`, unless it runs in another process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from serin.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from serin.ports import (
    CONFIG_MAP,
    DEPLOYMENT,
    EXPERIMENT,
    NAMESPACE,
    POD,
    VIRTUAL_SERVICE,
    Change,
    Event,
    Object,
    Objects,
)


def config_map(name: str = "cm", **fields: Any) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}, **fields}


def deployment(name: str = "web", labels: dict[str, str] | None = None, **metadata: Any) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default", "labels": labels or {}, **metadata},
        "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "c"}]}}},
    }


async def take(events: Any, count: int) -> list[Event]:
    async with asyncio.timeout(10):
        return [await anext(events) for _ in range(count)]


async def until_synced(events: Any) -> list[str]:
    names = []
    async with asyncio.timeout(10):
        while (event := await anext(events)).change is not Change.SYNCED:
            assert event.change is Change.ADDED
            names.append(event.object["metadata"]["name"])
    assert event.object == {}
    return names


def summary(events: list[Event]) -> list[tuple[str, str]]:
    return [(str(event.change), event.object["metadata"]["name"]) for event in events]


REFUSED: list[tuple[str, Callable[[], Object], str]] = [
    ("kind", lambda: {"apiVersion": "v1", "kind": "Gadget", "metadata": {"name": "x"}}, "'Gadget'"),
    ("version", lambda: {**config_map(), "apiVersion": "v7"}, "'v7'"),
    ("group", lambda: {**deployment(), "apiVersion": "v1"}, "apps/v1"),
    ("no metadata", lambda: {"apiVersion": "v1", "kind": "ConfigMap"}, "metadata"),
    ("no name", lambda: config_map(metadata={}), "metadata.name"),
    ("upper case", lambda: config_map("Web"), "metadata.name"),
    ("slash", lambda: config_map("a/b"), "metadata.name"),
    ("long name", lambda: config_map("a" * 254), "metadata.name"),
    ("number as name", lambda: config_map(metadata={"name": 7}), "metadata.name"),
    ("namespace", lambda: config_map(metadata={"name": "x", "namespace": "a.b"}), "metadata.namespace"),
    ("label", lambda: config_map(metadata={"name": "x", "labels": {"v": 1}}), "metadata.labels"),
    ("labels", lambda: config_map(metadata={"name": "x", "labels": ["v"]}), "metadata.labels"),
    ("annotation", lambda: config_map(metadata={"name": "x", "annotations": {"v": True}}), "metadata.annotations"),
    ("finalizers", lambda: config_map(metadata={"name": "x", "finalizers": "one"}), "metadata.finalizers"),
    ("NaN", lambda: config_map(data={"a": float("nan")}), "JSON"),
    ("set", lambda: config_map(data={"a": {1, 2}}), "JSON"),
    ("size", lambda: config_map(data={"a": "x" * 1_500_000}), "bytes"),
]


class ObjectsContract:
    """The semantics of Kubernetes, as `serin.ports.Objects` states them."""

    async def test_what_was_created_is_there_with_what_the_store_gives_it(self, store: Objects) -> None:
        made = await store.create(config_map())
        assert made == await store.get(CONFIG_MAP, "default", "cm")
        metadata = made["metadata"]
        assert metadata["namespace"] == "default"
        assert metadata["uid"]
        assert int(metadata["resourceVersion"]) > 0
        assert metadata["creationTimestamp"].endswith("Z")
        assert made["data"] == {"a": "1"}

    async def test_what_the_store_owns_cannot_be_given(self, store: Objects) -> None:
        given: Any = {"uid": "mine", "resourceVersion": "99", "creationTimestamp": None, "generation": 7}
        made = await store.create(deployment(**given))
        assert made["metadata"]["uid"] != "mine"
        assert made["metadata"]["resourceVersion"] != "99"
        assert made["metadata"]["generation"] == 1
        changed = await store.patch(DEPLOYMENT, "default", "web", {"metadata": {"generation": 9, "labels": {"a": "b"}}})
        assert changed["metadata"]["generation"] == 1

    async def test_status_is_not_created_and_not_replaced(self, store: Objects) -> None:
        made = await store.create({**deployment(), "status": {"readyReplicas": 9}})
        assert "status" not in made
        await store.patch(DEPLOYMENT, "default", "web", {"status": {"readyReplicas": 1}}, status=True)
        replaced = await store.replace({**deployment(labels={"a": "b"}), "status": {"readyReplicas": 9}})
        assert replaced["status"] == {"readyReplicas": 1}
        assert replaced["metadata"]["labels"] == {"a": "b"}

    async def test_the_same_name_twice_is_refused_in_one_namespace_only(self, store: Objects) -> None:
        await store.create(config_map())
        with pytest.raises(AlreadyExists, match=r"ConfigMap 'cm' in namespace 'default' exists already"):
            await store.create(config_map())
        await store.create(config_map(metadata={"name": "cm", "namespace": "other"}))
        await store.create(deployment("cm"))

    async def test_what_is_not_there_is_said_by_every_method(self, store: Objects) -> None:
        sentence = r"there is no Deployment 'web' in namespace 'default'"
        for attempt in (
            store.get(DEPLOYMENT, "default", "web"),
            store.replace(deployment()),
            store.patch(DEPLOYMENT, "default", "web", {}),
            store.delete(DEPLOYMENT, "default", "web"),
        ):
            with pytest.raises(NotFound, match=sentence):
                await attempt

    @pytest.mark.parametrize(("make", "sentence"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
    async def test_a_refused_object_says_where(self, store: Objects, make: Callable[[], Object], sentence: str) -> None:
        with pytest.raises(InvalidInput, match=sentence):
            await store.create(make())
        assert await store.list(CONFIG_MAP) == []

    async def test_every_version_of_a_kind_is_the_same_kind_and_kept_as_written(self, store: Objects) -> None:
        rule = {"apiVersion": "networking.istio.io/v1alpha3", "kind": "VirtualService", "metadata": {"name": "r"}}
        await store.create({**rule, "spec": {}})
        got = await store.get(VIRTUAL_SERVICE, "default", "r")
        assert got["apiVersion"] == "networking.istio.io/v1alpha3"
        changed = await store.replace({**got, "apiVersion": "networking.istio.io/v1beta1"})
        assert changed["apiVersion"] == "networking.istio.io/v1beta1"
        assert changed["metadata"]["uid"] == got["metadata"]["uid"]

    async def test_a_kind_without_namespaces_has_none(self, store: Objects) -> None:
        made = await store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "iter8"}})
        assert "namespace" not in made["metadata"]
        assert await store.get(NAMESPACE, "", "iter8") == await store.get(NAMESPACE, "any", "iter8") == made
        with pytest.raises(NotFound, match=r"there is no Namespace 'x';"):
            await store.get(NAMESPACE, "", "x")

    async def test_objects_returned_are_the_callers_own(self, store: Objects) -> None:
        given = config_map()
        made = await store.create(given)
        made["data"]["a"] = given["data"]["a"] = "spoilt"
        (await store.list(CONFIG_MAP))[0]["data"]["a"] = "spoilt"
        assert (await store.get(CONFIG_MAP, "default", "cm"))["data"] == {"a": "1"}

    async def test_list_is_by_namespace_name_and_labels(self, store: Objects) -> None:
        for namespace, name, labels in (
            ("b", "one", {"app": "x"}),
            ("a", "two", {"app": "x", "tier": "front"}),
            ("a", "one", {"app": "y", "tier": "front"}),
        ):
            await store.create(deployment(name, labels, namespace=namespace))

        def places(found: list[Object]) -> list[tuple[str, str]]:
            return [(obj["metadata"]["namespace"], obj["metadata"]["name"]) for obj in found]

        assert places(await store.list(DEPLOYMENT)) == [("a", "one"), ("a", "two"), ("b", "one")]
        assert places(await store.list(DEPLOYMENT, "a")) == [("a", "one"), ("a", "two")]
        assert places(await store.list(DEPLOYMENT, None, {"app": "x"})) == [("a", "two"), ("b", "one")]
        assert places(await store.list(DEPLOYMENT, "a", {"app": "x", "tier": "front"})) == [("a", "two")]
        assert places(await store.list(DEPLOYMENT, "a", {"app": "z"})) == []
        assert await store.list(POD) == []
        await store.patch(DEPLOYMENT, "b", "one", {"metadata": {"labels": {"app": "z"}}})
        assert places(await store.list(DEPLOYMENT, labels={"app": "x"})) == [("a", "two")]
        assert places(await store.list(DEPLOYMENT, labels={"app": "z"})) == [("b", "one")]

    async def test_generation_rises_with_the_spec_only(self, store: Objects) -> None:
        await store.create(deployment())

        async def after(patch: Object, status: bool = False) -> int:
            changed = await store.patch(DEPLOYMENT, "default", "web", patch, status=status)
            return int(changed["metadata"]["generation"])

        assert await after({"metadata": {"labels": {"a": "b"}}}) == 1
        assert await after({"status": {"readyReplicas": 1}}, status=True) == 1
        assert await after({"spec": {"replicas": 1}}) == 1
        assert await after({"spec": {"replicas": 2}}) == 2
        assert await after({"spec": {"replicas": True}}) == 3  # not the same as 1, though Python says so

    async def test_a_write_that_changes_nothing_changes_no_version_and_tells_nobody(self, store: Objects) -> None:
        made = await store.create(deployment(labels={"a": "b"}))
        events = store.watch(DEPLOYMENT)
        assert await until_synced(events) == ["web"]
        assert await store.replace(made) == made
        assert await store.patch(DEPLOYMENT, "default", "web", {"spec": {"replicas": 1}}) == made
        assert await store.patch(DEPLOYMENT, "default", "web", {"status": None}, status=True) == made
        changed = await store.patch(DEPLOYMENT, "default", "web", {"spec": {"replicas": 2}})
        assert (await take(events, 1))[0] == Event(Change.MODIFIED, changed)

    async def test_a_write_on_an_older_state_is_a_conflict(self, store: Objects) -> None:
        old = await store.create(config_map())
        await store.patch(CONFIG_MAP, "default", "cm", {"data": {"a": "2"}})
        version = {"resourceVersion": old["metadata"]["resourceVersion"]}
        with pytest.raises(Conflict, match=r"ConfigMap 'cm' in namespace 'default' was changed by somebody else"):
            await store.replace({**old, "data": {"a": "3"}})
        with pytest.raises(Conflict):
            await store.patch(CONFIG_MAP, "default", "cm", {"metadata": version, "data": {"a": "3"}})
        assert (await store.get(CONFIG_MAP, "default", "cm"))["data"] == {"a": "2"}

    async def test_a_status_patch_can_be_conditional_too(self, store: Objects) -> None:
        old = (await store.create(deployment()))["metadata"]["resourceVersion"]
        patch = {"metadata": {"resourceVersion": old}, "status": {"readyReplicas": 1}}
        done = await store.patch(DEPLOYMENT, "default", "web", patch, status=True)
        assert done["status"] == {"readyReplicas": 1}
        with pytest.raises(Conflict):
            await store.patch(DEPLOYMENT, "default", "web", patch, status=True)

    async def test_a_write_meant_for_a_namesake_that_is_gone_is_a_conflict(self, store: Objects) -> None:
        old = await store.create(config_map())
        await store.delete(CONFIG_MAP, "default", "cm")
        new = await store.create(config_map())
        assert new["metadata"]["uid"] != old["metadata"]["uid"]
        assert int(new["metadata"]["resourceVersion"]) > int(old["metadata"]["resourceVersion"])
        with pytest.raises(Conflict):
            await store.patch(CONFIG_MAP, "default", "cm", {"metadata": {"uid": old["metadata"]["uid"]}, "data": {}})

    async def test_a_patch_merges_removes_by_null_and_replaces_lists(self, store: Objects) -> None:
        await store.create({**deployment(), "spec": {"a": {"b": 1, "c": 2}, "list": [1, 2], "gone": True}})
        patch = {"spec": {"a": {"b": None, "d": {"e": None, "f": 3}}, "list": [3], "gone": None}}
        done = await store.patch(DEPLOYMENT, "default", "web", patch)
        assert done["spec"] == {"a": {"c": 2, "d": {"f": 3}}, "list": [3]}

    async def test_a_patch_touches_its_own_half_only(self, store: Objects) -> None:
        await store.create(deployment())
        both = {"spec": {"replicas": 5}, "status": {"readyReplicas": 5}}
        first = await store.patch(DEPLOYMENT, "default", "web", both)
        assert (first["spec"]["replicas"], "status" in first) == (5, False)
        both["spec"]["replicas"] = 6
        second = await store.patch(DEPLOYMENT, "default", "web", both, status=True)
        assert (second["spec"]["replicas"], second["status"]) == (5, {"readyReplicas": 5})

    @pytest.mark.parametrize(
        "patch", [{"kind": "Pod"}, {"metadata": {"name": "x"}}, {"metadata": {"namespace": "x"}}, {"metadata": None}]
    )
    async def test_an_object_stays_itself(self, store: Objects, patch: Object) -> None:
        made = await store.create(deployment())
        with pytest.raises(InvalidInput):
            await store.patch(DEPLOYMENT, "default", "web", patch)
        assert await store.get(DEPLOYMENT, "default", "web") == made

    async def test_a_status_where_there_is_none_is_refused(self, store: Objects) -> None:
        await store.create(config_map())
        with pytest.raises(InvalidInput, match="has no status"):
            await store.patch(CONFIG_MAP, "default", "cm", {"status": {}}, status=True)

    async def test_finalizers_hold_an_object_until_the_last_is_gone(self, store: Objects) -> None:
        await store.create(deployment(finalizers=["serin/a", "serin/b"]))
        events = store.watch(DEPLOYMENT)
        await until_synced(events)
        await store.delete(DEPLOYMENT, "default", "web")
        marked = await store.get(DEPLOYMENT, "default", "web")
        assert await take(events, 1) == [Event(Change.MODIFIED, marked)]
        assert marked["metadata"]["deletionTimestamp"].endswith("Z")
        await store.delete(DEPLOYMENT, "default", "web")
        assert await store.get(DEPLOYMENT, "default", "web") == marked
        with pytest.raises(InvalidInput, match=r"no (new )?finalizers? can be added"):
            await store.patch(DEPLOYMENT, "default", "web", {"metadata": {"finalizers": ["serin/a", "serin/c"]}})
        with pytest.raises(AlreadyExists):
            await store.create(deployment())
        await store.patch(DEPLOYMENT, "default", "web", {"metadata": {"finalizers": ["serin/b"]}})
        assert summary(await take(events, 1)) == [("MODIFIED", "web")]
        await store.patch(DEPLOYMENT, "default", "web", {"metadata": {"finalizers": None}})
        with pytest.raises(NotFound):
            await store.get(DEPLOYMENT, "default", "web")
        (seen,) = await take(events, 1)
        assert seen.change is Change.DELETED
        assert seen.object["metadata"]["deletionTimestamp"]

    async def test_being_deleted_cannot_be_taken_back(self, store: Objects) -> None:
        made = await store.create(deployment(finalizers=["serin/a"]))
        await store.delete(DEPLOYMENT, "default", "web")
        del made["metadata"]["resourceVersion"]
        after = await store.replace({**made, "spec": {"replicas": 7}})
        assert after["metadata"]["deletionTimestamp"]

    async def test_a_watch_shows_the_present_then_each_change(self, store: Objects) -> None:
        await store.create(deployment("b"))
        await store.create(deployment("a"))
        await store.create(config_map("c"))
        events = store.watch(DEPLOYMENT)
        assert await until_synced(events) == ["a", "b"]
        await store.create(deployment("d"))
        assert summary(await take(events, 1)) == [("ADDED", "d")]
        await store.create(config_map("unseen"))
        changed = await store.patch(DEPLOYMENT, "default", "a", {"spec": {"replicas": 3}})
        await store.delete(DEPLOYMENT, "default", "b")
        seen = await take(events, 2)
        assert summary(seen) == [("MODIFIED", "a"), ("DELETED", "b")]
        assert seen[0].object == changed

    async def test_a_watch_of_two_kinds_in_one_namespace(self, store: Objects) -> None:
        await store.create(deployment("here", namespace="x"))
        await store.create(deployment("there", namespace="y"))
        await store.create(config_map(metadata={"name": "too", "namespace": "x"}))
        events = store.watch(DEPLOYMENT, CONFIG_MAP, namespace="x")
        assert await until_synced(events) == ["here", "too"]
        await store.delete(DEPLOYMENT, "y", "there")
        await store.delete(CONFIG_MAP, "x", "too")
        assert summary(await take(events, 1)) == [("DELETED", "too")]

    async def test_a_deleted_and_recreated_object_is_seen_as_two(self, store: Objects) -> None:
        await store.create(config_map())
        events = store.watch(CONFIG_MAP)
        await until_synced(events)
        await store.delete(CONFIG_MAP, "default", "cm")
        await store.create(config_map())
        assert summary(await take(events, 2)) == [("DELETED", "cm"), ("ADDED", "cm")]

    async def test_a_slow_watcher_ends_with_the_truth(self, store: Objects) -> None:
        for name in ("kept", "gone"):
            await store.create(config_map(name))
        events = store.watch(CONFIG_MAP)
        await until_synced(events)
        for value in range(50):
            await store.patch(CONFIG_MAP, "default", "kept", {"data": {"a": str(value)}})
        await store.create(config_map("brief"))
        await store.delete(CONFIG_MAP, "default", "brief")
        await store.delete(CONFIG_MAP, "default", "gone")
        await store.create(config_map("last"))
        present: dict[str, Object] = {}
        async with asyncio.timeout(10):
            while "last" not in present:
                event = await anext(events)
                present[event.object["metadata"]["name"]] = event.object
                if event.change is Change.DELETED:
                    del present[event.object["metadata"]["name"]]
        assert sorted(present) == ["kept", "last"]
        assert present["kept"]["data"] == {"a": "49"}

    async def test_writers_at_once_lose_nothing(self, store: Objects) -> None:
        await store.create(config_map(data={}))

        async def write(name: str) -> None:
            while True:
                now = await store.get(CONFIG_MAP, "default", "cm")
                now["data"] = {**now.get("data", {}), name: "done"}
                with suppress(Conflict):
                    await store.replace(now)
                    return

        async with asyncio.timeout(30):
            await asyncio.gather(*(write(f"k{n}") for n in range(8)))
        assert len((await store.get(CONFIG_MAP, "default", "cm"))["data"]) == 8

    async def test_text_of_any_language_and_numbers_of_any_size_come_back(self, store: Objects) -> None:
        spec = {
            "text": "naïve ‘quotes’ 数 \x00\u2028",
            "big": 2**70,
            "small": 5e-324,
            "none": {},
            "zero": 0.0,
            "no": [],
        }
        experiment = {"apiVersion": "iter8.tools/v1alpha2", "kind": "Experiment", "metadata": {"name": "x"}}
        await store.create({**experiment, "spec": spec})
        assert (await store.get(EXPERIMENT, "default", "x"))["spec"] == spec
