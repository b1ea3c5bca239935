"""What an experiment's status costs in writes."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin.api.v1alpha2 import conditions
from serin.control.experiments import Known, Record, merge_patch
from serin.control.memory import Memory
from serin.core.state import State
from serin.fakes import InMemoryObjects
from serin.ports import EXPERIMENT, Object

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=1), inner),
    max_leaves=12,
)
EMPTY: Object = {
    "apiVersion": EXPERIMENT.api_version,
    "kind": "Experiment",
    "metadata": {"name": "a", "namespace": "default"},
    "spec": {},
}
DOCUMENTS = st.dictionaries(st.text("abc", min_size=1, max_size=1), JSON, max_size=3)


def as_stored(value: object) -> object:
    """What an API server makes of a value: nothing that is null stays in an object, wherever that is."""
    if isinstance(value, dict):
        return {key: as_stored(each) for key, each in value.items() if each is not None}
    return [as_stored(each) for each in value] if isinstance(value, list) else value


@given(DOCUMENTS)
def test_what_was_stored_needs_no_second_write(document: Object) -> None:
    stored = as_stored(copy.deepcopy(document))
    assert isinstance(stored, dict)
    assert merge_patch(stored, document) == {}


@pytest.mark.parametrize(
    ("before", "after", "patch"),
    [
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1}, {"a": None}, {"a": None}),
        ({"a": 1}, {}, {"a": None}),
        ({}, {"a": None}, {}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, {"a": {"c": 3}}),
        ({"a": [{"b": 1}]}, {"a": [{"b": 1, "c": None}]}, {}),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2, "c": None}]}, {"a": [{"b": 2}]}),
    ],
)
def test_a_patch_has_what_differs_and_nothing_else(before: Object, after: Object, patch: Object) -> None:
    assert merge_patch(before, after) == patch


async def test_a_status_with_unknown_values_is_written_once() -> None:
    objects = InMemoryObjects()
    await objects.create(EMPTY)
    for _ in range(2):
        record = Record(await objects.get(EXPERIMENT, "default", "a"))
        record.status["assessment"] = {"candidates": [{"id": "candidate-0", "win_probability": None}]}
        record.say(conditions.targets_found(), 1.0)
        await record.save(objects, 1.0)
        version = record.object["metadata"]["resourceVersion"]
    assert (await objects.get(EXPERIMENT, "default", "a"))["metadata"]["resourceVersion"] == version == "2"


async def written(objects: InMemoryObjects, known: Known) -> Record:
    """An experiment whose memory was just stored."""
    await objects.create(EMPTY)
    record = Record(await objects.get(EXPERIMENT, "default", "a"), known)
    record.memory = replace(record.memory, core=State(1, {}, {}, 1.0, 2.0, 3.0), seen=frozenset({"baseline"}))
    await record.save(objects, 1.0)
    return record


async def test_what_was_just_written_is_not_read_again() -> None:
    objects, known = InMemoryObjects(), Known()
    record = await written(objects, known)
    again = Record(await objects.get(EXPERIMENT, "default", "a"), known)
    assert again.memory is record.memory
    assert Record(again.object).memory == record.memory  # and this is what a reading gives


async def test_what_somebody_else_has_written_is_read() -> None:
    objects, known = InMemoryObjects(), Known()
    await written(objects, known)
    change: Object = {"status": {"analysisState": {"seen": ["candidate-0"]}}}
    await objects.patch(EXPERIMENT, "default", "a", change, status=True)
    assert Record(await objects.get(EXPERIMENT, "default", "a"), known).memory.seen == frozenset({"candidate-0"})


async def test_a_memory_that_is_stored_otherwise_than_it_was_sent_is_read() -> None:
    known = Known()
    sent = Memory(seen=frozenset({"baseline"}))
    stored = sent.to_json() | {"seen": ["service"]}
    known.learn(sent.to_json(), sent, stored)
    assert known.memory(stored).seen == frozenset({"service"})


async def test_a_memory_that_says_the_same_is_not_written_again() -> None:
    objects, known = InMemoryObjects(), Known()
    record = await written(objects, known)
    version = record.object["metadata"]["resourceVersion"]
    record.memory = replace(record.memory, unready_since={})
    await record.save(objects, 2.0)
    assert record.object["metadata"]["resourceVersion"] == version
    record.memory = replace(record.memory, unready_since={"baseline": 2.0})
    await record.save(objects, 2.0)
    assert record.object["metadata"]["resourceVersion"] != version
    assert Record(record.object).memory == record.memory
