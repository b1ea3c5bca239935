"""`serin describe`: everything about an object, for people: an experiment in words, any other kind as it is."""

from __future__ import annotations

from collections.abc import Sequence

import click

from serin.cli.ages import age, duration
from serin.cli.completing import kinds_and_names
from serin.cli.describing import experiment_lines
from serin.cli.events import events_about
from serin.cli.layout import fields, table
from serin.cli.options import command, common, pass_scope, selector
from serin.cli.port import Home
from serin.cli.pricing import price_of
from serin.cli.printing import as_yaml, document, list_of, print_document
from serin.cli.selecting import find, label_selector, parse
from serin.cli.sharing import shares_of
from serin.cli.tables import dig, last_seen, name, namespace
from serin.cli.target import Scope
from serin.control.apply import LAST_APPLIED
from serin.control.routing.istio_rules import EXPERIMENT_LABEL, ROUTER_LABEL
from serin.errors import NotFound, UsageError
from serin.ports import DESTINATION_RULE, EXPERIMENT, VIRTUAL_SERVICE, Kind, Object


@command(
    examples="""
    serin describe experiment fashionmnist-v2-rollout
    serin describe deployment/fashionmnist-v1
    serin describe pods -l app=fashionmnist
    serin describe exp fashionmnist-v2-rollout -o json
    """
)
@click.argument("what", nargs=-1, metavar="KIND [NAME…] | KIND/NAME…", shell_complete=kinds_and_names)
@selector
@document
@common()
@pass_scope
def describe(scope: Scope, what: tuple[str, ...], selector: str, output: str) -> None:
    """Show everything about objects: how they stand and why, and what has happened to them."""
    selections = parse(what)
    matches = label_selector(selector)
    if selector and any(each.names for each in selections):
        raise UsageError("give names or a selector (-l), not both")

    async def show(home: Home) -> None:
        described: list[str] = []
        documents: list[Object] = []
        missing: list[NotFound] = []
        for selection in selections:
            found, absent = await find(home, selection, scope.in_namespace, matches)
            missing += absent
            for obj in found:
                rules = await _rules(home, obj) if selection.kind is EXPERIMENT else []
                events = await events_about(home, selection.kind, namespace(obj), name(obj))
                documents += [obj, *rules, *events]
                described.append("\n".join(_lines(selection.kind, obj, rules, events, scope.now())))
        if output:
            print_document(list_of(documents), output)
        elif described:
            click.echo("\n\n\n".join(described))
        elif not missing:
            click.echo(f"No resources found in {scope.in_namespace} namespace.", err=True)
        if missing:
            raise NotFound("\n".join(str(error) for error in missing))

    scope.run(show)


async def _rules(home: Home, experiment: Object) -> list[Object]:
    """The routing rules that an experiment holds now, or those of its router when it holds none."""
    place = dig(experiment, "spec", "service", "namespace") or namespace(experiment)
    holder = f"{name(experiment)}.{namespace(experiment)}"
    service = dig(experiment, "spec", "service", "name")
    router = dig(experiment, "spec", "networking", "id") or dig(experiment, "spec", "trafficControl", "routerID")
    router = router or (f"{service}.{place}.svc.cluster.local" if service else None)
    rules: list[Object] = []
    for kind in (VIRTUAL_SERVICE, DESTINATION_RULE):
        for rule in await home.list(kind, place):
            labels = dig(rule, "metadata", "labels") or {}
            if labels.get(EXPERIMENT_LABEL) == holder or (router and labels.get(ROUTER_LABEL) == router):
                rules.append(rule)
    return rules


def _lines(kind: Kind, obj: Object, rules: Sequence[Object], events: Sequence[Object], now: float) -> list[str]:
    if kind is EXPERIMENT:
        lines = experiment_lines(obj, rules, now, price_of(obj, now), shares_of(obj))
    else:
        lines = _generic(obj, now)
    return [*lines, "", *_events(events, now)]


def _generic(obj: Object, now: float) -> list[str]:
    """Any object: who it is, then what else it holds, as YAML."""
    metadata = obj["metadata"]
    annotations = {key: text for key, text in (metadata.get("annotations") or {}).items() if key != LAST_APPLIED}
    owners = [f"{each.get('kind')}/{each.get('name')}" for each in metadata.get("ownerReferences") or ()]
    created = metadata.get("creationTimestamp")
    lines = fields(
        [
            ("Name", str(metadata.get("name"))),
            ("Namespace", str(metadata.get("namespace") or "")),
            ("Kind", str(obj.get("kind"))),
            ("Labels", ", ".join(f"{key}={text}" for key, text in sorted((metadata.get("labels") or {}).items()))),
            ("Annotations", ", ".join(f"{key}={text}" for key, text in sorted(annotations.items()))),
            ("Controlled by", ", ".join(owners)),
            ("Created", f"{age(created, now)} ago ({created})" if created else ""),
            ("Being deleted", f"since {metadata['deletionTimestamp']}" if metadata.get("deletionTimestamp") else ""),
        ]
    )
    for part, value in obj.items():
        if part not in ("apiVersion", "kind", "metadata") and value:
            lines += ["", f"{part[:1].upper()}{part[1:]}:"]
            lines += [f"  {line}" for line in as_yaml(value).splitlines()]
    return lines


def _events(events: Sequence[Object], now: float) -> list[str]:
    if not events:
        return ["Events:   none"]
    rows = [["LAST SEEN", "TYPE", "REASON", "MESSAGE"]]
    for event in events:
        at = last_seen(event)
        times = dig(event, "count") or dig(event, "series", "count") or 1
        seen = "" if at is None else duration(now - at) + (f" (x{times})" if times > 1 else "")
        message = str(event.get("message") or "").strip()
        rows.append([seen, str(event.get("type") or ""), str(event.get("reason") or ""), message])
    return ["Events:", *table(rows)]
