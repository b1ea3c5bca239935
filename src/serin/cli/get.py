"""`serin get`: objects as a table, as JSON or YAML, once or as they change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import click

from serin.cli.completing import kinds_and_names
from serin.cli.following import follow, in_order
from serin.cli.options import all_namespaces, command, common, pass_scope, selector
from serin.cli.port import Home
from serin.cli.printing import TablePrinter, output, print_found
from serin.cli.selecting import Matches, Selection, find, label_selector, parse, several_kinds
from serin.cli.target import Scope
from serin.errors import NotFound, UsageError
from serin.ports import Kind, Object


@dataclass(frozen=True, slots=True)
class Query:
    """What was asked for. `namespace` None: all of them."""

    selections: Sequence[Selection]
    namespace: str | None
    matches: Matches
    form: str
    ignore_not_found: bool = False

    @property
    def one(self) -> bool:
        """Whether exactly one object was asked for by name."""
        return len(self.selections) == 1 and len(self.selections[0].names) == 1


@command(
    examples="""
    serin get experiments
    serin get experiment fashionmnist-v2-rollout --watch
    serin get deploy,pods,svc -l app=fashionmnist -o wide
    serin get virtualservice/fashionmnist -o yaml
    serin get all -A
    serin get exp -o jsonpath='{.items[*].status.phase}'
    """
)
@click.argument("what", nargs=-1, metavar="KIND [NAME…] | KIND/NAME…", shell_complete=kinds_and_names)
@output
@selector
@all_namespaces
@click.option("-w", "--watch", is_flag=True, help="After the table, a line for every change.")
@click.option("--watch-only", is_flag=True, help="Changes only, without the table before.")
@click.option("--no-headers", is_flag=True, help="No line of column names.")
@click.option("--show-kind", is_flag=True, help="Put the kind in front of each name.")
@click.option("--ignore-not-found", is_flag=True, help="An object that is not there is no error.")
@common()
@pass_scope
def get(
    scope: Scope,
    what: tuple[str, ...],
    output: str,
    selector: str,
    all_namespaces: bool,
    watch: bool,
    watch_only: bool,
    no_headers: bool,
    show_kind: bool,
    ignore_not_found: bool,
) -> None:
    """Show objects: a table, or with -o their JSON, YAML or names.

    Kinds have kubectl's plural, singular and short names; several stand with commas between them, and 'all' is pods,
    services, deployments and experiments.
    """
    selections = parse(what)
    named = any(each.names for each in selections)
    if named and selector:
        raise UsageError("give names or a selector (-l), not both")
    if named and all_namespaces:
        raise UsageError("an object is named in one namespace; leave -A or the name out")
    query = Query(
        selections,
        None if all_namespaces else scope.in_namespace,
        label_selector(selector),
        output,
        ignore_not_found,
    )
    table = TablePrinter(
        scope.now,
        wide=output == "wide",
        headers=not no_headers,
        with_kind=show_kind or several_kinds(selections),
        with_namespace=all_namespaces,
        roomy=watch or watch_only,
    )
    if watch or watch_only:
        if len(selections) != 1 or len(selections[0].names) > 1:
            raise UsageError("--watch follows one kind, or one object of it")
        scope.run(lambda home: _watch(home, query, table, changes_only=watch_only))
    else:
        scope.run(lambda home: _show(home, query, table))


async def _show(home: Home, query: Query, table: TablePrinter) -> None:
    found: list[tuple[Kind, Sequence[Object]]] = []
    missing: list[NotFound] = []
    for selection in query.selections:
        objects, absent = await find(home, selection, query.namespace, query.matches)
        found.append((selection.kind, in_order(selection.kind, objects)))
        missing += absent
    if any(objects for _, objects in found) or (query.form not in ("", "wide") and not query.one):
        print_found(_together(found), query.form, one=query.one, table=table)
    elif not missing:
        place = f" in {query.namespace} namespace" if query.namespace else ""
        click.echo(f"No resources found{place}.", err=True)
    if missing and not query.ignore_not_found:
        raise NotFound("\n".join(str(error) for error in missing))


def _together(found: Sequence[tuple[Kind, Sequence[Object]]]) -> list[tuple[Kind, Sequence[Object]]]:
    """One table a kind, also when its objects were named one by one."""
    tables: dict[Kind, list[Object]] = {}
    for kind, objects in found:
        tables.setdefault(kind, []).extend(objects)
    return list(tables.items())


async def _watch(home: Home, query: Query, table: TablePrinter, *, changes_only: bool) -> None:
    selection = query.selections[0]
    if query.one and not query.ignore_not_found:
        await home.get(selection.kind, query.namespace or "", selection.names[0])
    await follow(home, selection, query.namespace, query.matches, query.form, table, changes_only=changes_only)
