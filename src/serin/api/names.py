"""What may be a name: Kubernetes' rules for names, labels and hosts, each with a sentence for what breaks it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(rf"{_LABEL.pattern}(\.{_LABEL.pattern})*")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
_LABEL_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")


def dns_label(name: str) -> str:
    """A name that may be one part of a host name (RFC 1123), at most 63 characters."""
    if not name:
        raise ValueError("is empty; give a name")
    if len(name) > 63:
        raise ValueError(f"has {len(name)} characters; a name may have 63 at most")
    if not _LABEL.fullmatch(name):
        raise ValueError(
            f"'{name}' is no DNS label; use a-z, 0-9 and '-' only, and begin and end with a letter or a digit"
        )
    return name


def dns_subdomain(name: str) -> str:
    """A name of DNS labels with dots between them, at most 253 characters."""
    if not name:
        raise ValueError("is empty; give a name")
    if len(name) > 253:
        raise ValueError(f"has {len(name)} characters; a name may have 253 at most")
    if not _SUBDOMAIN.fullmatch(name):
        raise ValueError(
            f"'{name}' is no DNS name; use a-z, 0-9, '-' and '.' only, and begin and end with a letter or a digit"
        )
    return name


def label_value(value: str) -> str:
    """A label's value: at most 63 of letters, digits, `-`, `_` and `.`, beginning and ending with the former two."""
    if len(value) > 63:
        raise ValueError(f"has {len(value)} characters; a label's value may have 63 at most")
    if not _LABEL_VALUE.fullmatch(value):
        raise ValueError(f"'{value}' is no label value; use letters, digits, '-', '_' and '.' only")
    return value


def label_key(key: str) -> str:
    """A label's key: a name, with an optional DNS prefix before a slash."""
    prefix, slash, name = key.rpartition("/")
    if len(name) > 63 or not _LABEL_NAME.fullmatch(name) or (slash and not _SUBDOMAIN.fullmatch(prefix)):
        raise ValueError(f"'{key}' is no label key; write 'name' or 'prefix.example.com/name'")
    return key


def host(name: str) -> str:
    """A host as Istio takes it: a DNS name, `*`, or `*.` and a DNS name."""
    if name == "*":
        return name
    try:
        dns_subdomain(name.removeprefix("*."))
    except ValueError as error:
        raise ValueError(f"'{name}' is no host; write for example 'shop.example.com' or '*'") from error
    return name


def http_url(url: str) -> str:
    """An `http` or `https` address with a host."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"'{url}' is no address; write for example 'http://iter8-analytics.iter8:8080'")
    return url
