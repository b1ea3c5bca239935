"""A home of fakes around the real control layer and the real core: deployments, traffic and time turned by hand."""

from __future__ import annotations

import asyncio
import contextlib
import random

from serin.control.engine import Engine
from serin.control.world import Patience
from serin.errors import NotFound
from serin.fakes import Crash, FakeClock, FakeDataPlane, FakeMetrics, FakeSink, InMemoryObjects
from serin.ports import DEPLOYMENT, DESTINATION_RULE, EXPERIMENT, VIRTUAL_SERVICE, Change, Object

NAMESPACE = "default"
HOST = "fashionmnist.default.svc.cluster.local"


def deployment(version: str, *, ready: bool = True, replicas: int = 1, image: str | None = None) -> Object:
    labels = {"app": "fashionmnist", "version": version}
    pods = replicas if ready else 0
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"fashionmnist-{version}", "namespace": NAMESPACE},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "model", "image": image or f"fashionmnist:{version}"}]},
            },
        },
        "status": {
            "observedGeneration": 99,
            "replicas": replicas,
            "updatedReplicas": replicas,
            "readyReplicas": pods,
            "availableReplicas": pods,
        },
    }


def service() -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "fashionmnist", "namespace": NAMESPACE},
        "spec": {"selector": {"app": "fashionmnist"}, "ports": [{"name": "http", "port": 8501}]},
    }


def stable_rules() -> list[Object]:
    labels = {"iter8-tools/router": "fashionmnist.iter8router", "iter8-tools/role": "stable"}
    destination = {"host": "fashionmnist", "subset": "iter8-stable", "port": {"number": 8501}}
    return [
        {
            "apiVersion": "networking.istio.io/v1alpha3",
            "kind": "VirtualService",
            "metadata": {"name": "fashionmnist", "namespace": NAMESPACE, "labels": dict(labels)},
            "spec": {
                "hosts": ["fashionmnist.com"],
                "gateways": ["fashionmnist-gateway"],
                "http": [{"route": [{"destination": destination}]}],
            },
        },
        {
            "apiVersion": "networking.istio.io/v1alpha3",
            "kind": "DestinationRule",
            "metadata": {"name": "fashionmnist", "namespace": NAMESPACE, "labels": dict(labels)},
            "spec": {
                "host": "fashionmnist",
                "subsets": [{"name": "iter8-stable", "labels": {"app": "fashionmnist", "version": "v1"}}],
            },
        },
    ]


def experiment(name: str = "rollout", baseline: str = "v1", candidates: tuple[str, ...] = ("v2",), **spec) -> Object:
    return {
        "apiVersion": "iter8.tools/v1alpha2",
        "kind": "Experiment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "service": {
                "name": "fashionmnist",
                "baseline": f"fashionmnist-{baseline}",
                "candidates": [f"fashionmnist-{candidate}" for candidate in candidates],
            },
            "networking": {
                "id": "fashionmnist.iter8router",
                "hosts": [{"name": "fashionmnist.com", "gateway": "fashionmnist-gateway"}],
            },
            "criteria": [{"metric": "iter8_mean_latency", "threshold": {"type": "absolute", "value": 100}}],
            "duration": {"interval": "15s", "maxIterations": 12},
            "trafficControl": {"maxIncrement": 20},
            "cleanup": True,
            **spec,
        },
    }


class Lab:
    """The engine over fakes, and traffic that follows the weights on the wire second by second.

    latency, failing   per version: milliseconds in the mean; the share that answers 5xx
    sells              per version: the share of its visitors that buys, counted as `books`
    rate               requests a second through the gateway
    lost               requests that went to a version that could not answer
    """

    patience = Patience(reading=1.0, drain=5.0)

    def __init__(self, *objects: Object) -> None:
        self.clock = FakeClock()
        self.objects = InMemoryObjects(self.clock, *(objects or (service(), *stable_rules(), deployment("v1"))))
        self.metrics = FakeMetrics(self.clock)
        self.sink = FakeSink()
        self.data_plane = FakeDataPlane()
        self.latency: dict[str, float] = {}
        self.failing: dict[str, float] = {}
        self.sells: dict[str, float] = {}
        self.rate = 40
        self.lost = 0
        self.unusual: list[str] = []
        self._random = random.Random(7)
        self._watching: asyncio.Task[None] | None = None
        self._engine: Engine | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._engine = Engine(self.objects, self.metrics, self.clock, self.sink, self.data_plane, self.patience)
        self._task = asyncio.create_task(self._engine.run())

    @property
    def dead(self) -> bool:
        """Whether the engine lost a worker to a crash: a real one would be gone as a whole."""
        return self._engine is not None and any(
            running.task and running.task.done() for running in self._engine._running.values()
        )

    def watch_the_rules(self) -> None:
        """Note in `unusual` every moment in which the routing objects say what they must never say."""
        self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        rules: dict[str, Object] = {}
        async for event in self.objects.watch(VIRTUAL_SERVICE, DESTINATION_RULE):
            if event.change is Change.SYNCED:
                continue
            rules[event.object["kind"]] = event.object
            if len(rules) == 2:
                self.unusual += oddities(rules["VirtualService"], rules["DestinationRule"])

    async def stop(self) -> None:
        if self._watching:
            self._watching.cancel()
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Crash):
                await self._task
        self._task = None

    async def seconds(self, count: float) -> None:
        """Let so many seconds pass, with traffic."""
        for _ in range(int(count)):
            await self._traffic()
            await self.clock.advance(1.0)

    async def until(self, condition, within: float = 600.0) -> None:
        for _ in range(int(within)):
            if await condition():
                return
            await self.seconds(1)
        raise AssertionError(f"not within {within} s; {await self.word()}; events: {self.sink.lines[-8:]}")

    async def get(self, name: str = "rollout") -> Object:
        return await self.objects.get(EXPERIMENT, NAMESPACE, name)

    async def status(self, name: str = "rollout") -> Object:
        return (await self.get(name)).get("status") or {}

    async def word(self, name: str = "rollout") -> str:
        return str((await self.status(name)).get("message", ""))

    async def completed(self, name: str = "rollout") -> bool:
        return (await self.status(name)).get("phase") == "Completed"

    async def virtual_service(self) -> Object:
        (found,) = await self.objects.list(VIRTUAL_SERVICE, NAMESPACE)
        return found

    async def weights(self) -> dict[str, int]:
        """Version -> weight on the wire, by the pods that the subsets select."""
        return await self._split((await self.virtual_service())["spec"]["http"][0])

    async def patch(self, patch: Object, name: str = "rollout") -> None:
        await self.objects.patch(EXPERIMENT, NAMESPACE, name, patch)

    async def set_ready(self, version: str, ready: bool, **kwargs) -> None:
        self.objects.seed(deployment(version, ready=ready, **kwargs))

    async def delete(self, version: str) -> None:
        await self.objects.delete(DEPLOYMENT, NAMESPACE, f"fashionmnist-{version}")

    async def _split(self, route: Object) -> dict[str, int]:
        (rule,) = await self.objects.list(DESTINATION_RULE, NAMESPACE)
        selects = {s["name"]: s["labels"]["version"] for s in rule["spec"]["subsets"]}
        return {
            selects.get(e["destination"]["subset"], f"?{e['destination']['subset']}"): e.get("weight", 100)
            for e in route["route"]
        }

    async def _routed(self) -> dict[str, int]:
        """The weights that proxies route by."""
        return await self.weights()

    async def _traffic(self) -> None:
        """One second of requests by the weights; what reaches a version that is not ready is lost."""
        weights = await self._routed()
        drawn = self._random.choices(list(weights), list(weights.values()), k=self.rate) if self.rate else []
        for version in dict.fromkeys(drawn):
            requests = drawn.count(version)
            try:
                found = await self.objects.get(DEPLOYMENT, NAMESPACE, f"fashionmnist-{version}")
                able = (found.get("status") or {}).get("readyReplicas", 0) > 0
            except NotFound:
                able = False
            if not able:
                self.lost += requests
                continue
            mean = self.latency.get(version, 4.0)
            spent = sum(mean * self._random.lognormvariate(0, 0.5) / 1.1331 for _ in range(requests))
            errors = sum(self._random.random() < self.failing.get(version, 0.0) for _ in range(requests))
            sold = sum(self._random.random() < self.sells[version] for _ in range(requests)) if self.sells else 0
            self.metrics.count(
                f"fashionmnist-{version}",
                **{
                    "iter8_request_count": float(requests),
                    "iter8_total_latency": spent,
                    "iter8_total_latency:count": float(requests),
                    "iter8_error_count": float(errors),
                    **({"books": float(sold)} if self.sells else {}),
                },
            )


def oddities(virtual_service: Object, rule: Object) -> list[str]:
    """What is wrong with a pair of rules: weights, subsets that nobody defines or that select every pod."""
    subsets = {s["name"]: s.get("labels", {}) for s in rule["spec"]["subsets"]}
    found = []
    for route in virtual_service["spec"]["http"]:
        entries = route["route"]
        if len(entries) > 1 and sum(e["weight"] for e in entries) != 100:
            found.append(f"weights {[e['weight'] for e in entries]}")
        for name in (e["destination"].get("subset") for e in entries):
            if not subsets.get(name):
                found.append(f"route names subset {name}, there are {subsets}")
    return found
