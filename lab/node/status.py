"""A Pod's status, as a kubelet writes it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from serin.api.times import stamp
from serin.ports import Object


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a Pod's process.

    running    since when, epoch seconds; None: it does not run
    waiting    reason and message while it does not
    not_ready  why it takes no requests, once it runs
    last       the container state of the run before
    """

    node: str
    began: float
    address: str | None = None
    running: float | None = None
    started: bool = False
    ready: bool = False
    waiting: tuple[str, str] = ("ContainerCreating", "")
    not_ready: str = "containers with unready status"
    restarts: int = 0
    last: Object = field(default_factory=dict)


def terminated(code: int, signal: int | None, since: float, now: float, last_words: str) -> Object:
    """The container state of a run that has ended."""
    how: Object = {
        "exitCode": code,
        "reason": "Completed" if code == 0 else "Error",
        "startedAt": stamp(since),
        "finishedAt": stamp(now),
    }
    if signal is not None:
        how["signal"] = signal
    if last_words:
        how["message"] = last_words
    return {"terminated": how}


def pod_status(pod: Object, known: Known, now: float) -> Object:
    """The status as a merge patch. `lastTransitionTime` stays where the condition stays."""
    container: Object = pod["spec"]["containers"][0]
    ready = known.ready and known.running is not None
    reason = {} if ready else {"reason": "ContainersNotReady", "message": known.not_ready}
    conditions: list[Object] = [
        {"type": "PodScheduled", "status": "True"},
        {"type": "Initialized", "status": "True"},
        {"type": "ContainersReady", "status": str(ready), **reason},
        {"type": "Ready", "status": str(ready), **reason},
    ]
    before = {each["type"]: each for each in (pod.get("status") or {}).get("conditions") or ()}
    return {
        "phase": "Pending" if known.running is None and not known.last else "Running",
        "hostIP": known.node,
        "hostIPs": [{"ip": known.node}],
        "podIP": known.address,
        "podIPs": [{"ip": known.address}] if known.address else None,
        "startTime": stamp(known.began),
        "conditions": [_with_transition(each, before.get(each["type"]), now) for each in conditions],
        "containerStatuses": [
            {
                "name": container["name"],
                "image": container.get("image", ""),
                "imageID": "",
                "ready": ready,
                "started": known.started,
                "restartCount": known.restarts,
                "state": _state(known),
                "lastState": known.last,
            }
        ],
    }


def _state(known: Known) -> Object:
    if known.running is not None:
        return {"running": {"startedAt": stamp(known.running)}}
    reason, message = known.waiting
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def _with_transition(new: Object, old: dict[str, Any] | None, now: float) -> Object:
    kept = old is not None and old.get("status") == new["status"] and old.get("lastTransitionTime")
    return {**new, "lastTransitionTime": kept or stamp(now)}
