"""A namespace of the home: its objects as a person would write them, its experiment, and its visitors."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2

from serin.errors import NotFound
from serin.home.client import HomeClient
from serin.load.plan import LoadPlan, parse_target
from serin.load.report import LoadReport
from serin.load.stream import Load
from serin.ports import (
    CONFIG_MAP,
    DEPLOYMENT,
    DESTINATION_RULE,
    EVENT,
    EXPERIMENT,
    GATEWAY,
    SERVICE,
    VIRTUAL_SERVICE,
    Kind,
    Object,
)
from tests.survival.house import House, eventually

ISTIO = "networking.istio.io/v1beta1"
ROUTER, ROLE, HOLDER, INIT = (f"iter8-tools/{word}" for word in ("router", "role", "experiment", "init"))
SCRAPED = {"prometheus.io/scrape": "true", "prometheus.io/port": "8501"}
ALL_OR_NOTHING = {"interval": "1s", "maxIterations": 1000}
"""An experiment without criteria that goes on until it is ended."""
PATIENCE = 60.0


def absolute(metric: str, value: float, **more: Any) -> Object:
    """A criterion with a fixed limit."""
    return {"metric": metric, "threshold": {"type": "absolute", "value": value, **more}}


class Place:
    """One namespace. `host` leads to it from outside."""

    def __init__(self, house: House, client: HomeClient, namespace: str) -> None:
        self.house, self.client, self.namespace = house, client, namespace
        self.host = f"{namespace}.example"

    # objects

    def meta(self, name: str, **labels: str) -> Object:
        return {"name": name, "namespace": self.namespace, **({"labels": labels} if labels else {})}

    def deployment(
        self, version: str, *args: str, annotations: Mapping[str, str] = SCRAPED, replicas: int = 1
    ) -> Object:
        """`shop-VERSION` with the arguments of `shop.py`."""
        labels = {"app": "shop", "version": version}
        container = {
            "name": "shop",
            "image": "shop:1",
            "args": list(args),
            "ports": [{"containerPort": 8501}],
            "readinessProbe": {"httpGet": {"path": "/ready", "port": 8501}, "periodSeconds": 1},
        }
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": self.meta(f"shop-{version}"),
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels, "annotations": dict(annotations)},
                    "spec": {"containers": [container], "terminationGracePeriodSeconds": 3},
                },
            },
        }

    def service(self, name: str = "shop", **selector: str) -> Object:
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": self.meta(name),
            "spec": {"selector": selector or {"app": "shop"}, "ports": [{"name": "http", "port": 8501}]},
        }

    def gateway(self, name: str = "door", *hosts: str, port: int = 80) -> Object:
        server = {"port": {"number": port, "name": "http", "protocol": "HTTP"}, "hosts": list(hosts or [self.host])}
        spec = {"selector": {"istio": "ingressgateway"}, "servers": [server]}
        return {"apiVersion": ISTIO, "kind": "Gateway", "metadata": self.meta(name), "spec": spec}

    def rules(self, router: str = "mine", *, http: list[Object] | None = None, **spec: Any) -> list[Object]:
        """The stable rules that a user brings: everything to v1 by a subset of the user's own."""
        labels = {ROUTER: router, ROLE: "stable"}
        route = [{"destination": {"host": "shop", "subset": "iter8-stable"}}]
        given = {"hosts": [self.host], "gateways": ["door"], "http": http or [{"route": route}], **spec}
        subset = {"name": "iter8-stable", "labels": {"app": "shop", "version": "v1"}}
        rule = {"host": "shop", "subsets": [subset]}
        return [
            {"apiVersion": ISTIO, "kind": "DestinationRule", "metadata": self.meta("shop", **labels), "spec": rule},
            {"apiVersion": ISTIO, "kind": "VirtualService", "metadata": self.meta("shop", **labels), "spec": given},
        ]

    def experiment(self, name: str = "trial", *, service: Mapping[str, Any] | None = None, **spec: Any) -> Object:
        """An experiment on v1 and v2 by the user's rules; without criteria and duration it goes on for ever.

        What is given takes the place of the defaults here; None leaves a part of the spec out.
        """
        whole: dict[str, Any] = {
            "service": {"name": "shop", "baseline": "shop-v1", "candidates": ["shop-v2"], **(service or {})},
            "networking": {"id": "mine", "hosts": [{"name": self.host, "gateway": "door"}]},
            "duration": ALL_OR_NOTHING,
            "trafficControl": {"maxIncrement": 100},
            "analysis": {"mode": "independent"},
            **spec,
        }
        whole["service"] = {key: value for key, value in whole["service"].items() if value is not None}
        spec = {key: value for key, value in whole.items() if value is not None}
        return {"apiVersion": "iter8.tools/v1alpha2", "kind": "Experiment", "metadata": self.meta(name), "spec": spec}

    async def stage(self, *versions: str, rules: bool = True) -> None:
        """A service with ready versions and a gateway, and the user's rules if wanted."""
        await self.apply(
            self.service(),
            self.gateway(),
            *(self.deployment(version) for version in versions),
            *(self.rules() if rules else ()),
        )
        await self.ready(*versions)
        if rules and "v1" in versions:
            await self.open()

    async def apply(self, *objects: Object) -> None:
        await self.client.apply(objects)

    async def ready(self, *versions: str) -> None:
        """Wait until these versions are ready."""
        for version in versions:

            async def ready(version: str = version) -> bool:
                status = (await self.get(DEPLOYMENT, f"shop-{version}")).get("status") or {}
                return int(status.get("readyReplicas") or 0) > 0

            await eventually(f"shop-{version} is ready", ready, PATIENCE)

    async def open(self) -> None:
        """Wait until the gateway leads to a version: a pod is ready a moment before the gateway knows it."""

        async def leads() -> bool:
            async with httpx2.AsyncClient(trust_env=False, timeout=20.0) as client:
                answer = await client.get(f"http://127.0.0.1:{self.house.port}/", headers={"host": self.host})
            return bool(answer.status_code == 200)

        await eventually(f"{self.host} leads to a version", leads, PATIENCE)

    # looking

    async def get(self, kind: Kind, name: str) -> Object:
        return await self.client.get(kind, self.namespace, name)

    async def there(self, kind: Kind, name: str) -> bool:
        """Whether an object is there and stays."""
        try:
            return not (await self.get(kind, name))["metadata"].get("deletionTimestamp")
        except NotFound:
            return False

    async def status(self, name: str = "trial") -> Object:
        try:
            found: Object = (await self.get(EXPERIMENT, name)).get("status") or {}
        except NotFound:
            return {}
        return found

    async def weights(self, name: str = "trial") -> dict[str, int]:
        """Version -> weight as the status says; of a version named twice both."""
        assessment = (await self.status(name)).get("assessment") or {}
        found: Counter[str] = Counter()
        for version in [assessment["baseline"], *assessment["candidates"]] if assessment else []:
            found[version["name"]] += version["weight"]
        return dict(found)

    async def events(self) -> list[str]:
        """What was told about the objects here."""
        return [f"{e['reason']}: {e['message']}" for e in await self.client.list(EVENT, self.namespace)]

    async def says(self, pattern: str, name: str = "trial") -> str:
        """Wait until the experiment's message is this."""
        seen = ""

        async def said() -> bool:
            nonlocal seen
            seen = str((await self.status(name)).get("message", ""))
            return re.search(pattern, seen) is not None

        await eventually(lambda: f"'{pattern}', but '{seen}'", said, PATIENCE)
        return seen

    async def weighs(self, name: str = "trial", **weights: int) -> None:
        """Wait until the versions have these weights (v2=100)."""
        seen: dict[str, int] = {}

        async def given() -> bool:
            nonlocal seen
            seen = await self.weights(name)
            return {f"shop-{version}": weight for version, weight in weights.items()}.items() <= seen.items()

        await eventually(lambda: f"{weights}, but {seen}", given, PATIENCE)

    async def completed(self, name: str = "trial", patience: float = 2 * PATIENCE) -> Object:
        """Wait for the end; the status then."""
        status: Object = {}

        async def ended() -> bool:
            nonlocal status
            status = await self.status(name)
            return status.get("phase") == "Completed"

        await eventually(lambda: f"the end, but {status.get('message')} {status.get('reasons')}", ended, patience)
        return status

    async def order(self, action: str, name: str = "trial", **split: int) -> None:
        """A manual override; with a split by version (v1=30, v2=70)."""
        order: dict[str, Any] = {"action": action}
        if split:
            order["trafficSplit"] = {f"shop-{version}": weight for version, weight in split.items()}
        await self.client.patch(EXPERIMENT, self.namespace, name, {"spec": {"manualOverride": order}})

    async def routes(self, name: str = "shop") -> list[Object]:
        """The HTTP routes of a VirtualService."""
        found: list[Object] = (await self.get(VIRTUAL_SERVICE, name))["spec"]["http"]
        return found

    async def labels(self, kind: Kind = VIRTUAL_SERVICE, name: str = "shop") -> dict[str, str]:
        found: dict[str, str] = (await self.get(kind, name))["metadata"].get("labels") or {}
        return found

    # visiting

    async def visit(
        self,
        path: str = "/",
        *,
        method: str = "GET",
        host: str | None = None,
        headers: Mapping[str, str] | None = None,
        port: int | None = None,
        address: str = "127.0.0.1",
    ) -> str:
        """One request: which version answered, or the status when none did."""
        async with httpx2.AsyncClient(trust_env=False, timeout=20.0) as client:
            answer = await client.request(
                method,
                f"http://{address}:{port or self.house.port}{path}",
                headers={"host": host or self.host, **(headers or {})},
            )
        return answer.headers.get("x-serin-version") or str(answer.status_code)

    async def visits(self, number: int = 40, **how: Any) -> Counter[str]:
        """Many requests of one kind: who answered how many."""
        return Counter([await self.visit(**how) for _ in range(number)])

    async def inside(self, path: str = "/", host: str = "shop") -> str:
        """One request by the name of a service, as from another pod."""
        address, _, port = self.house.status["gateway"]["mesh"].removeprefix("http://").partition(":")
        full = f"{host}.{self.namespace}.svc.cluster.local"
        return await self.visit(path, host=full, address=address, port=int(port))

    async def answered_by(self, version: str, number: int = 20, **how: Any) -> None:
        """Wait until so many requests in a row are answered by one version."""
        found: Counter[str] = Counter()

        async def only() -> bool:
            nonlocal found
            found = await self.visits(number, **how)
            return set(found) == {f"shop-{version}"}

        await eventually(lambda: f"only shop-{version}, but {dict(found)}", only, PATIENCE)

    @contextlib.asynccontextmanager
    async def traffic(
        self, rate: float = 100.0, path: str = "/", host: str | None = None, **headers: str
    ) -> AsyncIterator[Load]:
        """A stream of requests for as long as it is needed."""
        given = (("Host", host or self.host), *((name.replace("_", "-"), value) for name, value in headers.items()))
        load = Load(LoadPlan(parse_target(f"http://127.0.0.1:{self.house.port}{path}"), rate=rate, headers=given))
        running = asyncio.create_task(load.run())
        try:
            yield load
            assert not running.done()
        finally:
            load.stop()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    async def leave(self) -> None:
        """Take away everything here; the experiments first, and until they are gone: they put the rules back."""
        await self.clear(EXPERIMENT)

        async def gone() -> bool:
            return not await self.client.list(EXPERIMENT, self.namespace)

        await eventually("the experiments are gone", gone, PATIENCE)
        await self.clear(VIRTUAL_SERVICE, DESTINATION_RULE, GATEWAY, DEPLOYMENT, SERVICE, CONFIG_MAP)

    async def clear(self, *kinds: Kind) -> None:
        """Delete all objects of these kinds."""
        for kind in kinds:
            for found in await self.client.list(kind, self.namespace):
                with contextlib.suppress(NotFound):
                    await self.client.delete(kind, self.namespace, found["metadata"]["name"])


def shares(report: LoadReport) -> dict[str, float]:
    """Version -> its share of the answers."""
    answered = sum(report.by_version.values())
    return {version: count / answered for version, count in report.by_version.items()}
