"""Experiments as people wrote them for iter8 v1.0, by what is special about each. All are accepted as they are."""

from __future__ import annotations

from pathlib import Path

from tests.api.test_accepted import A_B_N, AGAINST_ITSELF, CANARY, PERFORMANCE

EXAMPLES = Path(__file__).parents[2] / "examples"


def experiment(spec: str, name: str = "reviews") -> str:
    lines = "".join(f"  {line}\n" for line in spec.strip("\n").splitlines())
    return f"apiVersion: iter8.tools/v1alpha2\nkind: Experiment\nmetadata:\n  name: {name}\nspec:\n{lines}"


SERVICE = """
service:
  name: reviews
  baseline: reviews-v2
  candidates:
  - reviews-v3
"""

ORIGINALS = {
    "a canary with a gateway": CANARY,
    "everything that there is": A_B_N,
    "performance, in JSON with nulls": PERFORMANCE,
    "the baseline against itself": AGAINST_ITSELF,
    "nothing but the versions": experiment(SERVICE),
    "an object reference": experiment("""
service:
  kind: Deployment
  apiVersion: apps/v1
  name: reviews
  namespace: bookinfo-iter8
  uid: 5f0c7c2e-1c39-4f3c-8c1a-ef0f3ee0a0b5
  resourceVersion: "12345"
  fieldPath: spec.x
  baseline: reviews-v2
  candidates: [reviews-v3]
"""),
    "a relative and an absolute limit": experiment(
        SERVICE
        + """
criteria:
- metric: iter8_mean_latency
  threshold:
    type: relative
    value: 1.6
- metric: iter8_error_rate
  threshold:
    type: absolute
    value: 0.05
- metric: iter8_error_count
  threshold:
    type: absolute
    value: 10
    cutoffTrafficOnViolation: true
- metric: iter8_request_count
"""
    ),
    "durations of all kinds, hours": experiment(SERVICE + "duration: {interval: 1h10m10s, maxIterations: 8}"),
    "durations of all kinds, fractions": experiment(SERVICE + "duration: {interval: 1.5m}"),
    "durations of all kinds, milliseconds": experiment(SERVICE + 'duration: {interval: "1500ms"}'),
    "durations of all kinds, microseconds": experiment(SERVICE + "duration: {interval: 10s500µs}"),
    "a strategy and its end": experiment(
        SERVICE
        + """
trafficControl:
  strategy: top_2
  maxIncrement: 20
  percentage: 100
  onTermination: to_baseline
"""
    ),
    "uniform, traffic kept": experiment(SERVICE + "trafficControl: {strategy: uniform, onTermination: keep_last}"),
    "requests by header and path": experiment(
        SERVICE
        + """
trafficControl:
  match:
    http:
    - headers:
        host: {exact: bookinfo.example.com}
        cookie: {regex: "^(.*?;)?(user=jason)(;.*)?$"}
      uri: {prefix: /productpage}
    - query_params:
        beta: {exact: "true"}
      ignore_uri_case: true
"""
    ),
    "an older router id": experiment(SERVICE + "trafficControl: {routerID: reviews-router}"),
    "a host for everybody": experiment("""
service:
  name: productpage
  baseline: productpage-v1
  candidates: [productpage-v2]
networking:
  id: productpage-router
  hosts:
  - {name: "*", gateway: bookinfo-gateway}
"""),
    "hosts only": experiment("""
service:
  kind: Service
  baseline: productpage-v1
  candidates: [productpage-v2]
networking:
  hosts:
  - {name: productpage.example.com, gateway: istio-system/bookinfo-gateway}
"""),
    "versions that are Services": experiment("""
service:
  kind: Service
  apiVersion: v1
  name: productpage
  port: 9080
  baseline: productpage-v1
  candidates: [productpage-v2, productpage-v3]
"""),
    "a pause": experiment(SERVICE + "manualOverride: {action: pause}"),
    "a resumption": experiment(SERVICE + "manualOverride: {action: resume}"),
    "an end": experiment(SERVICE + "manualOverride: {action: terminate}"),
    "an end with a split": experiment(
        SERVICE + "manualOverride: {action: terminate, trafficSplit: {reviews-v2: 20, reviews-v3: 80}}"
    ),
    "a remote analytics service": experiment(SERVICE + "analyticsEndpoint: http://iter8-analytics.iter8"),
    "metrics of its own": experiment(
        SERVICE
        + """
criteria:
- metric: iter8_latency
  threshold: {type: absolute, value: 200}
- metric: le_500_ms_latency_percentile
  threshold: {type: absolute, value: 0.95}
- metric: mean_books_purchased
  isReward: true
cleanup: true
metrics:
  counter_metrics:
  - name: iter8_request_count
    query_template: sum(increase(istio_requests_total{reporter='source'}[$interval])) by ($version_labels)
    unit: requests
  - name: iter8_total_latency
    query_template: (sum(increase(istio_request_duration_milliseconds_sum[$interval])) by ($version_labels))
  - name: le_500_ms_latency_request_count
    query_template: >-
      (sum(increase(istio_request_duration_milliseconds_bucket{le='500',job='istio-mesh',reporter='source'}[$interval]))
      by ($version_labels))
  - name: le_inf_latency_request_count
    query_template: >-
      (sum(increase(istio_request_duration_milliseconds_bucket{le='+Inf',job='istio-mesh',reporter='source'}[$interval]))
      by ($version_labels))
  - name: books_purchased_total
    preferred_direction: higher
    query_template: sum(increase(number_of_books_purchased_total{}[$interval])) by ($version_labels)
  ratio_metrics:
  - name: iter8_mean_latency
    numerator: iter8_total_latency
    denominator: iter8_request_count
    preferred_direction: lower
  - {name: le_500_ms_latency_percentile, numerator: le_500_ms_latency_request_count,
     denominator: le_inf_latency_request_count, preferred_direction: higher, zero_to_one: true}
  - {name: mean_books_purchased, numerator: books_purchased_total, denominator: iter8_request_count,
     preferred_direction: higher}
"""
    ),
    "a file that was read back from a cluster": experiment(
        SERVICE + "cleanup: false\nduration: {interval: 10s, maxIterations: 10}"
    )
    + "status:\n  phase: Completed\n  currentIteration: 10\n",
    **{
        f"the example's {path.stem}": path.read_text()
        for path in sorted((EXAMPLES / "fashion-mnist").glob("fashionmnist-*.yaml"))
    },
}
