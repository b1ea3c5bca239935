"""`serin up`: a home starts, in the background or in this terminal."""

from __future__ import annotations

from pathlib import Path

import click

from serin.cli.options import command, common, pass_scope
from serin.cli.printing import document, print_document
from serin.cli.target import Scope


@command(
    examples="""
    serin up
    serin up --images examples/fashion-mnist/images.yaml --gateway-port 8080
    serin up --home /tmp/another --foreground
    """
)
@click.option(
    "--images", metavar="FILE", type=click.Path(path_type=Path), help="Which command stands for which image name."
)
@click.option(
    "--gateway-port", type=click.IntRange(1, 65535), metavar="PORT", help="The port of the gateway on this machine."
)
@click.option("--foreground", is_flag=True, help="Stay in this terminal until Ctrl-C.")
@document
@common(namespace=False)
@pass_scope
def up(scope: Scope, images: Path | None, gateway_port: int | None, foreground: bool, output: str) -> None:
    """Start a home and return when it is ready. What is not given is as it was the last time.

    A home is a folder with the objects, and what runs them: the processes of deployments, the gateway and the engine.
    """
    from serin.home import lifecycle

    status = lifecycle.up(
        scope.folder,
        images=images,
        gateway_port=gateway_port,
        foreground=foreground,
        say=lambda line: click.echo(line, err=True),
    )
    if output:
        print_document(status, output)
    elif not foreground:
        verb = "runs already" if status.get("already") else "is up"
        click.echo(f"home {status['folder']} {verb}, gateway at {status['gateway']['address']}")
