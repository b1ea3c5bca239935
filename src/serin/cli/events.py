"""`serin events`: what has happened, oldest first."""

from __future__ import annotations

from collections.abc import Sequence

import click

from serin.cli.completing import kinds_and_names
from serin.cli.following import follow, in_order
from serin.cli.options import all_namespaces, command, common, pass_scope
from serin.cli.port import Home
from serin.cli.printing import TablePrinter, output, print_found
from serin.cli.selecting import Matches, Selection, find, parse_one
from serin.cli.tables import dig, regarding
from serin.cli.target import Scope
from serin.errors import UsageError
from serin.ports import EVENT, EXPERIMENT, Kind, Object

TYPES = ("Normal", "Warning")


@command(
    examples="""
    serin events --for experiment/fashionmnist-v2-rollout
    serin events --types=Warning --watch
    serin events -A -o json
    """
)
@click.option(
    "--for", "about", metavar="KIND/NAME", shell_complete=kinds_and_names, help="Only events about this object."
)
@click.option("--types", metavar="TYPES", default="", help="Only Normal or only Warning events.")
@all_namespaces
@click.option("-w", "--watch", is_flag=True, help="After the table, a line for every new event.")
@click.option("--no-headers", is_flag=True, help="No line of column names.")
@output
@common()
@pass_scope
def events(
    scope: Scope, about: str | None, types: str, all_namespaces: bool, watch: bool, no_headers: bool, output: str
) -> None:
    """Show events, the oldest first."""
    wanted = _types(types)
    target = None
    if about is not None:
        if "/" not in about:
            raise UsageError(f"--for {about}: write KIND/NAME, for example 'experiment/{about}'")
        target = parse_one([about], EXPERIMENT)
    matches = _matching(target, wanted)
    place = None if all_namespaces else scope.in_namespace
    table = TablePrinter(scope.now, wide=output == "wide", headers=not no_headers, with_namespace=all_namespaces)
    if watch:
        scope.run(lambda home: follow(home, Selection(EVENT), place, matches, output, table))
    else:
        scope.run(lambda home: _show(home, place, matches, output, table))


def _types(text: str) -> set[str]:
    wanted = {word.strip().capitalize() for word in text.split(",") if word.strip()}
    for word in wanted - set(TYPES):
        raise UsageError(f"--types: '{word}' is neither Normal nor Warning")
    return wanted


def _matching(target: tuple[Kind, str] | None, types: set[str]) -> Matches:
    def matches(event: Object) -> bool:
        if types and dig(event, "type") not in types:
            return False
        return target is None or regarding(event) == (target[0].name, target[1])

    return matches


async def events_about(home: Home, kind: Kind, namespace: str, name: str) -> Sequence[Object]:
    """The events of one object, the oldest first."""
    found, _ = await find(home, Selection(EVENT), namespace or None, _matching((kind, name), set()))
    return in_order(EVENT, found)


async def _show(home: Home, place: str | None, matches: Matches, form: str, table: TablePrinter) -> None:
    found, _ = await find(home, Selection(EVENT), place, matches)
    if not found and form in ("", "wide"):
        click.echo(f"No events found{f' in {place} namespace' if place else ''}.", err=True)
        return
    print_found([(EVENT, in_order(EVENT, found))], form, one=False, table=table)
