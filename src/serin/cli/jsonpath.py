"""A small part of kubectl's JSONPath: what people put in scripts.

    {.status.phase}   {.metadata.labels.iter8-tools\\/router}   {['metadata']['name']}
    {.items[*].metadata.name}   {.spec.criteria[0]}   {.spec.criteria[-1].metric}
    {.status.conditions[?(@.type=="Ready")].status}   {.metadata.name}{"\\n"}

What it does not have (`range`, slices, `..`, other filters) is refused with a sentence, never answered wrongly.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from serin.errors import UsageError

Step = Callable[[Any], Iterator[Any]]

_TOKEN = re.compile(
    r"""(?P<every>\[\*\]|\.\*)
      | \.(?P<field>(?:\\.|[^.\[\]{}\s\\'"])+)   # .name, with \. and \/ for a dot and a slash in the name
      | \[(?P<index>-?\d+)\]
      | \['(?P<quoted>[^']*)'\]
      | \[\?\(@\.(?P<key>[\w.-]+)\s*(?P<op>==|!=)\s*(?P<value>"[^"]*"|'[^']*'|-?[\d.]+|true|false)\)\]""",
    re.VERBOSE,
)
_PART = re.compile(r"\{([^{}]*)\}|([^{}]+)")


def evaluate(expression: str, value: Any) -> list[Any]:
    """All values at a path (`.a.b`, `{.a.b}`); a field that is missing gives nothing. Raises UsageError."""
    text = expression.strip()
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1].strip()
    found = [value]
    for step in _steps(text, expression):
        found = [item for each in found for item in step(each)]
    return found


def render(template: str, value: Any) -> str:
    """A template of text, `{path}` and `{"text"}` as kubectl prints it: several values apart by a space."""
    if "{" not in template:
        template = f"{{{template}}}"
    parts = []
    position = 0
    for match in _PART.finditer(template):
        if match.start() != position:
            break
        position = match.end()
        inside, plain = match.groups()
        if inside is None:
            parts.append(plain)
        elif inside.strip()[:1] in ('"', "'"):
            parts.append(_quoted(inside.strip(), template))
        else:
            parts.append(" ".join(as_text(item) for item in evaluate(inside, value)))
    if position != len(template):
        raise UsageError(f"jsonpath '{template}': braces do not match; write for example '{{.status.phase}}'")
    return "".join(parts)


def as_text(value: Any) -> str:
    """A value as kubectl prints it: texts bare, the rest as JSON."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _quoted(text: str, template: str) -> str:
    try:
        return str(json.loads(f'"{text[1:-1]}"'))
    except ValueError:
        raise UsageError(f"jsonpath '{template}': {text} is no quoted text") from None


def _steps(path: str, whole: str) -> list[Step]:
    if path in ("", "$", ".", "@"):
        return []
    path = path.removeprefix("$").removeprefix("@")
    path = path if path[:1] in ".[" else f".{path}"
    steps, position = [], 0
    while position < len(path):
        match = _TOKEN.match(path, position)
        if match is None:
            rest = path[position:]
            known = """.name, ['name'], [0], [*] and [?(@.name=="text")]"""
            raise UsageError(f"jsonpath '{whole}': cannot read '{rest}'; known are {known}")
        steps.append(_step(match))
        position = match.end()
    return steps


def _step(match: re.Match[str]) -> Step:
    if match["field"] is not None:
        return _field(re.sub(r"\\(.)", r"\1", match["field"]))
    if match["quoted"] is not None:
        return _field(match["quoted"])
    if match["index"] is not None:
        return _index(int(match["index"]))
    if match["every"] is not None:
        return _every
    return _filter(match["key"], match["op"] == "==", match["value"])


def _field(name: str) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict) and name in value:
            yield value[name]

    return step


def _index(position: int) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list) and -len(value) <= position < len(value):
            yield value[position]

    return step


def _every(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        yield from value
    elif isinstance(value, dict):
        yield from value.values()


def _filter(key: str, equal: bool, literal: str) -> Step:
    wanted = literal[1:-1] if literal[0] in "\"'" else json.loads(literal)

    def step(value: Any) -> Iterator[Any]:
        for item in value if isinstance(value, list) else ():
            found = item
            for name in key.split("."):
                found = found.get(name) if isinstance(found, dict) else None
            if (found == wanted) is equal:
                yield item

    return step
