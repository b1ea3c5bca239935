"""The few requests that a kubelet makes, and Pods as plain objects."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import msgspec
from lightkube import ApiError, AsyncClient, KubeConfig
from lightkube.models.core_v1 import (
    DaemonEndpoint,
    NodeAddress,
    NodeCondition,
    NodeDaemonEndpoints,
    NodeStatus,
    NodeSystemInfo,
    ObjectReference,
)  # fmt: skip
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import ConfigMap, Node, Pod, PodBinding
from lightkube.types import PatchType

from serin.ports import Object

_AGAIN = 0.25
_AS_USUAL = (404, 409)
_NO_USE = (400, 401, 403, 404, 409, 422)
"""Answers that asking again would not change: the Pod is gone, is bound already, or the request is wrong."""


class Cluster:
    """The API server as the node sees it. While it is away, everything here waits and tries again."""

    def __init__(self, kubeconfig: Path) -> None:
        self._client = AsyncClient(config=KubeConfig.from_file(kubeconfig), trust_env=False, field_manager="lab-node")

    async def register(self, name: str, address: str, port: int) -> None:
        """Make the Node, with its own API at this address; without a Node the endpoint slices stay empty."""
        node = Node(
            metadata=ObjectMeta(name=name, labels={"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"})
        )
        await _insist(lambda: self._client.create(node))
        info = NodeSystemInfo(
            architecture="", bootID="", containerRuntimeVersion="lab", kernelVersion="", kubeProxyVersion="",
            kubeletVersion="lab", machineID="", operatingSystem="linux", osImage="", systemUUID="",
        )  # fmt: skip
        room = {"pods": "60000", "cpu": "2", "memory": "16Gi"}
        status = NodeStatus(
            addresses=[NodeAddress(type="InternalIP", address=address), NodeAddress(type="Hostname", address=name)],
            daemonEndpoints=NodeDaemonEndpoints(kubeletEndpoint=DaemonEndpoint(Port=port)),
            conditions=[NodeCondition(type="Ready", status="True", reason="KubeletReady")],
            capacity=room,
            allocatable=room,
            nodeInfo=info,
        )
        patch = {"status": status.to_dict()}
        await _insist(lambda: self._client.patch(Node.Status, name, patch, patch_type=PatchType.MERGE))

    async def pods(self) -> AsyncIterator[tuple[str, Object]]:
        """Every change of a Pod, without end: `MODIFIED` for one that is there, `DELETED` for one that is gone.

        After a loss of the connection all that exist come again, then `LISTED` with the uids of them all.
        """
        while True:
            with contextlib.suppress(ApiError, httpx2.HTTPError):
                listed, uids = self._client.list(Pod, namespace="*"), []
                async for pod in listed:
                    plain = pod.to_dict()
                    uids.append(plain["metadata"]["uid"])
                    yield "MODIFIED", plain
                yield "LISTED", {"uids": uids}
                version = listed.resourceVersion
                async for kind, pod in self._client.watch(Pod, namespace="*", resource_version=version):
                    yield ("DELETED" if kind == "DELETED" else "MODIFIED"), pod.to_dict()
            await asyncio.sleep(_AGAIN)

    async def bind(self, pod: Object, node: str) -> None:
        """Give the Pod to the node."""
        name, namespace = _place(pod)
        target = ObjectReference(apiVersion="v1", kind="Node", name=node)
        binding = PodBinding(metadata=ObjectMeta(name=name, namespace=namespace), target=target)
        # The API server answers with a Status where lightkube wants the binding back; the Pod is bound all the same.
        with contextlib.suppress(msgspec.ValidationError):
            await _insist(lambda: self._client.create(binding, name, namespace=namespace))

    async def show(self, pod: Object, status: Object) -> None:
        """Write the Pod's status."""
        name, namespace = _place(pod)
        patch = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}
        await _insist(
            lambda: self._client.patch(Pod.Status, name, patch, namespace=namespace, patch_type=PatchType.MERGE)
        )

    async def forget(self, pod: Object) -> None:
        """Delete the Pod for good: its process is gone."""
        name, namespace = _place(pod)
        await _insist(lambda: self._client.delete(Pod, name, namespace=namespace, grace_period=0))

    async def config_map(self, namespace: str, name: str) -> dict[str, str] | None:
        """The data of a ConfigMap, None when there is none."""
        found = await _insist(lambda: self._client.get(ConfigMap, name, namespace=namespace))
        return None if found is None else dict(found.data or {})


async def _insist(request: Callable[[], Awaitable[Any]]) -> Any:
    """Make the request until the API server has answered it; None when it refuses for good."""
    while True:
        try:
            return await request()
        except ApiError as error:
            if error.status.code in _NO_USE:
                if error.status.code not in _AS_USUAL:
                    print(f"refused: {error}", file=sys.stderr, flush=True)
                return None
        except httpx2.HTTPError:
            pass
        await asyncio.sleep(_AGAIN)


def _place(pod: Object) -> tuple[str, str]:
    return pod["metadata"]["name"], pod["metadata"]["namespace"]
