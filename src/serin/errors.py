"""The errors that people see: one tree, each leaf says what to do.

    SerinError
     ├── UsageError            the command was typed wrongly                           exit 2
     ├── InvalidInput          a file or an object is wrong, with its place            exit 3
     ├── NotFound              the object is not there                                 exit 4
     ├── AlreadyExists         the object is there already                             exit 5
     ├── Conflict              somebody changed the object in between                  exit 5
     ├── Unreachable           the home, the gateway or a source of metrics is away    exit 6
     │    └── ProviderError    a source of metrics answered with an error or nonsense
     ├── StorageError          the disk is full, the folder or the database refuses    exit 7
     ├── Timeout               waited for as long as asked, and it did not happen      exit 8
     ├── OutcomeError          the work ended otherwise than was asked for             exit 9
     └── Forbidden             the cluster does not allow it; says which verb on what  exit 10

A message is one sentence: what, where, what to do. The command line prints it as `serin: <message>`
and ends with the exit code of its class; nothing else of the program prints a traceback.
"""

from __future__ import annotations


class SerinError(Exception):
    """Any error that a person can act on; `str(error)` is the whole sentence."""

    exit_code = 1


class UsageError(SerinError):
    """The command was typed wrongly."""

    exit_code = 2


class InvalidInput(SerinError):  # noqa: N818 - the names are the field's words
    """A file or an object is wrong; the sentence carries the place."""

    exit_code = 3


class NotFound(SerinError):  # noqa: N818
    """The object is not there."""

    exit_code = 4


class AlreadyExists(SerinError):  # noqa: N818
    """The object is there already."""

    exit_code = 5


class Conflict(SerinError):  # noqa: N818
    """Somebody changed the object since it was read."""

    exit_code = 5


class Unreachable(SerinError):  # noqa: N818
    """The home, the gateway or a source of metrics does not answer."""

    exit_code = 6


class ProviderError(Unreachable):
    """A source of metrics answered with an error or with something that is no counter."""


class StorageError(SerinError):
    """The disk is full, or the folder or the database refuses."""

    exit_code = 7


class Timeout(SerinError):  # noqa: N818
    """Waited for as long as asked, and it did not happen."""

    exit_code = 8


class OutcomeError(SerinError):
    """The work ended, but otherwise than was asked for."""

    exit_code = 9


class Forbidden(SerinError):  # noqa: N818
    """The cluster does not allow this; the sentence carries the verb and the kind."""

    exit_code = 10
