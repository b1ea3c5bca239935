"""Events of experiments as core/v1 Events: `kubectl get events`, `kubectl describe`, `serin events`.

The port `Sink`, which never blocks and never raises: what is told is written by `run`, in order, and the oldest is
given up when the API server cannot follow. What happens again is counted on the object that records it. The progress of
iterations is in the status and in the log only: an event for each would double what a held experiment costs.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from serin.api.times import stamp
from serin.api.v1alpha2.conditions import Reason
from serin.errors import NotFound, SerinError
from serin.ports import EVENT, Clock, Object, Objects, Severity

_log = structlog.get_logger("serin.events")

IN_STATUS_ONLY = frozenset({str(Reason.ITERATION_UPDATE)})
COMPONENT = "serin"

_WAITING = 2_000
_REMEMBERED = 5_000
_MESSAGE = 1024
"""Characters, as the API server has it."""


@dataclass(slots=True)
class _Recorded:
    name: str
    count: int


class EventSink:
    """Writes Events beside the objects that they are about.

    instance   which of several controllers tells
    unique     a number that no Event has had before; its name ends in it
    """

    def __init__(self, objects: Objects, clock: Clock, instance: str, unique: Callable[[], int]) -> None:
        self._objects = objects
        self._clock = clock
        self._instance = instance
        self._unique = unique
        self._waiting: deque[tuple[str, Object]] = deque()
        self._news = asyncio.Event()
        self._recorded: OrderedDict[str, _Recorded] = OrderedDict()
        self.given_up = 0

    async def emit(self, regarding: Object, reason: str, message: str, severity: Severity = Severity.NORMAL) -> None:
        """As `Sink.emit`."""
        metadata = regarding.get("metadata", {})
        about = {"kind": regarding.get("kind"), "namespace": metadata.get("namespace"), "name": metadata.get("name")}
        _log.info("event", reason=reason, message=message, severity=str(severity), **about)
        if reason in IN_STATUS_ONLY:
            return
        if len(self._waiting) >= _WAITING:
            self._waiting.popleft()
            self.given_up += 1
        same = "\0".join([str(metadata.get("uid")), reason, message, severity])
        event = self._event(regarding, reason, message[:_MESSAGE], severity)
        self._waiting.append((hashlib.sha256(same.encode(errors="replace")).hexdigest(), event))
        self._news.set()

    async def run(self) -> None:
        """Write what is told until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            await self.flush()

    async def flush(self) -> None:
        """Write what waits."""
        while self._waiting:
            same, event = self._waiting.popleft()
            try:
                await self._record(same, event)
            except SerinError as error:
                _log.warning("event not recorded", reason=event["reason"], error=str(error))
            except Exception:
                _log.exception("event not recorded", reason=event["reason"])

    async def _record(self, same: str, event: Object) -> None:
        before = self._recorded.pop(same, None)
        namespace = event["metadata"]["namespace"]
        if before is not None:
            again = {"count": before.count + 1, "lastTimestamp": event["lastTimestamp"]}
            try:
                await self._objects.patch(EVENT, namespace, before.name, again)
            except NotFound:  # the cluster forgets Events after an hour
                before = None
            else:
                self._remember(same, _Recorded(before.name, before.count + 1))
        if before is None:
            await self._objects.create(event)
            self._remember(same, _Recorded(event["metadata"]["name"], 1))

    def _remember(self, same: str, recorded: _Recorded) -> None:
        self._recorded[same] = recorded
        if len(self._recorded) > _REMEMBERED:
            self._recorded.popitem(last=False)

    def _event(self, regarding: Object, reason: str, message: str, severity: Severity) -> Object:
        metadata = regarding["metadata"]
        involved = {
            "apiVersion": regarding["apiVersion"],
            "kind": regarding["kind"],
            **{
                field: metadata[field] for field in ("namespace", "name", "uid", "resourceVersion") if field in metadata
            },
        }
        at = stamp(self._clock.now())
        return {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.name,
            "metadata": {
                "name": f"{metadata['name'][:200].rstrip('-.')}.{self._unique():x}",
                "namespace": metadata.get("namespace", "default"),
            },
            "involvedObject": involved,
            "reason": reason,
            "message": message,
            "type": str(severity),
            "source": {"component": COMPONENT, "host": self._instance},
            "reportingComponent": COMPONENT,
            "reportingInstance": self._instance,
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": 1,
        }
