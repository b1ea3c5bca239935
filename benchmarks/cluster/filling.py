"""The cluster before the controller comes: the installation, and so many experiments with their versions, ready."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from lab import Lab

from benchmarks.cluster.manifests import Place, deployments, experiment, namespaces, ready, service
from benchmarks.machine import say
from serin.adapters.kube.objects import KubeObjects
from serin.ports import DEPLOYMENT

INSTALL = Path(__file__).parents[2] / "deploy" / "install.yaml"
_AT_ONCE = 16


def install(lab: Lab) -> Path:
    """The definition, the rights, the settings. Returns the kubeconfig of the controller's own account.

    The Deployment controller is ended first: nothing shall make Pods of what is to come.
    """
    lab.parts["kube-controller-manager"].stop()
    lab.kubectl_run("apply", "--server-side", "-f", str(INSTALL))
    lab.kubectl_run("wait", "--for=condition=Established", "crd/experiments.iter8.tools", "--timeout=60s")
    return lab.kubeconfig_for("serin-controller", "iter8")


async def fill(objects: KubeObjects, count: int) -> None:
    """Create what `count` experiments need, and then the experiments."""
    for name in namespaces():
        await objects.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    places = [Place(number) for number in range(count)]

    async def versions(place: Place) -> None:
        await objects.create(service(place))
        for obj in deployments(place):
            await objects.create(obj)
            await objects.patch(DEPLOYMENT, place.namespace, obj["metadata"]["name"], ready(), status=True)

    async def asked(place: Place) -> None:
        await objects.create(experiment(place))

    await _each(places, versions, "versions of {} of {} experiments are there")
    await _each(places, asked, "{} of {} experiments are there")


async def _each(places: Sequence[Place], do: Callable[[Place], Awaitable[None]], progress: str) -> None:
    left = iter(places)
    done = 0

    async def work() -> None:
        nonlocal done
        for place in left:
            await do(place)
            done += 1
            if done % 50 == 0:
                say(progress.format(done, len(places)))

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(work())
    say("")
