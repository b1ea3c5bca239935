"""`serin pause`: an experiment keeps its split and decides nothing until it is resumed."""

from __future__ import annotations

from serin.cli.options import command, pass_scope
from serin.cli.overriding import override, override_options
from serin.cli.target import Scope


@command(examples="serin pause fashionmnist-v2-rollout --wait")
@override_options
@pass_scope
def pause(scope: Scope, experiment: tuple[str, ...], wait_for_it: bool, timeout: float) -> None:
    """Hold an experiment where it is: the traffic stays split as it is now, and nothing is decided."""
    override(scope, experiment, "pause", wait_for_it=wait_for_it, timeout=timeout)
