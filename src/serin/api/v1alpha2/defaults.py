"""What a missing field means where that follows from other fields. Plain defaults stand in `types`."""

from __future__ import annotations

from serin.api.v1alpha2.types import Experiment, ServiceKind
from serin.core.model import BASELINE, candidate_id

WILDCARD_ROUTER = "iter8-wildcard-host"

API_VERSIONS = {ServiceKind.DEPLOYMENT: ("apps/v1", "v1"), ServiceKind.SERVICE: ("v1",)}
"""Values of `service.apiVersion` that go with a kind, the preferred one first."""


def namespace(experiment: Experiment) -> str:
    """Where service, versions and routing rules live."""
    return experiment.spec.service.namespace or experiment.metadata.namespace


def service_host(experiment: Experiment) -> str | None:
    """The internal full name of the service; None when the experiment has external hosts only."""
    service = experiment.spec.service
    return f"{service.name}.{namespace(experiment)}.svc.cluster.local" if service.name else None


def router_id(experiment: Experiment) -> str:
    """Which VirtualService and DestinationRule to use: `networking.id`, or derived from the service or first host."""
    spec = experiment.spec
    if given := spec.networking.id or spec.traffic_control.router_id:
        return given
    if internal := service_host(experiment):
        return internal
    first = spec.networking.hosts[0].name
    return WILDCARD_ROUTER if first == "*" else first


def effective_hosts(experiment: Experiment) -> list[str]:
    """Service name, then host names."""
    spec = experiment.spec
    return [*([spec.service.name] if spec.service.name else []), *(host.name for host in spec.networking.hosts)]


def experiment_type(experiment: Experiment) -> str:
    """`Canary`, `A/B`, `A/B/N` or `Performance`."""
    candidates = len(experiment.spec.service.candidates)
    if candidates == 0:
        return "Performance"
    if candidates > 1:
        return "A/B/N"
    return "A/B" if any(criterion.is_reward for criterion in experiment.spec.criteria) else "Canary"


def version_names(experiment: Experiment) -> dict[str, str]:
    """Version id to name, the baseline first."""
    service = experiment.spec.service
    return {BASELINE: service.baseline} | {candidate_id(i): name for i, name in enumerate(service.candidates)}
