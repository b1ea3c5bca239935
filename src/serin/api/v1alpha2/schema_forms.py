"""What a text must look like, said in CEL for an API server: the counterparts of the forms of `fields`.

A form says the same as the function that checks it in Python, in the same words. A text has a limit, because the cost
of a rule is estimated from the longest text that the schema allows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import AfterValidator

from serin.api import fields

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """One `x-kubernetes-validations` entry.

    rule      CEL that is true of what is right; `self` is the value that it stands at
    message   what to do; for people
    says      CEL that makes a better message, with the values in it; `message` stands in where it fails
    at        the field of `self` that the message is about, as `.name.name`
    missing   the message is about something that is not there
    """

    rule: str
    message: str
    says: str | None = None
    at: str | None = None
    missing: bool = False

    def to_json(self) -> Json:
        """As the schema has it."""
        told: Json = {"rule": self.rule, "message": self.message}
        if self.says is not None:
            told["messageExpression"] = self.says
        if self.at is not None:
            told["fieldPath"] = self.at
        if self.missing:
            told["reason"] = "FieldValueRequired"
        return told


def _text(limit: int, *rules: Rule) -> Json:
    return {"maxLength": limit, "x-kubernetes-validations": [rule.to_json() for rule in rules]}


def _form(pattern: str, what: str) -> Rule:
    """A text of a form; `what` goes on after the text in quotes."""
    return Rule(f"self.matches(r'{pattern}')", what, f'"\'" + self + "\' {what}"')


_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_NAME = rf"{_LABEL}(\.{_LABEL})*"
_ENDS = "begin and end with a letter or a digit"
_NUMBER = r"([0-9]+\.?[0-9]*|\.[0-9]+)"
_DURATION = rf"^[+-]?(0|({_NUMBER}(ns|us|µs|μs|ms|s|m|h))+)$"
_LOOKS_AROUND = r"(^|[^\\])\(\?(=|!|<=|<!)"

_NO_DURATION = "is no duration; write for example '15s', '1m30s' or '500ms'"
_IS_DURATION = Rule(
    f"self.matches(r'{_DURATION}')",
    _NO_DURATION,
    f"self.matches(r'^[+-]?{_NUMBER}$') ? \"'\" + self + \"' has no unit; write '\" + self + \"s' or '1m'\""
    f' : "\'" + self + "\' {_NO_DURATION}"',
)
_NOT_NEGATIVE = Rule(
    "!self.startsWith('-') || !self.matches('[1-9]')",
    "is negative; write a duration of 0s or more",
    '"\'" + self + "\' is negative; write a duration of 0s or more"',
)
_POSITIVE = Rule(
    f"!self.startsWith('-') && self.matches('[1-9]') || !self.matches(r'{_DURATION}')",
    "is not positive; write for example '15s' or '1m'",
    "\"'\" + self + \"' is not positive; write for example '15s' or '1m'\"",
)
_LOOK_AROUND = "looks ahead or behind, which proxies cannot (RE2); write it without"
_LABEL_VALUE = _form(
    "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
    "is no label value; use letters, digits, '-', '_' and '.' only",
)


def _validator(annotation: Any) -> Callable[..., Any]:
    """The function that checks the form of a text of `fields`."""
    found = [part for part in get_args(annotation) if isinstance(part, AfterValidator)]
    return found[-1].func


FORMS: Mapping[Callable[..., Any], Json] = {
    _validator(fields.Name): _text(
        253, _form(f"^{_NAME}$", f"is no DNS name; use a-z, 0-9, '-' and '.' only, and {_ENDS}")
    ),
    _validator(fields.Label): _text(
        63, _form(f"^{_LABEL}$", f"is no DNS label; use a-z, 0-9 and '-' only, and {_ENDS}")
    ),
    _validator(fields.Host): _text(
        253, _form(rf"^(\*|(\*\.)?{_NAME})$", "is no host; write for example 'shop.example.com' or '*'")
    ),
    _validator(fields.LabelValue): _text(63, _LABEL_VALUE),
    _validator(fields.Url): _text(
        2048,
        Rule(
            "isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHostname() != ''",
            "is no address; write for example 'http://iter8-analytics.iter8:8080'",
            "\"'\" + self + \"' is no address; write for example 'http://iter8-analytics.iter8:8080'\"",
        ),
    ),
    _validator(fields.Duration): _text(64, _IS_DURATION, _NOT_NEGATIVE),
    _validator(fields.PositiveDuration): _text(64, _IS_DURATION, _POSITIVE),
    _validator(fields.Regex): _text(
        1024,
        Rule(f"!self.matches(r'{_LOOKS_AROUND}')", _LOOK_AROUND, f'"\'" + self + "\' {_LOOK_AROUND}"'),
        # An expression that RE2 cannot read makes the rule itself fail, and the API server says what is wrong with it.
        Rule(
            f"self.matches(r'{_LOOKS_AROUND}') || (''.matches(self) ? true : true)",
            "is no regular expression (RE2)",
        ),
    ),
}
"""What a text must look like, by the function that says the same in Python."""
