"""`serin lint`: what `apply` would refuse or warn about, without a home."""

from __future__ import annotations

import click

from serin.cli.checking import admitted, criteria_admitted, metrics_in, placed
from serin.cli.files import read_all
from serin.cli.options import command, filenames, recursive
from serin.cli.printing import warn
from serin.metrics.definitions import built_in


@command(
    examples="""
    serin lint -f fashionmnist-v2-rollout.yaml
    serin lint -R -f manifests/
    """
)
@filenames
@recursive
def lint(filenames: tuple[str, ...], recursive: bool) -> None:
    """Check files: every problem with its place, without applying anything and without a home.

    Metrics are looked for in the files' own ConfigMap iter8config-metrics, else among those out of the box.
    """
    manifests = read_all(filenames, recursive=recursive)
    warn(admitted(manifests))
    manifests = placed(manifests, "default", demanded=False)
    warn(criteria_admitted(manifests, metrics_in(each.object for each in manifests) or built_in()))
    click.echo(f"{len(manifests)} object{'s' if len(manifests) != 1 else ''}, nothing wrong")
