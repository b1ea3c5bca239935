"""What an API server does with a structural schema, as far as it can be said without one: the rules that the schema
itself must keep, which values fit, and what is dropped from a value.

CEL is not run here: `tests/cluster/test_manifests.py` does it on a real API server.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

_TYPES = {"object", "array", "string", "integer", "number", "boolean"}
_WORDS = {
    "description", "type", "nullable", "format", "default", "enum", "minimum", "maximum", "exclusiveMinimum",
    "exclusiveMaximum", "minLength", "maxLength", "maxItems", "maxProperties", "items", "additionalProperties",
    "properties", "required", "x-kubernetes-validations", "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
}  # fmt: skip
_RULE_WORDS = {"rule", "message", "messageExpression", "fieldPath", "reason"}


def violations(schema: Json, path: str = "") -> Iterator[str]:
    """Where a schema is not structural, or not of the words that we use; nothing when all is well."""
    if unknown := set(schema) - _WORDS:
        yield f"{path}: {sorted(unknown)} is not used in structural schemas here"
    if schema.get("type") not in _TYPES:
        yield f"{path}: has no type"
    if "properties" in schema and "additionalProperties" in schema:
        yield f"{path}: has properties and additionalProperties"
    if (schema.get("type") == "array") != ("items" in schema):
        yield f"{path}: items belong to an array"
    if any(name not in schema.get("properties", {}) for name in schema.get("required", ())):
        yield f"{path}: requires what it does not have"
    if not path and "default" in schema:
        yield "the root has a default"
    if "default" in schema and not fits(schema["default"], schema):
        yield f"{path}: its default does not fit"
    for bound in ("Minimum", "Maximum"):
        if schema.get(f"exclusive{bound}", True) is not True or (f"exclusive{bound}" in schema) > (
            bound.lower() in schema
        ):
            yield f"{path}: exclusive{bound} is a flag of {bound.lower()}"
    yield from _rule_violations(schema, path)
    for name, inner in parts(schema):
        yield from violations(inner, f"{path}.{name}")


def _rule_violations(schema: Json, path: str) -> Iterator[str]:
    for rule in schema.get("x-kubernetes-validations", ()):
        if set(rule) - _RULE_WORDS or not rule.get("rule") or not rule.get("message"):
            yield f"{path}: a rule has a rule and a message"
        here: Any = schema
        for step in rule.get("fieldPath", "").split(".")[1:]:
            here = here.get("properties", {}).get(step, {})
        if not here:
            yield f"{path}: the rule at {rule['fieldPath']} is about no field"


def parts(schema: Json) -> Iterator[tuple[str, Json]]:
    """The schemas right below: fields by name, items and values as `*`."""
    yield from schema.get("properties", {}).items()
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield "*", schema[key]


def walk(schema: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """All schemas with their paths, `spec.criteria.*.metric`."""
    yield path, schema
    for name, inner in parts(schema):
        yield from walk(inner, f"{path}.{name}" if path else name)


_PYTHON: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


def fits(value: Any, schema: Json) -> bool:
    """Whether a value has the types, bounds and sizes of a schema. Nulls are taken as missing where they may be."""
    if value is None:
        return bool(schema.get("nullable"))
    right = isinstance(value, _PYTHON[schema["type"]]) and (isinstance(value, bool) == (schema["type"] == "boolean"))
    if not right or value not in schema.get("enum", [value]):
        return False
    match value:
        case dict():
            known, others = schema.get("properties", {}), schema.get("additionalProperties")
            inner = {name: known.get(name, others) for name in value if value[name] is not None}
            return (
                all(value.get(name) is not None for name in schema.get("required", ()))
                and len(value) <= schema.get("maxProperties", len(value))
                and all(part is None or fits(value[name], part) for name, part in inner.items())
            )
        case list():
            return len(value) <= schema.get("maxItems", len(value)) and all(fits(v, schema["items"]) for v in value)
        case str():
            return bool(schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)))
        case bool():
            return True
    return _within(value, schema)


def _within(value: float, schema: Json) -> bool:
    low, high = schema.get("minimum", value), schema.get("maximum", value)
    above = value > low if schema.get("exclusiveMinimum") else value >= low
    below = value < high if schema.get("exclusiveMaximum") else value <= high
    return bool(above and below)


def dropped(value: Any, schema: Json, path: str = "") -> Iterator[str]:
    """Paths of what an API server would drop from a value, because the schema does not know it."""
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return
    if isinstance(value, dict):
        known, others = schema.get("properties", {}), schema.get("additionalProperties")
        for name, inner in value.items():
            part = known.get(name, others)
            if part is None:
                yield f"{path}.{name}"
            else:
                yield from dropped(inner, part, f"{path}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from dropped(inner, schema["items"], f"{path}[]")
