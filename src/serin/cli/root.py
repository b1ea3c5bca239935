"""The group of all commands: their names and short helps. A command's module is imported when it is called."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import click

from serin.cli.options import common

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

SECTIONS: dict[str, dict[str, str]] = {
    "The home": {
        "up": "Start a home: objects, processes, gateway, engine",
        "down": "End a home and everything that it runs",
        "status": "Show what a home runs and whether it is well",
    },
    "Objects, as with kubectl": {
        "apply": "Create or change objects from files",
        "get": "Show objects in a table, or as JSON or YAML",
        "describe": "Show everything about an object, for people",
        "delete": "Delete objects by file or by name",
        "logs": "Show what a pod has printed",
        "events": "Show events, oldest first",
        "wait": "Wait until objects meet a condition",
        "lint": "Check files without applying them",
    },
    "Experiments": {
        "plan": "Say how long an experiment will take",
        "pause": "Hold an experiment where it is",
        "resume": "Let a paused experiment go on",
        "terminate": "End an experiment now",
        "replay": "Decide anew from what was recorded of an experiment",
    },
    "Kubernetes": {
        "controller": "Run the experiments of a cluster",
    },
    "Programs": {
        "serve": "Serve TensorFlow models over HTTP",
        "load": "Send a stream of requests to a gateway",
        "demo": "Release a model from end to end, on this machine",
    },
    "About": {
        "completion": "Print the completion script for a shell",
        "version": "Print the version",
    },
}
"""Section -> command -> short help. A command `x` is the click command `x` of the module `serin.cli.x`."""

COMMANDS = {name: text for section in SECTIONS.values() for name, text in section.items()}


FORM = "serin.cli.output"
"""Where `-o` waits that stood before the verb, until the command takes it as its own (or says that it has none)."""


class LazyGroup(click.Group):
    """A group whose commands are modules of this package, imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """All names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, imported now; None when there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"serin.cli.{cmd_name}"), cmd_name)
        if not isinstance(command, click.Command):
            raise TypeError(f"serin.cli.{cmd_name}.{cmd_name} is no click command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, but a mistyped name is compared with all names without importing them."""
        if args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise click.exceptions.NoSuchCommand(args[0], possibilities=COMMANDS, ctx=ctx)
        name, command, rest = super().resolve_command(ctx, args)
        form = ctx.meta.get(FORM)
        return name, command, rest if form is None else ["-o", form, *rest]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The table of commands by section, from the short helps above."""
        widest = max(map(len, COMMANDS))
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(widest), text) for name, text in commands.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names of commands with their short helps, then the group's options."""
        from click.shell_completion import CompletionItem

        names = [CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]


def _show_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    import serin

    click.echo(f"serin {serin.__version__}")
    ctx.exit()


def _keep_form(ctx: click.Context, _parameter: click.Parameter, form: str | None) -> None:
    ctx.meta[FORM] = form


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    subcommand_metavar="COMMAND …",
    epilog="See 'serin COMMAND --help' for a command's options and examples.",
)
@common(root=True)
@click.option("-o", "--output", metavar="FORMAT", expose_value=False, callback=_keep_form, hidden=True)
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_show_version, help="Print the version."
)
def root() -> None:
    """Release a new version of a service or of a model safely, by itself, and know why."""
