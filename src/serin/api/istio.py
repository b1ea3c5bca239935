"""Shapes of Istio's routing kinds, as far as the local home acts on them. Names and meanings are Istio's."""
# ruff: noqa: D101

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AliasChoices, ConfigDict, Field

from serin.api.fields import (
    Acted,
    Count,
    Duration,
    Host,
    LabelKey,
    LabelValue,
    Only,
    Percent,
    Port,
    Positive,
    Regex,
    Text,
    Words,
)
from serin.api.kubernetes import Object
from serin.api.v1alpha2.types import HTTPMatch


class GatewayPort(Acted):
    number: Port
    protocol: Annotated[Text, Only(("HTTP", "HTTP2", "GRPC", "GRPC-WEB"))]
    name: str | None = None


class Server(Acted):
    port: GatewayPort
    hosts: Annotated[Words, Field(min_length=1)]
    name: str | None = None


class GatewaySpec(Acted):
    selector: dict[str, str] | None = None
    servers: Annotated[list[Server], Field(min_length=1)]


class DestinationPort(Acted):
    number: Port


class Destination(Acted):
    host: Text
    subset: str | None = None
    port: DestinationPort | None = None


class HeaderChanges(Acted):
    set: dict[str, str] | None = None
    add: dict[str, str] | None = None
    remove: Words | None = None


class Headers(Acted):
    request: HeaderChanges | None = None
    response: HeaderChanges | None = None


class RouteDestination(Acted):
    destination: Destination
    weight: Percent | None = None
    headers: Headers | None = None


class RuleMatch(HTTPMatch):
    model_config = ConfigDict(extra="ignore")

    source_labels: Annotated[dict[str, str] | None, Only(())] = None


class Share(Acted):
    value: Annotated[float, Field(ge=0, le=100)]


class Redirect(Acted):
    uri: str | None = None
    authority: str | None = None
    scheme: str | None = None
    port: Port | None = None
    redirect_code: int | None = None


class Body(Acted):
    string: str | None = None
    bytes: str | None = None


class DirectResponse(Acted):
    status: Annotated[int, Field(ge=200, le=599)]
    body: Body | None = None


class RegexRewrite(Acted):
    match: Regex
    rewrite: str


class Rewrite(Acted):
    uri: str | None = None
    authority: str | None = None
    uri_regex_rewrite: RegexRewrite | None = None


class Retries(Acted):
    attempts: Count | None = None
    per_try_timeout: Duration | None = None
    retry_on: str | None = None
    backoff: Duration | None = None
    retry_ignore_previous_hosts: bool | None = None


class Delay(Acted):
    fixed_delay: Duration
    percentage: Share | None = None
    percent: Percent | None = None


class Abort(Acted):
    http_status: Annotated[int, Field(ge=200, le=599)]
    percentage: Share | None = None
    percent: Percent | None = None


class Fault(Acted):
    delay: Delay | None = None
    abort: Abort | None = None


class CorsPolicy(Acted):
    allow_origins: list[Any] | None = None
    allow_origin: Words | None = None
    allow_methods: Words | None = None
    allow_headers: Words | None = None
    expose_headers: Words | None = None
    max_age: Duration | None = None
    allow_credentials: bool | None = None


class Mirror(Acted):
    destination: Destination
    percentage: Share | None = None


class HTTPRoute(Acted):
    name: str | None = None
    match: list[RuleMatch] | None = None
    route: list[RouteDestination] | None = None
    redirect: Redirect | None = None
    direct_response: DirectResponse | None = None
    rewrite: Rewrite | None = None
    timeout: Duration | None = None
    retries: Retries | None = None
    fault: Fault | None = None
    headers: Headers | None = None
    cors_policy: CorsPolicy | None = None
    mirror: Destination | None = None
    mirror_percentage: Share | None = None
    mirror_percent: Percent | None = Field(
        default=None, validation_alias=AliasChoices("mirrorPercent", "mirror_percent")
    )
    mirrors: list[Mirror] | None = None
    websocket_upgrade: bool | None = None
    delegate: Annotated[Any, Only(())] = None


class VirtualServiceSpec(Acted):
    hosts: Annotated[list[Host], Field(min_length=1)]
    gateways: list[Text] | None = None
    http: list[HTTPRoute] | None = None


class ConnectionsTCP(Acted):
    max_connections: Positive | None = None
    connect_timeout: Duration | None = None


class ConnectionsHTTP(Acted):
    http1_max_pending_requests: Positive | None = Field(default=None, alias="http1MaxPendingRequests")
    http2_max_requests: Positive | None = Field(default=None, alias="http2MaxRequests")
    max_retries: Count | None = None
    max_requests_per_connection: Count | None = None
    idle_timeout: Duration | None = None


class ConnectionPool(Acted):
    tcp: ConnectionsTCP | None = None
    http: ConnectionsHTTP | None = None


class LoadBalancer(Acted):
    simple: str | None = None


class OutlierDetection(Acted):
    consecutive5xx_errors: Count | None = Field(default=None, alias="consecutive5xxErrors")
    consecutive_gateway_errors: Count | None = None
    consecutive_errors: Count | None = None
    interval: Duration | None = None
    base_ejection_time: Duration | None = None
    max_ejection_percent: Percent | None = None


class TrafficPolicy(Acted):
    connection_pool: ConnectionPool | None = None
    load_balancer: LoadBalancer | None = None
    outlier_detection: OutlierDetection | None = None


class Subset(Acted):
    name: Text
    labels: dict[LabelKey, LabelValue] | None = None
    traffic_policy: TrafficPolicy | None = None


class DestinationRuleSpec(Acted):
    host: Text
    subsets: list[Subset] | None = None
    traffic_policy: TrafficPolicy | None = None


class Gateway(Object):
    spec: GatewaySpec


class VirtualService(Object):
    spec: VirtualServiceSpec


class DestinationRule(Object):
    spec: DestinationRuleSpec
