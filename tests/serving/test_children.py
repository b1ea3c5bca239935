"""A version behind a socket: the test plays its process."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress

import pytest

from serin.errors import InvalidInput
from serin.serving import children, frames
from serin.serving.children import Child
from serin.serving.frames import ACTIONS, HEADER, Frame
from serin.serving.protocol import Code, ServingError, Signature, State, TensorInfo

SIGNATURES = {
    "serving_default": Signature(
        {"x": TensorInfo("x:0", "DT_FLOAT", (-1, 2))}, {"y": TensorInfo("y:0", "DT_FLOAT", None)}, "predict"
    )
}


class Process:
    """The other ends of the sockets that a Child asks for, one after the other."""

    def __init__(self) -> None:
        self.ends: list[socket.socket] = []

    def start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        self.ends.append(theirs)
        return ours

    def greet(self) -> None:
        self.ends[-1].sendall(Frame(0, Code.OK.number, frames.greeting(SIGNATURES)).packed())

    async def streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(sock=self.ends[-1])


@pytest.fixture
def process() -> Iterator[Process]:
    played = Process()
    yield played
    for end in played.ends:
        end.close()


@asynccontextmanager
async def tended(child: Child) -> AsyncIterator[None]:
    task = asyncio.create_task(child.tend())
    for _ in range(3):
        await asyncio.sleep(0)
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def question(reader: asyncio.StreamReader) -> Frame:
    length, frame = frames.unpacked(await reader.readexactly(HEADER.size))
    return Frame(frame.id, frame.kind, await reader.readexactly(length))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what it waits for has no event of its own
            await asyncio.sleep(0.01)


async def test_answers_find_their_questions_in_any_order(process: Process) -> None:
    child = Child(1, process.start, print)
    process.greet()
    child.greet()
    assert child.signatures == SIGNATURES
    async with tended(child):
        reader, writer = await process.streams()
        asked = [asyncio.create_task(child.answer(action, action.encode())) for action in ACTIONS]
        questions = [await question(reader) for _ in ACTIONS]
        assert [ACTIONS[one.kind].encode() for one in questions] == [one.body for one in questions]
        for one in reversed(questions):
            writer.write(Frame(one.id, Code.OK.number, one.body.upper(), 0.5, 3).packed())
        answers = await asyncio.gather(*asked)
        assert [answer.body for answer in answers] == [b"PREDICT", b"CLASSIFY", b"REGRESS"]
        assert (answers[0].code, answers[0].runtime, answers[0].examples) == (Code.OK, 0.5, 3)
        writer.close()


@pytest.mark.looptime
async def test_a_death_is_an_answer_and_a_new_process_follows(process: Process) -> None:
    said: list[str] = []
    child = Child(2, process.start, said.append)
    process.greet()
    child.greet()
    async with tended(child):
        reader, writer = await process.streams()
        asked = asyncio.create_task(child.answer("predict", b"{}"))
        await question(reader)
        writer.close()
        with pytest.raises(ServingError, match="version 2 ended while it worked on this request") as caught:
            await asked
        assert caught.value.code is Code.UNAVAILABLE
        assert child.state is State.LOADING
        with pytest.raises(ServingError, match="is being started again"):
            await child.answer("predict", b"{}")
        await until(lambda: len(process.ends) == 2)
        process.greet()
        await until(lambda: "version 2 is back" in said)
        assert str(child.state) == "AVAILABLE"
    assert "its process is gone" in said[0]


@pytest.mark.looptime
async def test_a_process_that_keeps_dying_is_started_ever_more_seldom(process: Process) -> None:
    said: list[str] = []

    def dead() -> socket.socket:
        connection = process.start()
        process.ends[-1].close()
        return connection

    child = Child(1, process.start, said.append)
    process.greet()
    child.greet()
    child._start = dead
    process.ends[-1].close()
    async with tended(child):
        await asyncio.sleep(60)
    pauses = [float(line.split(" in ")[1].removesuffix(" s")) for line in said]
    assert pauses[:4] == [0.1, 0.2, 0.4, 0.8]
    assert max(pauses) == 10.0


async def test_more_questions_than_can_wait_are_refused(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "_QUEUE", 2)
    child = Child(1, process.start, print)
    process.greet()
    child.greet()
    async with tended(child):
        asked = [asyncio.create_task(child.answer("predict", b"")) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(ServingError, match="has 2 requests waiting already") as caught:
            await child.answer("predict", b"")
        assert caught.value.code is Code.RESOURCE_EXHAUSTED
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


def test_a_model_that_cannot_be_loaded_is_said(process: Process) -> None:
    child = Child(1, process.start, print)
    process.ends[-1].sendall(Frame(0, Code.INTERNAL.number, b"the SavedModel in /x cannot be loaded").packed())
    with pytest.raises(InvalidInput, match="cannot be loaded"):
        child.greet()
    other = Child(1, process.start, print)
    process.ends[-1].close()
    with pytest.raises(InvalidInput, match="ended while it loaded its model"):
        other.greet()
    for one in (child, other):
        assert one._connection is not None
        one._connection.close()
