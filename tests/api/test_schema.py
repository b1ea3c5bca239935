"""The custom resource: structural, of the contract's names and columns, and as strict as the types, no stricter."""

from __future__ import annotations

import re
from typing import Any

import pytest

from serin.api import manifest
from serin.api.shape import field_of
from serin.api.v1alpha2 import schema, schema_forms, schema_rules, validation
from serin.api.v1alpha2.types import ExperimentSpec
from serin.ports import EXPERIMENT
from tests.api.originals import ORIGINALS
from tests.api.structural import dropped, fits, violations, walk
from tests.api.test_properties import FULL
from tests.control.lab import Lab, deployment, experiment
from tests.docs.test_reference import fields

RESOURCE = schema.custom_resource_definition()
SCHEMA = schema.open_api_schema()
FIELDS = dict(walk(SCHEMA))
SPEC = {path: part for path, part in FIELDS.items() if path.split(".")[0] == "spec"}


def test_the_schema_is_structural() -> None:
    assert list(violations(SCHEMA)) == []


@pytest.mark.parametrize(
    "broken",
    [
        {"properties": {}},
        {"type": "object", "anyOf": []},
        {"type": "object", "properties": {}, "additionalProperties": {"type": "string"}},
        {"type": "array"},
        {"type": "string", "default": "a"},
        {"type": "object", "required": ["a"]},
        {"type": "object", "properties": {"a": {"type": "integer", "default": "a"}}},
        {"type": "object", "properties": {"a": {"type": "integer", "exclusiveMinimum": 0}}},
        {"type": "object", "x-kubernetes-validations": [{"rule": "true", "message": "m", "fieldPath": ".a"}]},
        {"type": "object", "x-kubernetes-validations": [{"rule": "true"}]},
    ],
    ids=str,
)
def test_a_schema_that_is_not_structural_is_told(broken: dict[str, Any]) -> None:
    assert list(violations(broken)) != []


def test_the_resource_has_the_contracts_names() -> None:
    spec = RESOURCE["spec"]
    assert RESOURCE["metadata"]["name"] == "experiments.iter8.tools"
    assert (spec["group"], spec["scope"], spec["names"]["plural"]) == ("iter8.tools", "Namespaced", "experiments")
    assert spec["names"]["categories"] == ["all", "iter8"]
    assert spec["names"]["shortNames"] == list(EXPERIMENT.short)
    (version,) = spec["versions"]
    assert (version["name"], version["served"], version["storage"]) == ("v1alpha2", True, True)
    assert version["subresources"] == {"status": {}}


def test_the_columns_are_the_contracts_in_its_order() -> None:
    (version,) = RESOURCE["spec"]["versions"]
    shown = [(c["name"], c["jsonPath"], c.get("priority", 0)) for c in version["additionalPrinterColumns"]]
    assert shown == [
        ("TYPE", ".status.experimentType", 0),
        ("HOSTS", ".status.effectiveHosts", 0),
        ("PHASE", ".status.phase", 0),
        ("WINNER FOUND", ".status.assessment.winner.winning_version_found", 0),
        ("CURRENT BEST", ".status.assessment.winner.name", 0),
        ("CONFIDENCE", ".status.assessment.winner.probability_of_winning_for_best_version", 1),
        ("STATUS", ".status.message", 0),
        ("BASELINE", ".spec.service.baseline", 1),
        ("CANDIDATES", ".spec.service.candidates", 1),
    ]
    for column in version["additionalPrinterColumns"]:
        assert column["jsonPath"][1:] in FIELDS, column


def test_every_field_of_the_types_is_in_the_schema_with_its_default() -> None:
    for path, default in fields(ExperimentSpec):
        part = FIELDS["spec." + path.replace("[]", ".*")]
        if default in (None, "none", "required"):
            assert part.get("default", {}) == {}, path
        elif path in ("criteria[].margin", "criteria[].delay"):
            assert "default" not in part
        else:
            assert str(part["default"]).removesuffix(".0").lower() == default.lower(), path


def test_an_object_without_a_default_of_its_own_cannot_hide_the_defaults_in_it() -> None:
    for path in ("spec.duration", "spec.trafficControl", "spec.analysis"):
        assert FIELDS[path]["default"] == {}
    for path in ("spec.manualOverride", "spec.metrics", "spec.trafficControl.match", "spec.networking"):
        assert "default" not in FIELDS[path]


def test_every_field_is_described() -> None:
    named = {path: part for path, part in FIELDS.items() if path.split(".")[-1] != "*" and path != "metadata"}
    assert [path for path, part in named.items() if not part.get("description")] == []


def test_everything_that_a_rule_may_look_at_has_a_limit() -> None:
    kinds = {"array": "maxItems", "string": "maxLength"}
    without = [
        path
        for path, part in SPEC.items()
        if part["type"] in kinds and kinds[part["type"]] not in part and "enum" not in part
    ]
    maps = [path for path, part in SPEC.items() if "additionalProperties" in part and "maxProperties" not in part]
    assert without + maps == []


def test_only_what_the_controller_remembers_is_opaque() -> None:
    opaque = [path for path, part in FIELDS.items() if part.get("x-kubernetes-preserve-unknown-fields")]
    assert opaque == ["status.analysisState"]


def test_every_form_of_a_text_is_checked_wherever_the_types_check_it() -> None:
    used = {rule["rule"] for part in SPEC.values() for rule in part.get("x-kubernetes-validations", ())}
    for validator, form in schema_forms.FORMS.items():
        assert {rule["rule"] for rule in form["x-kubernetes-validations"]} <= used, validator
    for path, name in [("service.baseline", "Name"), ("service.candidates.*", "Name"), ("service.name", "Label")]:
        assert FIELDS[f"spec.{path}"]["x-kubernetes-validations"], name


def test_rules_and_limits_are_about_fields_that_there_are() -> None:
    for model, name in (*schema_rules.FIELDS, *schema_rules.WITHOUT_DEFAULT):
        assert field_of(model, name) is not None, (model, name)


def test_a_message_is_a_sentence_that_needs_no_rule_beside_it() -> None:
    for path, part in FIELDS.items():
        for rule in part.get("x-kubernetes-validations", ()):
            assert re.fullmatch(r"[a-z'].*", rule["message"]), (path, rule)


def test_older_spellings_are_read() -> None:
    requests = FIELDS["spec.trafficControl.match.http.*"]["properties"]
    assert {"queryParams", "query_params", "ignoreUriCase", "ignore_uri_case"} <= set(requests)
    assert "unit" in FIELDS["spec.metrics.counter_metrics.*"]["properties"]


@pytest.mark.parametrize("text", ORIGINALS.values(), ids=ORIGINALS)
def test_a_file_that_the_original_accepted_is_accepted_in_full(text: str) -> None:
    (found,) = [each for each in manifest.parse(text, "f.yaml") if each.object["kind"] == "Experiment"]
    assert validation.problems(found.object) == []
    assert fits(found.object, SCHEMA)
    spec = found.object["spec"]
    assert list(dropped(spec, SCHEMA["properties"]["spec"])) == []


def test_a_spec_with_every_field_loses_none() -> None:
    assert fits(FULL, SCHEMA["properties"]["spec"])
    assert list(dropped(FULL, SCHEMA["properties"]["spec"])) == []
    assert list(dropped({"colour": "red"}, SCHEMA["properties"]["spec"])) == [".colour"]


async def test_nothing_of_a_status_is_dropped_while_an_experiment_runs_and_after_it() -> None:
    lab = Lab()
    lab.objects.seed(deployment("v2"))
    lab.start()
    criteria = [
        {"metric": "iter8_mean_latency", "threshold": {"type": "absolute", "value": 100}},
        {"metric": "iter8_error_rate", "threshold": {"type": "relative", "value": 1.5}},
    ]
    await lab.objects.create(experiment(criteria=criteria, analysis={"earlyStop": True}))
    seen = 0
    try:
        while not await lab.completed():
            await lab.seconds(5)
            status = await lab.status()
            assert list(dropped(status, SCHEMA["properties"]["status"])) == []
            assert fits(status, SCHEMA["properties"]["status"])
            seen += "assessment" in status
    finally:
        await lab.stop()
    assert seen > 3
