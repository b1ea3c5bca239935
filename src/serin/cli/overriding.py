"""What `pause`, `resume` and `terminate` share: `spec.manualOverride` is set, and the engine acts on it once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from serin.cli.completing import names_of
from serin.cli.options import common
from serin.cli.port import Home
from serin.cli.selecting import full_name, parse_one
from serin.cli.tables import dig
from serin.cli.target import Scope
from serin.cli.waiting import timeout_seconds, until
from serin.errors import NotFound, OutcomeError
from serin.ports import EXPERIMENT, Object

F = TypeVar("F", bound=Callable[..., Any])

COMPLETED = "Completed"


def override_options(function: F) -> F:
    """The argument and the options of all three."""
    for decorate in (
        common(),
        click.option(
            "--timeout",
            default="30s",
            metavar="DURATION",
            callback=timeout_seconds,
            help="How long --wait waits, 30s if not given.",
        ),
        click.option("--wait", "wait_for_it", is_flag=True, help="Return when it has happened, and say what did."),
        click.argument(
            "experiment", nargs=-1, required=True, metavar="EXPERIMENT", shell_complete=names_of("experiment")
        ),
    ):
        function = decorate(function)
    return function


def override(
    scope: Scope,
    words: tuple[str, ...],
    action: str,
    *,
    wait_for_it: bool,
    timeout: float,
    split: Callable[[Object], dict[str, int] | None] = lambda _experiment: None,
) -> None:
    """Ask for `action`, say what was asked and, if wanted, what happened.

    split    the traffic after a terminate, from the experiment as it is
    """
    kind, name = parse_one(words, EXPERIMENT)
    if kind is not EXPERIMENT:
        raise click.UsageError(f"only an experiment can be told to {action}, not a {kind.name}")

    async def ask(home: Home) -> None:
        namespace = scope.in_namespace
        experiment = await home.get(EXPERIMENT, namespace, name)
        if dig(experiment, "status", "phase") == COMPLETED:
            message = dig(experiment, "status", "message") or COMPLETED
            raise OutcomeError(f"experiment {name} is over ({message}), so it cannot be told to {action}")
        traffic = split(experiment)
        wanted: Object = {"action": action, "trafficSplit": traffic}
        await home.patch(EXPERIMENT, namespace, name, {"spec": {"manualOverride": wanted}})
        shown = ",".join(f"{version}={percent}" for version, percent in (traffic or {}).items())
        click.echo(f"{full_name(EXPERIMENT, name)} told to {action}{f' with {shown}' if shown else ''}")
        if wait_for_it:
            await _say_what_happened(home, namespace, name, action, timeout)

    scope.run(ask)


async def _say_what_happened(home: Home, namespace: str, name: str, action: str, timeout: float) -> None:
    def happened(experiment: Object | None) -> bool:
        if experiment is None:
            return True
        taken = dig(experiment, "spec", "manualOverride") is None
        return taken and (action != "terminate" or dig(experiment, "status", "phase") == COMPLETED)

    experiment = await until(home, EXPERIMENT, namespace, name, happened, timeout)
    if experiment is None:
        raise NotFound(f"experiment {name} was deleted before it could {action}")
    phase, message = dig(experiment, "status", "phase"), dig(experiment, "status", "message")
    click.echo(f"{full_name(EXPERIMENT, name)} {phase}: {message}")
    if phase == COMPLETED and action != "terminate":
        raise OutcomeError(f"experiment {name} ended before it could {action}: {message}")
