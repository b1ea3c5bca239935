"""From an experiment and what is there to what it wants of its routing rules."""

from __future__ import annotations

from serin.api.v1alpha2 import defaults
from serin.api.v1alpha2.types import Experiment, HTTPMatch, ServiceKind
from serin.control.routing.router import Destination, Routing
from serin.control.workloads import Targets


def routing_of(experiment: Experiment, key: str, found: Targets) -> Routing:
    """Pure. `key` is `<name>.<namespace>` of the experiment."""
    spec = experiment.spec
    namespace = defaults.namespace(experiment)
    internal = defaults.service_host(experiment)
    versions = defaults.version_names(experiment)
    by_service = spec.service.kind is ServiceKind.SERVICE
    named = {*(versions.values() if by_service else ()), *([spec.service.name] if spec.service.name else [])}
    return Routing(
        experiment=key,
        router_id=defaults.router_id(experiment),
        namespace=namespace,
        hosts=(*([internal] if internal else []), *(host.name for host in spec.networking.hosts)),
        gateways=tuple(
            dict.fromkeys([*(["mesh"] if internal else []), *(host.gateway for host in spec.networking.hosts)])
        ),
        service_hosts=frozenset(spelling for name in named for spelling in _spellings(name, namespace)),
        destinations=tuple(
            Destination(
                version=version,
                host=f"{name if by_service else spec.service.name}.{namespace}.svc.cluster.local",
                subset=None if by_service else f"iter8-{version}",
                labels=() if by_service else found.versions[version].labels,
                port=spec.service.port,
            )
            for version, name in versions.items()
        ),
        match=tuple(_match(match) for match in (spec.traffic_control.match.http if spec.traffic_control.match else ())),
    )


def _match(match: HTTPMatch) -> dict[str, object]:
    clause: dict[str, object] = match.model_dump(by_alias=True, exclude_none=True)
    return clause


def _spellings(name: str, namespace: str) -> list[str]:
    return [name, f"{name}.{namespace}", f"{name}.{namespace}.svc", f"{name}.{namespace}.svc.cluster.local"]
