"""From an exception to one sentence on standard error and an exit code.

`serin: <what, where, what to do>`; the codes are those of `serin.errors`. Besides these: 130 after Ctrl-C, 141 when the
reader of the output went away (as the shell shows a program that SIGPIPE ended), 1 for a fault of the program itself,
whose traceback goes to a file and never to the screen.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from serin.errors import SerinError, StorageError, UsageError

if TYPE_CHECKING:
    from serin.cli.target import Scope

INTERRUPTED = 130
BROKEN_PIPE = 141
COMPLETE_VARIABLE = "_SERIN_COMPLETE"

_WORDS = (
    (r"is not a valid float range$", "is no number"),
    (r"is not a valid integer range$", "is no whole number"),
    (r"\. Choose from", "; choose from"),
)
"""What click says in two sentences, or by the names of its own types, and how it is said here."""


def run(arguments: Sequence[str] | None = None, scope: Scope | None = None) -> int:
    """Run one command line and return its exit code; every error becomes its sentence here."""
    try:
        code = _invoke(list(sys.argv[1:] if arguments is None else arguments), scope)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        return _reader_went_away()
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.ClickException as error:
        return _say(_sentence(error), UsageError.exit_code)
    except SerinError as error:
        return _say(str(error), error.exit_code)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            return _say(f"cannot write: {_reason(error)}; make room and repeat", StorageError.exit_code)
        return _crashed(error)
    except Exception as error:
        return _crashed(error)


def _invoke(arguments: list[str], scope: Scope | None) -> int:
    """What click's own `main` does, without its ways to end the process."""
    from serin.cli.root import root

    instruction = os.environ.get(COMPLETE_VARIABLE)
    if instruction:
        from click.shell_completion import shell_complete

        return shell_complete(root, {"obj": scope}, "serin", COMPLETE_VARIABLE, instruction)
    with root.make_context("serin", arguments or ["--help"], obj=scope) as context:
        root.invoke(context)
    return 0


def _say(sentence: str, code: int) -> int:
    with contextlib.suppress(OSError):  # when nobody listens, the exit code still tells
        for line in sentence.splitlines():
            print(f"serin: {line}", file=sys.stderr)
    return code


def _sentence(error: click.ClickException) -> str:
    """Click's message in the form of ours: lower case, no full stop, and what was meant or where to read more."""
    meant = getattr(error, "possibilities", None)
    message = " ".join((error.message if meant else error.format_message()).split())
    message = (message[:1].lower() + message[1:]).rstrip(".")
    for clicks, ours in _WORDS:
        message = re.sub(clicks, ours, message)
    if meant:
        return f"{message}; did you mean {' or '.join(map(repr, meant))}?"
    context = getattr(error, "ctx", None)
    return f"{message}; see '{context.command_path if context else 'serin'} --help'"


def _reader_went_away() -> int:
    """Let the interpreter's own last flush find an open file, so that it stays silent."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE


def _crashed(error: BaseException) -> int:
    """A fault of the program: the traceback goes to a file, the person gets its name."""
    import tempfile
    import traceback

    what = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    # Not inside the default home: a folder with foreign files in it is refused as a new home.
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")  # stays as it is for nobody
    folder = Path(tempfile.gettempdir() if state.startswith("~") else state) / "serin-crashes"
    path = folder / f"{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.txt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    except OSError as refused:
        return _say(f"a fault of serin itself ({what}); no report could be written to {path}: {_reason(refused)}", 1)
    return _say(f"a fault of serin itself ({what}); please report it with {path}", 1)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
