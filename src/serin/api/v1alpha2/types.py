"""The shape of an Experiment, field by field; the docstring of a field is its description in the schema.

What a field means when it is missing is its default here, or, where it follows from other fields, in `defaults`.
Names on the wire are the contract's: camelCase, but for the metric definitions, which are snake_case. A field that
is not here is refused. Rules between fields are in `validation`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from serin.api import durations
from serin.api.fields import (
    Duration,
    Host,
    Label,
    LabelValue,
    Name,
    Percent,
    Port,
    PositiveDuration,
    Regex,
    Shape,
    Text,
    Url,
)
from serin.core import model
from serin.metrics.definitions import Direction

_PLAN = model.Plan(baseline="", candidates=())
_ANALYSIS = _PLAN.analysis


def _duration(text: str) -> str:
    if durations.seconds(text) < 0:
        raise ValueError(f"'{text}' is negative; write a duration of 0s or more")
    return text


def _positive_duration(text: str) -> str:
    if durations.seconds(text) <= 0:
        raise ValueError(f"'{text}' is not positive; write for example '15s' or '1m'")
    return text


class ServiceKind(StrEnum):
    """What a version is."""

    DEPLOYMENT = "Deployment"
    SERVICE = "Service"


class Action(StrEnum):
    """What a person tells a running experiment to do."""

    PAUSE = "pause"
    RESUME = "resume"
    TERMINATE = "terminate"


class Service(Shape):
    """The service under experiment and its versions."""

    kind: Annotated[ServiceKind, Field(strict=False)] = ServiceKind.DEPLOYMENT
    """what a version is"""
    api_version: str | None = None
    """API version of the kind: apps/v1 or v1 for Deployment, v1 for Service"""
    name: Label | None = None
    """the internal Service of the versions; may be missing only when networking.hosts is given"""
    namespace: Label | None = None
    """where service, versions and routing rules live; the experiment's own namespace by default"""
    baseline: Name
    """name of the baseline version"""
    candidates: list[Name]
    """names of the candidates"""
    port: Port | None = None
    """port put on each route destination"""
    uid: str | None = None
    """part of an object reference; not used"""
    resource_version: str | None = None
    """part of an object reference; not used"""
    field_path: str | None = None
    """part of an object reference; not used"""


class ExternalHost(Shape):
    """A host outside the mesh and the gateway that serves it."""

    name: Host
    """the host, or '*'"""
    gateway: Text
    """Istio gateway that serves it, as 'name' or 'namespace/name'"""


class Networking(Shape):
    """Which routing rules to use, and who reaches the service from outside."""

    id: LabelValue | None = Field(default=None, min_length=1)
    """router id: which VirtualService and DestinationRule to use"""
    hosts: list[ExternalHost] = Field(default_factory=list)
    """external hosts"""


class Threshold(Shape):
    """A limit in the metric's preferred direction."""

    type: Annotated[model.LimitKind, Field(strict=False)]
    """absolute, or relative to the baseline's value"""
    value: float
    """the limit; for relative ones the factor of the baseline's value"""
    cutoff_traffic_on_violation: bool = False
    """take the candidate's traffic away for good as soon as the limit is violated"""


class Criterion(Shape):
    """One criterion of success."""

    metric: Text
    """name of the metric"""
    threshold: Threshold | None = None
    """the limit of the metric"""
    is_reward: bool = False
    """whether the metric is the reward; one at most, and a ratio metric"""
    quantile: float | None = Field(default=None, gt=0, lt=1)
    """on a histogram metric: the criterion is about this quantile"""
    margin: float = Field(default=0.0, ge=0)
    """how much better a reward must be to count"""
    delay: Duration = "0s"
    """how late a reward may arrive"""


class Durations(Shape):
    """How often and how long to look."""

    interval: PositiveDuration = durations.text(_PLAN.interval)
    """time between iterations"""
    max_iterations: int = Field(default=_PLAN.iterations, ge=1, le=1_000_000)
    """iterations before the experiment ends"""


class StringMatch(Shape):
    """How a text is matched: one of the three; for headers and parameters none of them, if any text will do."""

    exact: str | None = None
    """the whole text"""
    prefix: str | None = None
    """the text's beginning"""
    regex: Regex | None = None
    """a regular expression (RE2) for the whole text"""


class HTTPMatch(Shape):
    """Istio's HTTPMatchRequest: all of it must hold."""

    name: str | None = None
    """name of the match"""
    uri: StringMatch | None = None
    """the path"""
    scheme: StringMatch | None = None
    """the scheme"""
    method: StringMatch | None = None
    """the HTTP method"""
    authority: StringMatch | None = None
    """the host asked for"""
    headers: dict[str, StringMatch] | None = None
    """request headers, by name"""
    without_headers: dict[str, StringMatch] | None = None
    """headers that the request must not have, by name"""
    port: Port | None = None
    """port that the request came in by"""
    source_labels: dict[str, str] | None = None
    """labels of the sender's pod"""
    gateways: list[str] | None = None
    """gateways that the request came in by"""
    query_params: dict[str, StringMatch] | None = Field(
        default=None, validation_alias=AliasChoices("queryParams", "query_params")
    )
    """query parameters, by name"""
    ignore_uri_case: bool | None = Field(
        default=None, validation_alias=AliasChoices("ignoreUriCase", "ignore_uri_case")
    )
    """whether the path is matched without regard to case"""


class Match(Shape):
    """Which requests take part; the others go to the baseline."""

    http: list[HTTPMatch] = Field(default_factory=list)
    """requests that match any of these take part"""


class TrafficControl(Shape):
    """How traffic is split while the experiment runs and after it."""

    strategy: Annotated[model.Strategy, Field(strict=False)] = _PLAN.strategy
    """how the split follows what is known"""
    max_increment: int = Field(default=_PLAN.max_increment, ge=1, le=100)
    """largest rise of one candidate's weight in one iteration, in percent"""
    percentage: int = Field(default=_PLAN.percentage, ge=1, le=100)
    """share of the matched traffic that takes part, in percent"""
    match: Match | None = None
    """which requests take part"""
    on_termination: Annotated[model.OnTermination, Field(strict=False)] = _PLAN.on_termination
    """the split after the end"""
    router_id: LabelValue | None = Field(default=None, alias="routerID", min_length=1)
    """older spelling of networking.id"""


class ManualOverride(Shape):
    """What a person wants now; acts once, then it is cleared."""

    action: Annotated[Action, Field(strict=False)]
    """pause, resume or terminate"""
    traffic_split: dict[str, Percent] | None = None
    """with terminate: percent of the traffic by version, adding up to 100"""


class CounterMetric(Shape):
    """A counter, read by a query."""

    name: Text
    """name of the metric"""
    query_template: Text = Field(alias="query_template")
    """PromQL with $interval and $version_labels"""
    preferred_direction: Annotated[Direction, Field(strict=False)] | None = Field(
        default=None, alias="preferred_direction"
    )
    """which values are better"""
    units: str | None = Field(default=None, validation_alias=AliasChoices("units", "unit"))
    """unit of the value"""
    description: str | None = None
    """what it is, for people"""


class RatioMetric(Shape):
    """A ratio of two counters."""

    name: Text
    """name of the metric"""
    numerator: Text
    """counter metric above the line"""
    denominator: Text
    """counter metric below the line"""
    preferred_direction: Annotated[Direction, Field(strict=False)] | None = Field(
        default=None, alias="preferred_direction"
    )
    """which values are better"""
    zero_to_one: bool = Field(default=False, alias="zero_to_one")
    """whether the numerator is a part of the denominator"""
    units: str | None = Field(default=None, validation_alias=AliasChoices("units", "unit"))
    """unit of the value"""
    description: str | None = None
    """what it is, for people"""


class Metrics(Shape):
    """The metric definitions used."""

    counter_metrics: list[CounterMetric] = Field(default_factory=list, alias="counter_metrics")
    """counters"""
    ratio_metrics: list[RatioMetric] = Field(default_factory=list, alias="ratio_metrics")
    """ratios of counters"""


class Analysis(Shape):
    """How cautious and how patient the experiment is. All optional."""

    mode: Annotated[model.Mode, Field(strict=False)] = _ANALYSIS.mode
    """robust, strict (rollback too by blocks) or independent (errors independent given the rate)"""
    false_promotion: float = Field(default=_ANALYSIS.false_promotion, gt=0, lt=1)
    """guaranteed bound of the chance that a violating candidate is promoted"""
    false_rollback: float = Field(default=_ANALYSIS.false_rollback, gt=0, lt=1)
    """guaranteed bound of the chance that a complying candidate is rolled back"""
    burst: float = Field(default=_ANALYSIS.burst, ge=1)
    """largest burst of errors, of a kind not seen before, that a promotion is protected against"""
    history: Duration = durations.text(_ANALYSIS.history)
    """how far back the baseline's counters are read at the start; 0s for none"""
    warmup: Duration = durations.text(_ANALYSIS.warmup)
    """readings dropped after a candidate becomes ready"""
    min_duration: Duration = durations.text(_ANALYSIS.min_duration)
    """no promotion before"""
    progress_deadline: PositiveDuration = durations.text(_ANALYSIS.progress_deadline)
    """a version that exists but is not ready for so long has failed"""
    on_inconclusive: Annotated[model.OnInconclusive, Field(strict=False)] = _ANALYSIS.on_inconclusive
    """what an undecided end does with the traffic"""
    early_stop: bool = _ANALYSIS.early_stop
    """end as soon as the winner is proven"""
    exposure_budget: float | None = Field(default=_ANALYSIS.exposure_budget, gt=0)
    """extra failures that the team accepts; caps what the candidates are given"""


class ExperimentSpec(Shape):
    """What the experiment shall do."""

    service: Service
    """the service under experiment and its versions"""
    networking: Networking = Field(default_factory=Networking)
    """routing rules and external hosts"""
    criteria: list[Criterion] = Field(default_factory=list)
    """the criteria of success"""
    duration: Durations = Field(default_factory=Durations)
    """how often and how long to look"""
    traffic_control: TrafficControl = Field(default_factory=TrafficControl)
    """how traffic is split"""
    manual_override: ManualOverride | None = None
    """what a person wants now"""
    cleanup: bool = False
    """delete what receives no traffic after the end, and routing rules that the experiment created"""
    analytics_endpoint: Url | None = None
    """a remote analytics service; built in when missing"""
    metrics: Metrics | None = None
    """metric definitions; read from ConfigMap iter8config-metrics when missing"""
    analysis: Analysis = Field(default_factory=Analysis)
    """how cautious and how patient the experiment is"""


class Metadata(BaseModel):
    """Name and place of the object. What the store keeps here besides is the store's business."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, use_attribute_docstrings=True)

    name: Name
    """name of the experiment"""
    namespace: Label = "default"
    """namespace of the experiment"""


class Experiment(Shape):
    """A release, and what decides about it."""

    api_version: str
    """iter8.tools/v1alpha2"""
    kind: str
    """Experiment"""
    metadata: Metadata
    """name and place"""
    spec: ExperimentSpec
    """what the experiment shall do"""
    status: dict[str, Any] | None = None
    """what has come of it; written by the engine only"""
