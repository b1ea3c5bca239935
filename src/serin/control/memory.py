"""What an experiment remembers between two turns and over a crash: `status.analysisState`, opaque to everybody else."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from serin.core.lifecycle import State
from serin.core.model import Outcome, Plan
from serin.errors import InvalidInput

FORMAT = 2
"""2: `core` is packed. A status is stored, sent and watched whole with every write, and more than half of it was that
text; in 1 it stood there as it is. Both are read."""

_READ = (1, FORMAT)
_MOST_STATE = 4 * 2**20
"""Bytes of a state; no more is unpacked, whatever a status says."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How the experiment is being ended; recorded before the first step of it, so that another can finish it.

    split      version id -> percent, adding up to 100
    message    the text behind `ExperimentCompleted: `
    aborted    by hand or for want of a version: nobody won
    """

    outcome: Outcome
    winner: str | None
    split: Mapping[str, int]
    message: str
    reason: str
    aborted: bool = False


@dataclass(frozen=True, slots=True)
class Memory:
    """The persisted part of a worker.

    core           state of the core at the last iteration, None before the first reading
    applied        the weights that the routing rules are known to have; others than the core's: a write was cut off
    iterated_at    when the last iteration was, epoch seconds
    fingerprints   version id -> pod template that the evidence is about
    unready_since  version id -> since when a version that exists, or was there, cannot take traffic
    seen           version ids that were ever there
    paused         by hand
    created        the routing rules are the experiment's own
    subject        digest of what it is about: the service, the versions and the criteria
    """

    core: State | None = None
    applied: Mapping[str, int] = field(default_factory=dict)
    iterated_at: float = 0.0
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    unready_since: Mapping[str, float] = field(default_factory=dict)
    seen: frozenset[str] = frozenset()
    paused: bool = False
    created: bool = False
    subject: str = ""
    ending: Ending | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON object; the same memory gives the same bytes when its keys are sorted."""
        document: dict[str, Any] = {
            "format": FORMAT,
            "applied": dict(self.applied),
            "iteratedAt": self.iterated_at,
            "fingerprints": dict(self.fingerprints),
            "unreadySince": dict(self.unready_since),
            "seen": sorted(self.seen),
            "paused": self.paused,
            "created": self.created,
            "subject": self.subject,
            "core": packed(self.core.to_json()) if self.core else None,
            "ending": None,
        }
        if self.ending:
            document["ending"] = {
                "outcome": self.ending.outcome.value,
                "winner": self.ending.winner,
                "split": dict(self.ending.split),
                "message": self.ending.message,
                "reason": self.ending.reason,
                "aborted": self.ending.aborted,
            }
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any] | None) -> Memory:
        """The memory in `status.analysisState`; an empty one when there is none.

        Raises InvalidInput when it is none of ours, or of a newer version of Serin.
        """
        if not document:
            return cls()
        form = document.get("format")
        if form not in _READ:
            raise InvalidInput(
                f"status.analysisState has format {form!r}, this Serin reads {_READ[0]} to {FORMAT}; "
                "use the Serin that wrote it, or delete the experiment and apply it again"
            )
        try:
            ending = document.get("ending")
            core = document.get("core")
            return cls(
                core=State.from_json(core if form == 1 else unpacked(core)) if core else None,
                applied=dict(document["applied"]),
                iterated_at=float(document["iteratedAt"]),
                fingerprints=dict(document["fingerprints"]),
                unready_since=dict(document["unreadySince"]),
                seen=frozenset(document["seen"]),
                paused=bool(document["paused"]),
                created=bool(document["created"]),
                subject=str(document["subject"]),
                ending=_ending(ending) if ending else None,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInput(
                f"status.analysisState is damaged ({error}); delete the experiment and apply it again"
            ) from error


def packed(text: str) -> str:
    """Deflated (zlib) and in base64: half as long."""
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def unpacked(text: str) -> str:
    """What was `packed`. Raises ValueError when it was not."""
    stream = zlib.decompressobj()
    try:
        found = stream.decompress(base64.b64decode(text, validate=True), _MOST_STATE)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not stream.eof:
        raise ValueError("it is cut off, or too large")
    return found.decode()


def subject(plan: Plan, place: tuple[str | None, ...]) -> str:
    """What an experiment's evidence and routing rules are about, as a short digest.

    place   namespace, service and router id
    """
    return hashlib.sha256(repr((place, plan.baseline, plan.candidates, plan.criteria)).encode()).hexdigest()[:12]


def _ending(document: Mapping[str, Any]) -> Ending:
    return Ending(
        outcome=Outcome(document["outcome"]),
        winner=document.get("winner"),
        split={str(k): int(v) for k, v in document["split"].items()},
        message=document["message"],
        reason=document["reason"],
        aborted=bool(document["aborted"]),
    )
