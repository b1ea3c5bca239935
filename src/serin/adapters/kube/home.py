"""A cluster as a home of the command line: the same verbs on the objects of the current kubeconfig context."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from serin.adapters.kube.api import Api
from serin.adapters.kube.connection import Access
from serin.adapters.kube.objects import KubeObjects
from serin.control import semantics
from serin.control.apply import Applied, Did, apply
from serin.errors import NotFound, UsageError
from serin.ports import NAMESPACE, Object, Objects


class ClusterHome(KubeObjects):
    """`KubeObjects`, and what else the verbs ask of a home.

    counted   what an experiment's baseline has counted (`looking_back.baseline`); None: it is not known where to ask
    """

    def __init__(self, access: Access, counted: Callable[[Objects, Object], Awaitable[Sequence[Object]]] | None = None):
        """Raises UsageError."""
        super().__init__(Api(access.client(connections=8)))
        self._counted = counted
        self._trial = KubeObjects(self.api, self.served, dry_run=True)

    async def apply(self, documents: Sequence[Object], *, dry_run: bool = False) -> Sequence[Applied]:
        """Create or change all of these objects, or none when the API server would refuse one.

        What lies in a namespace that is itself among them, and not there yet, can be tried only when it is there.
        """
        to_come = [doc["metadata"].get("name") for doc in documents if semantics.kind_of(doc) == NAMESPACE]
        trial: list[Applied] = []
        for document in documents:
            try:
                trial.append(await self._applied(self._trial, document))
            except NotFound:
                if document["metadata"].get("namespace") not in to_come:
                    raise
                trial.append(Applied(document, Did.CREATED))
        return trial if dry_run else [await self._applied(self, document) for document in documents]

    async def status(self) -> Object:
        """A cluster is not ours to report on. Raises UsageError."""
        raise UsageError(
            "'serin status' shows a home on this machine; in a cluster see 'kubectl get deployments,leases -n iter8'"
        )

    async def recording(self, namespace: str, name: str) -> Sequence[Object]:  # noqa: ARG002
        """A cluster keeps none: see `docs/cluster.md`. Raises UsageError."""
        raise UsageError(
            "a cluster keeps no recordings of experiments, which would be one more write to its database at every "
            "iteration; a home on this machine does, and 'serin replay -f FILE' replays what was saved there"
        )

    async def history(self, experiment: Object) -> Sequence[Object]:
        """What the experiment's baseline has counted, as Prometheus says. Raises UsageError when that is not named."""
        if self._counted is None:
            raise UsageError(
                "--from-baseline asks Prometheus, which is not named; set SERIN_PROMETHEUS to its address "
                "(after 'kubectl port-forward -n istio-system service/prometheus 9090' it is http://127.0.0.1:9090), "
                "or give --rate and what is assumed"
            )
        return await self._counted(self, experiment)

    async def _applied(self, objects: KubeObjects, document: Object) -> Applied:
        """Apply one document. Fields that the API server filled in make it look changed when nothing has changed."""
        try:
            before = (await self.get(*semantics.key_of(document)))["metadata"]
        except NotFound:
            before = {}
        done = await apply(objects, document)
        after = done.object["metadata"]
        same = before.get("resourceVersion") == after.get("resourceVersion") and objects is self
        return Applied(done.object, Did.UNCHANGED, done.warnings) if same else done
