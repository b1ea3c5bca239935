"""Metrics under TensorFlow Serving's names, readable by Prometheus."""

from prometheus_client.parser import text_string_to_metric_families

from serin.serving.metrics import ServingMetrics
from serin.serving.protocol import Code


def test_requests_runs_and_examples_are_counted_under_their_names() -> None:
    metrics = ServingMetrics("m")
    metrics.request("predict", Code.OK, 0.001)
    metrics.request("predict", Code.OK, 10.0)
    metrics.request("predict", Code.INVALID_ARGUMENT, 0.000001)
    metrics.run("predict", 0.0005, 0)
    metrics.run("classify", 0.0005, 3)
    text = metrics.text()
    assert ':tensorflow:serving:request_count{model_name="m",status="OK"} 2\n' in text
    samples = {
        (sample.name, sample.labels.get("le", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    latency = ":tensorflow:serving:request_latency"
    assert samples[f"{latency}_count", ""] == 3
    assert samples[f"{latency}_sum", ""] == 10_001_001
    assert samples[f"{latency}_bucket", "10"] == 1
    assert samples[f"{latency}_bucket", "+Inf"] == 3
    assert samples[":tensorflow:serving:request_example_count_total", ""] == 3
    assert samples[":tensorflow:core:graph_runs_total", ""] == 2  # the parser's way to name a counter


def test_buckets_are_cumulative_and_their_edges_inclusive() -> None:
    metrics = ServingMetrics("m")
    for microseconds in (10, 18, 18.1):
        metrics.request("predict", Code.OK, microseconds / 1e6)
    lines = [line for line in metrics.text().splitlines() if "_bucket" in line]
    assert [line.split()[-1] for line in lines][:3] == ["1", "2", "3"]
    assert lines[1].startswith(
        ':tensorflow:serving:request_latency_bucket{model_name="m",API="predict",entrypoint="REST",le="18"}'
    )


def test_a_models_name_may_hold_quotes() -> None:
    metrics = ServingMetrics('a"b\\c')
    metrics.request("predict", Code.OK, 0.1)
    assert 'model_name="a\\"b\\\\c"' in metrics.text()
