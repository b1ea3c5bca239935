"""Which versions are there, which can take traffic, and what their pods are.

Looks only; never changes a workload.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serin.errors import NotFound
from serin.ports import DEPLOYMENT, POD, SERVICE, Kind, Object, Objects


@dataclass(frozen=True, slots=True)
class Target:
    """One version as the home shows it.

    serving       at least one pod takes requests
    ready         serving, and every pod is of the present template: its readings are about one thing
    why           what is missing for `ready`, in words; empty when ready
    labels        of its pods: the pod template's (kind Deployment), the selector (kind Service)
    fingerprint   of the pod template; another one is another program under the same name
    """

    name: str
    present: bool
    serving: bool = False
    ready: bool = False
    why: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Targets:
    """The service (present or not) and its versions by id."""

    service: bool
    versions: Mapping[str, Target]


async def look(objects: Objects, kind: Kind, namespace: str, service: str | None, names: Mapping[str, str]) -> Targets:
    """See what is there. `names` maps version ids to names; a version named twice is looked at once."""
    seen = {name: await _target(objects, kind, namespace, name) for name in dict.fromkeys(names.values())}
    present = True
    if service is not None:
        present = await _get(objects, SERVICE, namespace, service) is not None
    return Targets(present, {version: seen[name] for version, name in names.items()})


async def _target(objects: Objects, kind: Kind, namespace: str, name: str) -> Target:
    found = await _get(objects, kind, namespace, name)
    if found is None:
        return Target(name, present=False)
    if kind == DEPLOYMENT:
        return deployment_target(found)
    selector = {str(k): str(v) for k, v in (found.get("spec", {}).get("selector") or {}).items()}
    pods = await objects.list(POD, namespace, selector) if selector else []
    return service_target(found, pods)


def deployment_target(deployment: Object) -> Target:
    """A version that is a Deployment, by its status as Kubernetes fills it."""
    spec, status = deployment.get("spec", {}), deployment.get("status", {})
    wanted = int(spec.get("replicas", 1))
    template = spec.get("template", {})
    ready_pods = int(status.get("readyReplicas") or 0)
    updated = int(status.get("updatedReplicas") or 0)
    current = int(status.get("observedGeneration") or 0) >= int(deployment["metadata"].get("generation") or 0)
    why = ""
    if wanted == 0:
        why = "scaled to 0"
    elif not ready_pods:
        why = _trouble(status) or "no pod is ready"
    elif not current or updated < wanted or int(status.get("replicas") or 0) > updated:
        why = f"being rolled out, {updated} of {wanted} pods updated"
    elif not int(status.get("availableReplicas") or 0):
        why = "no pod has been ready for minReadySeconds"
    return Target(
        name=deployment["metadata"]["name"],
        present=True,
        serving=ready_pods > 0 and wanted > 0,
        ready=not why,
        why=why,
        labels=_pairs(template.get("metadata", {}).get("labels")),
        fingerprint=_fingerprint(template),
    )


def service_target(service: Object, pods: list[Object]) -> Target:
    """A version that is a Service of its own, by the pods it selects."""
    ready = any(is_ready(pod) for pod in pods)
    selector = service.get("spec", {}).get("selector")
    why = "" if ready else "no ready pod matches its selector"
    return Target(service["metadata"]["name"], True, ready, ready, why, _pairs(selector), _fingerprint(selector or {}))


def is_ready(pod: Object) -> bool:
    """Whether a pod takes requests."""
    conditions = pod.get("status", {}).get("conditions") or ()
    ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")


def _trouble(status: Mapping[str, Any]) -> str:
    """What the Deployment says of its pods, if it says anything that helps."""
    for kind in ("Progressing", "Available", "ReplicaFailure"):
        for condition in status.get("conditions") or ():
            bad = "True" if kind == "ReplicaFailure" else "False"
            if condition.get("type") == kind and condition.get("status") == bad and condition.get("message"):
                return str(condition["message"])
    return ""


def _pairs(labels: Mapping[str, Any] | None) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((str(k), str(v)) for k, v in (labels or {}).items()))


def _fingerprint(part: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()[:12]


async def _get(objects: Objects, kind: Kind, namespace: str, name: str) -> Object | None:
    try:
        found = await objects.get(kind, namespace, name)
    except NotFound:
        return None
    return None if found["metadata"].get("deletionTimestamp") else found
