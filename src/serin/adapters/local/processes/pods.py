"""A Deployment and its Pods: which to create, which to delete. Pure; the arithmetic of Kubernetes' own controllers.

A Pod belongs to its Deployment by an owner reference, and to a template by the label `pod-template-hash`. A rolling
replacement never has more than `replicas + maxSurge` Pods and never takes an available one while fewer than
`replicas - maxUnavailable` would be left.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from serin.api.times import epoch
from serin.ports import Object

HASH_LABEL = "pod-template-hash"
FINALIZER = "serin.tools/process"
"""Keeps a deleted Pod's object until its process is gone."""

ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""What Kubernetes makes names of: no vowels, no bad words."""


@dataclass(frozen=True, slots=True)
class Step:
    """What to do now: Pods of the present template to create, names of Pods to delete."""

    create: int = 0
    delete: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Strategy:
    """How a Deployment replaces its Pods. `surge` and `unavailable` are numbers of Pods."""

    recreate: bool
    surge: int
    unavailable: int


def replicas(deployment: Object) -> int:
    """How many Pods are wanted."""
    wanted = deployment["spec"].get("replicas")
    return 1 if wanted is None else max(int(wanted), 0)


def strategy(deployment: Object) -> Strategy:
    """The Deployment's strategy; 25% of each without one. Percentages round up for surge, down for unavailable."""
    wanted, given = replicas(deployment), deployment["spec"].get("strategy") or {}
    if given.get("type") == "Recreate":
        return Strategy(True, 0, wanted)
    rolling = given.get("rollingUpdate") or {}
    surge = _share(rolling.get("maxSurge", "25%"), wanted, math.ceil)
    unavailable = min(_share(rolling.get("maxUnavailable", "25%"), wanted, math.floor), wanted)
    # Both 0 would stand still for ever; Kubernetes lets one be unavailable then.
    return Strategy(False, surge, 1 if surge == 0 and unavailable == 0 else unavailable)


def _share(value: Any, wanted: int, rounding: Any) -> int:
    text = str(value).strip()
    # Whole percents in integers: 0.07 * 100 is more than 7 in floating point, and would round up to 8.
    return int(rounding(int(text[:-1]) * wanted / 100)) if text.endswith("%") else int(text)


def template_hash(deployment: Object) -> str:
    """A short name of the Pod template: the same template, the same name."""
    text = json.dumps(deployment["spec"]["template"], sort_keys=True, separators=(",", ":"))
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
    letters = []
    for _ in range(10):
        number, rest = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[rest])
    return "".join(letters)


def owned(deployment: Object, pods: Iterable[Object]) -> list[Object]:
    """Those of `pods` that this very Deployment owns."""
    return [pod for pod in pods if owner(pod) == deployment["metadata"]["uid"]]


def owner(pod: Object) -> str | None:
    """The uid of the Deployment that owns a Pod; None for one that somebody made by hand."""
    references = pod["metadata"].get("ownerReferences") or ()
    return next((ref.get("uid") for ref in references if ref.get("kind") == "Deployment"), None)


def is_current(deployment: Object, pod: Object) -> bool:
    """Whether the Pod is of the Deployment's present template."""
    return (pod["metadata"].get("labels") or {}).get(HASH_LABEL) == template_hash(deployment)


def is_leaving(pod: Object) -> bool:
    """Whether the Pod is being deleted."""
    return "deletionTimestamp" in pod["metadata"]


def condition(pod: Object, kind: str) -> Object | None:
    """The object's condition of a type."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each.get("type") == kind), None)


def is_ready(pod: Object) -> bool:
    """Whether the Pod takes requests."""
    ready = condition(pod, "Ready")
    return ready is not None and ready.get("status") == "True" and not is_leaving(pod)


def available_in(deployment: Object, pod: Object, now: float) -> float | None:
    """Seconds until the Pod counts as available (ready for `minReadySeconds`), 0 when it does; None: not ready."""
    if not is_ready(pod):
        return None
    patience = float(deployment["spec"].get("minReadySeconds") or 0)
    if patience <= 0:
        return 0.0
    since = (condition(pod, "Ready") or {}).get("lastTransitionTime")
    return max(0.0, patience - (now - epoch(since))) if since else 0.0


def new_pod(deployment: Object, suffix: str) -> Object:
    """The Pod object to create for the present template."""
    metadata, template = deployment["metadata"], deployment["spec"]["template"]
    given = template.get("metadata") or {}
    digest = template_hash(deployment)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{metadata['name']}-{digest}-{suffix}",
            "namespace": metadata["namespace"],
            "labels": {**(given.get("labels") or {}), HASH_LABEL: digest},
            "annotations": dict(given.get("annotations") or {}),
            "finalizers": [FINALIZER],
            "ownerReferences": [
                {
                    "apiVersion": deployment["apiVersion"],
                    "kind": "Deployment",
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": dict(template.get("spec") or {}),
    }


def plan(deployment: Object, pods: Sequence[Object], now: float) -> Step:
    """The next step towards what the Deployment wants. `pods` are its own, those that are leaving too."""
    if is_leaving(deployment):
        return Step(delete=_names(pod for pod in pods if not is_leaving(pod)))
    wanted, how = replicas(deployment), strategy(deployment)
    living = [pod for pod in pods if not is_leaving(pod)]
    new = [pod for pod in living if is_current(deployment, pod)]
    old = [pod for pod in living if not is_current(deployment, pod)]
    excess = _expendable(new)[: max(len(new) - wanted, 0)]
    if not old:
        # Recreate waits for the last of the old to be gone, not only on its way.
        waits = how.recreate and any(is_leaving(pod) and not is_current(deployment, pod) for pod in pods)
        return Step(0 if waits else max(wanted - len(new), 0), _names(excess))
    if how.recreate:
        return Step(0, _names([*excess, *old]))
    room = wanted + how.surge - len(living) + len(excess)
    create = max(0, min(wanted - len(new), room))
    kept = [pod for pod in new if pod not in excess]
    return Step(create, _names([*excess, *_spare(deployment, kept, old, wanted - how.unavailable, now)]))


def _spare(deployment: Object, new: list[Object], old: list[Object], least: int, now: float) -> list[Object]:
    """The old Pods that can go now, with `least` available ones left: first those that are of no use anyway."""

    def available(pod: Object) -> bool:
        return available_in(deployment, pod, now) == 0.0

    coming = sum(not available(pod) for pod in new)
    budget = len(new) + len(old) - least - coming
    broken = [pod for pod in _expendable(old) if not available(pod)][: max(budget, 0)]
    working = [pod for pod in _expendable(old) if available(pod)]
    surplus = len(working) + len(new) - coming - least
    return [*broken, *working[: max(surplus, 0)]]


def _expendable(pods: Iterable[Object]) -> list[Object]:
    """The order in which Pods are given up: not ready before ready, often restarted before steady, young before old."""

    def worth(pod: Object) -> tuple[bool, int, float, str]:
        statuses = (pod.get("status") or {}).get("containerStatuses") or ()
        restarts = sum(int(each.get("restartCount") or 0) for each in statuses)
        age = -epoch(pod["metadata"]["creationTimestamp"])
        return is_ready(pod), -restarts, age, pod["metadata"]["name"]

    return sorted(pods, key=worth)


def _names(pods: Iterable[Object]) -> tuple[str, ...]:
    return tuple(pod["metadata"]["name"] for pod in pods)
