"""Keeps the proxy at what the routing objects say: watch, gather a burst, render, apply; one loop, never two at once.

An object that cannot be had (Envoy refuses it, or it makes no sense) spoils no other: its last good version stays in
force, or none, and a warning says why in Envoy's words.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import structlog

from serin.adapters.local.envoy.config import static
from serin.adapters.local.envoy.destinations import Destinations
from serin.adapters.local.envoy.model import Listener, Routing, Settings, World, identity
from serin.adapters.local.envoy.process import refusal, taken
from serin.adapters.local.envoy.proxy import Proxy, Rejected
from serin.adapters.local.envoy.render import Config, Renderer
from serin.adapters.local.envoy.routing import route
from serin.adapters.local.envoy.workloads import Cluster, backend
from serin.errors import SerinError
from serin.ports import DESTINATION_RULE, GATEWAY, POD, SERVICE, VIRTUAL_SERVICE, Change, Event, Object, Objects

KINDS = (SERVICE, POD, GATEWAY, VIRTUAL_SERVICE, DESTINATION_RULE)
BURST = 0.003
"""Seconds that a change waits for others that come with it."""
AGAIN = 2.0
"""Seconds after which something that failed is tried again."""
RETIRED_FOR = 900.0
RETIRED_AT_MOST = 200
"""Clusters that nothing refers to any more stay a while, empty, and their counters and requests under way with them."""

Key = tuple[str, str, str]
"""(kind, namespace, name)."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Applied:
    """What the proxy has acknowledged: the objects it was made from, and the version that Envoy shows.

    offered   addresses of the pods that requests are sent to
    """

    objects: Mapping[Key, Object]
    version: str
    offered: frozenset[str] = frozenset()


class Translator:
    """Watches `objects` and applies them to `proxy`. `warned` is told each new warning once, in a sentence."""

    def __init__(
        self,
        objects: Objects,
        proxy: Proxy,
        *,
        warned: Callable[[str], None] = lambda text: log.warning(text),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._objects = objects
        self._proxy = proxy
        self._warned = warned
        self._monotonic = monotonic
        self._renderer = Renderer(proxy.folder)
        self._present: dict[Key, Object] = {}
        self._seen: dict[Key, Object] | None = None
        self._good: dict[Key, Object] = {}
        self._refused: dict[Key, tuple[Object, str]] = {}
        self._clusters: dict[str, Cluster] = {}
        self._retired: dict[str, tuple[Cluster, float]] = {}
        self._listening: set[tuple[str, int]] = set()
        self._destinations: Destinations | None = None
        self._changed = asyncio.Event()
        self.synced = asyncio.Event()
        self.applied: Applied | None = None
        self.warnings: tuple[str, ...] = ()

    async def run(self) -> None:
        """Translate until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch(), name="translator-watch")
            tasks.create_task(self._translate(), name="translator")

    @property
    def settled(self) -> bool:
        """Whether everything seen so far is applied, or refused."""
        return not self._changed.is_set() and self._seen == self._present

    async def _watch(self) -> None:
        before = set(self._present)
        seen: set[Key] = set()
        async for event in self._objects.watch(*KINDS):
            if event.change is Change.SYNCED:
                for key in before - seen:  # deleted while nobody watched
                    self._forget(key)
                self.synced.set()
                self._changed.set()
                continue
            seen.add((event.object["kind"], *identity(event.object)))
            if self._take(event) and self.synced.is_set():
                self._changed.set()

    def _take(self, event: Event) -> bool:
        """Note a change; False for one that routing does not care about."""
        key = (event.object["kind"], *identity(event.object))
        if event.change is Change.DELETED:
            return self._forget(key)
        known = self._present.get(key)
        if known is not None and _alike(known, event.object):
            return False
        self._present[key] = event.object
        self._stale(key)
        return True

    def _forget(self, key: Key) -> bool:
        self._stale(key)
        return self._present.pop(key, None) is not None

    def _stale(self, key: Key) -> None:
        """Clusters are found anew unless only a VirtualService changed."""
        if key[0] != VIRTUAL_SERVICE.name:
            self._destinations = None

    async def _translate(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(BURST)
            self._changed.clear()
            try:
                await self._apply(dict(self._present))
            except SerinError as error:
                self._warn((str(error),))
                asyncio.get_running_loop().call_later(AGAIN, self._changed.set)

    async def _apply(self, objects: dict[Key, Object]) -> None:
        """Bring the proxy to these objects, leaving out those that are refused."""
        wanted = self._without_refused(objects)
        try:
            routing, config = self._render(wanted)
            version = await self._proxy.apply(config)
        except (Rejected, ValueError, TypeError, KeyError, AttributeError) as error:
            self._destinations, self._renderer = None, Renderer(self._proxy.folder)
            if not await self._find_refused(wanted):
                raise Rejected(f"the gateway's configuration could not be made: {error!r}") from error
            self._changed.set()
            return
        self._good.update(wanted)
        for key in self._good.keys() - objects.keys():
            del self._good[key]
        self._clusters = {cluster.name: cluster for cluster in routing.clusters}
        self._listening = {(listener.address, listener.port) for listener in routing.listeners}
        self._seen = objects
        taken_over = {k: v for k, v in objects.items() if k not in self._refused}
        self.applied = Applied(taken_over, version, routing.offered)
        self._warn((*routing.warnings, *(text for _, text in self._refused.values())))

    def _render(self, objects: Mapping[Key, Object]) -> tuple[Routing, Config]:
        world = _world(objects)
        if self._destinations is None:
            self._destinations = Destinations(world)
        routing = self._listenable(route(world, self._proxy.settings, self._destinations))
        routing = replace(routing, clusters=self._with_retired(routing.clusters))
        return routing, self._renderer.render(routing)

    def _with_retired(self, clusters: Iterable[Cluster]) -> tuple[Cluster, ...]:
        now, present = self._monotonic(), {cluster.name: cluster for cluster in clusters}
        for name, cluster in self._clusters.items():
            if name not in present and name not in self._retired:
                self._retired[name] = replace(cluster, endpoints=()), now
        kept = [(n, c) for n, c in self._retired.items() if n not in present and now - c[1] < RETIRED_FOR]
        self._retired = dict(kept[-RETIRED_AT_MOST:])
        present.update((name, cluster) for name, (cluster, _) in self._retired.items())
        return tuple(present[name] for name in sorted(present))

    def _listenable(self, routing: Routing) -> Routing:
        """Without listeners on ports that other programs hold; they are tried again."""

        def free(listener: Listener) -> bool:
            return (listener.address, listener.port) in self._listening or not taken(listener.address, listener.port)

        settings = self._proxy.settings
        held = [found for found in routing.listeners if not _always(found, settings) and not free(found)]
        if not held:
            return routing
        asyncio.get_running_loop().call_later(AGAIN, self._changed.set)
        texts = tuple(f"the gateway port {found.port} is in use by another program" for found in held)
        listeners = tuple(found for found in routing.listeners if found not in held)
        return replace(routing, listeners=listeners, warnings=(*routing.warnings, *texts))

    def _without_refused(self, objects: Mapping[Key, Object]) -> dict[Key, Object]:
        """The objects, refused ones in their last good version; a refusal ends when its object changes."""
        self._refused = {key: known for key, known in self._refused.items() if objects.get(key) is known[0]}
        wanted = {key: obj for key, obj in objects.items() if key not in self._refused}
        wanted.update((key, self._good[key]) for key in self._refused if key in self._good)
        return wanted

    async def _find_refused(self, objects: Mapping[Key, Object]) -> bool:
        """Try each object that is new since the last success with the good ones of the others; note those that fail."""
        found = False
        for key, obj in objects.items():
            if self._good.get(key) is obj or key[0] == POD.name:
                continue
            reason = await self._problem({**self._good, key: obj}, key)
            if reason:
                kept = "its last good version stays" if key in self._good else "it is left out"
                self._refused[key] = obj, f"{key[0]} {key[1]}/{key[2]} is refused, {kept}: {reason}"
                found = True
        return found

    async def _problem(self, objects: Mapping[Key, Object], key: Key) -> str | None:
        """Why an object cannot be had: tried on a real Envoy, with no other rule that could be at fault."""
        alone = {
            k: o for k, o in objects.items() if k == key or k[0] in (SERVICE.name, GATEWAY.name, DESTINATION_RULE.name)
        }
        try:
            config = static(route(_world(alone), self._proxy.settings))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            return str(error) or repr(error)
        return await refusal(config)

    def _warn(self, texts: tuple[str, ...]) -> None:
        new = [text for text in dict.fromkeys(texts) if text not in self.warnings]
        self.warnings = tuple(dict.fromkeys(texts))
        for text in new:
            self._warned(text)


def _always(listener: Listener, settings: Settings) -> bool:
    """Whether a listener is one that the proxy was started with; its port was looked at then."""
    started_with = (settings.gateway_host, settings.gateway_port), (settings.mesh_host, settings.mesh_port)
    return (listener.address, listener.port) in started_with


def _alike(old: Object, new: Object) -> bool:
    """Whether two versions of an object route the same."""
    if old["kind"] == POD.name:
        return backend(old) == backend(new)
    return old.get("spec") == new.get("spec") and bool(old["metadata"].get("uid") == new["metadata"].get("uid"))


def _world(objects: Mapping[Key, Object]) -> World:
    kinds: dict[str, list[Object]] = {kind.name: [] for kind in KINDS}
    for (kind, _, _), obj in objects.items():
        kinds[kind].append(obj)
    return World(*(kinds[kind.name] for kind in KINDS))
