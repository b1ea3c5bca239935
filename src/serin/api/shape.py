"""Problems of a shape in words: what pydantic found, each as one sentence that says what to write."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import AliasChoices, BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from serin.api.places import Problem, Step, did_you_mean, join, name_of


def problems_of(error: ValidationError, shape: type[BaseModel]) -> list[Problem]:
    """The problems of a failed `shape.model_validate`, in the order of the fields."""
    return [Problem(join(found["loc"]), _sentence(found, shape)) for found in error.errors(include_url=False)]


def without_nulls(value: Any) -> Any:
    """The value without the fields that are null: in a Kubernetes object these are fields that are not there."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def _sentence(found: ErrorDetails, shape: type[BaseModel]) -> str:
    kind, given, context = found["type"], found["input"], found.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "extra_forbidden":
        return _unknown(found["loc"], shape)
    if kind == "missing":
        field = _fields(_model_at(shape, found["loc"][:-1])).get(str(found["loc"][-1]))
        return "is missing" + (f" ({field.description})" if field and field.description else "")
    if kind == "finite_number":
        return f"must be a finite number, not {name_of(given)}"
    if kind == "enum":
        return f"must be {context['expected']}, not {name_of(given)}"
    if kind in _BOUNDS:
        return f"must be {_BOUNDS[kind]} {_shown(next(iter(context.values())))}, not {_shown(given)}"
    if kind in ("string_too_short", "too_short"):
        return "is empty"
    return f"must be {_EXPECTED.get(kind, 'something else')}, not {name_of(given)}" + _quote(kind, given)


_BOUNDS = {
    "greater_than": "more than",
    "greater_than_equal": "at least",
    "less_than": "less than",
    "less_than_equal": "at most",
}
_EXPECTED = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _quote(kind: str, given: object) -> str:
    return f"; write '{given}' in quotes" if kind == "string_type" and isinstance(given, int | float) else ""


def _unknown(loc: tuple[Step, ...], shape: type[BaseModel]) -> str:
    word = str(loc[-1])
    hint = did_you_mean(word, _fields(_model_at(shape, loc[:-1])))
    if not hint:
        elsewhere = [path for path in _paths(shape, ()) if path[-1] == word]
        hint = f"; did you mean {join(elsewhere[0])}?" if elsewhere else ""
    return f"unknown field '{word}'{hint}"


def _fields(model: type[BaseModel] | None) -> dict[str, FieldInfo]:
    """The fields of a model by their names on the wire."""
    return {} if model is None else {_wire(name, field): field for name, field in model.model_fields.items()}


def field_of(model: type[BaseModel], wire: str) -> FieldInfo | None:
    """The field of a model that a name on the wire means; older spellings count."""
    for name, field in model.model_fields.items():
        alias = field.validation_alias
        if wire in (alias.choices if isinstance(alias, AliasChoices) else (_wire(name, field),)):
            return field
    return None


def _wire(name: str, field: FieldInfo) -> str:
    alias = field.validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else str(alias or field.alias or name)


def _model_at(shape: type[BaseModel], loc: tuple[Step, ...]) -> type[BaseModel] | None:
    """The model that stands at a place of `shape`."""
    here: Any = shape
    for step in loc:
        model = model_of(here)
        here = _fields(model)[str(step)].annotation if model else item_of(here)
    return model_of(here)


def model_of(annotation: Any) -> type[BaseModel] | None:
    """The model among the alternatives of an annotation."""
    return next((part for part in _parts(annotation) if isinstance(part, type) and issubclass(part, BaseModel)), None)


def item_of(annotation: Any) -> Any:
    """The annotation of what a list or a mapping holds; None when the annotation is neither."""
    containers = (part for part in _parts(annotation) if typing.get_origin(part) in (list, dict))
    return next((typing.get_args(container)[-1] for container in containers), None)


def _parts(annotation: Any) -> Iterator[Any]:
    """The alternatives of an annotation, `Annotated` taken off."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        for part in typing.get_args(annotation):
            yield from _parts(part)
    elif typing.get_origin(annotation) is typing.Annotated:
        yield from _parts(typing.get_args(annotation)[0])
    else:
        yield annotation


def _paths(shape: Any, path: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    """All places of a shape that hold a single field, the shallow ones first within a model."""
    model = model_of(shape)
    if model is None:
        return
    fields = _fields(model)
    yield from ((*path, name) for name in fields)
    for name, field in fields.items():
        yield from _paths(field.annotation, (*path, name))
