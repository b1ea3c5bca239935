"""`serin terminate`: an experiment ends now, with all traffic on the baseline or with the split given."""

from __future__ import annotations

import click

from serin.cli.options import command, pass_scope
from serin.cli.overriding import override, override_options
from serin.cli.tables import versions
from serin.cli.target import Scope
from serin.errors import InvalidInput, UsageError
from serin.ports import Object


@command(
    examples="""
    serin terminate fashionmnist-v2-rollout
    serin terminate fashionmnist-v2-rollout --split fashionmnist-v1=80,fashionmnist-v2=20 --wait
    """
)
@click.option("--split", metavar="VERSION=PERCENT,…", help="The traffic after the end; adds up to 100.")
@override_options
@pass_scope
def terminate(scope: Scope, experiment: tuple[str, ...], split: str | None, wait_for_it: bool, timeout: float) -> None:
    """End an experiment now. All traffic goes to the baseline, or is split as --split says."""
    wanted = None if split is None else _split(split)

    def checked(obj: Object) -> dict[str, int] | None:
        if wanted is not None:
            _check_versions(wanted, obj)
        return wanted

    override(scope, experiment, "terminate", wait_for_it=wait_for_it, timeout=timeout, split=checked)


def _split(text: str) -> dict[str, int]:
    """`a=80,b=20` as percents that add up to 100. Raises UsageError."""
    split: dict[str, int] = {}
    for part in text.split(","):
        version, equals, percent = (word.strip() for word in part.partition("="))
        if not (version and equals and percent.isascii() and percent.isdigit() and int(percent) <= 100):
            raise UsageError(f"--split: '{part}' is not VERSION=PERCENT with a whole number from 0 to 100")
        if version in split:
            raise UsageError(f"--split: '{version}' stands there twice")
        split[version] = int(percent)
    if sum(split.values()) != 100:
        raise UsageError(f"--split: {'+'.join(map(str, split.values()))} adds up to {sum(split.values())}, not to 100")
    return split


def _check_versions(split: dict[str, int], experiment: Object) -> None:
    known = versions(experiment)
    for version in split:
        if version not in known:
            raise InvalidInput(f"--split: '{version}' is no version of this experiment; it has {', '.join(known)}")
