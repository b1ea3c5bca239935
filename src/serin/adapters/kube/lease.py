"""Who of several controllers acts: election by a `coordination.k8s.io/v1` Lease, as a pure state machine.

The protocol is client-go's (`tools/leaderelection`): the holder renews; who is not the holder takes over when the lease
has not changed for its whole duration *by his own clock*, so that clocks need not agree. Who holds it counts its time
from before the renewal was sent, and stops writing a margin earlier than anybody could take over.

Seconds are of a clock that never goes back and goes on while the machine sleeps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from serin.errors import SerinError
from serin.ports import Object

API_VERSION = "coordination.k8s.io/v1"


class NotLeading(SerinError):  # noqa: N818 - the word of the field
    """Another controller may act by now: nothing is written."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How long things last, in seconds.

    duration   without a sign of the holder after which another may take over
    deadline   after the last renewal, when the holder gives up writing; the difference is for writes under way
    retry      between two attempts
    """

    duration: float = 15.0
    deadline: float = 10.0
    retry: float = 2.0

    def __post_init__(self) -> None:
        if not self.duration > self.deadline > self.retry > 0:
            raise ValueError("a lease's duration must be longer than its deadline, and that longer than the retry")


class Move(StrEnum):
    """What to do with the Lease object now."""

    CREATE = "create"
    TAKE = "take"
    RENEW = "renew"
    WAIT = "wait"


@dataclass(slots=True)
class Election:
    """What one candidate knows.

    identity   of this candidate, unlike that of any other
    stamp      seconds since the epoch -> RFC 3339 with microseconds, for the people who read the Lease
    """

    identity: str
    terms: Terms
    stamp: Callable[[float], str]
    _seen: tuple[object, ...] | None = None
    _seen_at: float = 0.0
    _held_until: float | None = None

    def leads(self, now: float) -> bool:
        """Whether writing is allowed."""
        until = self._held_until
        return until is not None and now < until

    def remaining(self, now: float) -> float:
        """Seconds for which writing is allowed. Raises NotLeading."""
        until = self._held_until  # read once: it is renewed by another thread
        if until is None or now >= until:
            raise NotLeading("another controller may be the leader by now; nothing is written any more")
        return until - now

    def look(self, lease: Object | None, now: float) -> Move:
        """What the Lease as it is (None: there is none) asks of this candidate."""
        if lease is None:
            return Move.CREATE
        spec = lease.get("spec") or {}
        record = tuple(spec.get(name) for name in ("holderIdentity", "renewTime", "leaseTransitions", "acquireTime"))
        if record != self._seen:
            self._seen, self._seen_at = record, now
        if spec.get("holderIdentity") == self.identity:
            return Move.RENEW
        if not spec.get("holderIdentity"):
            return Move.TAKE
        # The longer of both: during an upgrade the holder may have been promised another duration than ours.
        lasting = max(float(spec.get("leaseDurationSeconds") or 0), self.terms.duration)
        return Move.TAKE if now >= self._seen_at + lasting else Move.WAIT

    def wanted(self, move: Move, lease: Object | None, wall: float) -> dict[str, Any]:
        """The Lease's `spec` after this move."""
        before = (lease or {}).get("spec") or {}
        moved = move is not Move.RENEW
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": int(self.terms.duration),
            "acquireTime": self.stamp(wall) if moved else before.get("acquireTime") or self.stamp(wall),
            "renewTime": self.stamp(wall),
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + (1 if move is Move.TAKE else 0),
        }

    def released(self, lease: Object, wall: float) -> dict[str, Any]:
        """The Lease's `spec` that lets another take over at once."""
        before = lease.get("spec") or {}
        return {
            "holderIdentity": "",
            "leaseDurationSeconds": 1,
            "renewTime": self.stamp(wall),
            "leaseTransitions": int(before.get("leaseTransitions") or 0),
        }

    def done(self, sent: float) -> None:
        """The move that was sent at this time is stored."""
        self._held_until = sent + self.terms.deadline

    def lose(self) -> None:
        """Somebody else holds it, or we gave it back."""
        self._held_until = None
