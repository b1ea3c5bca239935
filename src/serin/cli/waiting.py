"""Waiting for objects by watching them, never by asking again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import click

from serin.api.durations import seconds
from serin.cli.port import Home, changes
from serin.cli.tables import dig, name
from serin.errors import NotFound, Timeout, Unreachable
from serin.ports import Change, Kind, Object

Met = Callable[[Object | None], bool]
"""Whether an object is as it is waited for; None: it is not there."""

A_WEEK = 7 * 86400.0


def timeout_seconds(ctx: click.Context, parameter: click.Parameter, value: str) -> float:
    """The callback of `--timeout`: a Go duration; a negative one is a week, as kubectl has it."""
    try:
        wanted = seconds(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx=ctx, param=parameter) from None
    return wanted if wanted >= 0 else A_WEEK


async def until(home: Home, kind: Kind, namespace: str, name_: str, met: Met, patience: float) -> Object | None:
    """The object as soon as `met` holds, within so many seconds (0: as it is now). Raises Timeout."""
    latest = await look(home, kind, namespace, name_)
    if met(latest):
        return latest
    if patience <= 0:
        raise _late(kind, name_, latest)
    try:
        async with asyncio.timeout(patience):
            async with changes(home, kind, namespace) as events:
                seen = False
                async for event in events:
                    if event.change is Change.SYNCED:
                        latest = latest if seen else None
                    elif name(event.object) != name_:
                        continue
                    else:
                        seen = True
                        latest = None if event.change is Change.DELETED else event.object
                    if met(latest):
                        return latest
        raise Unreachable(
            f"the home ended while waiting for {kind.plural}/{name_}; start it with 'serin up' and repeat"
        )
    except TimeoutError:
        pass
    raise _late(kind, name_, latest)


async def look(home: Home, kind: Kind, namespace: str, name_: str) -> Object | None:
    """The object, None when it is not there."""
    try:
        return await home.get(kind, namespace, name_)
    except NotFound:
        return None


def gone(uid: str | None) -> Met:
    """Met when the object of this uid is no more; another of the same name may have taken its place."""
    return lambda obj: obj is None or (uid is not None and obj["metadata"].get("uid") != uid)


def condition(type_: str, status: str) -> Met:
    """Met when a condition has this status (compared without regard to case) for the present generation."""

    def met(obj: Object | None) -> bool:
        for each in dig(obj, "status", "conditions") or ():
            if str(each.get("type", "")).casefold() == type_.casefold():
                observed = each.get("observedGeneration", dig(obj, "status", "observedGeneration"))
                generation = dig(obj, "metadata", "generation")
                if isinstance(observed, int) and isinstance(generation, int) and observed < generation:
                    return False
                return str(each.get("status", "")).casefold() == status.casefold()
        return False

    return met


def _late(kind: Kind, name_: str, latest: Object | None) -> Timeout:
    """kubectl's words, and how things stand: in the object's own words, or those of a condition that is not met."""
    conditions = dig(latest, "status", "conditions") or ()
    unmet = next(
        (each["message"] for each in conditions if each.get("status") == "False" and each.get("message")), None
    )
    message = dig(latest, "status", "message") or unmet or dig(latest, "status", "phase")
    state = "; it is not there" if latest is None else f"; it says '{message}'" if message else ""
    return Timeout(f"timed out waiting for the condition on {kind.plural}/{name_}{state}")
