"""`-o`: the same objects as a table, JSON, YAML, names or what a JSONPath finds."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from serin.cli import jsonpath
from serin.cli.aligning import Aligner
from serin.cli.selecting import full_name
from serin.cli.tables import columns, name
from serin.ports import Kind, Object

PLAIN = ("", "wide", "json", "yaml", "name")
JSONPATH = "jsonpath="

Found = Sequence[tuple[Kind, Sequence[Object]]]


def checked_output(ctx: click.Context, _parameter: click.Parameter, value: str | None) -> str:
    """The callback of `-o`: the format, or a usage error that names those there are."""
    value = value or ""
    if value.startswith(JSONPATH):
        jsonpath.render(value.removeprefix(JSONPATH), {})
    elif value not in PLAIN:
        raise click.BadParameter(f"'{value}' is none of wide, json, yaml, name and jsonpath=TEMPLATE", ctx=ctx)
    return value


output = click.option(
    "-o",
    "--output",
    metavar="FORMAT",
    callback=checked_output,
    shell_complete=lambda _ctx, _param, typed: [each for each in (*PLAIN[1:], JSONPATH) if each.startswith(typed)],
    help="wide, json, yaml, name or jsonpath=TEMPLATE.",
)


def _checked_document(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str:
    form = checked_output(ctx, parameter, value)
    if form in ("wide", "name"):
        raise click.BadParameter(f"'{form}' is for tables of objects; here are json, yaml and jsonpath=…", ctx=ctx)
    return form


document = click.option(
    "-o",
    "--output",
    metavar="FORMAT",
    callback=_checked_document,
    help="json, yaml or jsonpath=TEMPLATE, for programs.",
)
"""`-o` of a command that has one document to print, and words for people otherwise."""


def _has_every_letter() -> bool:
    """Whether standard output can show every letter; else a document for programs escapes those it cannot."""
    return (sys.stdout.encoding or "").lower().startswith("utf")


def as_json(value: Any) -> str:
    """Indented and sorted, as kubectl prints it."""
    return json.dumps(value, indent=4, sort_keys=True, ensure_ascii=not _has_every_letter())


def as_yaml(value: Any) -> str:
    """Block style, sorted, long texts as blocks, as kubectl prints it; without the last line break."""
    import yaml

    class Dumper(yaml.SafeDumper):
        pass

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Dumper.add_representer(str, text)
    letters = _has_every_letter()
    dumped = yaml.dump(
        value, Dumper=Dumper, sort_keys=True, allow_unicode=letters, default_flow_style=False, width=1000
    )
    return str(dumped).rstrip("\n")


def print_document(value: Any, form: str) -> None:
    """One value as `json`, `yaml` or `jsonpath=…`."""
    if form.startswith(JSONPATH):
        click.echo(jsonpath.render(form.removeprefix(JSONPATH), value), nl=False)
    else:
        click.echo(as_yaml(value) if form == "yaml" else as_json(value))


def warn(doubts: Sequence[str]) -> None:
    """One warning a line, on standard error."""
    for doubt in doubts:
        click.echo(f"warning: {doubt}", err=True)


def list_of(objects: Sequence[Object]) -> Object:
    """Objects as the List that kubectl prints."""
    return {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": list(objects)}


@dataclass(slots=True)
class TablePrinter:
    """Prints tables, headers once a kind; lines that come later stay in line with those before.

    now             the time now, epoch seconds
    roomy           columns are as wide from the start as their cells may become
    with_kind       names with their kind in front
    with_namespace  the namespace as first column
    """

    now: Callable[[], float]
    wide: bool = False
    headers: bool = True
    with_kind: bool = False
    with_namespace: bool = False
    roomy: bool = False
    _aligners: dict[Kind, Aligner] = field(default_factory=dict)

    def show(self, kind: Kind, objects: Sequence[Object]) -> None:
        """Rows of one kind, with the header before the first. Nothing when there is no object."""
        if objects:
            click.echo("\n".join(self.lines(kind, objects)))

    def lines(self, kind: Kind, objects: Sequence[Object]) -> list[str]:
        """The same as lines."""
        shown = columns(kind, wide=self.wide, with_kind=self.with_kind, with_namespace=self.with_namespace)
        now = self.now()
        rows = [[column.cell(obj, now) for column in shown] for obj in objects]
        if kind not in self._aligners:
            self._aligners[kind] = Aligner()
            if self.headers:
                rows.insert(0, [column.header for column in shown])
        if self.roomy:
            self._aligners[kind].lines([column.widest(obj) for column in shown] for obj in objects)
        return self._aligners[kind].lines(rows)

    def show_all(self, found: Found) -> None:
        """One table a kind, an empty line between two."""
        tables = [self.lines(kind, objects) for kind, objects in found if objects]
        if tables:
            click.echo("\n\n".join("\n".join(lines) for lines in tables))


def print_found(found: Found, form: str, *, one: bool, table: TablePrinter) -> None:
    """Print what was found. `one`: a single object was asked for by name, so it is printed without a List around it."""
    objects = [obj for _, of_kind in found for obj in of_kind]
    if form in ("", "wide"):
        table.show_all(found)
    elif form == "name":
        for kind, of_kind in found:
            for obj in of_kind:
                click.echo(full_name(kind, name(obj)))
    else:
        print_document(objects[0] if one and len(objects) == 1 else list_of(objects), form)
