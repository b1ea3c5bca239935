"""The words of an experiment's status: reasons, messages, conditions and phases, one vocabulary for all of them.

A `Message` is a reason with a text. It says which condition it settles, which phase it means and how loud its event
is, so that `.status.message`, the conditions, the events and the log never tell different stories.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from serin.api.places import Problem
from serin.api.times import stamp
from serin.ports import Severity

Condition = dict[str, Any]
"""JSON of a condition: `type`, `status`, `reason`, `message`, `lastTransitionTime`."""


class Type(StrEnum):
    """The conditions of an experiment, in the order in which they are shown."""

    TARGETS_PROVIDED = "TargetsProvided"
    METRICS_SYNCED = "MetricsSynced"
    ANALYTICS_SERVICE_NORMAL = "AnalyticsServiceNormal"
    ROUTING_RULES_READY = "RoutingRulesReady"
    EXPERIMENT_COMPLETED = "ExperimentCompleted"


class Status(StrEnum):
    """A condition holds, does not hold, or has not been looked at."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Phase(StrEnum):
    """What the PHASE column says. `Pause` waits: for a person after a pause, otherwise it goes on by itself."""

    PAUSE = "Pause"
    PROGRESSING = "Progressing"
    COMPLETED = "Completed"


class Reason(StrEnum):
    """Why: the first word of a message, the reason of a condition and of an event."""

    TARGETS_FOUND = "TargetsFound"
    TARGETS_ERROR = "TargetsError"
    METRICS_SYNCED = "SyncMetricsSucceeded"
    METRICS_ERROR = "SyncMetricsError"
    ANALYTICS_RUNNING = "AnalyticsServiceRunning"
    ANALYTICS_ERROR = "AnalyticsServiceError"
    ROUTING_RULES_READY = "RoutingRulesReady"
    ROUTING_RULES_ERROR = "RoutingRulesError"
    ITERATION_UPDATE = "IterationUpdate"
    TRAFFIC_UPDATE = "TrafficUpdate"
    ASSESSMENT_UPDATE = "AssessmentUpdate"
    ACTION_PAUSE = "ActionPause"
    ACTION_RESUME = "ActionResume"
    EXPERIMENT_COMPLETED = "ExperimentCompleted"


_SETTLES: Mapping[Reason, tuple[Type, Status]] = {
    Reason.TARGETS_FOUND: (Type.TARGETS_PROVIDED, Status.TRUE),
    Reason.TARGETS_ERROR: (Type.TARGETS_PROVIDED, Status.FALSE),
    Reason.METRICS_SYNCED: (Type.METRICS_SYNCED, Status.TRUE),
    Reason.METRICS_ERROR: (Type.METRICS_SYNCED, Status.FALSE),
    Reason.ANALYTICS_RUNNING: (Type.ANALYTICS_SERVICE_NORMAL, Status.TRUE),
    Reason.ANALYTICS_ERROR: (Type.ANALYTICS_SERVICE_NORMAL, Status.FALSE),
    Reason.ROUTING_RULES_READY: (Type.ROUTING_RULES_READY, Status.TRUE),
    Reason.ROUTING_RULES_ERROR: (Type.ROUTING_RULES_READY, Status.FALSE),
    Reason.ITERATION_UPDATE: (Type.EXPERIMENT_COMPLETED, Status.FALSE),
    Reason.TRAFFIC_UPDATE: (Type.EXPERIMENT_COMPLETED, Status.FALSE),
    Reason.ASSESSMENT_UPDATE: (Type.EXPERIMENT_COMPLETED, Status.FALSE),
    Reason.ACTION_PAUSE: (Type.EXPERIMENT_COMPLETED, Status.FALSE),
    Reason.ACTION_RESUME: (Type.EXPERIMENT_COMPLETED, Status.FALSE),
    Reason.EXPERIMENT_COMPLETED: (Type.EXPERIMENT_COMPLETED, Status.TRUE),
}
_SHOWN = [str(kind) for kind in Type]
_ERRORS = frozenset({Reason.TARGETS_ERROR, Reason.METRICS_ERROR, Reason.ANALYTICS_ERROR, Reason.ROUTING_RULES_ERROR})


@dataclass(frozen=True, slots=True)
class Message:
    """A reason and a text. `str()` is `.status.message`: `TargetsError: Missing Candidate`, or `ActionPause` alone."""

    reason: Reason
    text: str = ""

    def __str__(self) -> str:
        return f"{self.reason}: {self.text}" if self.text else str(self.reason)

    @property
    def phase(self) -> Phase:
        """The phase of an experiment that this is the latest word about."""
        if self.reason is Reason.EXPERIMENT_COMPLETED:
            return Phase.COMPLETED
        return Phase.PAUSE if self.reason in _ERRORS or self.reason is Reason.ACTION_PAUSE else Phase.PROGRESSING

    @property
    def severity(self) -> Severity:
        """How loud the event is: errors are warnings."""
        return Severity.WARNING if self.reason in _ERRORS else Severity.NORMAL


class Target(StrEnum):
    """What an experiment needs to be there, as messages call it."""

    SERVICE = "Service"
    BASELINE = "Baseline"
    CANDIDATE = "Candidate"


class Ending(StrEnum):
    """What became of the traffic at the end, as messages call it."""

    TO_WINNER = "Traffic To Winner"
    TO_BASELINE = "Traffic To Baseline"
    KEEP_LAST = "Keep Last Traffic"
    USER_SPECIFIED = "Traffic User Specified"


def targets_found() -> Message:
    """Everything that the experiment needs is there."""
    return Message(Reason.TARGETS_FOUND)


def missing(target: Target) -> Message:
    """Not there yet; the experiment goes on by itself when it appears."""
    return Message(Reason.TARGETS_ERROR, f"Missing {target}")


def not_ready(target: Target, why: str) -> Message:
    """There, but it cannot take traffic yet."""
    return Message(Reason.TARGETS_ERROR, f"{target} Not Ready: {why}")


def deleted(target: Target) -> Message:
    """Was there, is gone."""
    return Message(Reason.TARGETS_ERROR, f"{target} Deleted")


def invalid_spec(problems: Sequence[Problem]) -> Message:
    """The spec is wrong: the first problem, and how many more there are."""
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return Message(Reason.TARGETS_ERROR, f"Invalid service spec: {problems[0]}{more}")


def metrics_synced() -> Message:
    """The metric definitions are known and can be read."""
    return Message(Reason.METRICS_SYNCED)


def metrics_error(why: str) -> Message:
    """The metric definitions are missing or wrong."""
    return Message(Reason.METRICS_ERROR, why)


def analytics_running() -> Message:
    """Counters are read and the analysis works."""
    return Message(Reason.ANALYTICS_RUNNING)


def analytics_error(why: str) -> Message:
    """Counters cannot be read, or the analysis service does not answer."""
    return Message(Reason.ANALYTICS_ERROR, why)


def routing_rules_ready() -> Message:
    """The routing rules are ours and in order."""
    return Message(Reason.ROUTING_RULES_READY)


def routing_rules_error(why: str) -> Message:
    """The routing rules cannot be used; nothing was touched."""
    return Message(Reason.ROUTING_RULES_ERROR, why)


def iteration_completed(iteration: int, iterations: int) -> Message:
    """One more iteration is done."""
    return Message(Reason.ITERATION_UPDATE, f"Iteration {iteration}/{iterations} completed")


def iteration_held(iteration: int, iterations: int, why: str) -> Message:
    """An iteration in which nothing could be decided; it is done again and does not count."""
    return Message(Reason.ITERATION_UPDATE, f"Iteration {iteration}/{iterations} held: {why}")


def traffic_updated(weights: Mapping[str, int]) -> Message:
    """The new split, version name to percent."""
    return Message(Reason.TRAFFIC_UPDATE, ", ".join(f"{name}: {weight}%" for name, weight in weights.items()))


def assessment_updated(text: str) -> Message:
    """What the last look found about the winner."""
    return Message(Reason.ASSESSMENT_UPDATE, f"Winner assessment: {text}")


def paused() -> Message:
    """A person paused the experiment."""
    return Message(Reason.ACTION_PAUSE)


def resumed() -> Message:
    """A person resumed the experiment."""
    return Message(Reason.ACTION_RESUME)


def completed(ending: Ending, *, abort: bool = False) -> Message:
    """The end; `abort` when it did not run its course."""
    return Message(Reason.EXPERIMENT_COMPLETED, f"{ending} (Abort)" if abort else str(ending))


def initial(now: float) -> list[Condition]:
    """All conditions, none of them looked at yet."""
    return [{"type": str(kind), "status": "Unknown", "lastTransitionTime": stamp(now)} for kind in Type]


def mark(conditions: Sequence[Condition], message: Message, now: float) -> Sequence[Condition]:
    """The conditions after a message; `lastTransitionTime` changes with the status only. Missing ones are added.

    The same list when nothing changes, which most messages do not.
    """
    settled, status = _SETTLES[message.reason]
    present = {condition["type"]: condition for condition in conditions}
    known = present.get(settled)
    since = known["lastTransitionTime"] if known and known.get("status") == status else stamp(now)
    marked = {
        "type": str(settled),
        "status": str(status),
        "reason": str(message.reason),
        "message": message.text,
        "lastTransitionTime": since,
    }
    if marked == known and [c["type"] for c in conditions[: len(_SHOWN)]] == _SHOWN and len(present) == len(conditions):
        return conditions
    base = {condition["type"]: condition for condition in initial(now)} | present
    return list((base | {str(settled): marked}).values())


def is_true(conditions: Iterable[Condition], kind: Type) -> bool:
    """Whether a condition holds."""
    return any(condition["type"] == kind and condition["status"] == Status.TRUE for condition in conditions)
