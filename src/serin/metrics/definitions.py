"""Metric definitions in the format of the ConfigMap `iter8config-metrics`, and the ones out of the box.

Two lists: counters, each a query template, and ratios of two counters. The same two lists stand in an experiment's
`spec.metrics` once they have been used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, TypeVar

import yaml

from serin.errors import InvalidInput

CONFIG_MAP = "iter8config-metrics"
COUNTERS_KEY = "counter_metrics.yaml"
RATIOS_KEY = "ratio_metrics.yaml"
REQUEST_COUNT = "iter8_request_count"
ALIASES = {"iter8_latency": "iter8_mean_latency"}
"""Names that some of the published documents use for a metric that has another name."""

DEFAULT_JOB = "kubernetes-pods"
MAX_CHARACTERS = 128 * 1024
"""Of one key: some hundreds of metrics."""


class Direction(StrEnum):
    """Which values of a metric are the better ones."""

    LOWER = "lower"
    HIGHER = "higher"


@dataclass(frozen=True, slots=True)
class Counter:
    """A counter: PromQL with `$interval` and `$version_labels` in it."""

    name: str
    query_template: str
    preferred_direction: Direction | None = None
    units: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of two counters. `zero_to_one`: the numerator counts a part of what the denominator counts."""

    name: str
    numerator: str
    denominator: str
    preferred_direction: Direction | None = None
    zero_to_one: bool = False
    units: str | None = None
    description: str | None = None


M = TypeVar("M", Counter, Ratio)


@dataclass(frozen=True, slots=True)
class Definitions:
    """Counters and ratios by name; every ratio's parts are among the counters."""

    counters: Mapping[str, Counter]
    ratios: Mapping[str, Ratio]

    @property
    def names(self) -> tuple[str, ...]:
        """All names, counters first."""
        return (*self.counters, *self.ratios)

    def find(self, name: str) -> Counter | Ratio | None:
        """The metric of that name, or of the name that `ALIASES` gives it."""
        for known in (name, ALIASES.get(name, name)):
            if found := self.ratios.get(known) or self.counters.get(known):
                return found
        return None

    def used_by(self, metrics: Iterable[str]) -> Definitions:
        """What these metrics need, and the request count that every experiment needs."""
        found = [self.find(name) for name in metrics]
        ratios = {metric.name for metric in found if isinstance(metric, Ratio)}
        counters = {metric.name for metric in found if isinstance(metric, Counter)} | {REQUEST_COUNT}
        counters |= {part for name in ratios for part in (self.ratios[name].numerator, self.ratios[name].denominator)}
        return Definitions(
            {name: counter for name, counter in self.counters.items() if name in counters},
            {name: ratio for name, ratio in self.ratios.items() if name in ratios},
        )

    def to_spec(self) -> dict[str, Any]:
        """The JSON of `spec.metrics`."""
        return {
            "counter_metrics": [_to_json(counter) for counter in self.counters.values()],
            "ratio_metrics": [_to_json(ratio) for ratio in self.ratios.values()],
        }


def _to_json(metric: Counter | Ratio) -> dict[str, Any]:
    given = ((field.name, getattr(metric, field.name)) for field in fields(metric))
    return {name: str(value) if isinstance(value, Direction) else value for name, value in given if value is not None}


def define(counters: Iterable[Counter], ratios: Iterable[Ratio]) -> Definitions:
    """Definitions that fit together. Raises InvalidInput: a name twice, a part that is no counter, no request count."""
    known = Definitions(_by_name(counters), _by_name(ratios))
    if both := set(known.counters) & set(known.ratios):
        raise InvalidInput(f"metric '{min(both)}' is defined twice; give one of the two another name")
    for ratio in known.ratios.values():
        for part in (ratio.numerator, ratio.denominator):
            if part not in known.counters:
                raise InvalidInput(f"ratio metric '{ratio.name}' is made of '{part}', which is no counter metric here")
    if REQUEST_COUNT not in known.counters:
        raise InvalidInput(f"counter metric '{REQUEST_COUNT}' is missing; every experiment needs it")
    return known


def _by_name(metrics: Iterable[M]) -> dict[str, M]:
    found: dict[str, M] = {}
    for metric in metrics:
        if metric.name in found:
            raise InvalidInput(f"metric '{metric.name}' is defined twice; give one of the two another name")
        found[metric.name] = metric
    return found


def parse_config_map(config_map: Mapping[str, Any]) -> Definitions:
    """The definitions in a ConfigMap object. Raises InvalidInput with the key and the entry that are wrong."""
    data = config_map.get("data") or {}
    counters = [_entry(Counter, COUNTERS_KEY, i, entry) for i, entry in enumerate(_entries(data, COUNTERS_KEY))]
    ratios = [_entry(Ratio, RATIOS_KEY, i, entry) for i, entry in enumerate(_entries(data, RATIOS_KEY))]
    try:
        return define(counters, ratios)
    except InvalidInput as error:
        raise InvalidInput(f"ConfigMap {CONFIG_MAP}: {error}") from None


def _entries(data: Mapping[str, Any], key: str) -> list[Any]:
    text = data.get(key) or "[]"
    if len(text) > MAX_CHARACTERS:
        raise InvalidInput(f"ConfigMap {CONFIG_MAP}: data[{key}] is larger than {MAX_CHARACTERS // 1024} KiB")
    try:
        entries = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InvalidInput(f"ConfigMap {CONFIG_MAP}: data[{key}]: line {line} is not YAML: {error.problem}") from None
    except (yaml.YAMLError, RecursionError):
        raise InvalidInput(f"ConfigMap {CONFIG_MAP}: data[{key}] is not YAML") from None
    if not isinstance(entries, list):
        raise InvalidInput(f"ConfigMap {CONFIG_MAP}: data[{key}] must hold a YAML list of metrics")
    return entries


def _entry(shape: type[M], key: str, index: int, entry: object) -> M:
    where = f"ConfigMap {CONFIG_MAP}: data[{key}][{index}]"
    if not isinstance(entry, dict):
        raise InvalidInput(f"{where} must be a mapping with the name of a metric and what it is made of")
    given = dict(entry)
    if "unit" in given:
        given.setdefault("units", given.pop("unit"))
    known = [field.name for field in fields(shape)]
    for name in given:
        if name not in known:
            raise InvalidInput(f"{where}: unknown field '{name}'; there are {', '.join(known)}")
    for field in fields(shape):
        if field.name in given or field.name in ("name", "query_template", "numerator", "denominator"):
            _check(where, field.name, given.get(field.name))
    if direction := given.get("preferred_direction"):
        given["preferred_direction"] = Direction(direction)
    return shape(**given)


def _check(where: str, name: str, value: object) -> None:
    if name == "zero_to_one":
        right, wanted = isinstance(value, bool), "true or false"
    elif name == "preferred_direction":
        right, wanted = value is None or value in ("lower", "higher"), "'lower' or 'higher'"
    elif name in ("units", "description"):
        right, wanted = value is None or isinstance(value, str), "a text"
    else:
        right, wanted = isinstance(value, str) and value.strip() != "", "a text that is not empty"
    if not right:
        raise InvalidInput(f"{where}: {name} must be {wanted}")


def built_in(job: str = DEFAULT_JOB) -> Definitions:
    """The metrics out of the box, from Istio's telemetry v2 as scraped by `job`. Latency is in milliseconds."""

    def template(series: str, *matchers: str) -> str:
        selector = ",".join(("reporter='source'", f"job='{job}'", *matchers))
        return f"sum(increase({series}{{{selector}}}[$interval])) by ($version_labels)"

    lower = Direction.LOWER
    return define(
        [
            Counter(REQUEST_COUNT, template("istio_requests_total")),
            Counter("iter8_total_latency", template("istio_request_duration_milliseconds_sum"), units="ms"),
            Counter("iter8_error_count", template("istio_requests_total", "response_code=~'5..'"), lower),
        ],
        [
            Ratio("iter8_mean_latency", "iter8_total_latency", REQUEST_COUNT, lower, units="ms"),
            Ratio("iter8_error_rate", "iter8_error_count", REQUEST_COUNT, lower, zero_to_one=True),
        ],
    )
