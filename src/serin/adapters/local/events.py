"""Events as objects, as a cluster keeps them: what happens again is counted on one object; bounded in number and age.

A repeated event (same object, reason, message and severity) is counted on the object that records it, also across
restarts of the home. Every event is a line of the log, too.
"""

from __future__ import annotations

import hashlib

import structlog

from serin.api.times import epoch, stamp
from serin.errors import AlreadyExists, NotFound, SerinError
from serin.ports import EVENT, Clock, Object, Objects, Severity

log = structlog.get_logger()

PER_OBJECT = 200
IN_ALL = 5_000
MAX_AGE = 7 * 86_400.0
_MESSAGE = 1024
"""Characters of a message, as in a cluster."""


class EventSink:
    """The port `Sink` on the port `Objects`.

    per_object, in_all    how many events are kept; the oldest go first
    max_age               seconds after which an event that has not happened again goes
    """

    def __init__(
        self,
        objects: Objects,
        clock: Clock,
        *,
        per_object: int = PER_OBJECT,
        in_all: int = IN_ALL,
        max_age: float = MAX_AGE,
    ) -> None:
        self._objects = objects
        self._clock = clock
        self._per_object = per_object
        self._in_all = in_all
        self._max_age = max_age
        self._kept: dict[tuple[str, str], tuple[str, float]] | None = (
            None  # place -> whom it is about, when it was last
        )

    async def emit(self, regarding: Object, reason: str, message: str, severity: Severity = Severity.NORMAL) -> None:
        """As `Sink.emit`."""
        metadata = regarding.get("metadata", {})
        about = {"kind": regarding.get("kind"), "namespace": metadata.get("namespace"), "name": metadata.get("name")}
        log.info("event", reason=reason, message=message, severity=str(severity), **about)
        try:
            if self._kept is None:
                self._kept = await self._present()
            event = _event(regarding, reason, message[:_MESSAGE], severity, self._clock.now())
            await self._record(event)
            self._kept.pop(place := (event["metadata"]["namespace"], event["metadata"]["name"]), None)
            self._kept[place] = (_whom(event), self._clock.now())
            await self._forget_old(self._kept, _whom(event))
        except SerinError as error:
            log.warning("event not recorded", reason=reason, error=str(error), **about)
        except Exception:
            log.exception("event not recorded", reason=reason, **about)

    async def _record(self, event: Object) -> None:
        place = event["metadata"]["namespace"], event["metadata"]["name"]
        try:
            await self._objects.create(event)
        except AlreadyExists:
            before = await self._objects.get(EVENT, *place)
            again = {"count": before.get("count", 1) + 1, "lastTimestamp": event["lastTimestamp"]}
            await self._objects.patch(EVENT, *place, {**again, "involvedObject": event["involvedObject"]})

    async def _present(self) -> dict[tuple[str, str], tuple[str, float]]:
        found = sorted(await self._objects.list(EVENT), key=_last)
        return {(e["metadata"]["namespace"], e["metadata"]["name"]): (_whom(e), _last(e)) for e in found}

    async def _forget_old(self, kept: dict[tuple[str, str], tuple[str, float]], whom: str) -> None:
        """Delete what is too old or too many; `kept` is in the order of the last occurrence."""
        horizon = self._clock.now() - self._max_age
        same = [place for place, (about, _) in kept.items() if about == whom]
        surplus = set(same[: max(0, len(same) - self._per_object)])
        for number, (place, (_, last)) in enumerate(kept.items()):
            if number >= len(kept) - self._in_all and last >= horizon:
                break
            surplus.add(place)
        for place in surplus:
            del kept[place]
            try:
                await self._objects.delete(EVENT, *place)
            except NotFound:
                continue


def _event(regarding: Object, reason: str, message: str, severity: Severity, now: float) -> Object:
    metadata = regarding["metadata"]
    involved = {
        "apiVersion": regarding["apiVersion"],
        "kind": regarding["kind"],
        **{name: metadata[name] for name in ("namespace", "name", "uid", "resourceVersion") if name in metadata},
    }
    same = "\0".join([regarding["kind"], metadata.get("uid", ""), reason, message, severity])
    digest = hashlib.sha256(same.encode(errors="replace")).hexdigest()[:16]
    at = stamp(now)
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.name,
        "metadata": {
            "name": f"{metadata['name'][:200].rstrip('-.')}.{digest}",
            "namespace": metadata.get("namespace", "default"),
        },
        "involvedObject": involved,
        "reason": reason,
        "message": message,
        "type": str(severity),
        "source": {"component": "serin"},
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }


def _whom(event: Object) -> str:
    involved = event.get("involvedObject") or {}
    return "/".join(str(involved.get(name, "")) for name in ("kind", "namespace", "name", "uid"))


def _last(event: Object) -> float:
    try:
        return epoch(str(event.get("lastTimestamp")))
    except ValueError:
        return 0.0
