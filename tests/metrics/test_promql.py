"""From query templates to counters."""

from __future__ import annotations

import pytest

from serin.metrics.definitions import built_in
from serin.metrics.promql import counter_query, why_not
from serin.ports import Matcher

SELECTOR = "istio_requests_total{reporter='source',job=\"kubernetes-pods\",response_code=~'5..',le!='1',a!~'b|c'}"
MATCHERS = (
    Matcher("reporter", "=", "source"),
    Matcher("job", "=", "kubernetes-pods"),
    Matcher("response_code", "=~", "5.."),
    Matcher("le", "!=", "1"),
    Matcher("a", "!~", "b|c"),
)


@pytest.mark.parametrize(
    "template",
    [
        f"sum(increase({SELECTOR}[$interval])) by ($version_labels)",
        f"sum by ($version_labels) (increase({SELECTOR}[$interval]))",
        f"(sum(increase({SELECTOR}[$interval])) by ($version_labels))",
        f"  sum ( increase( {SELECTOR} [ $interval ] ) )\n  by ( $version_labels )\n",
        f"sum((increase(({SELECTOR}[$interval])))) by ($version_labels)",
        f"sum(increase({SELECTOR}[$interval])) by (destination_workload, destination_workload_namespace)",
        f"sum(increase({SELECTOR}[$interval])) by (destination_service_namespace, destination_service_name)",
        "sum(increase({__name__='istio_requests_total'," + SELECTOR.partition("{")[2] + "[$interval])) "
        "by ($version_labels)",
    ],
)
def test_a_growth_by_version_is_the_counter_behind_it(template: str) -> None:
    query = counter_query("iter8_request_count", template)
    assert (query.name, query.template) == ("iter8_request_count", template)
    assert (query.metric, query.matchers) == ("istio_requests_total", MATCHERS)
    assert why_not(template) is None


def test_a_counter_without_matchers_is_read_whole() -> None:
    query = counter_query("books", "sum(increase(books_purchased_total[$interval])) by ($version_labels)")
    assert (query.metric, query.matchers) == ("books_purchased_total", ())


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("sum(rate(x[$interval])) by ($version_labels)", "it uses rate(…) where increase(…) would count"),
        ("sum(increase(x[5m])) by ($version_labels)", "its range is not [$interval]"),
        (
            "sum(increase(x[$interval])) by ($version_labels) * 1000",
            "it calculates; define the parts as counter metrics and the result as a ratio metric",
        ),
        ("sum(increase(x[$interval]) / 2) by ($version_labels)", "it calculates within the sum"),
        ("sum(increase(x[$interval] offset 5m)) by ($version_labels)", "it looks at another time by 'offset' or '@'"),
        ("sum(increase(x[$interval] @ 5)) by ($version_labels)", "it looks at another time by 'offset' or '@'"),
        ("sum(increase(x[$interval]))", "it does not group by ($version_labels)"),
        ("sum(increase(x[$interval])) by (pod)", "it does not group by ($version_labels)"),
        ("sum(increase(x[$interval])) without ($version_labels)", "it does not group by ($version_labels)"),
        ("avg(increase(x[$interval])) by ($version_labels)", "it is no sum"),
        ("vector(1)", "it is no sum"),
        ("sum(x) by ($version_labels)", "it sums something else than increase(…)"),
        ("sum(increase(x[$interval:1m])) by ($version_labels)", "it takes increase(…) of a subquery"),
        ("sum(increase({__name__=~'a.*'}[$interval])) by ($version_labels)", "it names no series"),
        (
            "sum(increase({__name__='a',__name__!='b'}[$interval])) by ($version_labels)",
            "it finds its series by a pattern",
        ),
        ("sum(increase(x{a='b' or c='d'}[$interval])) by ($version_labels)", "it joins matchers by 'or'"),
        ("sum(increase(x[$interval])) by ($version_labels", "it is not PromQL (unclosed left parenthesis)"),
        ("", "it is not PromQL (no expression found in input)"),
    ],
)
def test_other_promql_says_what_would_work(template: str, why: str) -> None:
    assert counter_query("x", template).metric is None
    assert why_not(template) == (
        f"{why}; without Prometheus only sum(increase(SELECTOR[$interval])) by ($version_labels) can be read"
    )


def test_the_counters_out_of_the_box_can_all_be_read() -> None:
    queries = {c.name: counter_query(c.name, c.query_template) for c in built_in(job="envoy").counters.values()}
    source, job = Matcher("reporter", "=", "source"), Matcher("job", "=", "envoy")
    assert {name: (query.metric, query.matchers) for name, query in queries.items()} == {
        "iter8_request_count": ("istio_requests_total", (source, job)),
        "iter8_total_latency": ("istio_request_duration_milliseconds_sum", (source, job)),
        "iter8_error_count": ("istio_requests_total", (source, job, Matcher("response_code", "=~", "5.."))),
    }
