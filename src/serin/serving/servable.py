"""A version that can be asked: in this process, or behind a socket to a process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from serin.serving.protocol import Code, Signature, State

if TYPE_CHECKING:
    from serin.serving.savedmodel import SavedModel

_QUICK = 0.003
_LARGE = 256 * 1024
_MEMORY = 0.9


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model says to a request: code and body, seconds in the model, and examples seen (0 for predict)."""

    code: Code
    body: bytes
    runtime: float = 0.0
    examples: int = 0


class Servable(Protocol):
    """A version of a model, as the HTTP side sees it."""

    @property
    def state(self) -> State:
        """Whether it can be asked now."""
        ...

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """The signatures of the loaded model; empty before it was loaded for the first time."""
        ...

    async def answer(self, action: str, body: bytes) -> Answer:
        """The answer to `predict`, `classify` or `regress`. Raises ServingError when there is nobody to give it."""
        ...

    async def tend(self) -> None:
        """What has to be done for it while the server runs."""
        ...


class Pace:
    """Whether a model is quick enough to be run where requests are read: its answers' usual time, smoothed."""

    def __init__(self) -> None:
        self._usual = 0.0

    def took(self, seconds: float) -> None:
        """One answer took so long."""
        self._usual = _MEMORY * self._usual + (1 - _MEMORY) * seconds

    def quick(self, body: bytes) -> bool:
        """Whether an answer to this body may hold up everybody else for a moment."""
        return self._usual < _QUICK and len(body) < _LARGE


class Local:
    """A model in this process: a quick one is run in the loop, without a hop, a slow one or a large body elsewhere."""

    def __init__(self, model: SavedModel, threads: int = 2) -> None:
        self._model = model
        self._pace = Pace()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="model")

    @property
    def state(self) -> State:
        """A model that stands in this process is there for as long as the process."""
        return State.AVAILABLE

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """The signatures of the model."""
        return self._model.signatures

    async def answer(self, action: str, body: bytes) -> Answer:
        """The model's answer."""
        if not self._pace.quick(body):
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, self._timed, action, body)
        return self._timed(action, body)

    async def tend(self) -> None:
        """Nothing: it lives and dies with this process."""

    def _timed(self, action: str, body: bytes) -> Answer:
        answer = self._model.answer(action, body)
        self._pace.took(answer.runtime)
        return answer
