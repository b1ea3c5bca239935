"""Reading manifests: one or more YAML or JSON documents to plain objects, with the line of every field.

Never constructs anything but JSON's types. Files that are too large, too deep, or that grow by aliases are refused,
and so are tags and keys that stand twice, since one of the two would be lost in silence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import yaml
from yaml.events import CollectionEndEvent, CollectionStartEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from serin.api.places import Source, Step, join, name_of
from serin.errors import InvalidInput

MAX_BYTES = 3 * 1024 * 1024
MAX_DEPTH = 64
MAX_VALUES = 200_000
SUFFIXES = (".yaml", ".yml", ".json")

_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset(_TAG + name for name in ("null", "bool", "int", "float", "str", "map", "seq", "merge"))


_REPLACED = frozenset(_TAG + name for name in ("timestamp", "value", "int", "float"))


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader with JSON's idea of scalars: no dates, no base 60, and `1e3` is a number."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in _REPLACED]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(
    f"{_TAG}int", re.compile(r"[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)$"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    f"{_TAG}float",
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$"),
    list("-+0123456789."),
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object of a file.

    lines    path of a field (`spec.duration.interval`) to its line, counted from 1; the object's first line under ""
    """

    object: dict[str, Any]
    source: str
    lines: Mapping[str, int] = field(default_factory=dict)

    @property
    def place(self) -> Source:
        """Where the object was read, for messages."""
        return Source(self.source, self.lines)


def read(path: str | Path) -> list[Manifest]:
    """The objects of a file, or of the manifests directly in a folder, by name. Raises InvalidInput."""
    path = Path(path)
    if not path.is_dir():
        return parse(_bytes_of(path), str(path))
    files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES and file.is_file())
    if not files:
        raise InvalidInput(f"{path}: the folder holds no manifest ({', '.join('*' + suffix for suffix in SUFFIXES)})")
    return [manifest for file in files for manifest in parse(_bytes_of(file), str(file))]


def _bytes_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise InvalidInput(f"{path}: there is no such file") from None
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror}") from None


def parse(content: bytes | str, source: str) -> list[Manifest]:
    """The objects in a text; `source` is its name in messages (`-` reads better as `stdin`). Raises InvalidInput."""
    if len(content) > MAX_BYTES:
        raise InvalidInput(f"{source}: is larger than {MAX_BYTES // 1024**2} MiB; a manifest is a few kilobytes")
    text = content if isinstance(content, str) else _decoded(content, source)
    try:
        manifests = list(_yaml_objects(text, source))
    except yaml.YAMLError as error:
        manifests = _json_objects(text, source) or _refuse_yaml(error, source)
    if not manifests:
        raise InvalidInput(f"{source}: holds no object")
    return manifests


def _decoded(content: bytes, source: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidInput(f"{source}:{line}: is not text in UTF-8; is it a manifest?") from None


def _refuse_yaml(error: yaml.YAMLError, source: str) -> NoReturn:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        problem = error.problem or "it cannot be read"
        hint = "; indent with spaces, not with tabs" if "'\\t'" in problem else ""
        raise InvalidInput(f"{source}:{error.problem_mark.line + 1}: is not YAML: {problem}{hint}") from None
    if isinstance(error, yaml.reader.ReaderError):
        raise InvalidInput(f"{source}: is not YAML: it holds the character #x{int(error.character):02x}") from None
    raise InvalidInput(f"{source}: is not YAML") from None


def _yaml_objects(text: str, source: str) -> Iterator[Manifest]:
    _refuse_deep(text, source)
    for node in yaml.compose_all(text, _Loader):
        yield from _Document(source).manifests(node)


def _refuse_deep(text: str, source: str) -> None:
    """Refuse what is nested too deep before libyaml's composer sees it, which is recursive without a limit."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, CollectionStartEvent):
            depth += 1
        elif isinstance(event, CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH and event.start_mark is not None:
            raise InvalidInput(f"{source}:{event.start_mark.line + 1}: is nested more than {MAX_DEPTH} levels deep")


class _Document:
    """Builds the objects of one document, counting what it builds."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._values = 0
        self._lines: dict[str, int] = {}

    def manifests(self, node: Node) -> Iterator[Manifest]:
        if isinstance(node, ScalarNode) and node.tag == f"{_TAG}null":
            return
        items = _items_of_list(node)
        if items is not None:
            for item in items:
                yield from self.manifests(item)
            return
        if not isinstance(node, MappingNode):
            self._refuse(node, "an object must be a mapping with apiVersion, kind and metadata")
        self._lines = {"": node.start_mark.line + 1}
        yield Manifest(self._mapping(node, ()), self._source, self._lines)

    def _refuse(self, node: Node, why: str) -> NoReturn:
        raise InvalidInput(f"{self._source}:{node.start_mark.line + 1}: {why}") from None

    def _value(self, node: Node, path: tuple[Step, ...]) -> Any:
        self._values += 1
        if self._values > MAX_VALUES:
            self._refuse(node, f"holds more than {MAX_VALUES} values, its aliases written out; write it without them")
        if len(path) > MAX_DEPTH:
            self._refuse(node, f"is nested more than {MAX_DEPTH} levels deep")
        if node.tag not in _PLAIN_TAGS:
            self._refuse(node, f"the tag '{node.tag}' is not allowed; write plain values")
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return self._sequence(node, path)
        return self._scalar(node)

    def _sequence(self, node: SequenceNode, path: tuple[Step, ...]) -> list[Any]:
        built = []
        for index, item in enumerate(node.value):
            self._lines.setdefault(join((*path, index)), item.start_mark.line + 1)
            built.append(self._value(item, (*path, index)))
        return built

    def _mapping(self, node: MappingNode, path: tuple[Step, ...]) -> dict[str, Any]:
        built: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            if key_node.tag == f"{_TAG}merge":
                merged = self._merged(value_node, path) | merged
                continue
            key, line = self._key(key_node), key_node.start_mark.line + 1
            if key in first:
                self._refuse(key_node, f"'{key}' stands twice, in line {first[key]} too; remove one of the two")
            first[key] = line
            self._lines[join((*path, key))] = line
            built[key] = self._value(value_node, (*path, key))
        return built | {key: value for key, value in merged.items() if key not in built}

    def _merged(self, node: Node, path: tuple[Step, ...]) -> dict[str, Any]:
        """What `<<:` brings in: a mapping or a list of them, the first of which counts."""
        built: dict[str, Any] = {}
        for part in node.value if isinstance(node, SequenceNode) else [node]:
            if not isinstance(part, MappingNode):
                self._refuse(node, "'<<' must be given a mapping")
            built = self._value(part, path) | built
        return built

    def _key(self, node: Node) -> str:
        if not isinstance(node, ScalarNode):
            self._refuse(node, "a key must be a text")
        return str(node.value)

    def _scalar(self, node: Node) -> Any:
        try:
            return _READ[node.tag](node.value)
        except (ValueError, KeyError):
            self._refuse(node, f"{name_of(node.value)} is no {node.tag.removeprefix(_TAG)}")


def _integer(text: str) -> int:
    digits = text.replace("_", "").lower()
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-")
    if len(digits) > 1 and digits[0] == "0" and digits[1].isdigit():
        digits = f"0o{digits[1:]}"
    return sign * int(digits, 0)


def _float(text: str) -> float:
    return float(text.lower().replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))


_READ: dict[str, Callable[[str], Any]] = {
    f"{_TAG}str": str,
    f"{_TAG}null": lambda _: None,
    f"{_TAG}bool": lambda text: yaml.SafeLoader.bool_values[text.lower()],
    f"{_TAG}int": _integer,
    f"{_TAG}float": _float,
}


def _items_of_list(node: Node) -> list[Node] | None:
    """The nodes of a `kind: List`'s items; None when the node is something else."""
    if not isinstance(node, MappingNode):
        return None
    fields = {key.value: value for key, value in node.value if isinstance(key, ScalarNode)}
    kind, items = fields.get("kind"), fields.get("items")
    if kind is None or not str(kind.value).endswith("List") or not isinstance(items, SequenceNode):
        return None
    return list(items.value)


def _json_objects(text: str, source: str) -> list[Manifest]:
    """The objects of a JSON text that is not YAML too (surrogate escapes); they have no lines. None: it is no JSON."""
    try:
        found = json.loads(text, object_pairs_hook=_no_key_twice)
    except json.JSONDecodeError:
        return []
    except ValueError as error:
        raise InvalidInput(f"{source}: {error}") from None
    except RecursionError:
        raise InvalidInput(f"{source}: is nested more than {MAX_DEPTH} levels deep") from None
    if isinstance(found, dict) and str(found.get("kind")).endswith("List") and isinstance(found.get("items"), list):
        found = found["items"]
    objects = found if isinstance(found, list) else [found]
    if not all(isinstance(obj, dict) for obj in objects):
        raise InvalidInput(f"{source}: an object must be a mapping with apiVersion, kind and metadata")
    return [Manifest(obj, source) for obj in objects]


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built: dict[str, Any] = {}
    for key, value in pairs:
        if key in built:
            raise ValueError(f"'{key}' stands twice in one object; remove one of the two")
        built[key] = value
    return built
