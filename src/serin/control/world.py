"""Everything a turn needs of the outside, in one place: the ports, the router, and how patient to be."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Protocol

from serin.api.v1alpha2.conditions import Message
from serin.control.recording import NoRecorder, Recorder
from serin.control.routing.router import Router
from serin.ports import Clock, DataPlane, Metrics, Objects, Sink


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds.

    reading     between two readings of the counters
    retry       until the first repetition of what failed; doubled each time, at most `retry_cap`
    drain       how long requests under way to a loser may take before it is deleted all the same
    """

    reading: float = 1.0
    retry: float = 1.0
    retry_cap: float = 30.0
    drain: float = 60.0


class Observer(Protocol):
    """Who counts what the workers do."""

    def iterated(self, late: float) -> None:
        """An iteration was decided so many seconds after it was due."""
        ...

    def failed(self, error: Exception) -> None:
        """A turn has failed; it will be tried again."""
        ...


class Unobserved:
    """Counts nothing."""

    def iterated(self, late: float) -> None:
        """As `Observer.iterated`."""

    def failed(self, error: Exception) -> None:
        """As `Observer.failed`."""


@dataclass(frozen=True, slots=True)
class World:
    """The ports and what is built on them, shared by all workers.

    beside   of an experiment (namespace and name) the others that need an object of the same name
    """

    objects: Objects
    metrics: Metrics
    clock: Clock
    sink: Sink
    data_plane: DataPlane
    router: Router
    patience: Patience = field(default_factory=Patience)
    observer: Observer = field(default_factory=Unobserved)
    recorder: Recorder = field(default_factory=NoRecorder)
    beside: Callable[[str, str], Collection[tuple[str, str]]] = lambda _namespace, _name: ()


class Hold(Exception):  # noqa: N818 - the word of the field
    """The turn cannot go on now: what the status shall say, and when to look again unless something changes before.

    retry   seconds; None: with backoff, because something failed
    """

    def __init__(self, message: Message, retry: float | None = None) -> None:
        super().__init__(str(message))
        self.message = message
        self.retry = retry
