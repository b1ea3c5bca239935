"""Shapes of Kubernetes' own kinds, as far as the local home acts on them. Names and meanings are Kubernetes'."""
# ruff: noqa: D101

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from serin.api.fields import (
    Acted,
    Count,
    CountOrShare,
    Label,
    LabelKey,
    Labels,
    Name,
    Only,
    Port,
    PortOrName,
    Positive,
    Text,
    Words,
)


class Metadata(Acted):
    """Metadata that people write, and what a store adds to it."""

    name: Name
    namespace: Label | None = None
    labels: Labels | None = None
    annotations: dict[LabelKey, str] | None = None
    finalizers: Words | None = None
    owner_references: list[Any] | None = None
    uid: Any = None
    resource_version: Any = None
    generation: Any = None
    creation_timestamp: Any = None
    deletion_timestamp: Any = None
    deletion_grace_period_seconds: Any = None
    managed_fields: Any = None
    self_link: Any = None


class Object(Acted):
    """What every object has. A status in a file is left out when the file is applied, as Kubernetes does."""

    api_version: str
    kind: str
    metadata: Metadata
    status: Any = None


class FieldRef(Acted):
    field_path: Text
    api_version: str | None = None


class KeyRef(Acted):
    name: Text
    key: Text
    optional: bool | None = None


class EnvValue(Acted):
    field_ref: FieldRef | None = None
    config_map_key_ref: KeyRef | None = None


class EnvVar(Acted):
    name: Text
    value: str | None = None
    value_from: EnvValue | None = None


class ConfigMapRef(Acted):
    name: Text
    optional: bool | None = None


class EnvSource(Acted):
    config_map_ref: ConfigMapRef | None = None
    prefix: str | None = None


class HTTPHeader(Acted):
    name: Text
    value: str


class HTTPGet(Acted):
    port: PortOrName
    path: str | None = None
    scheme: str | None = None
    host: str | None = None
    http_headers: list[HTTPHeader] | None = None


class TCPSocket(Acted):
    port: PortOrName
    host: str | None = None


class Exec(Acted):
    command: Annotated[Words, Field(min_length=1)]


class Probe(Acted):
    http_get: HTTPGet | None = None
    tcp_socket: TCPSocket | None = None
    exec: Exec | None = None
    initial_delay_seconds: Count | None = None
    period_seconds: Positive | None = None
    timeout_seconds: Positive | None = None
    success_threshold: Positive | None = None
    failure_threshold: Positive | None = None


class ContainerPort(Acted):
    container_port: Port
    name: str | None = None
    protocol: Annotated[str, Only(("TCP",))] | None = None


class Container(Acted):
    name: Label
    image: Text
    command: Words | None = None
    args: Words | None = None
    working_dir: str | None = None
    env: list[EnvVar] | None = None
    env_from: list[EnvSource] | None = None
    ports: list[ContainerPort] | None = None
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None
    startup_probe: Probe | None = None


class PodSpec(Acted):
    containers: Annotated[list[Container], Field(min_length=1)]
    restart_policy: Annotated[str, Only(("Always",))] | None = None
    termination_grace_period_seconds: Count | None = None


class TemplateMetadata(Acted):
    name: str | None = None
    labels: Labels
    annotations: dict[str, str] | None = None
    creation_timestamp: Any = None


class PodTemplate(Acted):
    metadata: TemplateMetadata
    spec: PodSpec


class LabelSelector(Acted):
    match_labels: Annotated[Labels, Field(min_length=1)]


class RollingUpdate(Acted):
    max_surge: CountOrShare | None = None
    max_unavailable: CountOrShare | None = None


class Replacement(Acted):
    type: Annotated[str, Only(("RollingUpdate", "Recreate"))] | None = None
    rolling_update: RollingUpdate | None = None


class DeploymentSpec(Acted):
    replicas: Count | None = None
    selector: LabelSelector
    template: PodTemplate
    strategy: Replacement | None = None
    min_ready_seconds: Count | None = None
    progress_deadline_seconds: Positive | None = None


class ServicePort(Acted):
    port: Port
    name: str | None = None
    target_port: PortOrName | None = None
    protocol: Annotated[str, Only(("TCP",))] | None = None
    app_protocol: str | None = None


class ServiceSpec(Acted):
    selector: Labels | None = None
    ports: Annotated[list[ServicePort], Field(min_length=1)]
    type: Annotated[str, Only(("ClusterIP",))] | None = None


class Deployment(Object):
    spec: DeploymentSpec


class Service(Object):
    spec: ServiceSpec


class ConfigMap(Object):
    data: dict[str, str] | None = None


class Namespace(Object):
    spec: Any = None
