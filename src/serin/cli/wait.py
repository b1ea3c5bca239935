"""`serin wait`: return when objects are as they are waited for, or fail when the time is over."""

from __future__ import annotations

from collections.abc import Sequence

import click

from serin.cli import jsonpath
from serin.cli.completing import kinds_and_names
from serin.cli.options import command, common, pass_scope, selector
from serin.cli.port import Home
from serin.cli.selecting import Matches, Selection, find, full_name, label_selector, parse
from serin.cli.tables import dig, name, namespace
from serin.cli.target import Scope
from serin.cli.waiting import Met, condition, gone, timeout_seconds, until
from serin.errors import NotFound, UsageError
from serin.ports import Kind, Object

CREATE, DELETE = "create", "delete"


@command(
    examples="""
    serin wait --for=condition=ExperimentCompleted experiment/fashionmnist-v2-rollout --timeout=300s
    serin wait --for=condition=Ready=false pod -l version=v2
    serin wait --for=jsonpath='{.status.phase}'=Progressing exp/fashionmnist-v2-rollout
    serin wait --for=delete deployment/fashionmnist-v1
    """
)
@click.argument("what", nargs=-1, metavar="KIND/NAME… | KIND NAME…", shell_complete=kinds_and_names)
@click.option(
    "--for",
    "what_for",
    metavar="WHAT",
    required=True,
    help="condition=TYPE[=STATUS], jsonpath='{PATH}'[=VALUE], create or delete.",
)
@click.option(
    "--timeout",
    default="30s",
    metavar="DURATION",
    callback=timeout_seconds,
    help="How long to wait, 30s if not given; 0s looks once, a negative one waits for a week.",
)
@selector
@click.option("--all", "every", is_flag=True, help="All objects of the kind.")
@common()
@pass_scope
def wait(scope: Scope, what: tuple[str, ...], what_for: str, timeout: float, selector: str, every: bool) -> None:
    """Wait until every object meets a condition; exit code 8 when the time is over."""
    selections = parse(what)
    met = _condition_of(what_for)
    nameless = [each for each in selections if not each.names]
    if nameless and not (selector or every):
        raise UsageError(f"name the {nameless[0].kind.plural} to wait for, or give -l or --all")
    if selector and not nameless:
        raise UsageError("give names or a selector (-l), not both")
    matches = label_selector(selector)
    scope.run(lambda home: _wait(home, selections, scope.in_namespace, matches, what_for, met, timeout))


def _condition_of(text: str) -> Met | None:
    """What `--for` means; None for `delete`, which needs the object's uid. Raises UsageError."""
    kind, _, rest = text.partition("=")
    if text.lower() == DELETE:
        return None
    if text.lower() == CREATE:
        return lambda obj: obj is not None
    if kind == "condition" and rest:
        type_, _, status = rest.partition("=")
        return condition(type_, status or "true")
    if kind == "jsonpath" and rest:
        return _jsonpath(rest)
    raise UsageError(f"--for={text}: write condition=TYPE[=STATUS], jsonpath='{{PATH}}'[=VALUE], create or delete")


def _jsonpath(text: str) -> Met:
    if text.startswith("{"):
        path, _, value = text.partition("}")
        path, has_value, value = path + "}", value.startswith("="), value[1:]
    else:
        path, equals, value = text.partition("=")
        has_value = bool(equals)
    if has_value and not value:
        raise UsageError(f"--for=jsonpath={text}: a value is missing after '='")
    jsonpath.evaluate(path, {})

    def met(obj: Object | None) -> bool:
        found = [] if obj is None else jsonpath.evaluate(path, obj)
        return any(jsonpath.as_text(each) == value for each in found) if has_value else bool(found)

    return met


async def _wait(
    home: Home,
    selections: Sequence[Selection],
    in_namespace: str,
    matches: Matches,
    what_for: str,
    met: Met | None,
    timeout: float,
) -> None:
    import asyncio

    end = asyncio.get_running_loop().time() + timeout
    targets = await _targets(
        home, selections, in_namespace, matches, must_exist=what_for.lower() not in (CREATE, DELETE)
    )
    for kind, name_, obj in targets:
        if met is None and obj is None:
            click.echo(f"{full_name(kind, name_)} condition met")
            continue
        place = namespace(obj) if obj is not None else in_namespace
        patience = max(end - asyncio.get_running_loop().time(), 0.0)
        await until(home, kind, place, name_, met or gone(dig(obj, "metadata", "uid")), patience)
        click.echo(f"{full_name(kind, name_)} condition met")


async def _targets(
    home: Home, selections: Sequence[Selection], in_namespace: str, matches: Matches, *, must_exist: bool
) -> list[tuple[Kind, str, Object | None]]:
    """The objects to wait for; one that is named but not there stands with None if it need not exist."""
    targets: list[tuple[Kind, str, Object | None]] = []
    for selection in selections:
        found, missing = await find(home, selection, in_namespace, matches)
        if missing and must_exist:
            raise missing[0]
        by_name = {name(obj): obj for obj in found}
        targets += [(selection.kind, each, by_name.get(each)) for each in selection.names or by_name]
    if not targets:
        raise NotFound("no object matches, so there is nothing to wait for; 'serin get' lists those there are")
    return targets
