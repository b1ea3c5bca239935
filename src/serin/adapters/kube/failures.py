"""What an answer of the API server that is no success means, as one of our errors. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from serin.control.semantics import Key
from serin.errors import Conflict, Forbidden, InvalidInput, SerinError, Unreachable
from serin.ports import Kind

GONE = 410
_AGAIN = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is about, in Kubernetes' words. `name` is empty for a whole kind."""

    verb: str
    kind: Kind
    namespace: str | None
    name: str = ""

    @property
    def key(self) -> Key:
        """The object."""
        return Key(self.kind, self.namespace or "", self.name)

    @property
    def words(self) -> str:
        """`patch virtualservices.networking.istio.io in namespace 'default'`."""
        kind = f"{self.kind.plural}.{self.kind.group}".rstrip(".")
        return f"{self.verb} {kind}" + (f" in namespace '{self.namespace}'" if self.namespace else "")


@dataclass(frozen=True, slots=True)
class Failure:
    """A `Status` of Kubernetes, or the little that another server on the way has said.

    retry_after   seconds to wait, when the server has named them
    causes        what it says in detail, as words for programs
    """

    code: int
    reason: str = ""
    message: str = ""
    retry_after: float | None = None
    causes: frozenset[str] = frozenset()

    @classmethod
    def of(cls, code: int, content: bytes, retry_after: str | None = None) -> Failure:
        """Read an answer's body; one that is no `Status` is kept as text."""
        try:
            body: Any = json.loads(content)
        except ValueError:
            body = None
        seconds = float(retry_after) if retry_after and retry_after.isdigit() else None
        if not isinstance(body, dict):
            text = content[:200].decode(errors="replace").strip()
            return cls(code, "", text, seconds)
        reason, message = str(body.get("reason") or ""), str(body.get("message") or "")
        details = body.get("details")
        causes = (details.get("causes") if isinstance(details, dict) else None) or ()
        why = frozenset(str(cause.get("reason")) for cause in causes if isinstance(cause, dict))
        return cls(int(body.get("code") or code), reason, message, seconds, why)

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed in a moment."""
        return self.code in _AGAIN

    @property
    def expired(self) -> bool:
        """Whether the resourceVersion or the page that was asked for is no longer known."""
        return self.code == GONE

    def error(self, target: Target) -> SerinError:
        """The error that a person, or the control layer, is to see."""
        if self.code == 404:
            return target.key.not_found() if target.name else not_served(target.kind)
        if self.code == 409:
            return target.key.already_exists() if self.reason == "AlreadyExists" else target.key.conflict()
        if self.code == GONE:
            return Conflict(f"{target.words}: the state that was asked for is no longer known; read it again")
        if self.code == 403 and "NamespaceTerminating" in self.causes:
            return Forbidden(f"namespace '{target.namespace}' is being deleted; nothing can be created in it any more")
        if self.code in (401, 403):
            said = self.message or self.code
            return Forbidden(f"the cluster does not allow to {target.words} ({said}); {_remedy(self)}")
        if 400 <= self.code < 500 and not self.passing:
            where = str(target.key) if target.name else target.words
            return InvalidInput(f"{where}: {self.message or f'refused with {self.code}'}")
        said = f"{self.code}: {self.message}" if self.message else str(self.code)
        return Unreachable(f"the API server cannot {target.words} now ({said}); try again in a moment")


def not_served(kind: Kind) -> Unreachable:
    """The cluster has no such kind (yet)."""
    source = "Istio" if "istio" in kind.group else "its CRD"
    return Unreachable(f"the cluster serves no {kind.name} ({kind.group or 'v1'}); install {source}")


def _remedy(failure: Failure) -> str:
    if failure.code == 401:
        return "renew the credentials"
    return "grant it by a Role or ClusterRole"
