"""`serin apply`: objects become what files say. All of them are checked before the first is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from serin.api.manifest import Manifest
from serin.cli.checking import admitted, criteria_admitted, metrics_in, metrics_of, placed
from serin.cli.files import read_all
from serin.cli.options import command, common, filenames, pass_scope, recursive
from serin.cli.port import Home
from serin.cli.printing import checked_output, list_of, print_document, warn
from serin.cli.selecting import full_name
from serin.cli.tables import name
from serin.cli.target import Scope
from serin.control.apply import Applied
from serin.control.semantics import kind_of
from serin.errors import UsageError


@command(
    examples="""
    serin apply -f fashionmnist-v2-rollout.yaml
    serin apply -f modelv1.yaml -f externalize.yaml
    serin apply -R -f manifests/ --dry-run
    cat experiment.yaml | serin apply -f -
    """
)
@filenames
@recursive
@click.option(
    "--dry-run",
    type=click.Choice(["none", "client", "server"]),
    is_flag=False,
    flag_value="server",
    default="none",
    metavar="[WHERE]",
    help="Say what would be done, and do nothing; client and server are the same here.",
)
@click.option("-o", "--output", metavar="FORMAT", callback=checked_output, help="json, yaml, name or jsonpath=….")
@common()
@pass_scope
def apply(scope: Scope, filenames: tuple[str, ...], recursive: bool, dry_run: str, output: str) -> None:
    """Create or change the objects in files. When anything is wrong in any of them, nothing is changed."""
    if output == "wide":
        raise UsageError("-o wide is for tables; apply prints json, yaml, name or jsonpath=TEMPLATE")
    dry = dry_run != "none"
    manifests = read_all(filenames, recursive=recursive)
    doubts = admitted(manifests)
    manifests = placed(manifests, scope.in_namespace, demanded=scope.namespace is not None)
    documents = [manifest.object for manifest in manifests]

    async def checked_and_applied(home: Home) -> Sequence[Applied]:
        known = metrics_in(documents) or await metrics_of(home)
        said = [*doubts, *criteria_admitted(manifests, known)]
        warn(said)
        applied = await home.apply(documents, dry_run=dry)
        warn([doubt for doubt in _doubts_of_home(manifests, applied) if doubt not in said])
        return applied

    _report(scope.run(checked_and_applied), output, dry_run=dry)


def _doubts_of_home(manifests: Sequence[Manifest], applied: Sequence[Applied]) -> Iterator[str]:
    """What the home itself has to say about the documents, each doubt with its place in the file."""
    for manifest, done in zip(manifests, applied, strict=True):
        for doubt in done.warnings:
            yield f"{manifest.place.place(doubt.path)}{doubt}"


def _report(applied: Sequence[Applied], output: str, *, dry_run: bool) -> None:
    if output in ("", "name"):
        for done in applied:
            called = full_name(kind_of(done.object), name(done.object))
            click.echo(called if output else f"{called} {done.outcome}{' (dry run)' if dry_run else ''}")
    else:
        objects = [done.object for done in applied]
        print_document(objects[0] if len(objects) == 1 else list_of(objects), output)
