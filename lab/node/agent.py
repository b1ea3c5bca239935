"""Watches the Pods of the cluster and gives each of this node a life. One node takes them all."""

from __future__ import annotations

import asyncio
import contextlib

from lab.identities import KUBELET
from lab.node.ground import Ground
from lab.node.pod import PodLife
from serin.ports import Object


class Agent:
    """The Pods' lives, by uid."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._lives: dict[str, tuple[PodLife, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Without end; ends every process when it is cancelled."""
        await self._ground.cluster.register(self._ground.name, self._ground.address, KUBELET)
        try:
            async for kind, pod in self._ground.cluster.pods():
                if kind == "LISTED":
                    for uid in self._lives.keys() - set(pod["uids"]):
                        self._lives[uid][0].gone()
                elif kind == "DELETED":
                    if known := self._lives.get(pod["metadata"]["uid"]):
                        known[0].gone()
                else:
                    self._seen(pod)
        finally:
            tasks = [task for _, task in self._lives.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def runs(self, namespace: str, name: str) -> bool:
        """Whether a Pod of this name is on the node."""
        return any((life.namespace, life.name) == (namespace, name) for life, _ in self._lives.values())

    def _seen(self, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        if known := self._lives.get(uid):
            known[0].update(pod)
            return
        node = (pod.get("spec") or {}).get("nodeName")
        if node not in (None, self._ground.name):
            return
        life = PodLife(pod, self._ground)
        self._lives[uid] = life, asyncio.create_task(self._live(uid, life), name=f"pod {pod['metadata']['name']}")

    async def _live(self, uid: str, life: PodLife) -> None:
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await life.run()
        finally:
            self._lives.pop(uid, None)
