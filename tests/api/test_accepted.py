"""What users have in their clusters and in git applies as it is."""

from __future__ import annotations

import pytest

from serin.api import check, manifest
from serin.api.v1alpha2 import convert, defaults, validation
from serin.metrics.definitions import built_in

CANARY = """\
apiVersion: iter8.tools/v1alpha2
kind: Experiment
metadata:
  name: fashionmnist-v2-rollout
  annotations: {team: vision}
spec:
  service:
    name: fashionmnist
    baseline: fashionmnist-v1
    candidates:
    - fashionmnist-v2
  networking:
    id: fashionmnist.iter8router
    hosts:
    - name: fashionmnist.com
      gateway: fashionmnist-gateway
  criteria:
  - metric: iter8_mean_latency
    threshold:
      type: absolute
      value: 100
  duration:
    interval: 15s
    maxIterations: 12
  trafficControl:
    maxIncrement: 20
  cleanup: true
"""

A_B_N = """\
apiVersion: iter8.tools/v1alpha2
kind: Experiment
metadata: {name: page, namespace: bookinfo-iter8}
spec:
  service:
    kind: Service
    apiVersion: v1
    name: page
    namespace: bookinfo
    port: 9080
    uid: 0b9c
    baseline: page-v1
    candidates: [page-v2, page-v3]
  networking:
    hosts: [{name: "*", gateway: mesh/page-gateway}, {name: "*.example.com", gateway: other}]
  criteria:
  - metric: iter8_mean_latency
    threshold: {type: relative, value: 1.5, cutoffTrafficOnViolation: true}
  - metric: iter8_latency
    threshold: {type: absolute, value: 250.5}
  - metric: iter8_error_count
    threshold: {type: absolute, value: 10}
  - metric: books_per_request
    isReward: true
  duration: {interval: 1h10m10s}
  trafficControl:
    strategy: top_2
    percentage: 50
    onTermination: keep_last
    routerID: page-router
    match:
      http:
      - name: staff
        uri: {prefix: /page}
        scheme: {exact: https}
        method: {regex: GET|HEAD}
        authority: {exact: example.com}
        headers: {x-group: {exact: staff}, x-debug: {}}
        withoutHeaders: {x-bot: {}, x-agent: {regex: .*crawler.*}}
        port: 80
        sourceLabels: {app: front}
        gateways: [mesh]
        queryParams: {beta: {exact: "1"}}
        ignoreUriCase: true
      - uri: {exact: /}
        query_params: {a: {}}
        ignore_uri_case: false
      - {}
  manualOverride:
    action: terminate
    trafficSplit: {page-v1: 80, page-v3: 20}
  analyticsEndpoint: http://iter8-analytics.iter8:8080
  metrics:
    counter_metrics:
    - name: iter8_request_count
      query_template: sum(increase(istio_requests_total[$interval])) by ($version_labels)
      unit: requests
    - name: iter8_error_count
      query_template: sum(increase(istio_requests_total{response_code=~'5..'}[$interval])) by ($version_labels)
      preferred_direction: lower
    - name: iter8_total_latency
      query_template: sum(increase(istio_request_duration_milliseconds_sum[$interval])) by ($version_labels)
    - name: books
      query_template: (sum(increase(books_purchased_total[$interval])) by ($version_labels))
    ratio_metrics:
    - {name: iter8_mean_latency, numerator: iter8_total_latency, denominator: iter8_request_count,
       preferred_direction: lower}
    - {name: books_per_request, numerator: books, denominator: iter8_request_count, preferred_direction: higher,
       zero_to_one: false}
status:
  phase: Completed
"""

PERFORMANCE = """\
{"apiVersion": "iter8.tools/v1alpha2", "kind": "Experiment",
 "metadata": {"name": "check", "creationTimestamp": null, "managedFields": [{"manager": "kubectl"}]},
 "spec": {"service": {"baseline": "a", "candidates": []}, "criteria": null,
          "networking": {"hosts": [{"name": "*", "gateway": "g"}]}}}
"""

AGAINST_ITSELF = """\
apiVersion: iter8.tools/v1alpha2
kind: Experiment
metadata: {name: check}
spec:
  service: {name: shop, baseline: shop-v1, candidates: [shop-v1]}
"""


@pytest.mark.parametrize(
    ("text", "kind", "hosts", "router"),
    [
        (CANARY, "Canary", ["fashionmnist", "fashionmnist.com"], "fashionmnist.iter8router"),
        (A_B_N, "A/B/N", ["page", "*", "*.example.com"], "page-router"),
        (PERFORMANCE, "Performance", ["*"], "iter8-wildcard-host"),
        (AGAINST_ITSELF, "Canary", ["shop"], "shop.default.svc.cluster.local"),
    ],
)
def test_a_users_file_is_accepted(text: str, kind: str, hosts: list[str], router: str) -> None:
    (found,) = manifest.parse(text, "f.yaml")
    experiment = validation.load(found.object, found.lines, found.source)
    assert validation.problems(found.object) == check.problems(found.object) == []
    assert defaults.experiment_type(experiment) == kind
    assert defaults.effective_hosts(experiment) == hosts
    assert defaults.router_id(experiment) == router


def test_one_candidate_with_a_reward_is_an_a_b_experiment() -> None:
    (found,) = manifest.parse(CANARY.replace("iter8_mean_latency", "reward\n    isReward: true"), "f.yaml")
    assert defaults.experiment_type(validation.load(found.object)) == "A/B"


def test_doubts_are_told_with_their_place_and_refuse_nothing() -> None:
    (found,) = manifest.parse(A_B_N, "f.yaml")
    assert check.admit(found) == [
        "f.yaml:11: spec.service.uid: is not used; the service is found by its name",
        "f.yaml:52: spec.analyticsEndpoint: is not asked yet; the analysis is built in",
        "f.yaml:19: spec.criteria[1].metric: 'iter8_latency' is read as 'iter8_mean_latency', its name",
        f"f.yaml:18: spec.criteria[0].threshold.type: a relative limit {BESIDE}; if those who match differ in this "
        "metric, write an absolute one",
        f"f.yaml:24: spec.criteria[3].isReward: a reward {BESIDE}; it tells the better version only if those who match "
        "are like all others",
        "f.yaml:41: spec.trafficControl.match.http[0].sourceLabels: matches nothing here, where requests do not tell "
        "which Pod they come from",
    ]


@pytest.mark.parametrize(
    ("criterion", "doubt"),
    [
        ("{metric: iter8_mean_latency, threshold: {type: relative, value: 1.01}}", None),
        (
            "{metric: iter8_mean_latency, threshold: {type: relative, value: 1.0}}",
            "spec.criteria[0].threshold.value: a candidate as good as the baseline can never be proven to be within 1 "
            "times its value, where lower is better; leave room, for example 1.1",
        ),
        (
            "{metric: iter8_request_count, threshold: {type: absolute, value: 5}}",
            "spec.criteria[0].metric: 'iter8_request_count' has no preferred_direction; lower values are taken as "
            "better",
        ),
        ("{metric: iter8_request_count}", None),
        ("{metric: iter8_latency, threshold: {type: absolute, value: 5}}", None),
    ],
)
def test_criteria_that_are_probably_not_meant_are_doubted(criterion: str, doubt: str | None) -> None:
    (found,) = manifest.parse(f"{AGAINST_ITSELF}  criteria: [{criterion}]\n", "f.yaml")
    experiment = validation.load(found.object)
    assert validation.metric_problems(experiment, built_in()) == []
    assert [str(found) for found in validation.metric_warnings(experiment, built_in())] == ([doubt] if doubt else [])


@pytest.mark.parametrize("field", ["minDuration", "warmup"])
def test_a_wait_longer_than_the_experiment_is_doubted(field: str) -> None:
    text = f"{AGAINST_ITSELF}  duration: {{interval: 15s, maxIterations: 4}}\n  analysis: {{{field}: 1m}}\n"
    (found,) = manifest.parse(text, "f.yaml")
    assert check.admit(found) == [
        f"f.yaml:7: spec.analysis.{field}: is not shorter than the experiment, 1m in all; nothing can be promoted"
    ]


BESIDE = "compares the requests that match, at a candidate, with all requests at the baseline"


@pytest.mark.parametrize(
    ("more", "doubts"),
    [
        ("  criteria: [{metric: iter8_mean_latency, threshold: {type: absolute, value: 100}}]\n", []),
        (
            "  criteria: [{metric: iter8_mean_latency, threshold: {type: relative, value: 1.2}}]\n",
            [
                f"spec.criteria[0].threshold.type: a relative limit {BESIDE}; if those who match differ in this "
                "metric, write an absolute one"
            ],
        ),
        (
            "  criteria: [{metric: iter8_mean_latency, isReward: true}]\n",
            [
                f"spec.criteria[0].isReward: a reward {BESIDE}; it tells the better version only if those who match "
                "are like all others"
            ],
        ),
        (
            "  analysis: {exposureBudget: 20}\n",
            [
                "spec.analysis.exposureBudget: is divided as if all requests matched, so the candidates are given less "
                "than it allows"
            ],
        ),
    ],
)
@pytest.mark.parametrize("match", ["", "  trafficControl: {match: {http: [{headers: {a: {}}}]}}\n"])
def test_a_group_that_is_compared_with_everybody_is_doubted(match: str, more: str, doubts: list[str]) -> None:
    (found,) = manifest.parse(f"{AGAINST_ITSELF}{match}{more}", "f.yaml")
    told = [str(doubt) for doubt in validation.warnings(validation.load(found.object))]
    assert told == (doubts if match else [])


def test_a_metric_that_nobody_defined_has_its_neighbours_named() -> None:
    (found,) = manifest.parse(f"{AGAINST_ITSELF}  criteria: [{{metric: iter8_mean_latenecy}}, {{metric: x}}]\n", "f")
    experiment = validation.load(found.object)
    names = "iter8_request_count, iter8_total_latency, iter8_error_count, iter8_mean_latency, iter8_error_rate"
    assert [str(problem) for problem in validation.metric_problems(experiment, built_in())] == [
        "spec.criteria[0].metric: 'iter8_mean_latenecy' is not defined; did you mean 'iter8_mean_latency'?",
        f"spec.criteria[1].metric: 'x' is not defined; there are {names}",
    ]


def test_the_defaults_are_the_contracts() -> None:
    (found,) = manifest.parse(AGAINST_ITSELF, "f.yaml")
    experiment = validation.load(found.object)
    plan, spec = convert.plan(experiment, built_in()), experiment.spec
    assert (plan.interval, plan.iterations, plan.max_increment, plan.percentage) == (30.0, 100, 2, 100)
    assert (plan.strategy, plan.on_termination, plan.analysis.mode) == ("progressive", "to_winner", "robust")
    analysis = plan.analysis
    assert (analysis.false_promotion, analysis.false_rollback, analysis.burst) == (0.01, 0.05, 4.0)
    assert (analysis.history, analysis.warmup, analysis.min_duration, analysis.progress_deadline) == (3600, 0, 0, 600)
    assert (analysis.on_inconclusive, analysis.early_stop, analysis.exposure_budget) == ("baseline", False, None)
    assert (spec.service.kind, spec.cleanup, defaults.namespace(experiment)) == ("Deployment", False, "default")
