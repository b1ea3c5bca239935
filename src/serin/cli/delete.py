"""`serin delete`: objects go, by file, by name or by label, and by default the command waits until they have gone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import click

from serin.cli.completing import kinds_and_names
from serin.cli.options import all_namespaces, command, common, filenames, pass_scope, recursive, selector
from serin.cli.port import Home
from serin.cli.selecting import Matches, Selection, find, full_name, label_selector, parse, resource
from serin.cli.tables import name, namespace
from serin.cli.target import Scope
from serin.cli.waiting import A_WEEK, gone, timeout_seconds, until
from serin.errors import NotFound, UsageError
from serin.ports import Kind, Object

Target = tuple[Kind, Object]


@command(
    examples="""
    serin delete -f modelv2.yaml -f fashionmnist-v2-rollout.yaml
    serin delete experiment fashionmnist-v2-rollout
    serin delete deployment/fashionmnist-v1 service/fashionmnist --ignore-not-found
    serin delete pods -l version=v2 --wait=false
    """
)
@click.argument("what", nargs=-1, metavar="[KIND NAME… | KIND/NAME…]", shell_complete=kinds_and_names)
@filenames
@recursive
@selector
@all_namespaces
@click.option("--all", "every", is_flag=True, help="All objects of the kind in the namespace.")
@click.option("--ignore-not-found", is_flag=True, help="An object that is not there is no error.")
@click.option(
    "--wait/--no-wait",
    "wait_for_it",
    default=True,
    help="Return when the objects have gone (default), or at once.",
)
@click.option(
    "--timeout",
    default="0s",
    metavar="DURATION",
    callback=timeout_seconds,
    help="How long to wait; 0s, the default, is as long as it takes.",
)
@click.option("-o", "--output", type=click.Choice(["name"]), help="Print names only.")
@common()
@pass_scope
def delete(
    scope: Scope,
    what: tuple[str, ...],
    filenames: tuple[str, ...],
    recursive: bool,
    selector: str,
    all_namespaces: bool,
    every: bool,
    ignore_not_found: bool,
    wait_for_it: bool,
    timeout: float,
    output: str | None,
) -> None:
    """Delete objects. An experiment that is deleted gives the traffic back first."""
    if bool(what) == bool(filenames):
        raise UsageError("say what to delete: either files with -f, or KIND NAME")
    chosen: Sequence[tuple[Selection, str | None]]
    if filenames:
        chosen = _in_files(filenames, scope, recursive=recursive)
    else:
        place = None if all_namespaces else scope.in_namespace
        chosen = [(selection, place) for selection in parse(what)]
        for selection, _ in chosen:
            _check_meant(selection, selector, every=every, all_namespaces=all_namespaces)
    matches = label_selector(selector)
    ignore = ignore_not_found or every
    patience = (timeout or A_WEEK) if wait_for_it else None

    scope.run(lambda home: _delete(home, chosen, matches, ignore=ignore, names_only=bool(output), patience=patience))


def _check_meant(selection: Selection, selector: str, *, every: bool, all_namespaces: bool) -> None:
    """Nothing goes that nobody has named, selected or asked for by --all."""
    plural = selection.kind.plural
    if selection.names and (selector or every or all_namespaces):
        raise UsageError("give names alone, without -l, --all and -A")
    if not selection.names and not (selector or every):
        raise UsageError(f"name the {plural} to delete, or give -l, or --all for all of them")


def _in_files(filenames: Sequence[str], scope: Scope, *, recursive: bool) -> list[tuple[Selection, str]]:
    from serin.cli.files import read_all
    from serin.control.semantics import key_of

    chosen = []
    for manifest in read_all(filenames, recursive=recursive):
        key = key_of(manifest.object)
        given = (manifest.object.get("metadata") or {}).get("namespace")
        chosen.append((Selection(key.kind, (key.name,)), given or scope.in_namespace))
    return chosen


async def _delete(
    home: Home,
    chosen: Sequence[tuple[Selection, str | None]],
    matches: Matches,
    *,
    ignore: bool,
    names_only: bool,
    patience: float | None,
) -> None:
    targets: list[Target] = []
    missing: list[NotFound] = []
    for selection, place in chosen:
        found, absent = await find(home, selection, place, matches)
        targets += [(selection.kind, obj) for obj in found]
        missing += absent
    for kind, obj in targets:
        await home.delete(kind, namespace(obj), name(obj))
        click.echo(full_name(kind, name(obj)) if names_only else f'{_singular_resource(kind)} "{name(obj)}" deleted')
    if not targets and not missing and not names_only:
        click.echo("No resources found")
    if patience is not None:
        await _wait_until_gone(home, targets, patience)
    if missing and not ignore:
        raise NotFound("\n".join(str(error) for error in missing))


def _singular_resource(kind: Kind) -> str:
    """As kubectl writes it: `pod`, `deployment.apps`, `experiment.iter8.tools`."""
    return resource(kind).replace(kind.plural, kind.name.lower(), 1)


async def _wait_until_gone(home: Home, targets: Sequence[Target], patience: float) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + patience
    for kind, obj in targets:
        left = max(end - loop.time(), 0.0)
        await until(home, kind, namespace(obj), name(obj), gone(obj["metadata"].get("uid")), left)
