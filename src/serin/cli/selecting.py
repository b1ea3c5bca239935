"""Which objects a command line means: `pods,svc`, `all`, `exp NAME…`, `deployment/NAME`, and label selectors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from serin.errors import NotFound, UsageError
from serin.ports import DEPLOYMENT, EXPERIMENT, KINDS, POD, SERVICE, Kind, Object, Objects

CATEGORIES = {"all": (POD, SERVICE, DEPLOYMENT, EXPERIMENT), "iter8": (EXPERIMENT,)}
"""As in a cluster, where the Experiment is in both categories; the order is that of `kubectl get all`."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Objects of one kind: those named, or all of them when `names` is empty."""

    kind: Kind
    names: tuple[str, ...] = ()


def resource(kind: Kind) -> str:
    """A kind as messages name it: `deployments.apps`, `pods`."""
    return f"{kind.plural}.{kind.group}" if kind.group else kind.plural


def singular(kind: Kind) -> str:
    """A kind as the prefix of a name: `deployment.apps`, `pod`."""
    return f"{kind.name.lower()}.{kind.group}" if kind.group else kind.name.lower()


def full_name(kind: Kind, name: str) -> str:
    """`deployment.apps/NAME`, as `-o name` and messages have it."""
    return f"{singular(kind)}/{name}"


def kind_named(word: str) -> Kind:
    """The kind of a plural, singular or short name, with or without group (and version). Raises UsageError."""
    wanted = word.lower()
    for kind in KINDS:
        if wanted in _names_of(kind):
            return kind
    known = ", ".join(kind.plural for kind in KINDS)
    raise UsageError(f"there is no kind '{word}' in this home; known are {known}")


def _names_of(kind: Kind) -> set[str]:
    plain = {kind.plural, kind.name.lower(), *kind.short}
    groups = (kind.group, *(f"{version}.{kind.group}" for version in kind.versions)) if kind.group else ()
    return plain | {f"{name}.{group}" for name in (kind.plural, kind.name.lower()) for group in groups}


def parse(arguments: Sequence[str]) -> list[Selection]:
    """The selections of `KIND[,KIND…] [NAME…]` or `KIND/NAME…`, in the order given. Raises UsageError."""
    if not arguments:
        raise UsageError("say which kind of objects, for example 'experiments', 'deploy,svc' or 'experiment/NAME'")
    if any("/" in argument for argument in arguments):
        return _named(arguments)
    kinds: list[Kind] = []
    for word in arguments[0].split(","):
        for kind in CATEGORIES.get(word.lower()) or (kind_named(word),):
            if kind not in kinds:
                kinds.append(kind)
    if len(arguments) > 1 and arguments[0].lower() in CATEGORIES:
        raise UsageError(f"'{arguments[0]}' is several kinds; name one kind with a name, for example 'experiment/NAME'")
    return [Selection(kind, tuple(arguments[1:])) for kind in kinds]


def _named(arguments: Sequence[str]) -> list[Selection]:
    selections = []
    for argument in arguments:
        word, slash, name = argument.partition("/")
        if not (slash and word and name) or "/" in name:
            raise UsageError(f"'{argument}' is not of the form KIND/NAME, as the other arguments are")
        selections.append(Selection(kind_named(word), (name,)))
    return selections


def parse_one(arguments: Sequence[str], assumed: Kind) -> tuple[Kind, str]:
    """One object: `NAME` (of the assumed kind), `KIND/NAME` or `KIND NAME`. Raises UsageError."""
    if len(arguments) == 1 and "/" not in arguments[0]:
        return assumed, arguments[0]
    chosen = [(each.kind, name) for each in parse(arguments) for name in each.names]
    if len(chosen) != 1:
        raise UsageError(f"name one object, for example '{assumed.name.lower()}/NAME'")
    return chosen[0]


def several_kinds(selections: Iterable[Selection]) -> bool:
    """Whether names need their kind in front, as kubectl decides it."""
    return len({selection.kind for selection in selections}) > 1


Matches = Callable[[Object], bool]

_REQUIREMENT = re.compile(
    r"""\s*(?:
        (?P<key>[\w./-]+)\s*(?P<op>==|=|!=)\s*(?P<value>[\w.-]*)
      | (?P<set>[\w./-]+)\s+(?P<in>in|notin)\s*\((?P<values>[^()]*)\)
      | (?P<not>!)\s*(?P<absent>[\w./-]+)
      | (?P<present>[\w./-]+)
    )\s*(?:,|$)""",
    re.VERBOSE,
)


def label_selector(text: str) -> Matches:
    """`app=x,version!=v1,tier in (a, b),!legacy` as a test of an object. Raises UsageError."""
    tests: list[Matches] = []
    position = 0
    while position < len(text.rstrip()):
        match = _REQUIREMENT.match(text, position)
        if match is None:
            raise UsageError(
                f"-l '{text}': cannot read '{text[position:].strip()}'; write for example 'app=x,version!=v1'"
            )
        tests.append(_requirement(match))
        position = match.end()
    return lambda obj: all(test(obj) for test in tests)


def _requirement(match: re.Match[str]) -> Matches:
    if match["key"] is not None:
        key, negated, values = match["key"], match["op"] == "!=", {match["value"]}
    elif match["set"] is not None:
        key, negated, values = match["set"], match["in"] == "notin", {v.strip() for v in match["values"].split(",")}
    else:
        name = match["absent"] or match["present"]
        return lambda obj: (name in _labels(obj)) is (match["absent"] is None)
    # As in Kubernetes, an object without the label has any value but these.
    return lambda obj: (_labels(obj).get(key) in values) is not negated


def _labels(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


async def find(
    objects: Objects, selection: Selection, namespace: str | None, matches: Matches
) -> tuple[list[Object], list[NotFound]]:
    """The selected objects, and for each that was named but is not there its error."""
    if not selection.names:
        listed = await objects.list(selection.kind, namespace if selection.kind.namespaced else None)
        return [obj for obj in listed if matches(obj)], []
    found: list[Object] = []
    missing: list[NotFound] = []
    for name in selection.names:
        try:
            found.append(await objects.get(selection.kind, namespace or "", name))
        except NotFound as error:
            missing.append(error)
    return found, missing
