"""The contract's messages, and what they do to conditions and phase."""

from __future__ import annotations

import pytest

from serin.api.places import Problem
from serin.api.times import epoch, stamp
from serin.api.v1alpha2 import conditions
from serin.api.v1alpha2.conditions import Ending, Message, Phase, Reason, Status, Target, Type
from serin.ports import Severity

ONE, TWO = Problem("spec.service.baseline", "is missing"), Problem("spec", "is odd")

MESSAGES = {
    "TargetsError: Missing Service": conditions.missing(Target.SERVICE),
    "TargetsError: Missing Baseline": conditions.missing(Target.BASELINE),
    "TargetsError: Missing Candidate": conditions.missing(Target.CANDIDATE),
    "TargetsError: Baseline Not Ready: 0 of 1 Pods": conditions.not_ready(Target.BASELINE, "0 of 1 Pods"),
    "TargetsError: Candidate Not Ready: loading": conditions.not_ready(Target.CANDIDATE, "loading"),
    "TargetsError: Service Deleted": conditions.deleted(Target.SERVICE),
    "TargetsError: Baseline Deleted": conditions.deleted(Target.BASELINE),
    "TargetsError: Candidate Deleted": conditions.deleted(Target.CANDIDATE),
    "TargetsError: Invalid service spec: spec.service.baseline: is missing": conditions.invalid_spec([ONE]),
    "TargetsError: Invalid service spec: spec.service.baseline: is missing (and 1 more)": conditions.invalid_spec(
        [ONE, TWO]
    ),
    "RoutingRulesError: a": conditions.routing_rules_error("a"),
    "SyncMetricsError: b": conditions.metrics_error("b"),
    "AnalyticsServiceError: c": conditions.analytics_error("c"),
    "TargetsFound": conditions.targets_found(),
    "RoutingRulesReady": conditions.routing_rules_ready(),
    "SyncMetricsSucceeded": conditions.metrics_synced(),
    "AnalyticsServiceRunning": conditions.analytics_running(),
    "IterationUpdate: Iteration 3/8 completed": conditions.iteration_completed(3, 8),
    "IterationUpdate: Iteration 3/8 held: no requests": conditions.iteration_held(3, 8, "no requests"),
    "TrafficUpdate: shop-v1: 80%, shop-v2: 20%": conditions.traffic_updated({"shop-v1": 80, "shop-v2": 20}),
    "AssessmentUpdate: Winner assessment: none yet": conditions.assessment_updated("none yet"),
    "ActionPause": conditions.paused(),
    "ActionResume": conditions.resumed(),
    "ExperimentCompleted: Traffic To Winner": conditions.completed(Ending.TO_WINNER),
    "ExperimentCompleted: Traffic To Baseline": conditions.completed(Ending.TO_BASELINE),
    "ExperimentCompleted: Keep Last Traffic": conditions.completed(Ending.KEEP_LAST),
    "ExperimentCompleted: Traffic To Baseline (Abort)": conditions.completed(Ending.TO_BASELINE, abort=True),
    "ExperimentCompleted: Traffic User Specified (Abort)": conditions.completed(Ending.USER_SPECIFIED, abort=True),
}


@pytest.mark.parametrize(("text", "message"), MESSAGES.items(), ids=MESSAGES)
def test_messages_are_the_contracts(text: str, message: Message) -> None:
    assert str(message) == text


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_the_phase_follows_from_the_message(message: Message) -> None:
    waiting = message.reason.endswith("Error") or message.reason is Reason.ACTION_PAUSE
    done = message.reason is Reason.EXPERIMENT_COMPLETED
    assert message.phase is (Phase.PAUSE if waiting else Phase.COMPLETED if done else Phase.PROGRESSING)
    assert message.severity is (Severity.WARNING if message.reason.endswith("Error") else Severity.NORMAL)


def test_every_reason_has_a_message() -> None:
    assert {message.reason for message in MESSAGES.values()} == set(Reason)


def test_conditions_begin_unknown_in_the_contracts_order() -> None:
    assert [(c["type"], c["status"], c["lastTransitionTime"]) for c in conditions.initial(0.5)] == [
        (kind, "Unknown", "1970-01-01T00:00:00Z")
        for kind in (
            "TargetsProvided", "MetricsSynced", "AnalyticsServiceNormal", "RoutingRulesReady", "ExperimentCompleted",
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("message", "kind", "status"),
    [
        (conditions.targets_found(), Type.TARGETS_PROVIDED, Status.TRUE),
        (conditions.missing(Target.CANDIDATE), Type.TARGETS_PROVIDED, Status.FALSE),
        (conditions.metrics_synced(), Type.METRICS_SYNCED, Status.TRUE),
        (conditions.metrics_error("x"), Type.METRICS_SYNCED, Status.FALSE),
        (conditions.analytics_running(), Type.ANALYTICS_SERVICE_NORMAL, Status.TRUE),
        (conditions.analytics_error("x"), Type.ANALYTICS_SERVICE_NORMAL, Status.FALSE),
        (conditions.routing_rules_ready(), Type.ROUTING_RULES_READY, Status.TRUE),
        (conditions.routing_rules_error("x"), Type.ROUTING_RULES_READY, Status.FALSE),
        (conditions.iteration_completed(1, 2), Type.EXPERIMENT_COMPLETED, Status.FALSE),
        (conditions.paused(), Type.EXPERIMENT_COMPLETED, Status.FALSE),
        (conditions.completed(Ending.TO_WINNER), Type.EXPERIMENT_COMPLETED, Status.TRUE),
    ],
)
def test_a_message_settles_its_condition_and_no_other(message: Message, kind: Type, status: Status) -> None:
    before = conditions.initial(0)
    after = conditions.mark(before, message, 60)
    told = {
        "type": kind,
        "status": status,
        "reason": message.reason,
        "message": message.text,
        "lastTransitionTime": "1970-01-01T00:01:00Z",
    }
    assert after == [told if condition["type"] == kind else condition for condition in before]
    assert conditions.is_true(after, kind) is (status is Status.TRUE)
    assert not any(conditions.is_true(after, other) for other in Type if other is not kind)
    assert all(type(value) is str for condition in after for value in condition.values())


def test_the_time_of_transition_is_that_of_the_status_not_of_the_text() -> None:
    first = conditions.mark([], conditions.missing(Target.SERVICE), 60)
    second = conditions.mark(first, conditions.missing(Target.CANDIDATE), 120)
    third = conditions.mark(second, conditions.targets_found(), 180)
    times = [each[0]["lastTransitionTime"] for each in (first, second, third)]
    assert times == [stamp(60), stamp(60), stamp(180)]
    assert second[0]["message"] == "Missing Candidate"


def test_conditions_of_others_are_kept() -> None:
    foreign = {"type": "Reviewed", "status": "True", "lastTransitionTime": stamp(1)}
    assert foreign in conditions.mark([foreign], conditions.targets_found(), 60)


@pytest.mark.parametrize(("seconds", "text"), [(0.999, "1970-01-01T00:00:00Z"), (1620036000, "2021-05-03T10:00:00Z")])
def test_time_stamps_are_utc_to_the_second(seconds: float, text: str) -> None:
    assert stamp(seconds) == text
    assert epoch(text) == int(seconds)
