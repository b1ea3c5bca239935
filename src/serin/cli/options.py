"""Options and phrases that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from textwrap import dedent
from typing import Any, TypeVar

import click

from serin.cli.target import Scope

F = TypeVar("F", bound=Callable[..., Any])


class Command(click.Command):
    """A command whose switches may have a value, as kubectl's may: `--watch=true`, `--wait=false`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Click's way, after the values of switches have been taken off."""
        end = args.index("--") if "--" in args else len(args)
        return super().parse_args(ctx, [*self._plain(args[:end]), *args[end:]])

    def _plain(self, args: list[str]) -> Iterator[str]:
        switches = {
            spelling: option
            for option in self.params
            if isinstance(option, click.Option) and option.is_flag
            for spelling in option.opts
        }
        for arg in args:
            spelling, equals, value = arg.partition("=")
            option = switches.get(spelling) if equals and value.lower() in ("true", "false") else None
            if option is None:
                yield arg
            elif value.lower() == "true":
                yield spelling
            else:
                yield from option.secondary_opts[:1]


def command(*, examples: str = "") -> Callable[[Callable[..., Any]], Command]:
    """A command with its examples as the epilog, kept line by line."""
    lines = "\n".join(f"  {line}" for line in dedent(examples).strip().splitlines())
    return click.command(cls=Command, epilog=f"\b\nExamples:\n{lines}" if lines else None)


def _remember(field: str) -> Callable[[click.Context, click.Parameter, str | None], None]:
    """A callback that keeps a global option in the scope; the one nearer to the verb wins."""

    def callback(ctx: click.Context, _parameter: click.Parameter, value: str | None) -> None:
        if value is not None:
            setattr(ctx.ensure_object(Scope), field, value)

    return callback


def common(*, root: bool = False, namespace: bool = True) -> Callable[[F], F]:
    """`--home` and `-n`, before or after the verb as kubectl's are. The environment is read once, at the root."""
    from serin.cli.completing import namespaces

    home = click.option(
        "--home",
        metavar="DIR",
        expose_value=False,
        callback=_remember("home"),
        envvar="SERIN_HOME" if root else None,
        type=click.Path(),
        help="The folder of the home, or 'cluster': the current kubeconfig context (env SERIN_HOME).",
    )
    in_namespace = click.option(
        "-n",
        "--namespace",
        metavar="NAME",
        expose_value=False,
        callback=_remember("namespace"),
        shell_complete=namespaces,
        help="The namespace (default: default).",
    )

    def decorate(function: F) -> F:
        return home(in_namespace(function) if namespace else function)

    return decorate


pass_scope = click.make_pass_decorator(Scope, ensure=True)

selector = click.option(
    "-l", "--selector", metavar="LABELS", default="", help="Only objects with these labels: app=x, version!=v1, …"
)
all_namespaces = click.option("-A", "--all-namespaces", is_flag=True, help="In every namespace.")
filenames = click.option(
    "-f",
    "--filename",
    "filenames",
    metavar="FILE",
    multiple=True,
    type=click.Path(),
    help="A file, a folder, or - for standard input; may be given several times.",
)
recursive = click.option("-R", "--recursive", is_flag=True, help="Also read the folders inside a folder.")
