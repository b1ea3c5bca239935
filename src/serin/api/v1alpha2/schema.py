"""The custom resource: `experiments.iter8.tools` as an API server takes it, generated from the types.

pydantic writes the JSON schema of `types.Experiment` and `schema_status.Status`; here it becomes a structural OpenAPI
v3 schema: no references, no alternatives for what may be missing, nothing unknown. What `validation` says of a field
or of an object goes in as CEL (`schema_forms`, `schema_rules`). Nothing of the resource is written down a second time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import AliasChoices, BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from serin.api.v1alpha2 import schema_forms, schema_rules
from serin.api.v1alpha2.columns import COLUMNS
from serin.api.v1alpha2.schema_status import Status
from serin.api.v1alpha2.types import Experiment
from serin.ports import EXPERIMENT

Json = dict[str, Any]

NAME = f"{EXPERIMENT.plural}.{EXPERIMENT.group}"


def custom_resource_definition() -> Json:
    """The object that is applied to a cluster."""
    version = {
        "name": EXPERIMENT.versions[0],
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(i) for i in range(len(COLUMNS))],
        "schema": {"openAPIV3Schema": open_api_schema()},
    }
    names = {
        "kind": EXPERIMENT.name,
        "listKind": f"{EXPERIMENT.name}List",
        "plural": EXPERIMENT.plural,
        "singular": EXPERIMENT.name.lower(),
        "shortNames": list(EXPERIMENT.short),
        "categories": ["all", "iter8"],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME, "labels": {"app.kubernetes.io/part-of": "serin"}},
        "spec": {"group": EXPERIMENT.group, "names": names, "scope": "Namespaced", "versions": [version]},
    }


def _column(index: int) -> Json:
    column = COLUMNS[index]
    told: Json = {"name": column.name, "type": column.type, "jsonPath": column.path}
    return told | ({"priority": 1} if column.wide else {})


def open_api_schema() -> Json:
    """The structural schema of an Experiment."""
    whole = _structural(Experiment.model_json_schema(schema_generator=_Written))
    # The API server knows what metadata is; only a name may be spoken of, and it is, in a rule.
    name = {"description": "name of the experiment", "type": "string"}
    whole["properties"]["metadata"] = {"type": "object", "properties": {"name": name}}
    whole["properties"]["status"] = _structural(Status.model_json_schema(schema_generator=_Told))
    whole["required"] = ["spec"]
    return _ordered(whole)


class _Written(GenerateJsonSchema):
    """What people write: with the rules, and with the older spellings that are read too."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """What may be missing; null is the same as missing, and the API server takes it out."""
        return self.generate_inner(schema["schema"])

    def function_after_schema(self, schema: core_schema.AfterValidatorFunctionSchema) -> JsonSchemaValue:
        """The form of a text, as a rule."""
        return super().function_after_schema(schema) | schema_forms.FORMS.get(schema["function"]["function"], {})

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """A default; for an object an empty one, which the API server fills with the defaults of its fields."""
        json_schema = super().default_schema(schema)
        made_by = schema.get("default_factory")
        if isinstance(made_by, type) and issubclass(made_by, BaseModel):
            return {**json_schema, "default": {}}
        return json_schema

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """An object, its rules and the limits of its fields."""
        model, json_schema = schema["cls"], super().model_schema(schema)
        properties = json_schema["properties"]
        for (owner, field), limits in schema_rules.FIELDS.items():
            if owner is model:
                properties[field] = properties[field] | limits
        for owner, field in schema_rules.WITHOUT_DEFAULT:
            if owner is model:
                del properties[field]["default"]
        properties.update(_older_spellings(model, properties))
        if rules := schema_rules.RULES.get(model):
            json_schema["x-kubernetes-validations"] = [rule.to_json() for rule in rules]
        return json_schema


def _older_spellings(model: type[BaseModel], properties: Mapping[str, Json]) -> Json:
    found: Json = {}
    for field in model.model_fields.values():
        if isinstance(field.validation_alias, AliasChoices):
            name, *others = (str(choice) for choice in field.validation_alias.choices)
            found |= {other: properties[name] | {"description": f"another spelling of {name}"} for other in others}
    return found


class _Told(_Written):
    """What the controller writes: what is not known is null, and stays so."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """What may be null."""
        return {**super().nullable_schema(schema), "nullable": True}


def _structural(json_schema: Json) -> Json:
    """A schema of pydantic's without references, in the words of OpenAPI v3.0."""
    written = json_schema.pop("$defs", {})
    return _plain(json_schema, written)


def _plain(node: Json, written: Mapping[str, Json]) -> Json:
    reference = node.get("$ref")
    if reference is not None:
        rest = {key: value for key, value in node.items() if key != "$ref"}
        return _plain(written[reference.rsplit("/", 1)[-1]] | rest, written)
    return dict(_words(node, written))


def _words(node: Json, written: Mapping[str, Json]) -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        match key, value:
            case ("title", _) | ("default", None) | ("additionalProperties", False):
                continue
            case ("exclusiveMinimum" | "exclusiveMaximum", _):
                yield key.removeprefix("exclusive").lower(), value
                yield key, True
            case ("properties", _):
                yield key, {name: _with_defaults(_plain(field, written)) for name, field in value.items()}
            case ("items" | "additionalProperties", dict()):
                yield key, _plain(value, written)
            case _:
                yield key, value


def _with_defaults(field: Json) -> Json:
    """The field; without its empty default if it would stay empty."""
    if field.get("default") == {} and not any("default" in inner for inner in field["properties"].values()):
        return {key: value for key, value in field.items() if key != "default"}
    return field


_ORDER = ("description", "type", "nullable", "format", "default", "enum")
_LAST = ("items", "additionalProperties", "properties", "required", "x-kubernetes-validations")


def _ordered(node: Json) -> Json:
    """The same schema as a person reads it: what it is first, what it holds last."""
    middle = sorted(key for key in node if key not in _ORDER + _LAST)
    return {key: _inner(key, node[key]) for key in (*_ORDER, *middle, *_LAST) if key in node}


def _inner(key: str, value: Any) -> Any:
    if key == "properties":
        return {name: _ordered(field) for name, field in value.items()}
    return _ordered(value) if key in ("items", "additionalProperties") else value
