"""The ConfigMap's format, the metrics out of the box, and what is written back."""

from __future__ import annotations

import pytest
import yaml

from serin.errors import InvalidInput
from serin.metrics.definitions import (
    REQUEST_COUNT,
    Counter,
    Definitions,
    Direction,
    Ratio,
    built_in,
    define,
    parse_config_map,
)

COUNTERS = """\
- name: iter8_request_count
  query_template: sum(increase(istio_requests_total[$interval])) by ($version_labels)
- name: books_purchased_total
  query_template: sum(increase(books_purchased_total[$interval])) by ($version_labels)
  preferred_direction: higher
  unit: books
  description: books that people bought
"""
RATIOS = """\
- name: books_per_request
  numerator: books_purchased_total
  denominator: iter8_request_count
  preferred_direction: higher
  zero_to_one: true
"""


def config_map(counters: str | None = COUNTERS, ratios: str | None = RATIOS) -> dict[str, object]:
    data = {"counter_metrics.yaml": counters, "ratio_metrics.yaml": ratios}
    return {"data": {key: text for key, text in data.items() if text is not None}}


def test_a_config_map_is_read_in_its_own_format() -> None:
    known = parse_config_map(config_map())
    assert known.counters["books_purchased_total"] == Counter(
        "books_purchased_total",
        "sum(increase(books_purchased_total[$interval])) by ($version_labels)",
        Direction.HIGHER,
        "books",
        "books that people bought",
    )
    assert known.ratios["books_per_request"] == Ratio(
        "books_per_request", "books_purchased_total", "iter8_request_count", Direction.HIGHER, zero_to_one=True
    )
    assert known.names == ("iter8_request_count", "books_purchased_total", "books_per_request")


def test_a_config_map_without_ratios_has_none() -> None:
    assert parse_config_map(config_map(ratios=None)).ratios == {}


@pytest.mark.parametrize(
    ("counters", "ratios", "sentence"),
    [
        (None, None, "counter metric 'iter8_request_count' is missing; every experiment needs it"),
        ("{}", None, "data[counter_metrics.yaml] must hold a YAML list of metrics"),
        (
            "- x",
            None,
            "data[counter_metrics.yaml][0] must be a mapping with the name of a metric and what it is made of",
        ),
        ("- {name: a}", None, "data[counter_metrics.yaml][0]: query_template must be a text that is not empty"),
        (
            "- {name: 5, query_template: x}",
            None,
            "data[counter_metrics.yaml][0]: name must be a text that is not empty",
        ),
        (
            "- {name: a, query_template: x, preferred_direction: down}",
            None,
            "data[counter_metrics.yaml][0]: preferred_direction must be 'lower' or 'higher'",
        ),
        (
            COUNTERS,
            "- {name: r, numerator: books_purchased_total, denominator: iter8_request_count, zero_to_one: 1}",
            "data[ratio_metrics.yaml][0]: zero_to_one must be true or false",
        ),
        (
            COUNTERS,
            "- {name: r, numerator: pages, denominator: iter8_request_count}",
            "ratio metric 'r' is made of 'pages', which is no counter metric here",
        ),
        (COUNTERS + COUNTERS, None, "metric 'iter8_request_count' is defined twice; give one of the two another name"),
        (
            COUNTERS,
            "- {name: iter8_request_count, numerator: iter8_request_count, denominator: iter8_request_count}",
            "metric 'iter8_request_count' is defined twice; give one of the two another name",
        ),
        ("x" * 200_000, None, "data[counter_metrics.yaml] is larger than 128 KiB"),
        ("[" * 5000, None, "data[counter_metrics.yaml] is not YAML"),
    ],
)
def test_a_wrong_config_map_says_which_entry(counters: str | None, ratios: str | None, sentence: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_config_map(config_map(counters, ratios))
    assert str(refusal.value) == f"ConfigMap iter8config-metrics: {sentence}"


def test_the_wrong_name_of_the_mean_is_understood_unless_somebody_defines_it() -> None:
    known = built_in()
    assert known.find("iter8_latency") is known.find("iter8_mean_latency") is known.ratios["iter8_mean_latency"]
    own = define(
        [*known.counters.values()],
        [Ratio("iter8_latency", "iter8_total_latency", REQUEST_COUNT), *known.ratios.values()],
    )
    assert own.find("iter8_latency") is own.ratios["iter8_latency"]
    assert known.find("iter8_latencies") is None


def test_what_is_written_back_is_what_was_used_and_reads_as_the_same() -> None:
    used = built_in().used_by(["iter8_latency", "iter8_error_count"])
    assert used.names == ("iter8_request_count", "iter8_total_latency", "iter8_error_count", "iter8_mean_latency")
    spec = yaml.safe_load(yaml.safe_dump(used.to_spec()))
    again = parse_config_map(config_map(yaml.safe_dump(spec["counter_metrics"]), yaml.safe_dump(spec["ratio_metrics"])))
    assert again == Definitions(dict(used.counters), dict(used.ratios))


def test_nothing_used_still_counts_requests() -> None:
    assert built_in().used_by([]).names == (REQUEST_COUNT,)
