"""`serin resume`: a paused experiment goes on where it was."""

from __future__ import annotations

from serin.cli.options import command, pass_scope
from serin.cli.overriding import override, override_options
from serin.cli.target import Scope


@command(examples="serin resume fashionmnist-v2-rollout --wait")
@override_options
@pass_scope
def resume(scope: Scope, experiment: tuple[str, ...], wait_for_it: bool, timeout: float) -> None:
    """Let a paused experiment go on where it was."""
    override(scope, experiment, "resume", wait_for_it=wait_for_it, timeout=timeout)
