"""Shell completion of kinds, names and namespaces; silent when the home does not answer within a second."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import click

from serin.cli.target import Scope

if TYPE_CHECKING:
    from serin.cli.port import Home

T = TypeVar("T")

PATIENCE = 1.0
"""Seconds that a person at a shell waits for a completion."""


def kinds_and_names(ctx: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """For `KIND [NAME…]` and `KIND/NAME…`: kinds first, then names of that kind."""
    from serin.cli.selecting import CATEGORIES, kind_named
    from serin.ports import KINDS

    before = ctx.params.get(parameter.name or "") or ()
    before = (before,) if isinstance(before, str) else before
    if "/" in typed:
        word = typed.split("/")[0]
        return _matching(typed, [f"{word}/{name}" for name in _names(ctx, word)])
    if before and "/" not in before[0]:
        return _matching(typed, [name for name in _names(ctx, before[0].split(",")[0]) if name not in before])
    words = [kind.plural for kind in KINDS] + list(CATEGORIES)
    short = [name for kind in KINDS for name in (kind.name.lower(), *kind.short)]
    try:
        kind_named(typed)
    except Exception:
        return _matching(typed, words) or _matching(typed, short)
    return _matching(typed, words) or [typed]


def names_of(kind: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """For an argument that is the name of an object of this kind."""

    def complete(ctx: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
        return _matching(typed, _names(ctx, kind))

    return complete


def namespaces(ctx: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
    """For `-n`: every namespace that has objects or is one."""
    from serin.cli.tables import name, namespace
    from serin.ports import DEPLOYMENT, EXPERIMENT, NAMESPACE, Objects

    nothing: set[str] = set()

    async def ask(objects: Objects) -> set[str]:
        found = {name(obj) for obj in await objects.list(NAMESPACE)}
        for kind in (DEPLOYMENT, EXPERIMENT):
            found |= {namespace(obj) for obj in await objects.list(kind)}
        return found

    return _matching(typed, sorted(_asked(ctx, ask, nothing) | {"default"}))


def _names(ctx: click.Context, word: str) -> list[str]:
    from serin.cli.selecting import kind_named
    from serin.cli.tables import name
    from serin.ports import Objects

    async def ask(objects: Objects) -> list[str]:
        return [name(obj) for obj in await objects.list(kind_named(word), _scope(ctx).in_namespace)]

    return _asked(ctx, ask, [])


def _scope(ctx: click.Context) -> Scope:
    scope = ctx.find_object(Scope)
    return scope if scope is not None else Scope()


def _asked(ctx: click.Context, ask: Callable[[Home], Coroutine[Any, Any, T]], nothing: T) -> T:
    """The home's answer, or `nothing`: a completion must never disturb the line that a person types."""
    import asyncio

    try:
        return _scope(ctx).run(lambda home: asyncio.wait_for(ask(home), PATIENCE))
    except Exception:
        return nothing


def _matching(typed: str, words: list[str]) -> list[str]:
    return [word for word in words if word.startswith(typed)]
