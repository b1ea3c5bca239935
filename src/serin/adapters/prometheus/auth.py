"""Who we are to Prometheus. A secret is never part of a `repr`, a log line or an error."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from pathlib import Path

from serin.errors import InvalidInput

HIDDEN = "***"


@dataclass(frozen=True, slots=True)
class Basic:
    """User name and password. A `Path` is read again at every request: mounted Secrets change under their name."""

    username: str
    password: str | Path = field(repr=False)


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token. A `Path` is read again at every request: the tokens of service accounts are replaced every hour."""

    token: str | Path = field(repr=False)


Auth = Basic | Bearer


@dataclass(frozen=True, slots=True)
class Authorization:
    """The header of one request, and what must not be shown of it."""

    header: str | None = field(default=None, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def hide(self, text: str) -> str:
        """The text without the secrets, should somebody have echoed them."""
        for secret in self.secrets:
            text = text.replace(secret, HIDDEN)
        return text


def authorize(auth: Auth | None) -> Authorization:
    """The header for one request. Raises InvalidInput: a file cannot be read, or no header can carry what is in it."""
    if auth is None:
        return Authorization()
    if isinstance(auth, Basic):
        password = _secret(auth.password, "password")
        if ":" in auth.username:
            raise InvalidInput("the user name for Prometheus has a ':' in it, which basic authentication cannot carry")
        code = base64.b64encode(f"{auth.username}:{password}".encode()).decode()
        return Authorization(f"Basic {code}", tuple(s for s in (code, password) if s))
    token = _secret(auth.token, "token")
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidInput("the token for Prometheus is empty or has characters that no header can carry")
    return Authorization(f"Bearer {token}", (token,))


def _secret(given: str | Path, what: str) -> str:
    """The secret; the line end that editors and `echo` leave in a file is not part of it."""
    if isinstance(given, str):
        return given
    try:
        return given.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InvalidInput(f"the {what} for Prometheus cannot be read from {given}: {reason}") from None
