"""Labels: which say who counted, which say what was counted, and how values are written in PromQL."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from serin.ports import CounterQuery, Matcher

INSTANCE = ("job", "instance", "pod", "namespace", "pod_name", "kubernetes_pod_name", "kubernetes_namespace", "cluster")
"""By these a scraped process is told from another. An address is not enough: a new pod may get an old one."""

_PROCESS = frozenset({"instance", "pod", "pod_name", "kubernetes_pod_name"})

REPLICAS = ("prometheus_replica", "replica")
"""Which of a pair of Prometheus servers has seen a series; both have seen the same requests."""

_WHO = frozenset({*INSTANCE, *REPLICAS, "prometheus", "reporter", "container", "endpoint", "service", "node", "app"})
_CUT = frozenset({"le", "quantile"})
"""A histogram shows all of its edges at once: an edge that is not there is a mistake, not a count of 0."""

_ISTIO = frozenset({
    "response_code", "response_flags", "grpc_response_status", "request_protocol", "connection_security_policy",
})  # fmt: skip
"""What happened, in Istio's telemetry: every series of every standard metric has these."""

_META = re.compile(r"[\\.+*?()|\[\]{}^$]")


def selects_source(matcher: Matcher) -> bool:
    """Whether a matcher says which series these are, not what happened in them."""
    return matcher.label in _WHO or matcher.label in _CUT


def family(counter: CounterQuery) -> tuple[Matcher, ...]:
    """The matchers of all series among which those of the counter would be, once there is something to count.

    A response code's series appears with the first such response. So whether there are none or nobody looks is told by
    the series without the code: from the same source, and with a label of that name, so that a name that is mistyped is
    not read as "it has never happened".
    """
    metric = counter.metric or ""
    found = []
    for matcher in counter.matchers:
        if selects_source(matcher):
            found.append(matcher)
        elif not _fits_nothing(matcher) and not (metric.startswith("istio_") and matcher.label in _ISTIO):
            found.append(Matcher(matcher.label, "!=", ""))
    return tuple(dict.fromkeys(found))


def _fits_nothing(matcher: Matcher) -> bool:
    """Whether a series without the label is selected, too."""
    if matcher.op in ("=", "!="):
        return (matcher.value == "") == (matcher.op == "=")
    try:
        return (re.fullmatch(matcher.value, "") is not None) == (matcher.op == "=~")
    except (re.error, RecursionError):  # the few expressions that are Go's and not Python's
        return matcher.op == "!~"


def process(labels: Mapping[str, str]) -> str | None:
    """Who has counted a series; None when the labels that would say so have been summed away."""
    if not any(labels.get(label) for label in _PROCESS):
        return None
    return "\n".join(labels.get(label, "") for label in INSTANCE)


def quoted(value: str) -> str:
    """A string of PromQL. JSON's escapes are Go's."""
    return json.dumps(value, ensure_ascii=False)


def written(matcher: Matcher) -> str:
    """A matcher as PromQL."""
    return f"{matcher.label}{matcher.op}{quoted(matcher.value)}"


def one_of(label: str, values: Iterable[str]) -> Matcher:
    """Matches these values and no other; an alternation of plain words, which Prometheus looks up one by one."""
    known = sorted(set(values))
    if len(known) == 1:
        return Matcher(label, "=", known[0])
    return Matcher(label, "=~", "|".join(_META.sub(r"\\\g<0>", value) for value in known))
