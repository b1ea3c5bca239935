"""What fields are made of: texts with a form, numbers with bounds, and the strict shape they stand in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from serin.api import durations, names
from serin.api.places import name_of


class Shape(BaseModel):
    """Base of all: strict types, camelCase, no unknown field, no NaN; docstrings of fields are their descriptions."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=False,
        validate_by_alias=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        frozen=True,
        use_attribute_docstrings=True,
    )


class Acted(Shape):
    """A shape of somebody else's object: other fields are allowed, and found by `acted.unacted`."""

    model_config = ConfigDict(extra="ignore")


@dataclass(frozen=True, slots=True)
class Only:
    """Marks a field of which only these values are acted on."""

    values: tuple[object, ...]


def _text(value: object) -> object:
    """A bare number is the commonest mistake: say what is missing instead of asking for a text."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        durations.seconds(f"{value:g}")
    return value


def _duration(text: str) -> str:
    if durations.seconds(text) < 0:
        raise ValueError(f"'{text}' is negative; write a duration of 0s or more")
    return text


def _positive_duration(text: str) -> str:
    if durations.seconds(text) <= 0:
        raise ValueError(f"'{text}' is not positive; write for example '15s' or '1m'")
    return text


_LOOK_AROUND = re.compile(r"(?<!\\)\(\?(=|!|<=|<!)")
_OTHER_DIALECT = ("bad escape", "global flags", "unknown extension")


def _regex(pattern: str) -> str:
    """A regular expression for a proxy (RE2), as far as Python can tell: it knows fewer escapes, but more groups."""
    if _LOOK_AROUND.search(pattern):
        raise ValueError(f"'{pattern}' looks ahead or behind, which proxies cannot (RE2); write it without")
    try:
        re.compile(pattern)
    except re.error as error:
        if not str(error).startswith(_OTHER_DIALECT):
            raise ValueError(f"'{pattern}' is no regular expression: {error}") from error
    return pattern


def _port_or_name(value: object) -> object:
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535:
        return value
    raise ValueError(f"must be a port from 1 to 65535 or the name of one, not {name_of(value)}")


def _count_or_share(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"[0-9]+%", value):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError(f"must be a number of at least 0 or a percentage like '25%', not {name_of(value)}")


Duration = Annotated[str, BeforeValidator(_text), AfterValidator(_duration)]
PositiveDuration = Annotated[str, BeforeValidator(_text), AfterValidator(_positive_duration)]
Name = Annotated[str, AfterValidator(names.dns_subdomain)]
Label = Annotated[str, AfterValidator(names.dns_label)]
Host = Annotated[str, AfterValidator(names.host)]
LabelKey = Annotated[str, AfterValidator(names.label_key)]
LabelValue = Annotated[str, AfterValidator(names.label_value)]
Labels = dict[LabelKey, LabelValue]
Url = Annotated[str, AfterValidator(names.http_url)]
Port = Annotated[int, Field(ge=1, le=65535)]
PortOrName = Annotated[Any, AfterValidator(_port_or_name)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
CountOrShare = Annotated[Any, AfterValidator(_count_or_share)]
Words = list[str]
Percent = Annotated[int, Field(ge=0, le=100)]
Text = Annotated[str, Field(min_length=1)]
Regex = Annotated[str, AfterValidator(_regex)]
