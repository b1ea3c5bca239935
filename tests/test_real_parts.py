"""What a machine lacks hides nothing from CI."""

from __future__ import annotations

import pytest
from lab import CannotHaveLab

from tests import real_parts


def _lacks() -> None:
    with real_parts.needed():
        raise CannotHaveLab("there is no etcd; install it")


def test_a_person_is_told_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="there is no etcd; install it"):
        _lacks()


def test_in_ci_nothing_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(CannotHaveLab, match="there is no etcd"):
        _lacks()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CannotHaveLab, match="there is no kubectl"):
        real_parts.kubectl()
