"""What an experiment is told goes to a recorder, so that it can be lived through again (`serin.core.replay`).

A worker keeps the steps since the last decision and hands them over once the decision is stored: what a crash takes
with it was not counted either. The next worker says from which state it goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from serin.core.model import Decision
from serin.core.observation import Snapshot
from serin.core.policies import Surroundings
from serin.core.recording import Ended, Forgotten, Iterated, Planned, Read, Restored, Routed, Writer, digest
from serin.core.state import State
from serin.ports import Object

Line = Mapping[str, Any]


class Recorder(Protocol):
    """Who keeps recordings, one an experiment, bounded. Neither method raises: a recording is no reason to stop."""

    def begin(self, namespace: str, name: str) -> None:
        """A new recording; an older one of this name goes."""
        ...

    def add(self, namespace: str, name: str, lines: Sequence[Line]) -> None:
        """The next steps, all or none."""
        ...


class NoRecorder:
    """Keeps nothing."""

    def begin(self, namespace: str, name: str) -> None:
        """Nothing."""

    def add(self, namespace: str, name: str, lines: Sequence[Line]) -> None:
        """Nothing."""


class Tape:
    """The steps of one experiment on their way to the recorder."""

    def __init__(self, recorder: Recorder, namespace: str, name: str) -> None:
        self._recorder = recorder
        self._place = namespace, name
        self._writer = Writer()
        self._lines: list[Line] = []
        self._document: Object | None = None

    def begin(self, experiment: Object, state: State) -> None:
        """The first moment."""
        self._recorder.begin(*self._place)
        self.restored(experiment, state)
        self.keep()

    def restored(self, experiment: Object, state: State) -> None:
        """The experiment goes on from a stored state; what was read since is lost."""
        self._lines.clear()
        self._writer.forget()
        self._document = None
        self._plan(experiment)
        self._lines.append(self._writer.write(Restored(state.to_json())))

    def read(self, experiment: Object, snapshot: Snapshot, after: State, urgent: Decision | None) -> None:
        """A reading, and what it has proven at once."""
        self._plan(experiment)
        self._lines.append(self._writer.write(Read(snapshot, urgent, digest(after) if urgent else None)))

    def iterated(self, experiment: Object, time: float, around: Surroundings, after: State, decision: Decision) -> None:
        """An iteration."""
        self._plan(experiment)
        self._lines.append(self._writer.write(Iterated(time, around, decision, digest(after))))

    def forgotten(self, versions: Iterable[str]) -> None:
        """Versions that were replaced."""
        self._lines.append(self._writer.write(Forgotten(tuple(sorted(versions)))))

    def routed(self, time: float) -> None:
        """Proxies route by the weights only now. To be called before that is stored: then no crash leaves a hole."""
        self._lines.append(self._writer.write(Routed(time)))
        self.keep()

    def ended(self, why: str) -> None:
        """Nothing more comes, for a reason that is none of the core's."""
        self._lines.append(self._writer.write(Ended(why)))
        self.keep()

    def keep(self) -> None:
        """The decision is stored: hand over what led to it."""
        if self._lines:
            self._recorder.add(*self._place, self._lines)
        self._lines = []

    def _plan(self, experiment: Object) -> None:
        """The experiment's object, where it is another than before; without what acts once and with what decides."""
        spec = {key: part for key, part in (experiment.get("spec") or {}).items() if key != "manualOverride"}
        kind = {key: experiment.get(key) for key in ("apiVersion", "kind")}
        metadata = {key: experiment["metadata"].get(key) for key in ("name", "namespace")}
        document = {**kind, "metadata": metadata, "spec": spec}
        if document != self._document:
            self._document = document
            self._lines.append(self._writer.write(Planned(document)))
