"""`serin completion`: the script that teaches a shell to complete commands, kinds and names."""

from __future__ import annotations

import click

from serin.cli.errors import COMPLETE_VARIABLE
from serin.cli.options import command


@command(
    examples="""
    source <(serin completion bash)                          # bash; put it into ~/.bashrc
    source <(serin completion zsh)                           # zsh; put it into ~/.zshrc
    serin completion fish > ~/.config/fish/completions/serin.fish
    """
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for a shell. Names of objects are completed from the home."""
    from click.shell_completion import get_completion_class

    from serin.cli.root import root

    found = get_completion_class(shell)
    assert found is not None
    # Not `source()`: for bash it starts a bash only to ask for its version.
    complete = found(root, {}, "serin", COMPLETE_VARIABLE)
    click.echo(complete.source_template % complete.source_vars())
