"""What the home's server and its client agree on: the paths of kinds, and errors as bodies.

/api/v1/namespaces/default/pods/web-1            as an API server has them, group "" under /api
/apis/apps/v1/namespaces/default/deployments     without a name: all of them (GET) or a new one (POST)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from serin import errors
from serin.api.places import Problem
from serin.control.apply import Applied, Did
from serin.errors import SerinError
from serin.ports import KINDS, Kind, Object

_CODES: dict[type[SerinError], int] = {
    errors.UsageError: 400,
    errors.InvalidInput: 422,
    errors.NotFound: 404,
    errors.AlreadyExists: 409,
    errors.Conflict: 409,
    errors.ProviderError: 502,
    errors.Unreachable: 503,
    errors.StorageError: 507,
    errors.Timeout: 504,
    errors.Forbidden: 403,
    errors.OutcomeError: 500,
    SerinError: 500,
}
_CLASSES = {error.__name__: error for error in _CODES}
_KINDS = {(kind.group, version, kind.plural): kind for kind in KINDS for version in kind.versions}
_NAMES = {f"{kind.name}.{kind.group}".rstrip("."): kind for kind in KINDS}


def path_of(kind: Kind, namespace: str | None, name: str = "", *, status: bool = False) -> str:
    """The path of one object, or of all of a kind in a namespace (None: in all)."""
    root = f"/apis/{kind.group}/{kind.versions[0]}" if kind.group else f"/api/{kind.versions[0]}"
    parts = [root]
    if kind.namespaced and namespace is not None:
        parts += ["namespaces", quote(namespace or "default", safe="")]
    parts += [kind.plural, quote(name, safe="")] if name else [kind.plural]
    return "/".join([*parts, "status"] if status else parts)


def kind_at(group: str, version: str, plural: str) -> Kind:
    """The kind that a path names. Raises NotFound."""
    try:
        return _KINDS[group, version, plural]
    except KeyError:
        raise errors.NotFound(f"a home knows no '{plural}' of '{group}/{version}'".replace("'/", "'")) from None


def kind_named(name: str) -> Kind:
    """The kind of a name as `name_of` gives it. Raises NotFound."""
    try:
        return _NAMES[name]
    except KeyError:
        raise errors.NotFound(f"a home knows no kind '{name}'") from None


def name_of(kind: Kind) -> str:
    """`Deployment.apps`, `Pod`."""
    return f"{kind.name}.{kind.group}".rstrip(".")


def applied(done: Applied, doubts: Sequence[Problem]) -> Object:
    """What `apply` did to one object, as a body."""
    warnings = [{"path": doubt.path, "text": doubt.text} for doubt in (*done.warnings, *doubts)]
    return {"outcome": done.outcome, "object": done.object, "warnings": warnings}


def applied_of(body: Object) -> Applied:
    """What such a body tells of."""
    warnings = tuple(Problem(doubt["path"], doubt["text"]) for doubt in body["warnings"])
    return Applied(body["object"], Did(body["outcome"]), warnings)


def failure(error: SerinError) -> tuple[int, Object]:
    """Status code and body of an error, in the form of Kubernetes' `Status`."""
    known = next(cls for cls in type(error).__mro__ if cls in _CODES)
    code = _CODES[known]
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}
    return code, {**body, "reason": known.__name__, "message": str(error)}


def error_of(body: Any) -> SerinError | None:
    """The error that a body tells of, in its own class; None when it is none of ours."""
    if not isinstance(body, dict) or body.get("kind") != "Status":
        return None
    return _CLASSES.get(str(body.get("reason")), SerinError)(str(body.get("message")))
