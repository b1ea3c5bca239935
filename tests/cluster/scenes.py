"""Releases side by side: each in a namespace of its own, with users of its own, all in one event loop.

A scene has the service `web` with versions `web-v1`, `web-v2`, …, a gateway and a user's pair of stable rules.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import httpx2
from lab import Lab

from serin.adapters.kube.api import Api
from serin.adapters.kube.connection import access
from serin.adapters.kube.objects import KubeObjects
from serin.control.apply import apply
from serin.errors import SerinError
from serin.ports import DEPLOYMENT, DESTINATION_RULE, EVENT, EXPERIMENT, NAMESPACE, VIRTUAL_SERVICE, Kind, Object

PORT = 8501
ROUTER = {"iter8-tools/router": "web", "iter8-tools/role": "stable"}
ISTIO = "networking.istio.io/v1"
ERROR_RATE = {"metric": "iter8_error_rate", "threshold": {"type": "absolute", "value": 0.3}}
LATENCY = {"metric": "iter8_mean_latency", "threshold": {"type": "absolute", "value": 100}}


async def side_by_side(*scenes: Coroutine[Any, Any, None]) -> None:
    """Play them all to their ends; then raise what any of them has raised."""
    ends = await asyncio.gather(*scenes, return_exceptions=True)
    failures = [each for each in ends if isinstance(each, Exception)]
    if failures:
        raise ExceptionGroup("scenes", failures)


class Users:
    """Requests through the gateway while the block lasts.

    answered   requests with status 200
    lost       what the others got, after the first that was answered; what a version itself answers is not lost
    """

    def __init__(self) -> None:
        self.answered = 0
        self.refused = Counter[int]()
        self.lost: list[str] = []

    def note(self, answer: httpx2.Response | httpx2.HTTPError) -> None:
        if isinstance(answer, httpx2.Response) and answer.status_code == 200:
            self.answered += 1
        elif isinstance(answer, httpx2.Response) and answer.status_code == 500:  # `--errors` of the version
            self.refused[answer.status_code] += 1
        elif self.answered:
            said = (
                f"status {answer.status_code}: {answer.text[:60]}"
                if isinstance(answer, httpx2.Response)
                else type(answer).__name__
            )
            self.lost.append(f"{time.strftime('%H:%M:%S')} {said}")


class Scene:
    """A namespace of the lab, and what a person does in it."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab, self.name, self.host = lab, name, f"{name}.example.com"
        self.objects = KubeObjects(Api(access(str(lab.kubeconfig)).client()))

    @asynccontextmanager
    async def opened(self, *versions: str, rules: Sequence[Object] | None = None) -> AsyncIterator[Scene]:
        """The namespace is there, v1 and these versions are ready, and the gateway answers.

        rules   instead of the stable pair; without any the gateway does not answer yet
        """
        rules = pair(self.host) if rules is None else rules
        await self.objects.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name}})
        try:
            await self.apply(service(), gateway(self.host), *rules)
            for version in ("v1", *versions):
                await self.apply(deployment(version))
            for version in ("v1", *versions):
                await self.until(f"{version} is ready", partial(self.ready, version))
            if rules:
                async with self.users(1) as users:
                    await self.until("the gateway answers", lambda: users.answered > 3)
            yield self
        finally:
            with suppress(SerinError):
                await self.objects.delete(NAMESPACE, "", self.name)
            await self.objects.aclose()

    async def apply(self, *manifests: Object) -> None:
        for each in manifests:
            await apply(self.objects, {**each, "metadata": {**each["metadata"], "namespace": self.name}})

    async def get(self, kind: Kind, name: str = "web") -> Object:
        return await self.objects.get(kind, self.name, name)

    async def patch(self, kind: Kind, name: str, patch: Object) -> None:
        await self.objects.patch(kind, self.name, name, patch)

    async def delete(self, kind: Kind, name: str) -> None:
        await self.objects.delete(kind, self.name, name)

    async def kubectl(self, *words: str) -> str:
        """kubectl in this namespace."""
        return await asyncio.to_thread(self.lab.kubectl_run, "--namespace", self.name, *words)

    async def until(self, what: str, holds: Callable[[], Awaitable[Any] | Any], patience: float = 90.0) -> Any:
        """Ask until the answer is true, and return it. What is not there yet, or does not answer, counts as no."""
        deadline = time.monotonic() + patience
        while True:
            with suppress(SerinError):
                found = holds()
                if isinstance(found, Awaitable):
                    found = await found
                if found:
                    return found
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.name}: not within {patience:.0f} s: {what}; {await self.story()}")
            await asyncio.sleep(0.1)

    async def ready(self, version: str) -> bool:
        status = (await self.get(DEPLOYMENT, f"web-{version}")).get("status") or {}
        return bool(status.get("availableReplicas"))

    async def status(self, name: str = "rollout") -> Object:
        return dict((await self.get(EXPERIMENT, name)).get("status") or {})

    async def message(self, name: str = "rollout") -> str:
        return str((await self.status(name)).get("message", ""))

    async def says(self, text: str, name: str = "rollout", patience: float = 90.0) -> None:
        """Wait until the status' message has this text in it."""

        async def said() -> bool:
            return text in await self.message(name)

        await self.until(f"{name} says '{text}'", said, patience)

    async def ended(self, name: str = "rollout", patience: float = 150.0) -> Object:
        """Wait for the end, and until it can be deleted; returns the status."""

        async def over() -> Object | None:
            found = await self.get(EXPERIMENT, name)
            over = (found.get("status") or {}).get("phase") == "Completed" and not found["metadata"].get("finalizers")
            return found["status"] if over else None

        return dict(await self.until(f"{name} ends", over, patience))

    async def weights(self) -> dict[str, int]:
        """Version -> weight of the first route that has a split, by the labels of the subsets."""
        rules, subsets = await self.get(VIRTUAL_SERVICE), await self.get(DESTINATION_RULE)
        selects = {each["name"]: each["labels"]["version"] for each in subsets["spec"]["subsets"]}
        return {
            selects[each["destination"]["subset"]]: each.get("weight", 100)
            for each in rules["spec"]["http"][0]["route"]
        }

    async def routes(self, **weights: int) -> None:
        """Wait until the rules have just these weights."""

        async def routed() -> bool:
            return {version: weight for version, weight in (await self.weights()).items() if weight} == weights

        await self.until(f"weights {weights}", routed)

    async def events(self) -> list[str]:
        """What was told about the experiments, `Reason: text`."""
        return [f"{each['reason']}: {each['message']}" for each in await self.objects.list(EVENT, self.name)]

    async def told(self, text: str) -> None:
        """Wait for an event with this text in it."""

        async def told() -> bool:
            return any(text in each for each in await self.events())

        await self.until(f"an event says '{text}'", told)

    async def story(self) -> str:
        """For the message of an assertion."""
        with suppress(SerinError):
            said = [
                (each["metadata"]["name"], (each.get("status") or {}).get("message"))
                for each in await self.objects.list(EXPERIMENT, self.name)
            ]
            return f"{said}; {await self.events()}"
        return "nothing is known"

    @asynccontextmanager
    async def users(self, count: int = 2, pause: float = 0.05) -> AsyncIterator[Users]:
        """So many users, each asking again and again."""
        users, over = Users(), asyncio.Event()
        tasks = [asyncio.create_task(self._use(users, over, pause)) for _ in range(count)]
        try:
            yield users
        finally:
            over.set()
            await asyncio.gather(*tasks)

    async def _use(self, users: Users, over: asyncio.Event, pause: float) -> None:
        async with self.client() as client:
            while not over.is_set():
                try:
                    users.note(await client.get("/"))
                except httpx2.HTTPError as error:
                    users.note(error)
                await asyncio.sleep(pause)

    def client(self) -> httpx2.AsyncClient:
        """One of its users."""
        headers = {"host": self.host}
        return httpx2.AsyncClient(base_url=self.lab.gateway, headers=headers, trust_env=False, timeout=10.0)


def deployment(version: str, *args: str, app: str = "web") -> Object:
    """A version; `args` are those of `tests/survival/answer.py`."""
    labels = {"app": app, "version": version}
    container = {
        "name": "web",
        "image": "lab/answer",
        "args": list(args),
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": PORT}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"{app}-{version}"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def service(name: str = "web", **selector: str) -> Object:
    spec = {"selector": selector or {"app": name}, "ports": [{"name": "http", "port": PORT}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def gateway(*hosts: str) -> Object:
    server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": list(hosts)}
    return {
        "apiVersion": ISTIO,
        "kind": "Gateway",
        "metadata": {"name": "door"},
        "spec": {"selector": {"istio": "ingressgateway"}, "servers": [server]},
    }


def pair(host: str) -> list[Object]:
    """A user's stable rules: everybody is on v1."""
    subset = {"name": "iter8-stable", "labels": {"app": "web", "version": "v1"}}
    return [
        destination_rule({"host": "web", "subsets": [subset]}),
        virtual_service(
            {
                "hosts": [host],
                "gateways": ["door"],
                "http": [{"route": [{"destination": {"host": "web", "subset": "iter8-stable"}}]}],
            }
        ),
    ]


def destination_rule(spec: Object) -> Object:
    return {
        "apiVersion": ISTIO,
        "kind": "DestinationRule",
        "metadata": {"name": "web", "labels": dict(ROUTER)},
        "spec": spec,
    }


def virtual_service(spec: Object) -> Object:
    return {
        "apiVersion": ISTIO,
        "kind": "VirtualService",
        "metadata": {"name": "web", "labels": dict(ROUTER)},
        "spec": spec,
    }


_numbers = itertools.count(1)


def names(prefix: str, count: int) -> Sequence[str]:
    """Namespaces that nobody has had in this session."""
    return [f"{prefix}-{next(_numbers)}" for _ in range(count)]


def experiment(
    baseline: str = "v1",
    *candidates: str,
    name: str = "rollout",
    criteria: Sequence[Object] = (ERROR_RATE,),
    **spec: Any,
) -> Object:
    """It ends as soon as the winner is proven, however few requests the machine makes in a second."""
    wanted: Object = {
        "service": {
            "name": "web",
            "baseline": f"web-{baseline}",
            "candidates": [f"web-{each}" for each in candidates or ("v2",)],
        },
        "networking": {"id": "web"},
        "criteria": list(criteria),
        "duration": {"interval": "2s", "maxIterations": 500},
        "analysis": {"mode": "independent", "earlyStop": True},
        "trafficControl": {"maxIncrement": 20},
    }
    wanted |= spec
    return {
        "apiVersion": "iter8.tools/v1alpha2",
        "kind": "Experiment",
        "metadata": {"name": name},
        "spec": wanted,
    }
