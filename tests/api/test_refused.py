"""Every wrong file is refused by one sentence that says what, where and what to do."""

from __future__ import annotations

import pytest

from serin.api import check, manifest
from serin.errors import InvalidInput

EXPERIMENT = """\
apiVersion: iter8.tools/v1alpha2
kind: Experiment
metadata:
  name: rollout
spec:
  service:
    name: shop
    baseline: shop-v1
    candidates: [shop-v2]
"""

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop-v1
spec:
  replicas: 1
  selector:
    matchLabels: {app: shop}
  template:
    metadata:
      labels: {app: shop}
    spec:
      containers:
      - name: shop
        image: shop:v1
        ports: [{name: http, containerPort: 8080}]
"""

SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: shop
spec:
  selector: {app: shop}
  ports: [{port: 80, targetPort: 8080}]
"""

RULE = """\
apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop]
  http:
  - route:
    - {destination: {host: shop, subset: a}, weight: 50}
    - {destination: {host: shop, subset: b}, weight: 50}
"""

METRICS = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: iter8config-metrics
data:
  counter_metrics.yaml: |
    - {name: iter8_request_count, query_template: "sum(increase(x[$interval])) by ($version_labels)"}
  ratio_metrics.yaml: |
"""

RULES = """\
apiVersion: networking.istio.io/v1beta1
kind: DestinationRule
metadata: {name: shop}
spec:
  host: shop
  subsets: [{name: a}]
"""

DEFINED = """\
  metrics:
    counter_metrics:
    - {name: iter8_request_count, query_template: x}
    - {name: books, query_template: y}
    ratio_metrics:
    - {name: books_per_request, numerator: books, denominator: iter8_request_count}
"""


def changed(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the text"
    return text.replace(old, new)


def bomb() -> str:
    levels = "".join(f"{b}: &{b} [{', '.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    return "a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]\n" + levels


NOT_A_MANIFEST = {
    "nothing": ("", "f.yaml: holds no object"),
    "comments only": ("# later\n---\n", "f.yaml: holds no object"),
    "not YAML": (
        "kind: [Experiment\nspec: {}",
        "f.yaml:2: is not YAML: did not find expected ',' or ']'",
    ),
    "a colon too many": ("kind: a: b", "f.yaml:1: is not YAML: mapping values are not allowed in this context"),
    "not JSON": ('{"kind": }}', "f.yaml:1: is not YAML: did not find expected <document start>"),
    "a tab": ("kind: x\nspec:\n\ta: 1", "f.yaml:3: is not YAML: found character that cannot start any token"),
    "a text": ("hello", "f.yaml:1: an object must be a mapping with apiVersion, kind and metadata"),
    "a list": ("- kind: x", "f.yaml:1: an object must be a mapping with apiVersion, kind and metadata"),
    "not a text": ("kind: x\n\xff".encode("latin-1"), "f.yaml:2: is not text in UTF-8; is it a manifest?"),
    "a control character": ("a: \x00", "f.yaml: is not YAML: it holds the character #x00"),
    "a key twice": ("kind: x\nkind: y", "f.yaml:2: 'kind' stands twice, in line 1 too; remove one of the two"),
    "a key that is no text": ("? [a]\n: b", "f.yaml:1: a key must be a text"),
    "a tag": (
        "kind: x\nspec: !!python/object:os.system {}",
        "f.yaml:2: the tag 'tag:yaml.org,2002:python/object:os.system' is not allowed; write plain values",
    ),
    "a tag that lies": ("a: !!int five", "f.yaml:1: 'five' is no int"),
    "an unknown alias": ("a: *b", "f.yaml:1: is not YAML: found undefined alias"),
    "an alias of itself": ("a: &a [*a]", "f.yaml:1: is nested more than 64 levels deep"),
    "a YAML bomb": (
        bomb(),
        "f.yaml:1: holds more than 200000 values, its aliases written out; write it without them",
    ),
    "too deep": ("[" * 100_000, "f.yaml:1: is nested more than 64 levels deep"),
    "too deep without a bracket": ("- " * 100_000, "f.yaml:1: is nested more than 64 levels deep"),
    "50 MB": ("a: " + "x" * 50_000_000, "f.yaml: is larger than 3 MiB; a manifest is a few kilobytes"),
}

KINDS = "Deployment, Service, ConfigMap, Namespace, Gateway, VirtualService, DestinationRule, Experiment"
NO_KIND = {
    "no kind": ("metadata: {name: a}", f"f.yaml:1: kind: is missing; there are {KINDS}"),
    "a misspelled kind": (
        changed(EXPERIMENT, "kind: Experiment", "kind: Experimant"),
        f"f.yaml:2: kind: 'Experimant' is not known here; there are {KINDS}; did you mean 'Experiment'?",
    ),
    "a foreign kind": (
        "kind: CronJob\napiVersion: batch/v1",
        f"f.yaml:1: kind: 'CronJob' is not known here; there are {KINDS}",
    ),
    "a kind that is not for people": (
        "kind: Pod\napiVersion: v1",
        f"f.yaml:1: kind: 'Pod' is made by the home itself and cannot be applied; there are {KINDS}",
    ),
    "an old version": (
        changed(EXPERIMENT, "v1alpha2", "v1alpha1"),
        "f.yaml:1: apiVersion: must be 'iter8.tools/v1alpha2' for kind Experiment, not 'iter8.tools/v1alpha1'",
    ),
    "the wrong group": (
        changed(DEPLOYMENT, "apps/v1", "v1"),
        "f.yaml:1: apiVersion: must be 'apps/v1' for kind Deployment, not 'v1'",
    ),
}


def service(old: str, new: str) -> str:
    return changed(EXPERIMENT, old, new)


def spec(text: str) -> str:
    return EXPERIMENT + text


WRONG_EXPERIMENT = {
    "no name": (
        changed(EXPERIMENT, "  name: rollout\n", "  labels: {}\n"),
        "f.yaml:3: metadata.name: is missing (name of the experiment)",
    ),
    "a name in capitals": (
        changed(EXPERIMENT, "name: rollout", "name: Rollout"),
        "f.yaml:4: metadata.name: 'Rollout' is no DNS name; use a-z, 0-9, '-' and '.' only, and begin and end with a "
        "letter or a digit",
    ),
    "a name too long for the label": (
        changed(EXPERIMENT, "rollout", "r" * 60),
        f"f.yaml:4: metadata.name: '{'r' * 60}.default' has 68 characters; name and namespace become a label, which "
        "may have 63 at most",
    ),
    "a namespace with a dot": (
        changed(EXPERIMENT, "name: rollout", "name: rollout\n  namespace: a.b"),
        "f.yaml:5: metadata.namespace: 'a.b' is no DNS label; use a-z, 0-9 and '-' only, and begin and end with a "
        "letter or a digit",
    ),
    "no spec": (EXPERIMENT.split("spec:")[0], "f.yaml:1: spec: is missing (what the experiment shall do)"),
    "an empty spec": (EXPERIMENT.split("  service:")[0], "f.yaml:5: spec: is missing (what the experiment shall do)"),
    "no service": (
        EXPERIMENT.split("  service:")[0] + "  cleanup: true",
        "f.yaml:5: spec.service: is missing (the service under experiment and its versions)",
    ),
    "no baseline": (
        service("    baseline: shop-v1\n", ""),
        "f.yaml:6: spec.service.baseline: is missing (name of the baseline version)",
    ),
    "no candidates": (
        service("    candidates: [shop-v2]\n", ""),
        "f.yaml:6: spec.service.candidates: is missing (names of the candidates)",
    ),
    "a candidate instead of a list": (
        service("[shop-v2]", "shop-v2"),
        "f.yaml:9: spec.service.candidates: must be a list, not 'shop-v2'",
    ),
    "a candidate twice": (
        service("[shop-v2]", "\n    - shop-v2\n    - shop-v3\n    - shop-v2"),
        "f.yaml:12: spec.service.candidates[2]: 'shop-v2' is named twice; remove one of the two",
    ),
    "a version that is no DNS name": (
        service("shop-v1", "shop_v1"),
        "f.yaml:8: spec.service.baseline: 'shop_v1' is no DNS name; use a-z, 0-9, '-' and '.' only, and begin and end "
        "with a letter or a digit",
    ),
    "a version that is a number": (
        service("shop-v1", "1"),
        "f.yaml:8: spec.service.baseline: must be a text, not the number 1; write '1' in quotes",
    ),
    "an empty name": (service("name: shop\n", "name: ''\n"), "f.yaml:7: spec.service.name: is empty; give a name"),
    "no service name and no host": (
        service("    name: shop\n", ""),
        "f.yaml:6: spec.service.name: is missing; name the Service, or give networking.hosts",
    ),
    "an unknown kind of version": (
        service("name: shop\n", "name: shop\n    kind: Pod\n"),
        "f.yaml:8: spec.service.kind: must be 'Deployment' or 'Service', not 'Pod'",
    ),
    "a version of the API that is not the kind's": (
        service("name: shop\n", "name: shop\n    kind: Service\n    apiVersion: apps/v1\n"),
        "f.yaml:9: spec.service.apiVersion: must be 'v1' for kind Service, not 'apps/v1'",
    ),
    "a port out of range": (
        service("name: shop\n", "name: shop\n    port: 70000\n"),
        "f.yaml:8: spec.service.port: must be at most 65535, not 70000",
    ),
    "a misspelled field": (
        spec("  criteria:\n  - metric: iter8_mean_latency\n    tresholds: {type: absolute, value: 1}\n"),
        "f.yaml:12: spec.criteria[0].tresholds: unknown field 'tresholds'; did you mean 'threshold'?",
    ),
    "a field in the wrong place": (
        spec("  maxIterations: 8\n"),
        "f.yaml:10: spec.maxIterations: unknown field 'maxIterations'; did you mean spec.duration.maxIterations?",
    ),
    "a field nobody knows": (spec("  colour: red\n"), "f.yaml:10: spec.colour: unknown field 'colour'"),
    "an interval without a unit": (
        spec("  duration:\n    interval: 15\n"),
        "f.yaml:11: spec.duration.interval: '15' has no unit; write '15s' or '1m'",
    ),
    "an interval without a unit, in quotes": (
        spec("  duration:\n    interval: '15'\n"),
        "f.yaml:11: spec.duration.interval: '15' has no unit; write '15s' or '1m'",
    ),
    "an interval in words": (
        spec("  duration: {interval: soon}\n"),
        "f.yaml:10: spec.duration.interval: 'soon' is no duration; write for example '15s', '1m30s' or '500ms'",
    ),
    "an interval of nothing": (
        spec("  duration: {interval: 0s}\n"),
        "f.yaml:10: spec.duration.interval: '0s' is not positive; write for example '15s' or '1m'",
    ),
    "a negative interval": (
        spec("  duration: {interval: -15s}\n"),
        "f.yaml:10: spec.duration.interval: '-15s' is not positive; write for example '15s' or '1m'",
    ),
    "no iterations": (
        spec("  duration: {maxIterations: 0}\n"),
        "f.yaml:10: spec.duration.maxIterations: must be at least 1, not 0",
    ),
    "half an iteration": (
        spec("  duration: {maxIterations: 1.5}\n"),
        "f.yaml:10: spec.duration.maxIterations: must be a whole number, not the number 1.5",
    ),
    "a threshold of NaN": (
        spec("  criteria: [{metric: iter8_mean_latency, threshold: {type: absolute, value: .nan}}]\n"),
        "f.yaml:10: spec.criteria[0].threshold.value: must be a finite number, not the number nan",
    ),
    "an infinite threshold": (
        spec("  criteria: [{metric: iter8_mean_latency, threshold: {type: absolute, value: 1e999}}]\n"),
        "f.yaml:10: spec.criteria[0].threshold.value: must be a finite number, not the number inf",
    ),
    "a threshold in quotes": (
        spec("  criteria: [{metric: iter8_mean_latency, threshold: {type: absolute, value: '100'}}]\n"),
        "f.yaml:10: spec.criteria[0].threshold.value: must be a number, not '100'",
    ),
    "a threshold without a type": (
        spec("  criteria: [{metric: iter8_mean_latency, threshold: {value: 100}}]\n"),
        "f.yaml:10: spec.criteria[0].threshold.type: is missing (absolute, or relative to the baseline's value)",
    ),
    "a relative limit of nothing": (
        spec("  criteria: [{metric: iter8_mean_latency, threshold: {type: relative, value: 0}}]\n"),
        "f.yaml:10: spec.criteria[0].threshold.value: must be more than 0, the factor of the baseline's value for a "
        "relative limit",
    ),
    "two rewards": (
        spec("  criteria:\n  - {metric: a, isReward: true}\n  - {metric: b, isReward: true}\n"),
        "f.yaml:12: spec.criteria[1].isReward: there is a reward already, criteria[0]; one at most is allowed",
    ),
    "a margin without a reward": (
        spec("  criteria: [{metric: a, margin: 0.1}]\n"),
        "f.yaml:10: spec.criteria[0].margin: belongs to a reward; set isReward or remove it",
    ),
    "a quantile of 100 %": (
        spec("  criteria: [{metric: a, quantile: 1}]\n"),
        "f.yaml:10: spec.criteria[0].quantile: must be less than 1, not 1",
    ),
    "an unknown metric": (
        spec(DEFINED + "  criteria: [{metric: books_per_requests, isReward: true}]\n"),
        "f.yaml:16: spec.criteria[0].metric: 'books_per_requests' is not defined; did you mean 'books_per_request'?",
    ),
    "a relative limit on a counter": (
        spec(DEFINED + "  criteria: [{metric: books, threshold: {type: relative, value: 1.1}}]\n"),
        "f.yaml:16: spec.criteria[0].threshold.type: 'books' is a counter metric, which grows with traffic; a relative "
        "limit needs a ratio metric",
    ),
    "a counter as reward": (
        spec(DEFINED + "  criteria: [{metric: books, isReward: true}]\n"),
        "f.yaml:16: spec.criteria[0].isReward: 'books' is a counter metric; a reward must be a ratio metric",
    ),
    "a metric twice": (
        spec(changed(DEFINED, "{name: books,", "{name: iter8_request_count,")),
        "f.yaml:10: spec.metrics: metric 'iter8_request_count' is defined twice; give one of the two another name",
    ),
    "a ratio of what is no counter": (
        spec(changed(DEFINED, "numerator: books", "numerator: pages")),
        "f.yaml:10: spec.metrics: ratio metric 'books_per_request' is made of 'pages', which is no counter metric here",
    ),
    "definitions without the request count": (
        spec("  metrics: {counter_metrics: [{name: books, query_template: y}]}\n"),
        "f.yaml:10: spec.metrics: counter metric 'iter8_request_count' is missing; every experiment needs it",
    ),
    "an unknown strategy": (
        spec("  trafficControl: {strategy: canary}\n"),
        "f.yaml:10: spec.trafficControl.strategy: must be 'progressive', 'top_2', 'uniform' or 'top_two_ts', not "
        "'canary'",
    ),
    "a step of nothing": (
        spec("  trafficControl: {maxIncrement: 0}\n"),
        "f.yaml:10: spec.trafficControl.maxIncrement: must be at least 1, not 0",
    ),
    "more than all traffic": (
        spec("  trafficControl: {percentage: 101}\n"),
        "f.yaml:10: spec.trafficControl.percentage: must be at most 100, not 101",
    ),
    "an unknown end": (
        spec("  trafficControl: {onTermination: to_candidate}\n"),
        "f.yaml:10: spec.trafficControl.onTermination: must be 'to_winner', 'to_baseline' or 'keep_last', not "
        "'to_candidate'",
    ),
    "a match with two forms": (
        spec("  trafficControl: {match: {http: [{uri: {exact: /a, prefix: /b}}]}}\n"),
        "f.yaml:10: spec.trafficControl.match.http[0].uri: must have one of exact, prefix and regex",
    ),
    "a header to be absent in two forms": (
        spec("  trafficControl: {match: {http: [{withoutHeaders: {user: {exact: a, prefix: b}}}]}}\n"),
        "f.yaml:10: spec.trafficControl.match.http[0].withoutHeaders.user: must have one of exact, prefix and regex",
    ),
    "a match with a broken expression": (
        spec("  trafficControl: {match: {http: [{headers: {user: {regex: '(a'}}}]}}\n"),
        "f.yaml:10: spec.trafficControl.match.http[0].headers.user.regex: '(a' is no regular expression: missing ), "
        "unterminated subpattern at position 0",
    ),
    "an expression that looks ahead": (
        spec("  trafficControl: {match: {http: [{uri: {regex: '/(?!admin).*'}}]}}\n"),
        "f.yaml:10: spec.trafficControl.match.http[0].uri.regex: '/(?!admin).*' looks ahead or behind, which proxies "
        "cannot (RE2); write it without",
    ),
    "a host without a gateway": (
        spec("  networking: {hosts: [{name: shop.com}]}\n"),
        "f.yaml:10: spec.networking.hosts[0].gateway: is missing (Istio gateway that serves it, as 'name' or "
        "'namespace/name')",
    ),
    "a host that is none": (
        spec("  networking: {hosts: [{name: 'http://shop.com', gateway: g}]}\n"),
        "f.yaml:10: spec.networking.hosts[0].name: 'http://shop.com' is no host; write for example 'shop.example.com' "
        "or '*'",
    ),
    "a router id that is no label": (
        spec("  networking: {id: 'shop router'}\n"),
        "f.yaml:10: spec.networking.id: 'shop router' is no label value; use letters, digits, '-', '_' and '.' only",
    ),
    "two router ids": (
        spec("  networking: {id: a}\n  trafficControl: {routerID: b}\n"),
        "f.yaml:11: spec.trafficControl.routerID: 'b' is not networking.id 'a'; give one of the two only",
    ),
    "an unknown action": (
        spec("  manualOverride: {action: stop}\n"),
        "f.yaml:10: spec.manualOverride.action: must be 'pause', 'resume' or 'terminate', not 'stop'",
    ),
    "a split without an end": (
        spec("  manualOverride: {action: pause, trafficSplit: {shop-v1: 100}}\n"),
        "f.yaml:10: spec.manualOverride.trafficSplit: belongs to action 'terminate', not to 'pause'",
    ),
    "a split that does not add up": (
        spec("  manualOverride: {action: terminate, trafficSplit: {shop-v1: 50, shop-v2: 40}}\n"),
        "f.yaml:10: spec.manualOverride.trafficSplit: adds up to 90, not to 100",
    ),
    "a split to a stranger": (
        spec("  manualOverride:\n    action: terminate\n    trafficSplit: {shop-v1: 50, shop-v3: 50}\n"),
        "f.yaml:12: spec.manualOverride.trafficSplit.shop-v3: 'shop-v3' is no version of this experiment; there are "
        "shop-v1, shop-v2",
    ),
    "a negative share": (
        spec("  manualOverride: {action: terminate, trafficSplit: {shop-v1: 101, shop-v2: 0}}\n"),
        "f.yaml:10: spec.manualOverride.trafficSplit.shop-v1: must be at most 100, not 101",
    ),
    "an error rate of 1": (
        spec("  analysis: {falsePromotion: 1}\n"),
        "f.yaml:10: spec.analysis.falsePromotion: must be less than 1, not 1",
    ),
    "an error rate of 0": (
        spec("  analysis: {falseRollback: 0}\n"),
        "f.yaml:10: spec.analysis.falseRollback: must be more than 0, not 0",
    ),
    "a warm-up that goes back": (
        spec("  analysis: {warmup: -5s}\n"),
        "f.yaml:10: spec.analysis.warmup: '-5s' is negative; write a duration of 0s or more",
    ),
    "no patience at all": (
        spec("  analysis: {progressDeadline: 0s}\n"),
        "f.yaml:10: spec.analysis.progressDeadline: '0s' is not positive; write for example '15s' or '1m'",
    ),
    "cleanup in words": (
        spec("  cleanup: 'yes, please'\n"),
        "f.yaml:10: spec.cleanup: must be true or false, not 'yes, please'",
    ),
    "an address without a scheme": (
        spec("  analyticsEndpoint: iter8-analytics:8080\n"),
        "f.yaml:10: spec.analyticsEndpoint: 'iter8-analytics:8080' is no address; write for example "
        "'http://iter8-analytics.iter8:8080'",
    ),
}

WRONG_OBJECT = {
    "a Deployment without containers": (
        DEPLOYMENT.split("containers:")[0] + "containers: []\n",
        "f.yaml:13: spec.template.spec.containers: is empty",
    ),
    "a Deployment without an image": (
        changed(DEPLOYMENT, "        image: shop:v1\n", ""),
        "f.yaml:14: spec.template.spec.containers[0].image: is missing",
    ),
    "fewer than no replicas": (
        changed(DEPLOYMENT, "replicas: 1", "replicas: -1"),
        "f.yaml:6: spec.replicas: must be at least 0, not -1",
    ),
    "a selector that selects nothing of its own": (
        changed(DEPLOYMENT, "matchLabels: {app: shop}", "matchLabels: {app: store}"),
        "f.yaml:8: spec.selector.matchLabels: app: store is not among the labels of the template, so no Pod would "
        "belong to the Deployment",
    ),
    "a variable that is a number": (
        DEPLOYMENT + "        env: [{name: SIZE, value: 5}]\n",
        "f.yaml:17: spec.template.spec.containers[0].env[0].value: must be a text, not the number 5; write '5' in "
        "quotes",
    ),
    "a probe of two minds": (
        DEPLOYMENT + "        readinessProbe: {httpGet: {port: 8080}, tcpSocket: {port: 8080}}\n",
        "f.yaml:17: spec.template.spec.containers[0].readinessProbe: must have one of httpGet, tcpSocket and exec",
    ),
    "a probe of a port that is not there": (
        DEPLOYMENT + "        readinessProbe: {httpGet: {port: htttp}}\n",
        "f.yaml:17: spec.template.spec.containers[0].readinessProbe: 'htttp' is no port of the container; did you mean "
        "'http'?",
    ),
    "a surge in words": (
        changed(DEPLOYMENT, "  replicas: 1\n", "  strategy: {rollingUpdate: {maxSurge: some}}\n"),
        "f.yaml:6: spec.strategy.rollingUpdate.maxSurge: must be a number of at least 0 or a percentage like '25%', "
        "not 'some'",
    ),
    "a Service without ports": (
        changed(SERVICE, "  ports: [{port: 80, targetPort: 8080}]\n", ""),
        "f.yaml:5: spec.ports: is missing",
    ),
    "a target port out of range": (
        changed(SERVICE, "targetPort: 8080", "targetPort: 80800"),
        "f.yaml:7: spec.ports[0].targetPort: must be a port from 1 to 65535 or the name of one, not the number 80800",
    ),
    "a label that is none": (
        changed(SERVICE, "{app: shop}", "{app: 'the shop'}"),
        "f.yaml:6: spec.selector.app: 'the shop' is no label value; use letters, digits, '-', '_' and '.' only",
    ),
    "weights that do not add up": (
        changed(RULE, "subset: b}, weight: 50", "subset: b}, weight: 40"),
        "f.yaml:8: spec.http[0].route: the weights add up to 90, not to 100",
    ),
    "a route to nowhere": (
        changed(RULE, RULE[RULE.index("  - route") :], "  - name: none\n"),
        "f.yaml:8: spec.http[0]: must have one of route, redirect and directResponse",
    ),
    "a timeout without a unit": (
        RULE + "    timeout: 5\n",
        "f.yaml:11: spec.http[0].timeout: '5' has no unit; write '5s' or '1m'",
    ),
    "a VirtualService without hosts": (
        changed(RULE, "hosts: [shop]", "hosts: []"),
        "f.yaml:6: spec.hosts: is empty",
    ),
    "a subset twice": (
        changed(RULES, "[{name: a}]", "[{name: a}, {name: a}]"),
        "f.yaml:6: spec.subsets: the subset 'a' is given 2 times; each may stand once",
    ),
    "a Gateway without a port": (
        "kind: Gateway\napiVersion: networking.istio.io/v1\nmetadata: {name: g}\nspec: {servers: [{hosts: ['*']}]}\n",
        "f.yaml:4: spec.servers[0].port: is missing",
    ),
    "a ConfigMap of numbers": (
        "kind: ConfigMap\napiVersion: v1\nmetadata: {name: c}\ndata: {size: 5}\n",
        "f.yaml:4: data.size: must be a text, not the number 5; write '5' in quotes",
    ),
    "metric definitions that are not YAML": (
        METRICS + "    - {name: x\n",
        "f.yaml:5: data: ConfigMap iter8config-metrics: data[ratio_metrics.yaml]: line 2 is not YAML: expected ',' or "
        "'}', but got '<stream end>'",
    ),
    "a metric with a misspelled field": (
        METRICS + "    - {name: x, numerator: a, denominater: b}\n",
        "f.yaml:5: data: ConfigMap iter8config-metrics: data[ratio_metrics.yaml][0]: unknown field 'denominater'; "
        "there are name, numerator, denominator, preferred_direction, zero_to_one, units, description",
    ),
}

REFUSED = NOT_A_MANIFEST | NO_KIND | WRONG_EXPERIMENT | WRONG_OBJECT


@pytest.mark.parametrize(("text", "sentence"), REFUSED.values(), ids=REFUSED)
def test_a_refused_manifest_says_what_to_do_in_one_sentence(text: str | bytes, sentence: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        check.admit(manifest.parse(text, "f.yaml")[0])
    assert str(refusal.value) == sentence


@pytest.mark.parametrize("text", [EXPERIMENT, DEPLOYMENT, SERVICE, RULE, METRICS, RULES, EXPERIMENT + DEFINED])
def test_what_the_cases_start_from_is_accepted(text: str) -> None:
    assert check.admit(manifest.parse(text, "f.yaml")[0]) == []


def test_all_problems_are_told_each_on_its_line() -> None:
    text = changed(EXPERIMENT, "    baseline: shop-v1\n", "") + "  duration: {interval: 15, maxIterations: 0}\n"
    with pytest.raises(InvalidInput) as refusal:
        check.admit(manifest.parse(text, "f.yaml")[0])
    assert [line.split(": ")[:2] for line in str(refusal.value).splitlines()] == [
        ["f.yaml:6", "spec.service.baseline"],
        ["f.yaml:9", "spec.duration.interval"],
        ["f.yaml:9", "spec.duration.maxIterations"],
    ]


def test_there_are_at_least_sixty_cases() -> None:
    assert len(REFUSED) >= 60
