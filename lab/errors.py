"""What can go wrong with a lab; each is one sentence."""

from __future__ import annotations

from serin.errors import SerinError


class CannotHaveLab(SerinError):  # noqa: N818 - said by a machine, not by a program
    """This machine cannot run a lab as it is: a right, a program or a package is missing."""


class PartFailed(SerinError):  # noqa: N818
    """A part of the lab ended or did not become ready; the sentence ends with its last words."""
