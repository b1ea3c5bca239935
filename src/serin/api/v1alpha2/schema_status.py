"""The shape of `.status`, for the schema of the custom resource only: what the controller writes and people read.

`status`, `conditions` and the control layer make it; a test holds this to what they make. Nothing here is validated
beyond its type: a status that could not be written would stop an experiment.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from serin.api.fields import Shape

Number = float | None
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
_OPAQUE: JsonDict = {"x-kubernetes-preserve-unknown-fields": True, "additionalProperties": False}
_BY_TYPE: JsonDict = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}


class _Told(BaseModel):
    """Base of what stands in an assessment: names as they are, in snake_case."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Interval(_Told):
    """An interval; an end that is null is unbounded."""

    lower: Number = None
    """lower end"""
    upper: Number = None
    """upper end"""


class RatioStatistics(_Told):
    """What the posterior says of a ratio metric."""

    credible_interval: Interval | None = None
    """95 % posterior interval of the value"""
    improvement_over_baseline: Interval | None = None
    """95 % posterior interval of the improvement over the baseline, in percent"""
    probability_of_beating_baseline: Number = None
    """by the posterior"""
    probability_of_being_best_version: Number = None
    """by the posterior"""


class Statistics(_Told):
    """What is estimated."""

    value: Number = None
    """the estimate: a count, a share, a mean"""
    ratio_statistics: RatioStatistics | None = None
    """what the posterior says"""


class ThresholdAssessment(_Told):
    """How the version stands to the limit of the criterion."""

    threshold_breached: bool | None = None
    """whether a violation is proven (not merely likely)"""
    probability_of_satisfying_threshold: Number = None
    """by the posterior"""


class Evidence(_Told):
    """Evidence in nats, and how much of it is a proof."""

    nats: Number = None
    """what there is"""
    needed: Number = None
    """where it is proven"""
    chance: str | None = None
    """the same in words: the chance to see it by accident"""


class Dispersion(_Told):
    """How much more the readings scatter than independent requests would."""

    factor: Number = None
    """variance as a multiple of that of independent requests"""
    seconds: Number = None
    """over blocks of so many seconds"""
    history_seconds: Number = None
    """length of the baseline's history that it was learned from"""


class CriterionAssessment(_Told):
    """What is known of one criterion and one version."""

    id: str | None = None
    """index in spec.criteria"""
    metric_id: str | None = None
    """name of the metric"""
    statistics: Statistics | None = None
    """what is estimated"""
    threshold_assessment: ThresholdAssessment | None = None
    """how the version stands to the limit"""
    anytime_interval: Interval | None = None
    """interval that stays valid however often one looks"""
    ratio_to_baseline: Interval | None = None
    """interval of the value as a multiple of the baseline's, valid however often one looks"""
    difference_to_baseline: Interval | None = None
    """interval of the difference to the baseline's value, likewise"""
    dispersion: Dispersion | None = None
    """how much more the readings scatter than independent requests would; left out when they do not"""
    evidence_for: Evidence | None = None
    """that the version keeps the limit"""
    evidence_against: Evidence | None = None
    """that the version violates it"""
    missing: str | None = None
    """what a proof still needs"""
    eta_seconds: Number = None
    """when to expect it if all goes on as it is"""


class VersionAssessment(_Told):
    """What is known of one version."""

    id: str | None = None
    """baseline, candidate-0, candidate-1, ..."""
    name: str | None = None
    """name of the version"""
    weight: int | None = None
    """its share of the traffic in percent"""
    request_count: Number = None
    """requests since the start"""
    win_probability: Number = None
    """the chance to win by the posterior; it steers traffic, it never decides"""
    rollback: bool | None = None
    """(candidates) whether it is out for good"""
    safe: bool | None = None
    """whether every limit is proven to be kept"""
    criterion_assessments: list[CriterionAssessment] | None = None
    """one for each criterion, in the order of the spec"""


class Winner(_Told):
    """Who leads, and whether that is decided."""

    name: str | None = None
    """name of the winner, or of who leads"""
    current_best_version: str | None = None
    """id of the same"""
    winning_version_found: bool | None = None
    """whether a winner is proven or declared"""
    probability_of_winning_for_best_version: Number = None
    """by the posterior"""


class Assessment(_Told):
    """What is known of each version, and who leads."""

    baseline: VersionAssessment | None = None
    """the baseline"""
    candidates: list[VersionAssessment] | None = None
    """the candidates, in the order of the spec"""
    winner: Winner | None = None
    """who leads"""


class Condition(Shape):
    """One condition; `kubectl wait --for=condition=ExperimentCompleted` waits for one."""

    type: str
    """TargetsProvided, MetricsSynced, AnalyticsServiceNormal, RoutingRulesReady or ExperimentCompleted"""
    status: str
    """True, False or Unknown"""
    reason: str | None = None
    """why, in one word"""
    message: str | None = None
    """why, for people"""
    last_transition_time: Time | None = None
    """when the status changed last"""


class Finding(Shape):
    """One reason of the latest decision."""

    reason: str | None = None
    """in one word"""
    text: str | None = None
    """in a sentence with its numbers"""
    version: str | None = None
    """id of the version that it is about"""
    criterion: str | None = None
    """id of the criterion that it is about"""


class Status(Shape):
    """What has come of the experiment; written by the controller only."""

    phase: str | None = None
    """Pause, Progressing or Completed"""
    message: str | None = None
    """the latest word: `<Reason>: <text>`"""
    experiment_type: str | None = None
    """Canary, A/B, A/B/N or Performance"""
    effective_hosts: list[str] | None = None
    """service name, then host names"""
    conditions: list[Condition] = Field(default_factory=list, json_schema_extra=_BY_TYPE)
    """what holds and what does not, each with its reason"""
    init_timestamp: Time | None = None
    """first look"""
    start_timestamp: Time | None = None
    """first iteration"""
    end_timestamp: Time | None = None
    """the end"""
    last_update_time: Time | None = None
    """last change of the status"""
    current_iteration: int | None = None
    """iterations that count so far"""
    assessment: Assessment | None = None
    """what is known of each version, and who leads"""
    outcome: str | None = None
    """Running, or how it ended"""
    reasons: list[Finding] | None = None
    """why the latest decision was made"""
    analysis_state: dict[str, Any] | None = Field(default=None, json_schema_extra=_OPAQUE)
    """what the controller remembers; opaque, and not to be edited"""
