"""Which templates may be evaluated as they stand."""

from __future__ import annotations

import pytest

from serin.adapters.prometheus.computed import rendered, why_no_count
from serin.metrics.definitions import built_in

ALL = "sum(increase(a{x='1'}[$interval])) by ($version_labels)"
GOOD = "sum(increase(a{x='1', code=~'2..'}[$interval])) by ($version_labels)"

COUNTS = {
    "a plain counter": ALL,
    "two counters": f"{ALL} + {GOOD}",
    "weighted": f"(2 * {ALL}) / 1000",
    "a whole without its part": f"{ALL} - {GOOD}",
    "0 where nothing has been counted": f"{GOOD} or 0 * {ALL}",
    "0 as a vector": f"{ALL} or vector(0)",
    "not summed": "increase(a{destination_workload!='', x!='$version_labels'}[$interval])",
    "relabelled": "sum(label_replace(increase(a[$interval]), 'v', '$1', 'w', '(.*)')) by ($version_labels)",
}

NO_COUNTS = {
    "rate(…)": "sum(rate(a[$interval])) by ($version_labels)",
    "histogram_quantile(…)": "histogram_quantile(0.9, sum(rate(a[$interval])) by (le, $version_labels))",
    "max(…)": "max(increase(a[$interval])) by ($version_labels)",
    "a series or a number as it stands": "sum(a) by ($version_labels)",
    "its range is not [$interval]": "sum(increase(a[5m])) by ($version_labels)",
    "at another time": "sum(increase(a[$interval] offset 5m)) by ($version_labels)",
    "a subquery": "sum(increase(rate(a[1m])[$interval:1m])) by ($version_labels)",
    "does not group by ($version_labels)": "sum(increase(a[$interval]))",
    "calculates with '/'": f"{GOOD} / {ALL}",
    "calculates with '*'": "sum(increase(a[$interval]) * on(pod) group_left(w) kube_pod_info) by ($version_labels)",
    "calculates with '>'": f"{ALL} > 0",
    "calculates with 'or'": f"{ALL} or {GOOD}",
    "subtracts what is not a part": f"{GOOD} - {ALL}",
    "is not PromQL": "sum(increase(a[$interval]) by ($version_labels",
}


@pytest.mark.parametrize("template", COUNTS.values(), ids=COUNTS)
def test_what_counts_since_the_start_is_evaluated(template: str) -> None:
    assert why_no_count(template) is None


@pytest.mark.parametrize(("reason", "template"), NO_COUNTS.items(), ids=NO_COUNTS)
def test_what_does_not_is_refused_with_its_reason(reason: str, template: str) -> None:
    assert reason in (why_no_count(template) or "")


def test_the_way_out_is_told() -> None:
    sentence = why_no_count(NO_COUNTS["rate(…)"])
    assert sentence == (
        "it uses rate(…), so it is no count since the start; write sum(increase(SERIES{...}[$interval])) by "
        "($version_labels) for each count, and divide by a ratio metric"
    )


def test_every_metric_out_of_the_box_counts() -> None:
    assert all(why_no_count(counter.query_template) is None for counter in built_in().counters.values())


def test_the_template_of_one_experiment() -> None:
    labels = ("destination_workload", "destination_workload_namespace")
    assert rendered("sum(increase(a[$interval])) by ($version_labels)", 90, labels) == (
        "sum(increase(a[90s])) by (destination_workload, destination_workload_namespace)"
    )
