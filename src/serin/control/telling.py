"""What is said about an experiment: the word of its status after a decision, and its events."""

from __future__ import annotations

from serin.api.v1alpha2 import conditions
from serin.api.v1alpha2.conditions import Message
from serin.control import ending
from serin.control.experiments import Record
from serin.core.lifecycle import State
from serin.core.model import Decision, Finding, Plan
from serin.ports import Severity, Sink


def word(plan: Plan, live: State, decision: Decision) -> Message:
    """What the status says after a decision: an iteration, one that is held, or a rollback between two."""
    if decision.counted:
        return conditions.iteration_completed(live.iteration, plan.iterations)
    if not decision.held:  # between two iterations: a violation was proven
        out = [f"{plan.name(f.version)} rolled back: {f.text}" for f in decision.findings if f.version in plan.ids[1:]]
        return conditions.assessment_updated("; ".join(out))
    text = next((f.text for f in decision.findings if f.version is None), "") or "nothing could be seen"
    return conditions.iteration_held(min(live.iteration + 1, plan.iterations), plan.iterations, text)


async def tell(sink: Sink, record: Record, message: Message) -> None:
    """An event with the words of the status."""
    await sink.emit(record.object, str(message.reason), message.text or str(message), message.severity)


async def event(sink: Sink, record: Record, reason: str, text: str) -> None:
    """An event beside the status."""
    await sink.emit(record.object, reason, text, Severity.NORMAL)


async def findings(
    sink: Sink, record: Record, plan: Plan, decision: Decision, known: set[tuple[str, str | None]]
) -> None:
    """An event for each reason that is new; how its numbers move is in the status."""
    for finding in decision.findings:
        if (str(finding.reason), finding.version) not in known:
            await sink.emit(record.object, finding.reason.value, ending.named(plan, finding), _loudness(finding))


def _loudness(finding: Finding) -> Severity:
    loud = finding.reason.value in ("ProvenHarm", "CounterBreached", "FailedToStart", "SampleRatioMismatch")
    return Severity.WARNING if loud else Severity.NORMAL
