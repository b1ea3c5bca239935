"""Labels: which say who counted, which say what was counted, and how values are written in PromQL."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence

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

WORKLOAD = ("destination_workload", "destination_workload_namespace")
"""The labels that tell versions of kind Deployment apart."""

_PODS = ("pod", "kubernetes_pod_name")
_NAMESPACES = ("namespace", "kubernetes_namespace")
"""What discovery in Kubernetes is usually told to call a pod and its namespace; the second of each in older files."""

_WORD = "[bcdfghjklmnpqrstvwxz2456789]"
_OF_A_DEPLOYMENT = f"-{_WORD}{{6,10}}-{_WORD}{{5}}"
"""What follows the name of a Deployment (up to 46 characters) in the names of its pods: the hash of the template and
five characters, both of Kubernetes' alphabet without vowels. (The hash is a number of 32 bits; one that gives fewer
than six characters comes once in 40,000 templates, and is not recognized.)"""

_POD_NAME = re.compile(f"(.+){_OF_A_DEPLOYMENT}")


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


def may_name_pods(counter: CounterQuery, labels: Sequence[str]) -> bool:
    """Whether series of a counter may name the pod of a version instead of having these version labels.

    Never Istio's: they name the version always, and the pods of its proxies are who asks, not who is asked.
    """
    return tuple(labels) == WORKLOAD and not (counter.metric or "").startswith("istio_")


def of_pods(workloads: Iterable[str], namespaces: Iterable[str]) -> tuple[Matcher, ...]:
    """Matchers of the series that name no version, but the pod that shows them: a pod of one of these Deployments.

    A series with no label at all that names a pod fits, too; `workload_of` does not know whose it is.
    """
    names, spaces = (f"({_alternatives(each)})" for each in (workloads, namespaces))
    return (
        Matcher(WORKLOAD[0], "=", ""),
        *(Matcher(label, "=~", f"{names}{_OF_A_DEPLOYMENT}|") for label in _PODS),
        *(Matcher(label, "=~", f"{spaces}|") for label in _NAMESPACES),
    )


def workload_of(labels: Mapping[str, str]) -> tuple[str, str]:
    """The Deployment, and its namespace, whose pod a series names; empty where it names none."""
    pod, space = (next(filter(None, map(labels.get, known)), "") for known in (_PODS, _NAMESPACES))
    found = _POD_NAME.fullmatch(pod)
    return (found[1], space) if found and space else ("", "")


def spelled(matcher: Matcher) -> Matcher:
    """An edge of a histogram in each of its spellings.

    Prometheus 3 writes `500.0` of what the page calls `500`, and so does the OpenMetrics format; metric definitions
    have what was there when they were written.
    """
    if matcher.label not in _CUT or matcher.op != "=":
        return matcher
    try:
        edge = float(matcher.value)
    except ValueError:
        return matcher
    if not math.isfinite(edge):
        return matcher
    long = _as_go(edge)
    return one_of(matcher.label, (matcher.value, long, long.removesuffix(".0")))


def _as_go(number: float) -> str:
    """The shortest text of a number as Prometheus 3 writes it: with `.0`, or with an exponent from a million on."""
    if number == 0.0 or 1e-4 <= abs(number) < 1e6:
        return repr(number)
    return next(text for digits in range(17) if float(text := f"{number:.{digits}e}") == number)


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
    return Matcher(label, "=~", _alternatives(known))


def _alternatives(values: Iterable[str]) -> str:
    return "|".join(_META.sub(r"\\\g<0>", value) for value in sorted(set(values)))
