"""The controller at work under its own role: nothing that it asks for is refused, and every right is used."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from deploy.rendering.sources import BASE
from lab import Lab

from serin.adapters.kube.connection import access
from serin.fakes import FakeMetrics
from serin.operator.controller import Controller, SystemClock
from serin.operator.settings import Settings
from tests.deploy.objects import objects
from tests.deploy.test_install import EVERYWHERE, IN_ITER8

ACCOUNT = "system:serviceaccount:iter8:serin-controller"
SELDOM = {
    "/events": {"patch"},
    "iter8.tools/experiments": {"get"},
    "networking.istio.io/destinationrules": {"get"},
    "networking.istio.io/virtualservices": {"get"},
}
"""Rights that two quiet experiments do not need: an event that repeats, and what is read again after a conflict."""


@pytest.fixture(scope="module")
def account(lab: Lab) -> Lab:
    """The lab with everything of the installation but its Deployment, as if no controller had ever been there."""
    kustomized = objects(lab.kubectl_run("kustomize", str(BASE)))
    there = [each for place, each in kustomized.items() if place[0] != "Deployment"]
    words = ("apply", "--server-side", "--force-conflicts", "-f", "-")
    lab.kubectl_run(*words, stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": there}))
    lab.kubectl_run("wait", "--for=condition=Established", "crd/experiments.iter8.tools")
    lab.kubectl_run("delete", "-n", "iter8", "leases", "--all")
    return lab


def requested(lab: Lab, since: int) -> list[dict[str, Any]]:
    """What the account has asked of the API server, beginning with a line of the audit log."""
    lines = lab.audit_log.read_text().splitlines()[since:]
    return [each for each in map(json.loads, lines) if each["user"]["username"] == ACCOUNT and "objectRef" in each]


def right(request: dict[str, Any]) -> tuple[str, str]:
    """`group/resource` and verb of a request."""
    about = request["objectRef"]
    sub = f"/{about['subresource']}" if about.get("subresource") else ""
    return f"{about.get('apiGroup', '')}/{about['resource']}{sub}", request["verb"]


def refused(request: dict[str, Any]) -> bool:
    """Whether the account may not do this; in a namespace that is being deleted nobody may, which is a 403 too."""
    return bool(request["annotations"]["authorization.k8s.io/decision"] != "allow")


@asynccontextmanager
async def working(lab: Lab, metrics: FakeMetrics) -> AsyncIterator[None]:
    """A controller that leads, with counters that grow."""
    settings = Settings(
        "http://nowhere.invalid", lease_namespace="iter8", scrape_interval=1.0, propagation=0.1, drain=0.1,
        address="127.0.0.1", health_port=0, metrics_port=0,
    )  # fmt: skip
    kubeconfig = lab.kubeconfig_for("serin-controller", "iter8")
    controller = Controller(settings, access(str(kubeconfig)), source=metrics)

    async def counting() -> None:
        while True:
            for version in ("a-v1", "a-v2", "b-v1", "b-v2"):
                metrics.count(version, iter8_request_count=20)
            await asyncio.sleep(0.5)

    tasks = [asyncio.create_task(controller.run()), asyncio.create_task(counting())]
    try:
        yield
    finally:
        controller.end()
        await asyncio.wait(tasks[:1], timeout=20)
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def service(name: str, selector: dict[str, str]) -> dict[str, Any]:
    spec = {"selector": selector, "ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def deployment(name: str, labels: dict[str, str]) -> dict[str, Any]:
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "lab/pause"}]}}
    spec = {"selector": {"matchLabels": labels}, "template": pod, "replicas": 1}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def application(app: str) -> list[dict[str, Any]]:
    """A Service and two versions of it, each a Deployment and a Service."""
    found = [service(app, {"app": app})]
    for name in (f"{app}-v1", f"{app}-v2"):
        labels = {"app": app, "version": name}
        found += [deployment(name, labels), service(name, labels)]
    return found


def experiment(app: str, kind: str) -> dict[str, Any]:
    """One that promotes its candidate after two iterations and cleans up."""
    versions = {"kind": kind, "name": app, "baseline": f"{app}-v1", "candidates": [f"{app}-v2"]}
    return {
        "apiVersion": "iter8.tools/v1alpha2",
        "kind": "Experiment",
        "metadata": {"name": app},
        "spec": {
            "service": versions,
            "duration": {"interval": "2s", "maxIterations": 2},
            "trafficControl": {"maxIncrement": 100},
            "cleanup": True,
        },
    }


async def test_it_is_never_refused_and_needs_every_right_that_it_has(account: Lab, namespace: str) -> None:
    lab, since = account, len(account.audit_log.read_text().splitlines())
    things = [*application("a"), *application("b"), experiment("a", "Deployment"), experiment("b", "Service")]
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": things})
    lab.kubectl_run("create", "-n", namespace, "-f", "-", stdin=listed)
    clock = SystemClock()
    async with working(lab, FakeMetrics(clock)):  # type: ignore[arg-type]  # only the time is asked
        words = ("wait", "-n", namespace, "--for=condition=ExperimentCompleted", "--timeout=90s", "experiment", "--all")
        await asyncio.to_thread(lab.kubectl_run, *words)
        await asyncio.to_thread(lab.kubectl_run, "delete", "-n", namespace, "experiments", "--all", "--timeout=30s")
    kinds = "deployments,services,virtualservices,destinationrules"
    left = set(lab.kubectl_run("get", kinds, "-n", namespace, "-o", "name").split())
    there = {"deployment.apps/a-v2", "service/a", "service/a-v1", "service/a-v2"}
    assert left == there | {"deployment.apps/b-v1", "deployment.apps/b-v2", "service/b", "service/b-v2"}
    asked = requested(lab, since)
    assert [right(each) for each in asked if refused(each)] == []
    used: dict[str, set[str]] = {}
    for each in asked:
        resource, verb = right(each)
        used.setdefault(resource, set()).add(verb)
    unused = {on: may - used.get(on, set()) for on, may in (EVERYWHERE | IN_ITER8).items()}
    assert {on: verbs for on, verbs in unused.items() if verbs - SELDOM.get(on, set())} == {}
