"""Which labels say who counted and which say what was counted, and text that is safe in PromQL."""

from __future__ import annotations

import re

import promql_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin.adapters.prometheus.labels import family, of_pods, one_of, process, spelled, workload_of, written
from serin.ports import CounterQuery, Matcher

ISTIO, OWN = "istio_requests_total", "http_requests_total"
BUCKET = "istio_request_duration_milliseconds_bucket"
FAMILIES = {
    "where it is scraped stays": (ISTIO, ["job='a'", "reporter='source'"], ["job='a'", "reporter='source'"]),
    "istio's response code is on every series": (ISTIO, ["response_code=~'5..'"], []),
    "a label that Istio does not have must be there": (ISTIO, ["respons_code=~'5..'"], ["respons_code!=''"]),
    "another metric's code must be there": (OWN, ["response_code=~'5..'"], ["response_code!=''"]),
    "what fits a series without the label asks for nothing": (OWN, ["code!='200'", "x=~'a*'", "y=''"], []),
    "what does not, asks for the label": (OWN, ["code!~'|2..'", "z!=''"], ["code!=''", "z!=''"]),
    "an edge is exact": (BUCKET, ["le='450'"], ["le='450'"]),
    "Go's expressions are no trouble": (OWN, [r"code=~'\pL+'"], ["code!=''"]),
}


def matcher(text: str) -> Matcher:
    op = next(op for op in ("=~", "!~", "!=", "=") if op in text)
    label, _, value = text.partition(op)
    return Matcher(label, op, value.strip("'"))


@pytest.mark.parametrize(("metric", "own", "wide"), FAMILIES.values(), ids=FAMILIES)
def test_the_family_of_a_counter(metric: str, own: list[str], wide: list[str]) -> None:
    counter = CounterQuery("x", "…", metric, tuple(matcher(text) for text in own))
    assert family(counter) == tuple(matcher(text) for text in wide)


def test_another_pod_at_the_same_address_is_another_process() -> None:
    one = process({"instance": "10.0.0.1:15020", "pod": "shop-1", "namespace": "a"})
    other = process({"instance": "10.0.0.1:15020", "pod": "shop-2", "namespace": "a"})
    assert one is not None
    assert one != other


def test_who_counted_is_unknown_when_it_has_been_summed_away() -> None:
    assert process({"job": "federate", "destination_workload": "shop-v1"}) is None


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.sampled_from(["=", "!="]))
def test_any_value_survives_being_written_as_promql(value: str, op: str) -> None:
    selector = promql_parser.parse(f"x{{{written(Matcher('label', op, value))}}}")
    assert isinstance(selector, promql_parser.VectorSelector)
    (found,) = selector.matchers.matchers
    assert (found.name, found.value) == ("label", value)


@given(st.lists(st.text(st.sampled_from("ab.-|*+?()[]{}^$\\ "), min_size=1), min_size=1, max_size=4))
def test_one_of_fits_its_values_and_nothing_else(values: list[str]) -> None:
    found = one_of("label", values)
    for text in {*values, "a", "b", "ab", "", "a.b"}:
        fits = found.value == text if found.op == "=" else re.fullmatch(found.value, text) is not None
        assert fits == (text in values)


PODS = {
    "as Kubernetes names them": ({"pod": "shop-v2-7d8f9c6b5d-x2bcd", "namespace": "n"}, ("shop-v2", "n")),
    "as older files call them": (
        {"kubernetes_pod_name": "shop-v2-7d8f9c6b5d-x2bcd", "kubernetes_namespace": "n"},
        ("shop-v2", "n"),
    ),
    "a shorter name is another Deployment": ({"pod": "shop-7d8f9c6b5d-x2bcd", "namespace": "n"}, ("shop", "n")),
    "a pod of a StatefulSet": ({"pod": "shop-v2-0", "namespace": "n"}, ("", "")),
    "a pod of a Job": ({"pod": "shop-v2-x2bcd", "namespace": "n"}, ("", "")),
    "no namespace": ({"pod": "shop-v2-7d8f9c6b5d-x2bcd"}, ("", "")),
    "no pod": ({"namespace": "n"}, ("", "")),
}


@pytest.mark.parametrize(("labels", "workload"), PODS.values(), ids=PODS)
def test_whose_pod_it_is(labels: dict[str, str], workload: tuple[str, str]) -> None:
    assert workload_of(labels) == workload
    matchers = of_pods(["shop", "shop-v2"], ["n", "m"])
    selected = all(re.fullmatch(m.value, labels.get(m.label, "")) for m in matchers)
    assert selected or workload == ("", "")


def test_series_that_name_their_version_are_not_looked_for_by_their_pod() -> None:
    assert of_pods(["a"], ["n"])[0] == Matcher("destination_workload", "=", "")


EDGES = {
    "500": {"500", "500.0"},
    "500.0": {"500", "500.0"},
    "0.5": {"0.5"},
    "1800000": {"1800000", "1.8e+06"},
    "1e+06": {"1e+06"},
    "+Inf": {"+Inf"},
    "much": {"much"},
}


@pytest.mark.parametrize("edge", EDGES)
def test_an_edge_is_found_however_it_is_spelled(edge: str) -> None:
    found = spelled(Matcher("le", "=", edge))
    pattern = found.value if found.op == "=~" else re.escape(found.value)
    shown = {"500", "500.0", "50", "5000", "500x0", "0.5", "1800000", "1.8e+06", "1e+06", "+Inf", "much"}
    assert {each for each in shown if re.fullmatch(pattern, each)} == EDGES[edge]


def test_only_edges_are_spelled() -> None:
    for kept in (Matcher("code", "=", "500"), Matcher("le", "!=", "500"), Matcher("le", "=~", "500|1000")):
        assert spelled(kept) == kept
