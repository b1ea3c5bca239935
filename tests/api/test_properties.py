"""Laws of the Experiment: a valid one survives reading and writing, and none of its fields is ignored."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serin.api import manifest
from serin.api.places import Step, join
from serin.api.shape import item_of, model_of
from serin.api.v1alpha2 import convert, validation
from serin.api.v1alpha2.quantiles import EDGES
from serin.api.v1alpha2.types import Experiment, ExperimentSpec
from serin.errors import InvalidInput
from serin.metrics.definitions import built_in

Json = dict[str, Any]


unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries({}, optional=fields)


def table(required: Json, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries(required, optional=fields)


label = st.from_regex(r"[a-z]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=8)
duration = st.sampled_from(["1s", "15s", "1m30s", "1h10m10s", "500ms", "1.5h"])
share = st.floats(0.001, 0.999)
positive = st.floats(0.001, 1e9)
percent = st.integers(1, 100)
port = st.integers(1, 65535)
whole_match: st.SearchStrategy[Json] = st.one_of(
    st.fixed_dictionaries({"exact": words}),
    st.fixed_dictionaries({"prefix": words}),
    st.fixed_dictionaries({"regex": st.sampled_from([".*", "a|b", r"\d+", "[a-z]+"])}),
)
text_match = st.just(Json()) | whole_match

request_match = optional(
    name=words,
    uri=whole_match,
    scheme=whole_match,
    method=whole_match,
    authority=whole_match,
    headers=st.dictionaries(label, text_match, max_size=2),
    withoutHeaders=st.dictionaries(label, text_match, max_size=2),
    port=port,
    sourceLabels=st.dictionaries(label, label, max_size=2),
    gateways=st.lists(label, max_size=2),
    queryParams=st.dictionaries(label, text_match, max_size=2),
    ignoreUriCase=st.booleans(),
)
threshold = table(
    {"type": st.sampled_from(["absolute", "relative"]), "value": positive}, cutoffTrafficOnViolation=st.booleans()
)
plain_criterion = table(
    {"metric": st.sampled_from(["iter8_mean_latency", "iter8_error_rate"])}, threshold=threshold
) | st.fixed_dictionaries(
    {
        "metric": st.just("iter8_mean_latency"),
        "threshold": table({"type": st.just("absolute"), "value": st.sampled_from(EDGES)}),
        "quantile": share,
    }
)
reward = table({"metric": st.just("iter8_error_rate"), "isReward": st.just(True)}, margin=positive, delay=duration)


@st.composite
def specs(draw: st.DrawFn) -> Json:
    versions = draw(st.lists(label, min_size=1, max_size=5, unique=True))
    service = draw(
        table(
            {"name": label, "baseline": st.just(versions[0]), "candidates": st.just(versions[1:])},
            kind=st.sampled_from(["Deployment", "Service"]),
            apiVersion=st.just("v1"),
            namespace=label,
            port=port,
        )
    )
    criteria = draw(st.lists(plain_criterion, max_size=3)) + draw(st.lists(reward, max_size=1))
    split = dict.fromkeys(versions, 0) | {versions[-1]: 100}
    override = st.fixed_dictionaries({"action": st.sampled_from(["pause", "resume", "terminate"])}) | st.just(
        {"action": "terminate", "trafficSplit": split}
    )
    rest = draw(
        optional(
            networking=st.fixed_dictionaries(
                {"id": label},
                optional={
                    "hosts": st.lists(
                        st.fixed_dictionaries({"name": label | st.just("*"), "gateway": label}),
                        max_size=3,
                        unique_by=lambda host: (host["name"], host["gateway"]),
                    )
                },
            ),
            duration=optional(interval=duration, maxIterations=st.integers(1, 1000)),
            trafficControl=optional(
                strategy=st.sampled_from(["progressive", "top_2", "uniform", "top_two_ts"]),
                maxIncrement=percent,
                percentage=percent,
                match=optional(http=st.lists(request_match, max_size=2)),
                onTermination=st.sampled_from(["to_winner", "to_baseline", "keep_last"]),
            ),
            manualOverride=override,
            cleanup=st.booleans(),
            analyticsEndpoint=st.just("http://analytics:8080/x"),
            metrics=st.just(built_in().to_spec()),
            analysis=optional(
                mode=st.sampled_from(["robust", "strict", "independent"]),
                falsePromotion=share,
                falseRollback=share,
                burst=st.floats(1, 100),
                history=duration,
                warmup=duration,
                minDuration=duration,
                progressDeadline=duration,
                onInconclusive=st.sampled_from(["baseline", "keep"]),
                earlyStop=st.booleans(),
                exposureBudget=positive,
            ),
        )
    )
    return {"service": service, "criteria": criteria, **rest}


def whole(spec: Json) -> Json:
    return {
        "apiVersion": "iter8.tools/v1alpha2",
        "kind": "Experiment",
        "metadata": {"name": "rollout"},
        "spec": spec,
    }


@unhurried
@given(specs())
def test_a_valid_spec_survives_reading_and_writing(spec: Json) -> None:
    experiment = validation.load(whole(spec))
    assert experiment.model_dump(mode="json", by_alias=True, exclude_unset=True) == whole(spec)


@unhurried
@given(specs())
def test_a_valid_spec_is_the_same_from_yaml_and_from_json(spec: Json) -> None:
    (from_json,) = manifest.parse(json.dumps(whole(spec)), "f.json")
    (from_yaml,) = manifest.parse(yaml.safe_dump(whole(spec), allow_unicode=True), "f.yaml")
    assert from_json.object == from_yaml.object == whole(spec)


@unhurried
@given(specs())
def test_a_plan_of_a_valid_spec_asks_for_all_that_its_criteria_are_made_of(spec: Json) -> None:
    experiment = validation.load(whole(spec))
    plan, counters = convert.plan(experiment, built_in()), convert.counters(experiment, built_in())
    names = {counter.name for counter in counters}
    needed = {plan.requests}
    for criterion in plan.criteria:
        needed |= {criterion.measure.numerator, criterion.measure.denominator or plan.requests}
    assert names == needed
    assert tuple(convert.version_labels(experiment)) == plan.ids


FULL: Json = {
    "service": {
        "kind": "Deployment",
        "apiVersion": "v1",
        "name": "shop",
        "namespace": "test",
        "baseline": "v1",
        "candidates": ["v2"],
        "port": 80,
        "uid": "a",
        "resourceVersion": "1",
        "fieldPath": "b",
    },
    "networking": {"id": "router", "hosts": [{"name": "shop.com", "gateway": "g"}]},
    "criteria": [
        {
            "metric": "r",
            "threshold": {"type": "absolute", "value": 5.0, "cutoffTrafficOnViolation": False},
            "isReward": True,
            "quantile": 0.5,
            "margin": 0.1,
            "delay": "1s",
        },
        {"metric": "c"},
    ],
    "duration": {"interval": "15s", "maxIterations": 8},
    "trafficControl": {
        "strategy": "progressive",
        "maxIncrement": 20,
        "percentage": 50,
        "match": {
            "http": [
                {
                    "name": "m",
                    "uri": {"exact": "/"},
                    "scheme": {"prefix": "http"},
                    "method": {"regex": "GET"},
                    "authority": {"exact": "a"},
                    "headers": {"a": {"exact": "b"}},
                    "port": 80,
                    "sourceLabels": {"a": "b"},
                    "gateways": ["mesh"],
                    "queryParams": {"a": {"exact": "b"}},
                    "ignoreUriCase": True,
                }
            ]
        },
        "onTermination": "to_winner",
        "routerID": "router",
    },
    "manualOverride": {"action": "terminate", "trafficSplit": {"v1": 100}},
    "cleanup": True,
    "analyticsEndpoint": "http://a",
    "metrics": {
        "counter_metrics": [
            {"name": "iter8_request_count", "query_template": "sum(increase(n[$interval])) by ($version_labels)"},
            {
                "name": "c",
                "query_template": "sum(increase(c[$interval])) by ($version_labels)",
                "preferred_direction": "lower",
                "units": "u",
                "description": "d",
            },
        ],
        "ratio_metrics": [
            {
                "name": "r",
                "numerator": "c",
                "denominator": "iter8_request_count",
                "preferred_direction": "lower",
                "zero_to_one": True,
                "units": "u",
                "description": "d",
            }
        ],
    },
    "analysis": {
        "mode": "robust",
        "falsePromotion": 0.01,
        "falseRollback": 0.05,
        "burst": 4.0,
        "history": "1h",
        "warmup": "1s",
        "minDuration": "1s",
        "progressDeadline": "10m",
        "onInconclusive": "baseline",
        "earlyStop": False,
        "exposureBudget": 5.0,
    },
}

DONE_BY_CONTROL = (
    "spec.service.name",
    "spec.service.port",
    "spec.networking",
    "spec.trafficControl.match",
    "spec.trafficControl.routerID",
    "spec.manualOverride",
    "spec.cleanup",
    "spec.analyticsEndpoint",
)
"""Says what is done, not what is decided or read."""

FOR_PEOPLE = (
    "spec.service.apiVersion",
    "spec.metrics.counter_metrics[1].description",
    "spec.metrics.ratio_metrics[0].description",
)
"""Says the same again, or is a remark."""

NAMED_AS_UNUSED = ("spec.service.uid", "spec.service.resourceVersion", "spec.service.fieldPath")
"""Part of Kubernetes' object reference, which the API has inherited: a warning says that they are not used."""

OTHERS = {
    "spec.service.kind": "Service",
    "spec.criteria[0].metric": "c",
    "spec.criteria[0].threshold.type": "relative",
    "spec.criteria[1].metric": "iter8_request_count",
    "spec.duration.interval": "1m",
    "spec.trafficControl.strategy": "top_2",
    "spec.trafficControl.onTermination": "keep_last",
    "spec.manualOverride.action": "pause",
    "spec.manualOverride.trafficSplit.v1": 99,
    "spec.metrics.ratio_metrics[0].numerator": "iter8_request_count",
    "spec.metrics.ratio_metrics[0].denominator": "c",
    "spec.analysis.mode": "strict",
    "spec.analysis.onInconclusive": "keep",
}


def leaves(value: Any, path: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, part in parts:
        yield from leaves(part, (*path, step))
    if not isinstance(value, dict | list):
        yield path


def other(path: str, value: Any) -> Any:
    if path in OTHERS:
        return OTHERS[path]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value * 0.9 if isinstance(value, float) else value + 1
    if path.startswith("spec.analysis.") or path.endswith(".delay"):
        return "2m"
    return {"lower": "higher"}.get(value, f"{value}x")


def meaning(spec: Json) -> object:
    """All that is decided by and read for an experiment; None when it cannot be had."""
    read = Experiment.model_validate(whole(spec))
    try:
        known = convert.definitions(read)
        assert known is not None
        return convert.plan(read, known), convert.read_request(read, known, 0.0)
    except InvalidInput:
        return None


@pytest.mark.parametrize("path", list(leaves(FULL, ("spec",))), ids=join)
def test_no_field_is_ignored(path: tuple[Step, ...]) -> None:
    """Another value means another plan or other counters, or the field is listed above as somebody else's."""
    changed = copy.deepcopy(FULL)
    holder: Any = changed
    for step in path[1:-1]:
        holder = holder[step]
    holder[path[-1]] = other(join(path), holder[path[-1]])
    listed = (*DONE_BY_CONTROL, *FOR_PEOPLE, *NAMED_AS_UNUSED)
    elsewhere = any(join(path[:length]) in listed for length in range(len(path) + 1))
    assert (meaning(changed) == meaning(FULL)) is elsewhere


def schema_paths(shape: Any, path: str) -> Iterator[str]:
    if model := model_of(shape):
        for name, field in model.model_fields.items():
            yield from schema_paths(field.annotation, f"{path}.{wire(name, field)}")
    elif (inner := item_of(shape)) is not None:
        yield from schema_paths(inner, f"{path}*")
    else:
        yield path


def wire(name: str, field: Any) -> str:
    return str(field.serialization_alias or name)


def given_paths(value: Any, path: str) -> Iterator[str]:
    free = path.endswith(("headers", "withoutHeaders", "sourceLabels", "queryParams", "trafficSplit"))
    if isinstance(value, dict):
        for key, part in value.items():
            yield from given_paths(part, f"{path}*" if free else f"{path}.{key}")
    elif isinstance(value, list):
        for part in value:
            yield from given_paths(part, f"{path}*")
    else:
        yield path


def test_the_example_above_has_every_field_of_the_schema() -> None:
    texts = ("exact", "prefix", "regex")
    missing = set(schema_paths(ExperimentSpec, "spec")) - set(given_paths(FULL, "spec"))
    assert {path for path in missing if not path.endswith(texts)} == set()
