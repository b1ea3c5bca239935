"""kubectl's `--watch`: the table once, then a line for every change of what it shows, until somebody stops it."""

from __future__ import annotations

from collections.abc import Sequence

import click

from serin.cli.port import Home, changes
from serin.cli.printing import TablePrinter, print_document
from serin.cli.selecting import Matches, Selection, full_name
from serin.cli.tables import columns, dig, last_seen, name, namespace
from serin.ports import EVENT, Change, Kind, Object


def in_order(kind: Kind, objects: Sequence[Object]) -> Sequence[Object]:
    """As the store lists them; events in the order in which they happened."""
    return sorted(objects, key=_when) if kind is EVENT else objects


def _when(event: Object) -> tuple[float, int]:
    """Events have whole seconds; within one, what was written first came first (the version is a number, if any)."""
    version = str(dig(event, "metadata", "resourceVersion"))
    return last_seen(event) or 0.0, int(version) if version.isdecimal() else 0


async def follow(
    home: Home,
    selection: Selection,
    namespace_: str | None,
    matches: Matches,
    form: str,
    table: TablePrinter,
    *,
    changes_only: bool = False,
) -> None:
    """Print the present objects and then each change, without end.

    An object changes more often than what its row shows of it; a row that would say nothing new is left out.
    """
    kind = selection.kind
    news = _News(kind, wide=table.wide)
    present: list[Object] = []
    synced = False
    async with changes(home, kind, namespace_) as events:
        async for event in events:
            if event.change is Change.SYNCED:
                synced = True
                shown = [obj for obj in in_order(kind, present) if news.take(obj)]
                _print(kind, [] if changes_only else shown, form, table)
            elif not matches(event.object) or (selection.names and name(event.object) not in selection.names):
                continue
            elif not synced:
                present.append(event.object)
            elif news.take(event.object, gone=event.change is Change.DELETED) or form not in ("", "wide"):
                _print(kind, [event.object], form, table)


class _News:
    """Remembers what was shown of each object."""

    def __init__(self, kind: Kind, *, wide: bool) -> None:
        self._kind = kind
        self._columns = columns(kind, wide=wide)
        self._shown: dict[tuple[str, str], list[object]] = {}

    def take(self, obj: Object, *, gone: bool = False) -> bool:
        """Whether the object's row says something new; the end of an object always does."""
        key = namespace(obj), name(obj)
        if gone:
            self._shown.pop(key, None)
            return True
        # At a fixed time, so that growing older alone is no news; an event that repeats is.
        cells: list[object] = [column.cell(obj, 0.0) for column in self._columns]
        if self._kind is EVENT:
            cells += [last_seen(obj), dig(obj, "count")]
        before, self._shown[key] = self._shown.get(key), cells
        return cells != before


def _print(kind: Kind, objects: Sequence[Object], form: str, table: TablePrinter) -> None:
    if form in ("", "wide"):
        table.show(kind, objects)
        return
    for obj in objects:
        if form == "name":
            click.echo(full_name(kind, name(obj)))
        else:
            if form == "yaml":
                click.echo("---")
            print_document(obj, form)
