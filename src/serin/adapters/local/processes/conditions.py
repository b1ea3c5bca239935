"""What is known of a Pod's process as the Pod's status, and a Deployment's status from those of its Pods. Pure.

The names are Kubernetes': `CrashLoopBackOff`, `MinimumReplicasUnavailable`, `ProgressDeadlineExceeded`. The messages
say what is wrong, since people read them in the condition of an experiment that waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from serin.adapters.local.processes import pods as podset
from serin.api.times import epoch, stamp
from serin.ports import Object

PROGRESS_DEADLINE = 600.0
AWAITED = ("ReadinessGatesNotReady", "the gateway does not lead to it yet")
"""Why a Pod whose container is ready is not; the reason is Kubernetes'."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended. `code` is 128 + signal when a signal ended it."""

    code: int
    signal: int | None
    started: float
    finished: float
    last_words: str = ""

    @property
    def text(self) -> str:
        """`exited with code 1`, `was killed by signal 9`."""
        return f"exited with code {self.code}" if self.signal is None else f"was killed by signal {self.signal}"

    def state(self) -> Object:
        """As a container state."""
        return {
            "exitCode": self.code,
            **({"signal": self.signal} if self.signal is not None else {}),
            "reason": "Completed" if self.code == 0 else "Error",
            "startedAt": stamp(self.started),
            "finishedAt": stamp(self.finished),
            **({"message": self.last_words} if self.last_words else {}),
        }


@dataclass(frozen=True, slots=True)
class Life:
    """What is known of a Pod's process.

    running    since when; None: it does not run
    waiting    reason and message while it does not
    ready      it could answer requests: its container is ready
    awaited    but the proxies do not lead to it yet, and so the Pod is not
    not_ready  reason and message why it takes no requests
    last       the state of the run before
    exposed    who could reach it from outside, as a message; empty when nobody can
    """

    image: str = ""
    address: str | None = None
    running: float | None = None
    waiting: tuple[str, str] = ("ContainerCreating", "")
    ready: bool = False
    awaited: bool = False
    not_ready: tuple[str, str] = ("ContainersNotReady", "not started yet")
    restarts: int = 0
    last: Object = field(default_factory=dict)
    began: float | None = None
    exposed: str = ""


def life_of(pod: Object) -> Life:
    """What a Pod's stored status still tells of a life before this home's."""
    status = pod.get("status") or {}
    containers = (pod.get("spec") or {}).get("containers") or [{}]
    container: Object = next(iter(status.get("containerStatuses") or ()), {})
    life = Life(
        image=str(containers[0].get("image", "")),
        restarts=int(container.get("restartCount") or 0),
        last=container.get("lastState") or {},
        began=epoch(status["startTime"]) if "startTime" in status else None,
    )
    running = (container.get("state") or {}).get("running")
    if not running:
        return life
    lost = {
        "exitCode": 137,
        "signal": 9,
        "reason": "HomeEnded",
        "message": "ended with the home that ran it",
        "startedAt": running.get("startedAt"),
    }
    return replace(life, restarts=life.restarts + 1, last={"terminated": lost})


def pod_status(pod: Object, life: Life, now: float) -> Object:
    """The whole status of a Pod, as a merge patch over the one that it has."""
    container = (pod["spec"].get("containers") or [{}])[0]
    if life.running is not None:
        state: Object = {"running": {"startedAt": stamp(life.running)}}
    else:
        state = {"waiting": _reasoned(life.waiting)}
    why = AWAITED if life.ready and life.awaited else life.not_ready
    conditions: list[Object] = [
        _true("Ready") if life.ready and not life.awaited else _not("Ready", why),
        _true("ContainersReady") if life.ready else _not("ContainersReady", life.not_ready),
        _true("PodScheduled"),
    ]
    if life.exposed:
        conditions.append(_not("ListensOnLoopbackOnly", ("ListensEverywhere", life.exposed)))
    return {
        "phase": "Running" if life.running is not None or life.last else "Pending",
        "podIP": life.address,
        "podIPs": [{"ip": life.address}] if life.address else None,
        "hostIP": "127.0.0.1",
        "startTime": stamp(life.began) if life.began is not None else None,
        "conditions": [_with_transition(each, podset.condition(pod, each["type"]), now) for each in conditions],
        "containerStatuses": [
            {
                "name": container.get("name", ""),
                "image": life.image,
                "imageID": "",
                "ready": life.ready,
                "started": life.running is not None,
                "restartCount": life.restarts,
                "state": state,
                "lastState": life.last,
            }
        ],
    }


def _reasoned(reason: tuple[str, str]) -> Object:
    return {"reason": reason[0], **({"message": reason[1]} if reason[1] else {})}


def _true(kind: str) -> Object:
    return {"type": kind, "status": "True"}


def _not(kind: str, reason: tuple[str, str]) -> Object:
    return {"type": kind, "status": "False", **_reasoned(reason)}


def _with_transition(new: Object, old: Object | None, now: float) -> Object:
    kept = old is not None and old.get("status") == new["status"] and old.get("lastTransitionTime")
    return {**new, "lastTransitionTime": kept or stamp(now)}


def trouble(pod: Object) -> str | None:
    """Why a Pod does not take requests, with its name, in one clause; None when it does."""
    name = pod["metadata"]["name"]
    if podset.is_leaving(pod):
        return f"{name}: being deleted"
    if podset.is_ready(pod):
        return None
    container: Object = next(iter((pod.get("status") or {}).get("containerStatuses") or ()), {})
    waiting = (container.get("state") or {}).get("waiting") or {}
    ended = (container.get("lastState") or {}).get("terminated")
    ready = podset.condition(pod, "Ready") or {}
    if ended and ended.get("reason") != "HomeEnded" and waiting.get("reason") in (None, "CrashLoopBackOff"):
        signal = ended.get("signal")
        times = int(container.get("restartCount") or 0) + bool(waiting)
        how = f"exited with code {ended.get('exitCode')}" if signal is None else f"was killed by signal {signal}"
        again = "" if times <= 1 else f" {times} times"
        words = f"; last words: {ended['message']}" if ended.get("message") else ""
        return f"{name}: {how}{again}{words}"
    return f"{name}: {waiting.get('message') or ready.get('message') or 'starting'}"


@dataclass(frozen=True, slots=True)
class DeploymentView:
    """A Deployment's status, and after how many seconds it may change by time alone (None: never)."""

    status: Object
    again: float | None


def deployment_view(deployment: Object, pods: Sequence[Object], now: float) -> DeploymentView:
    """The status of a Deployment by its Pods."""
    wanted = podset.replicas(deployment)
    living = [pod for pod in pods if not podset.is_leaving(pod)]
    waits = [podset.available_in(deployment, pod, now) for pod in living]
    counts = {
        "replicas": len(living),
        "updatedReplicas": sum(podset.is_current(deployment, pod) for pod in living),
        "readyReplicas": sum(wait is not None for wait in waits),
        "availableReplicas": sum(wait == 0.0 for wait in waits),
    }
    counts["unavailableReplicas"] = max(0, wanted - counts["availableReplicas"])
    troubles = [text for pod in living if (text := trouble(pod))]
    available = _available(deployment, counts, troubles)
    progressing, deadline = _progressing(deployment, counts, troubles, now)
    conditions = [
        _with_transition(each, podset.condition(deployment, each["type"]), now) for each in (available, progressing)
    ]
    generation = deployment["metadata"].get("generation", 1)
    again = [wait for wait in (*waits, deadline) if wait]
    status: Object = {"observedGeneration": generation, **counts, "conditions": conditions}
    return DeploymentView(status, min(again) if again else None)


def unreadable(deployment: Object, error: Exception, now: float) -> DeploymentView:
    """The status of a Deployment whose spec makes no sense."""
    message = f"the Deployment cannot be read ({type(error).__name__}: {error}); correct it and apply it again"
    conditions = [_not(kind, ("InvalidDeployment", message)) for kind in ("Available", "Progressing")]
    conditions = [_with_transition(each, podset.condition(deployment, each["type"]), now) for each in conditions]
    return DeploymentView({"conditions": conditions}, None)


def _available(deployment: Object, counts: dict[str, int], troubles: Sequence[str]) -> Object:
    wanted = podset.replicas(deployment)
    least = wanted - podset.strategy(deployment).unavailable
    if counts["availableReplicas"] >= least:
        message = "Deployment has minimum availability."
        return {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", "message": message}
    detail = "; ".join(troubles[:2]) or "no Pod yet"
    message = f"{counts['readyReplicas']} of {wanted} ready; {detail}"
    return {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable", "message": message}


def _progressing(
    deployment: Object, counts: dict[str, int], troubles: Sequence[str], now: float
) -> tuple[Object, float | None]:
    """The condition, and the seconds until the deadline that it runs against."""
    wanted, digest = podset.replicas(deployment), podset.template_hash(deployment)
    before = podset.condition(deployment, "Progressing") or {}
    previous = deployment.get("status") or {}
    name = f"{deployment['metadata']['name']}-{digest}"
    same = previous.get("observedGeneration") == deployment["metadata"].get("generation", 1)
    done = counts["updatedReplicas"] == counts["replicas"] == wanted <= counts["availableReplicas"]
    if done or (same and before.get("reason") == "NewReplicaSetAvailable"):
        message = f'ReplicaSet "{name}" has successfully progressed.'
        kept = same and before.get("reason") == "NewReplicaSetAvailable" and before.get("lastUpdateTime")
        return _progress("True", "NewReplicaSetAvailable", message, kept or stamp(now)), None
    moved = not same or any(
        counts[key] > int(previous.get(key) or 0) for key in ("updatedReplicas", "readyReplicas", "availableReplicas")
    )
    since = stamp(now) if moved or "lastUpdateTime" not in before else before["lastUpdateTime"]
    left = float(deployment["spec"].get("progressDeadlineSeconds") or PROGRESS_DEADLINE) - (now - epoch(since))
    detail = f"; {troubles[0]}" if troubles else ""
    if left <= 0:
        message = f'ReplicaSet "{name}" has timed out progressing{detail}'
        return _progress("False", "ProgressDeadlineExceeded", message, since), None
    return _progress("True", "ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing{detail}', since), left


def _progress(status: str, reason: str, message: str, since: str) -> Object:
    return {"type": "Progressing", "status": status, "reason": reason, "message": message, "lastUpdateTime": since}
