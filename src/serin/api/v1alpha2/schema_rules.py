"""What an API server checks beyond the form of a text: `validation` said in CEL, and limits of size.

A rule says the same as its counterpart in Python, in the same words. What needs a look elsewhere (a label made of name
and namespace, a metric in the ConfigMap, what is not supported yet) is left to the controller, which answers with
`TargetsError: Invalid service spec: …`.

The cost of a rule is estimated from the largest lists and texts that the schema allows, so all of them have limits;
they are far beyond what an experiment needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel

from serin.api.v1alpha2 import types
from serin.api.v1alpha2.schema_forms import Json, Rule
from serin.metrics.definitions import ALIASES, REQUEST_COUNT

_UNIQUE_CANDIDATES = Rule(
    "self.all(c, self.exists_one(other, other == c))",
    "a candidate is named twice; remove one of the two",
    '"\'" + self.filter(c, !self.exists_one(other, other == c))[0] + "\' is named twice; remove one of the two"',
)
_UNIQUE_HOSTS = Rule(
    "self.all(h, self.exists_one(other, other.name == h.name && other.gateway == h.gateway))",
    "a host is named twice at one gateway; remove one of the two",
)
_ONE_REWARD = Rule(
    "self.filter(c, has(c.isReward) && c.isReward).size() <= 1",
    "there is more than one reward (isReward); one at most is allowed",
)
_MANY = {"maxItems": 100}
_LINE, _QUERY = {"maxLength": 1024}, {"maxLength": 16384}
_NAMED = {"maxLength": 253}


def _rules(*rules: Rule) -> Json:
    return {"x-kubernetes-validations": [rule.to_json() for rule in rules]}


FIELDS: Mapping[tuple[type[BaseModel], str], Json] = {
    (types.Service, "apiVersion"): _NAMED,
    (types.Service, "candidates"): {"maxItems": 64, **_rules(_UNIQUE_CANDIDATES)},
    (types.Service, "uid"): _NAMED,
    (types.Service, "resourceVersion"): _NAMED,
    (types.Service, "fieldPath"): _LINE,
    (types.ExternalHost, "gateway"): {"maxLength": 320},
    (types.Networking, "hosts"): {"maxItems": 64, **_rules(_UNIQUE_HOSTS)},
    (types.Criterion, "metric"): _NAMED,
    (types.StringMatch, "exact"): _LINE,
    (types.StringMatch, "prefix"): _LINE,
    (types.HTTPMatch, "name"): _NAMED,
    (types.HTTPMatch, "headers"): {"maxProperties": 32},
    (types.HTTPMatch, "withoutHeaders"): {"maxProperties": 32},
    (types.HTTPMatch, "sourceLabels"): {
        "maxProperties": 64,
        "additionalProperties": {"type": "string", "maxLength": 63},
    },
    (types.HTTPMatch, "gateways"): {"maxItems": 64, "items": {"type": "string", "maxLength": 320}},
    (types.HTTPMatch, "queryParams"): {"maxProperties": 32},
    (types.Match, "http"): {"maxItems": 32},
    (types.ManualOverride, "trafficSplit"): {"maxProperties": 65},
    (types.CounterMetric, "name"): _NAMED,
    (types.CounterMetric, "query_template"): _QUERY,
    (types.CounterMetric, "units"): _LINE,
    (types.CounterMetric, "description"): _LINE,
    (types.RatioMetric, "name"): _NAMED,
    (types.RatioMetric, "numerator"): _NAMED,
    (types.RatioMetric, "denominator"): _NAMED,
    (types.RatioMetric, "units"): _LINE,
    (types.RatioMetric, "description"): _LINE,
    (types.Metrics, "counter_metrics"): _MANY,
    (types.Metrics, "ratio_metrics"): _MANY,
    (types.ExperimentSpec, "criteria"): {"maxItems": 64, **_rules(_ONE_REWARD)},
}
"""Limits and rules of single fields, by model and name on the wire."""

WITHOUT_DEFAULT: Sequence[tuple[type[BaseModel], str]] = ((types.Criterion, "margin"), (types.Criterion, "delay"))
"""Fields whose default is not written in: that they are given at all means something (they belong to a reward)."""


def _any(path: str, each: str, *parents: str) -> str:
    """CEL: whether `each` holds of any of a list that may be missing.

    The list must stand as it is: of one that is made up on the way the API server does not know how long it may be.
    """
    return f"({' && '.join(f'has({part})' for part in (*parents, path))} && {path}.exists({each}))"


def _all(path: str, each: str) -> str:
    """CEL: whether `each` holds of all of a list that may be missing."""
    return f"(!has({path}) || {path}.all({each}))"


def _is_named(metric: str, name: str) -> str:
    """CEL: whether the metric is the one of that name, or of the name that some documents use for it."""
    old = [f"({name} == '{alias}' && {metric}.name == '{real}')" for alias, real in ALIASES.items()]
    return " || ".join((f"{metric}.name == {name}", *old))


_A_COUNTER = _any("self.metrics.counter_metrics", f"m, {_is_named('m', 'c.metric')}")
_A_RATIO = _any("self.metrics.ratio_metrics", f"m, {_is_named('m', 'c.metric')}")
_DEFINED = f"{_A_COUNTER} || {_A_RATIO}"
_HAS_HOSTS = "has(self.networking) && has(self.networking.hosts) && self.networking.hosts.size() > 0"
_ROUTER_SUFFIX = ".svc.cluster.local"
_HAS_ROUTER = " || ".join(
    f"(has(self.{part}) && has(self.{part}.{field}))"
    for part, field in (("networking", "id"), ("trafficControl", "routerID"))
)
_GIVE_AN_ID = "no router id is given, and the one derived from the service or the host is no label value (63 characters"
_IS_A_VERSION = "v == self.service.baseline || v in self.service.candidates"

_SPEC_RULES = (
    Rule(
        f"has(self.service.name) || ({_HAS_HOSTS})",
        "is missing; name the Service, or give networking.hosts",
        at=".service.name",
        missing=True,
    ),
    Rule(
        "!has(self.networking) || !has(self.networking.id) || !has(self.trafficControl)"
        " || !has(self.trafficControl.routerID) || self.networking.id == self.trafficControl.routerID",
        "is not networking.id; give one of the two only",
        '"\'" + self.trafficControl.routerID + "\' is not networking.id \'" + self.networking.id'
        ' + "\'; give one of the two only"',
        at=".trafficControl.routerID",
    ),
    Rule(
        f"{_HAS_ROUTER} || !has(self.service.name) || self.service.name.size() + 1"
        " + (has(self.service.__namespace__) ? self.service.__namespace__.size() : 1)"
        f" <= {63 - len(_ROUTER_SUFFIX)}",
        f"{_GIVE_AN_ID} at most); give a networking.id",
        at=".service.name",
    ),
    Rule(
        f"{_HAS_ROUTER} || has(self.service.name) || !({_HAS_HOSTS}) || self.networking.hosts[0].name == '*'"
        " || (self.networking.hosts[0].name.size() <= 63 && !self.networking.hosts[0].name.startsWith('*'))",
        f"{_GIVE_AN_ID} at most, no '*'); give a networking.id",
        at=".networking",
    ),
    Rule(
        "!has(self.manualOverride) || !has(self.manualOverride.trafficSplit)"
        f" || self.manualOverride.trafficSplit.all(v, {_IS_A_VERSION})",
        "names a version that this experiment does not have",
        "'names a version that this experiment does not have; there are ' + self.service.baseline + ', '"
        " + self.service.candidates.join(', ')",
        at=".manualOverride.trafficSplit",
    ),
    Rule(
        f"!has(self.metrics) || {_all('self.criteria', f'c, {_DEFINED}')}",
        "a criterion's metric is not defined in spec.metrics",
        f"'not defined in spec.metrics: ' + self.criteria.map(c, !({_DEFINED}), c.metric)[0]",
        at=".criteria",
    ),
    Rule(
        "!has(self.metrics) ||"
        f" {_all('self.criteria', f'c, !has(c.isReward) || !c.isReward || {_A_RATIO} || !{_A_COUNTER}')}",
        "the reward is a counter metric; a reward must be a ratio metric",
        at=".criteria",
    ),
    Rule(
        "!has(self.metrics) || "
        + _all(
            "self.criteria", f"c, !has(c.threshold) || c.threshold.type != 'relative' || {_A_RATIO} || !{_A_COUNTER}"
        ),
        "a relative limit is on a counter metric, which grows with traffic; a relative limit needs a ratio metric",
        at=".criteria",
    ),
)

_COUNTERS, _RATIOS = "self.counter_metrics", "self.ratio_metrics"
_BOTH_THERE = " && ".join(_any(_COUNTERS, f"m, m.name == r.{part}") for part in ("numerator", "denominator"))

_METRICS_RULES = (
    Rule(
        _any(_COUNTERS, f"m, m.name == '{REQUEST_COUNT}'"),
        f"counter metric '{REQUEST_COUNT}' is missing; every experiment needs it",
    ),
    *(
        Rule(
            _all(metrics, f"m, {metrics}.exists_one(other, other.name == m.name)"),
            "a metric is defined twice; give one of the two another name",
            "'defined twice; give one of the two another name: '"
            f" + {metrics}.map(m, !{metrics}.exists_one(other, other.name == m.name), m.name)[0]",
            at=metrics.removeprefix("self"),
        )
        for metrics in (_COUNTERS, _RATIOS)
    ),
    Rule(
        "!" + _any(_COUNTERS, "m, " + _any(_RATIOS, "r, r.name == m.name")),
        "a counter metric and a ratio metric have the same name; give one of the two another name",
        at=_RATIOS.removeprefix("self"),
    ),
    Rule(
        _all(_RATIOS, f"r, {_BOTH_THERE}"),
        "a ratio metric is made of what is no counter metric here",
        f"'made of what is no counter metric here: ' + {_RATIOS}.map(r, !({_BOTH_THERE}), r.name)[0]",
        at=_RATIOS.removeprefix("self"),
    ),
)

_ONE_FORM = "must have one of exact, prefix and regex"
_NEEDED_FORMS = tuple(
    Rule(
        f"!has(self.{part}) || has(self.{part}.exact) || has(self.{part}.prefix) || has(self.{part}.regex)",
        _ONE_FORM,
        at=f".{part}",
    )
    for part in ("uri", "scheme", "method", "authority")
)

RULES: Mapping[type[BaseModel], Sequence[Rule]] = {
    types.Experiment: (
        Rule(
            "self.metadata.name.size() <= 61",
            "is too long; name and namespace become a label, which may have 63 characters at most, a dot between them",
            at=".metadata.name",
        ),
    ),
    types.ExperimentSpec: _SPEC_RULES,
    types.Service: (
        Rule(
            "!has(self.apiVersion) || self.apiVersion == 'v1'"
            " || (self.apiVersion == 'apps/v1' && (!has(self.kind) || self.kind == 'Deployment'))",
            "must be 'apps/v1' or 'v1' for kind Deployment, 'v1' for kind Service",
            "\"must be \" + (has(self.kind) && self.kind == 'Service' ? \"'v1' for kind Service\""
            " : \"'apps/v1' or 'v1' for kind Deployment\") + \", not '\" + self.apiVersion + \"'\"",
            at=".apiVersion",
        ),
    ),
    types.Threshold: (
        Rule(
            "self.type != 'relative' || self.value > 0.0",
            "must be more than 0, the factor of the baseline's value for a relative limit",
            at=".value",
        ),
    ),
    types.Criterion: tuple(
        Rule(
            f"!has(self.{name}) || (has(self.isReward) && self.isReward)",
            "belongs to a reward; set isReward or remove it",
            at=f".{name}",
        )
        for name in ("margin", "delay")
    ),
    types.StringMatch: (
        Rule("[has(self.exact), has(self.prefix), has(self.regex)].filter(given, given).size() <= 1", _ONE_FORM),
    ),
    types.HTTPMatch: _NEEDED_FORMS,
    types.ManualOverride: (
        Rule(
            "!has(self.trafficSplit) || self.action == 'terminate'",
            "belongs to action 'terminate'",
            "\"belongs to action 'terminate', not to '\" + self.action + \"'\"",
            at=".trafficSplit",
        ),
        Rule(
            "!has(self.trafficSplit) || self.trafficSplit.map(v, self.trafficSplit[v]).sum() == 100",
            "the shares must add up to 100",
            "self.trafficSplit.map(v, self.trafficSplit[v]).sum() < 100"
            " ? 'adds up to less than 100; the shares must add up to 100'"
            " : 'adds up to more than 100; the shares must add up to 100'",
            at=".trafficSplit",
        ),
    ),
    types.Metrics: _METRICS_RULES,
}
"""Rules of whole objects."""
