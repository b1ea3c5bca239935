"""An experiment lived through again from its recording: the same bytes and decisions, or what differs.

The core knows no clock and draws nothing, so a difference has a cause that one can name: another version of Serin, a
recording that was changed or has a hole, a fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from serin.core.forgetting import forget
from serin.core.lifecycle import iterate, observe, routed_late
from serin.core.model import Decision, Plan
from serin.core.recording import Ended, Forgotten, Iterated, Planned, Read, Restored, Routed, Step, digest
from serin.core.state import State
from serin.errors import InvalidInput

PlanOf = Callable[[Mapping[str, Any]], Plan]


@dataclass(frozen=True, slots=True)
class Happened:
    """One step that a person is to see.

    time       epoch seconds; of the last reading where a step has no time of its own
    iteration  counted iterations after it
    decision   as it comes out now, None where nothing was decided
    text       what happened, where nothing was decided
    differs    in what it differs from the recording, a sentence each
    """

    time: float
    iteration: int
    decision: Decision | None = None
    text: str = ""
    differs: tuple[str, ...] = ()


@dataclass(slots=True)
class Replay:
    """Goes through a recording once.

    plan_of    from the experiment's object to the plan of the core
    plan       the plan now
    state      the state now, None before the begin
    readings   taken so far; `lost` those of them that a process had read when it was cut off
    holes      times at which something is missing in the recording
    """

    plan_of: PlanOf
    plan: Plan | None = None
    state: State | None = None
    readings: int = 0
    lost: int = 0
    holes: int = 0
    _stored: State | None = None
    _since: int = 0
    _known: set[str] = field(default_factory=set)

    def run(self, steps: Iterable[Step]) -> Iterator[Happened]:
        """What happened, in order. Raises InvalidInput for steps in an order that cannot be."""
        for step in steps:
            match step:
                case Planned(document):
                    self.plan = self.plan_of(document)
                case Restored(text):
                    yield from self._restored(text)
                case Ended(why):
                    yield self._told(why)
                case Read() | Iterated() | Forgotten() | Routed():
                    if self.plan is None or self.state is None:
                        raise InvalidInput("the recording does not begin with an experiment and its state; record anew")
                    yield from self._lived(self.plan, self.state, step)

    def _restored(self, text: str) -> Iterator[Happened]:
        state = State.from_json(text)
        begin, known = self.state is None, digest(state) in self._known
        self.state = self._stored = state
        self._known.add(digest(state))
        if begin:
            return
        self.lost += self._since
        self._since = 0
        if known:
            yield self._told("another process goes on from here; what was read since the last decision is read anew")
        else:
            self.holes += 1
            yield self._told("the recording has a hole: it goes on from a state that it does not lead to")

    def _lived(self, plan: Plan, state: State, step: Read | Iterated | Forgotten | Routed) -> Iterator[Happened]:
        match step:
            case Forgotten(versions):
                self.state = forget(plan, state, versions)
                names = ", ".join(sorted(plan.name(v) for v in versions))
                yield self._told(f"{names} was replaced; its evidence starts anew")
            case Routed(time):
                self.state, stored = routed_late(state, time), routed_late(self._stored or state, time)
                self._known |= {digest(self.state), digest(stored)}
                self._stored = stored
            case Read(snapshot, recorded, found):
                self.readings += 1
                self._since += 1
                self.state, decision = observe(plan, state, snapshot)
                if decision is not None or recorded is not None:
                    yield self._decided(snapshot.time, decision, recorded, found)
            case Iterated(time, around, recorded, found):
                self.state, decision = iterate(plan, state, time, around)
                yield self._decided(time, decision, recorded, found)

    def _decided(self, time: float, now: Decision | None, then: Decision | None, found: str | None) -> Happened:
        assert self.state is not None
        self._since, self._stored = 0, self.state
        own = digest(self.state)
        self._known.add(own)
        differs = _differences(now, then)
        if found is not None and found != own:
            differs = (*differs, f"the state has the digest {own}, recorded is {found}")
        return Happened(time, self.state.iteration, now, differs=differs)

    def _told(self, text: str) -> Happened:
        time = 0.0 if self.state is None else self.state.read or self.state.started
        return Happened(time, 0 if self.state is None else self.state.iteration, text=text)


def _differences(now: Decision | None, then: Decision | None) -> tuple[str, ...]:
    """In what two decisions differ, a sentence each."""
    if now is None or then is None:
        return () if now is then else ("it decides now, recorded is nothing",) if now else ("recorded is a decision",)
    found = [
        f"{name} is {_shown(getattr(now, name))}, recorded is {_shown(getattr(then, name))}"
        for name in ("outcome", "weights", "winner", "best", "counted", "held")
        if getattr(now, name) != getattr(then, name)
    ]
    if now.findings != then.findings:
        texts = ["; ".join(f.text for f in d.findings) or "none" for d in (now, then)]
        found.append(f"the reasons are '{texts[0]}', recorded are '{texts[1]}'")
    return tuple(found)


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {part}" for key, part in value.items())
    return str(value)
