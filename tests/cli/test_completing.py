import asyncio
from collections.abc import Callable

import pytest

from serin.cli import completing
from serin.errors import Unreachable
from serin.ports import POD
from tests.cli.conftest import Cli, FakeHome
from tests.cli.scenes import NAME, deployment, experiment, obj, pod

Complete = Callable[[str], list[str]]


@pytest.fixture
def complete(cli: Cli, home: FakeHome, monkeypatch: pytest.MonkeyPatch) -> Complete:
    """The completions that a shell is given for a line whose last word is being typed."""
    home.seed(experiment(), deployment("fashionmnist-v1"), deployment("other"), pod("p1"), obj("Namespace", "blue"))
    home.seed(obj("Pod", "elsewhere", namespace="blue", spec={}))

    def completions(line: str) -> list[str]:
        words = line.split(" ")
        monkeypatch.setenv("_SERIN_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        result = cli()
        assert result.err == ""
        return [text.partition(",")[2] for text in result.out.splitlines() if text]

    return completions


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("serin st", ["status"]),
        ("serin get exp", ["experiments"]),
        ("serin get deployment ", ["fashionmnist-v1", "other"]),
        ("serin get deploy fash", ["fashionmnist-v1"]),
        ("serin get deploy other ", ["fashionmnist-v1"]),
        ("serin get deployment/o", ["deployment/other"]),
        ("serin get po", ["pods"]),
        ("serin get vs", ["vs"]),
        ("serin get -n blue pods ", ["elsewhere"]),
        ("serin -n blue get pods ", ["elsewhere"]),
        ("serin get pods -n b", ["blue"]),
        ("serin get pods -o j", ["json", "jsonpath="]),
        ("serin pause ", [NAME]),
        ("serin logs p", ["pods"]),
        ("serin wait exp/", [f"exp/{NAME}"]),
        ("serin get nothing ", []),
        ("serin completion z", ["zsh"]),
    ],
)
def test_words_are_completed(complete: Complete, line: str, expected: list[str]) -> None:
    assert complete(line) == expected


def test_a_home_that_does_not_answer_completes_nothing_and_says_nothing(complete: Complete, home: FakeHome) -> None:
    home.fail_next(Unreachable("away"), verb="list", kind=POD)
    assert complete("serin get pods ") == []


def test_a_home_that_is_slow_is_not_waited_for(
    complete: Complete, home: FakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def for_ever(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(completing, "PATIENCE", 0.01)
    monkeypatch.setattr(home, "list", for_ever)
    assert complete("serin get pods ") == []
