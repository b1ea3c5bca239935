"""Host names: short and full names of services, wildcards, and which of two host patterns is the narrower."""

from __future__ import annotations

DOMAIN = "svc.cluster.local"


def service_host(service: str, namespace: str) -> str:
    """The full internal name of a service."""
    return f"{service}.{namespace}.{DOMAIN}"


def full_name(host: str, namespace: str) -> str:
    """A host of a rule in `namespace` in full: a name without a dot is a service of that namespace; lower case."""
    host = host.lower().rstrip(".")
    if "." not in host and not host.startswith("*"):
        return service_host(host, namespace)
    return f"{host}.cluster.local" if host.endswith(".svc") else host


def service_of(host: str, namespace: str) -> tuple[str, str] | None:
    """(service, namespace) that a destination host names, or None for a name outside: `a`, `a.ns`, `a.ns.svc…`."""
    name = full_name(host, namespace)
    if name.endswith(f".{DOMAIN}"):
        name = name.removesuffix(f".{DOMAIN}")
    parts = name.split(".")
    return (parts[0], parts[1]) if len(parts) == 2 and all(parts) and "*" not in name else None


def internal_names(service: str, namespace: str, *, alone: bool) -> tuple[str, ...]:
    """Every name under which a client reaches a service; the short one only if no other namespace has it (`alone`)."""
    names = (f"{service}.{namespace}", f"{service}.{namespace}.svc", service_host(service, namespace))
    return (service, *names) if alone else names


def covers(pattern: str, host: str) -> bool:
    """Whether `pattern` (a name, `*.suffix` or `*`) holds everything that `host`, itself a pattern, does."""
    if pattern in ("*", host):
        return True
    return pattern.startswith("*") and host.lstrip("*").endswith(pattern[1:]) and host != pattern[1:]


def narrower(left: str, right: str) -> str | None:
    """The pattern that both hold, as Istio intersects a gateway's hosts with a rule's; None when they are apart."""
    if covers(left, right):
        return right
    return left if covers(right, left) else None
