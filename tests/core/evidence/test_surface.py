"""What somebody with two columns of counts imports: the example of the package, run, and its refusals."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest

import serin.core.evidence
from serin.core.evidence import Sums, judge
from serin.core.model import Analysis, Mode
from serin.errors import InvalidInput


def test_the_example_is_true() -> None:
    found = doctest.testmod(serin.core.evidence)
    assert (found.attempted, found.failed) == (4, 0)


def test_two_columns_of_two_versions() -> None:
    rng = np.random.default_rng(1)
    evidence = judge("mean", at_most=1.2, relative=True)
    for own, base in rng.normal(100.0, 2.0, (40, 2)):
        evidence = evidence.update(Sums(100, 100 * own), Sums(300, 300 * base))
    assert evidence.log_for > math.log(100)
    ratio = evidence.anytime_ratio(0.05)
    assert ratio is not None
    assert ratio.lower < 1.0 < ratio.upper < 1.2


def test_higher_may_be_better_and_errors_may_be_independent() -> None:
    evidence = judge("rate", at_least=0.9, analysis=Analysis(mode=Mode.INDEPENDENT)).update(Sums(1000, 970))
    assert evidence.log_for > math.log(100)
    assert judge("rate", at_least=0.9).update(Sums(1000, 700)).log_against > 0.5  # capped: one reading condemns nobody


@pytest.mark.parametrize(
    ("kind", "limits", "word"),
    [
        ("median", {"at_most": 1.0}, "median"),
        ("rate", {}, "one of"),
        ("rate", {"at_most": 1.0, "at_least": 0.0}, "one"),
    ],
)
def test_what_cannot_be_judged_is_refused(kind: str, limits: dict[str, float], word: str) -> None:
    with pytest.raises(InvalidInput, match=word):
        judge(kind, **limits)  # type: ignore[arg-type]
