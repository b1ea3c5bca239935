"""Who is told of what, and that nobody waits for a receiver that does not answer."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
import structlog

from serin.adapters.notifications import Notifications, parse
from serin.errors import InvalidInput
from serin.ports import Object, Severity

URL = "https://hooks.example.com/T0/secret"


def experiment(namespace: str = "shop", **labels: str) -> Object:
    return {"kind": "Experiment", "metadata": {"name": "roll", "namespace": namespace, "labels": labels}}


class Receiver:
    """A webhook that answers so."""

    def __init__(self, *answers: int | Exception) -> None:
        self.answers = list(answers)
        self.got: list[str] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        import json

        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        if answer == 200:
            self.got.append(json.loads(request.content)["text"])
        return httpx2.Response(answer)


def notifications(receiver: Receiver, **settings: str) -> tuple[Notifications, list[float]]:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    client = httpx2.AsyncClient(transport=httpx2.MockTransport(receiver))
    return Notifications(lambda: settings, client=client, sleep=sleep), pauses


def channel(more: str = "") -> str:
    return f"notifier: slack\nurl: {URL}\n{more}"


SAID = [
    ("ExperimentCompleted", Severity.NORMAL, 5),
    ("TargetsError", Severity.WARNING, 4),
    ("ActionPause", Severity.NORMAL, 4),
    ("ProvenHarm", Severity.WARNING, 3),
    ("TrafficUpdate", Severity.NORMAL, 2),
    ("IterationUpdate", Severity.NORMAL, 1),
]


@pytest.mark.parametrize(("level", "least"), [("error", 4), ("warning", 3), ("normal", 2), ("verbose", 1)])
async def test_a_channel_is_told_of_its_level_and_above(level: str, least: int) -> None:
    receiver = Receiver()
    sink, _ = notifications(receiver, releases=channel(f"level: {level}"))
    for reason, severity, _ in SAID:
        await sink.emit(experiment(), reason, "text", severity)
    await sink.flush()
    assert receiver.got == [f"*roll* (shop) {reason}: text" for reason, _, number in SAID if number >= least]
    await sink.aclose()


async def test_a_channel_is_told_of_its_namespace_and_labels() -> None:
    receiver = Receiver()
    sink, _ = notifications(receiver, releases=channel("namespace: shop\nlabels: {team: a}"))
    for obj in (experiment(), experiment("bank", team="a"), experiment(team="b"), experiment(team="a", x="y")):
        await sink.emit(obj, "ExperimentCompleted", str(obj["metadata"]["labels"]))
    await sink.flush()
    assert receiver.got == ["*roll* (shop) ExperimentCompleted: {'team': 'a', 'x': 'y'}"]
    await sink.aclose()


async def test_a_receiver_that_fails_is_tried_again_and_then_given_up_without_its_address() -> None:
    receiver = Receiver(503, httpx2.ConnectError(f"no route to {URL}"), 200)
    sink, pauses = notifications(receiver, releases=channel())
    await sink.emit(experiment(), "ExperimentCompleted", "one")
    await sink.flush()
    assert (len(receiver.got), pauses) == (1, [2.0, 4.0])
    receiver.answers = [403, *[httpx2.ConnectError(URL)] * 4]
    with structlog.testing.capture_logs() as lines:
        for text in ("refused", "unreachable"):
            await sink.emit(experiment(), "ExperimentCompleted", text)
        await sink.flush()
    assert [line["answer"] for line in lines] == ["403", "ConnectError"]
    assert "secret" not in str(lines)
    await sink.aclose()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("notifier: mail\nurl: https://x", "can be 'slack' only"),
        (channel("level: loud"), "level is one of error, warning, normal, verbose"),
        ("notifier: slack", "url must be the address"),
        (channel("lables: {a: b}"), "there is no field lables"),
        (channel("labels: [x]"), "labels maps"),
        ("[", "no YAML"),
        ("slack", "give a mapping"),
    ],
)
async def test_a_channel_that_cannot_be_used_is_said_and_hurts_no_other(text: str, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence) as found:
        parse("releases", text)
    assert "secret" not in str(found.value)
    receiver = Receiver()
    sink, _ = notifications(receiver, broken=text, good=channel())
    with structlog.testing.capture_logs() as lines:
        for _ in range(2):
            await sink.emit(experiment(), "ExperimentCompleted", "one")
    await sink.flush()
    assert len(lines) == 1
    assert len(receiver.got) == 2
    await sink.aclose()


def test_a_channel_with_actions_works_and_is_told_that_they_do_nothing() -> None:
    with structlog.testing.capture_logs() as lines:
        assert parse("releases", channel("actions: [pause]")).url == URL
    assert [line["event"] for line in lines] == ["channel: 'actions' has no effect"]


def test_an_address_is_not_shown() -> None:
    shown: Any = parse("releases", channel())
    assert "secret" not in repr(shown)
