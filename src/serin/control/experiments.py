"""An Experiment as the control layer holds it: the object, its status in the making, and what it remembers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from serin.api.times import stamp
from serin.api.v1alpha2 import conditions
from serin.api.v1alpha2.conditions import Message, Phase, Reason
from serin.control.memory import Memory
from serin.ports import EXPERIMENT, Object, Objects

FINALIZER = "serin.dev/restore-traffic"


class Known:
    """What one experiment's text was last read or written as: what stands there still is not read again."""

    def __init__(self) -> None:
        self._text: Mapping[str, Any] | None = None
        self._memory = Memory()

    def memory(self, text: Mapping[str, Any] | None) -> Memory:
        """The memory in `status.analysisState`. Raises InvalidInput, as `Memory.from_json`."""
        if not text:
            return Memory()
        if text != self._text:
            self._text, self._memory = text, Memory.from_json(text)
        return self._memory

    def learn(self, text: Mapping[str, Any] | None, memory: Memory, stored: Mapping[str, Any] | None) -> None:
        """`memory` was sent as `text`, and this is how it is stored; other than it was sent, it is read when needed."""
        if text and stored and _without_nulls(text) == _without_nulls(stored):
            self._text, self._memory = stored, memory


class Record:
    """One experiment in one turn. Changes are made to `status` and `memory`; `save` writes them once, if any.

    A part of the status is replaced, never changed in place: it is still that of the object as it was read.
    """

    def __init__(self, obj: Object, known: Known | None = None) -> None:
        self.object = obj
        self.status: dict[str, Any] = dict(obj.get("status") or {})
        self._known = known or Known()
        self.memory = self._written = self._known.memory(self.status.get("analysisState"))

    @property
    def namespace(self) -> str:
        """Where the experiment lives."""
        return str(self.object["metadata"]["namespace"])

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.object["metadata"]["name"])

    @property
    def key(self) -> str:
        """`<name>.<namespace>`, as the routing rules' label has it."""
        return f"{self.name}.{self.namespace}"

    @property
    def completed(self) -> bool:
        """Whether it has ended for good."""
        return self.status.get("phase") == Phase.COMPLETED

    @property
    def being_deleted(self) -> bool:
        """Whether somebody has deleted it and it waits for our finalizer."""
        return bool(self.object["metadata"].get("deletionTimestamp"))

    @property
    def holds_finalizer(self) -> bool:
        """Whether it cannot go before we have restored the traffic."""
        return FINALIZER in (self.object["metadata"].get("finalizers") or ())

    def begin(self, experiment_type: str, hosts: list[str], now: float) -> None:
        """What is shown from the first look on."""
        self.status.setdefault("initTimestamp", stamp(now))
        if "conditions" not in self.status:
            self.status["conditions"] = conditions.initial(now)
        self.status.setdefault("currentIteration", 0)
        self.status["experimentType"] = experiment_type
        self.status["effectiveHosts"] = hosts

    def say(self, message: Message, now: float) -> bool:
        """Make `message` the latest word: conditions, phase and message. False when it was so before."""
        self.settle(message, now)
        text = str(message)
        if self.status.get("message") == text and self.status.get("phase") == message.phase:
            return False
        self.status["message"] = text
        self.status["phase"] = str(message.phase)
        return True

    def settle(self, message: Message, now: float) -> None:
        """Settle the condition that `message` is about, without making it the latest word."""
        self.status["conditions"] = conditions.mark(self.status.get("conditions") or [], message, now)

    def holds(self, kind: conditions.Type) -> bool:
        """Whether a condition holds."""
        return conditions.is_true(self.status.get("conditions") or [], kind)

    def waits_for(self) -> Reason | None:
        """The reason of an error that the latest word is about, None when all goes on."""
        reason = str(self.status.get("message", "")).partition(":")[0]
        known = reason in set(Reason) and Message(Reason(reason)).phase is Phase.PAUSE
        return Reason(reason) if known else None

    async def save(self, objects: Objects, now: float) -> None:
        """Write the status if it changed, on condition that nobody has written the experiment in between.

        Raises Conflict (read again and repeat), NotFound.
        """
        if not _same(self.memory, self._written) and self.memory != Memory():  # most turns only read
            self.status["analysisState"] = self.memory.to_json()
            self._written = self.memory
        before = self.object.get("status") or {}
        changes = merge_patch(before, self.status)
        if not changes:
            return
        self.status["lastUpdateTime"] = stamp(now)
        changes["lastUpdateTime"] = self.status["lastUpdateTime"]
        version = {"resourceVersion": self.object["metadata"]["resourceVersion"]}
        self.object = await objects.patch(
            EXPERIMENT, self.namespace, self.name, {"metadata": version, "status": changes}, status=True
        )
        sent, self.status = self.status, dict(self.object.get("status") or {})
        self._known.learn(sent.get("analysisState"), self._written, self.status.get("analysisState"))

    async def write(self, objects: Objects, patch: Object) -> None:
        """Patch anything but the status, conditionally; what the status is to become stays in the making."""
        metadata = {**patch.get("metadata", {}), "resourceVersion": self.object["metadata"]["resourceVersion"]}
        written = await objects.patch(EXPERIMENT, self.namespace, self.name, {**patch, "metadata": metadata})
        self.object = {**written, "status": self.object.get("status") or {}}

    async def hold_finalizer(self, objects: Objects) -> None:
        """Make sure that it cannot be deleted without the traffic being restored."""
        if not self.holds_finalizer:
            finalizers = [*(self.object["metadata"].get("finalizers") or ()), FINALIZER]
            await self.write(objects, {"metadata": {"finalizers": finalizers}})

    async def drop_finalizer(self, objects: Objects) -> None:
        """Let it be deleted."""
        if self.holds_finalizer:
            finalizers = [f for f in self.object["metadata"]["finalizers"] if f != FINALIZER]
            await self.write(objects, {"metadata": {"finalizers": finalizers}})


def _same(one: Memory, other: Memory) -> bool:
    """Whether two memories have the same text, told without making it; a state of the core is only itself."""
    return one.core is other.core and replace(one, core=None) == replace(other, core=None)


def merge_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON merge patch (RFC 7386) that makes `before` into `after`; empty when they are equal.

    A value of None in `after` reads as absent, as it would once written; within lists too, where an API server leaves
    it out. The patch shares what it has of `after`.
    """
    patch: dict[str, Any] = {}
    for key in before.keys() | after.keys():
        old, new = before.get(key), after.get(key)
        if old is new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            if inner := merge_patch(old, new):
                patch[key] = inner
        elif not _alike(old, new):
            patch[key] = _stored(new)
    return patch


def _alike(one: Any, other: Any) -> bool:
    """Whether two values read the same once they are written."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike_within, one, other))
    return bool(one == other)


def _alike_within(one: Any, other: Any) -> bool:
    """The same within a list, where a field that is None is as good as absent."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return all(_alike_within(one.get(key), other.get(key)) for key in one.keys() | other.keys())
    return _alike(one, other)


def _stored(value: Any) -> Any:
    """A list as it reads once it is written: fields of its objects that are None are not there."""
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    return value


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    return _stored(value)
