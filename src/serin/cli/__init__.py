"""The command line: `serin`, with the verbs, the flags and the output that a `kubectl` user's fingers know.

    root        the group: every command's name and short help; a command's module is imported when it is called
    options     what commands have in common: `--home`, `-n`, `-l`, `-f`, switches that may be written `--watch=true`
    target      which home a command talks to;  port: what a command needs of one
    errors      from an exception to one sentence and an exit code
    selecting   KIND, KIND/NAME, label selectors;  files: what `-f` names;  checking: what is refused
    tables      the columns of each kind;  aligning: kubectl's padding;  printing: -o wide, json, yaml, name, jsonpath
    following   `--watch`;  waiting: until an object is as it is waited for;  overriding: what is asked of an experiment
    describing  an experiment in words;  layout: fields, tables and paragraphs within 100 columns

One module a command stands beside them. A command decides nothing about experiments: it reads and writes objects, as
`kubectl` would, so that the same commands serve a cluster.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from io import TextIOWrapper


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (default: that of the process) and return its exit code. Nothing is raised, ever."""
    try:
        from serin.cli.errors import run
    except KeyboardInterrupt:
        return 130
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that has no '…' shows a '?'
    return run(arguments)
