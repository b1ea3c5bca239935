"""`serin down`: a home ends, with everything that it runs."""

from __future__ import annotations

import click

from serin.cli.options import command, common, pass_scope
from serin.cli.target import Scope
from serin.cli.waiting import timeout_seconds


@command(
    examples="""
    serin down
    serin down --home /tmp/another --timeout 10s
    """
)
@click.option(
    "--timeout",
    default="90s",
    metavar="DURATION",
    callback=timeout_seconds,
    help="How long it may take, 90s if not given.",
)
@common(namespace=False)
@pass_scope
def down(scope: Scope, timeout: float) -> None:
    """End a home: requests under way are answered, then its processes end. Its objects stay for the next 'serin up'."""
    from serin.home import lifecycle

    folder = scope.folder
    ended = lifecycle.down(folder, timeout=timeout, say=lambda line: click.echo(line, err=True))
    click.echo(f"home {folder} {'is down' if ended else 'was not running'}")
