"""A command line against a home in memory: `cli("get", "pods")` gives exit code, standard output and standard error."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from serin.cli.errors import run
from serin.cli.port import Home
from serin.cli.target import Scope
from serin.control import semantics
from serin.control.apply import Applied, apply
from serin.errors import NotFound
from serin.fakes import FakeClock, InMemoryObjects
from serin.ports import Change, Event, Kind, Object

NOW = 1_700_000_000.0


class FakeHome(InMemoryObjects):
    """Objects in memory, and what else a home can be asked.

    scenario    what happens next while somebody watches: a step when the present state has been delivered, and one
                after each change
    stays       whether a watch goes on when there is no step left, as a real one does
    """

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.printed: dict[tuple[str, bool], list[str]] = {}
        self.state: Object = {}
        self.counted: list[Object] = []
        self.recordings: dict[tuple[str, str], list[Object]] = {}
        self.scenario: list[Callable[[], object]] = []
        self.stays = False

    async def apply(self, documents: Sequence[Object], *, dry_run: bool = False) -> Sequence[Applied]:
        trial = [await apply(self, document, dry_run=True) for document in documents]
        return trial if dry_run else [await apply(self, document) for document in documents]

    def release(self, kind: Kind, namespace: str, name: str) -> None:
        """Somebody takes the last finalizer off, so that a deleted object goes."""
        place = semantics.key(kind, namespace, name)
        patch: Object = {"metadata": {"finalizers": None}}
        self._write(place, semantics.patched(self._find(place), patch, status=False), None)

    def uid_of(self, obj: Object) -> str:
        """The uid that the store has given an object."""
        return str(self._find(semantics.key_of(obj))["metadata"]["uid"])

    def vanish(self, obj: Object) -> None:
        """Somebody else deletes an object."""
        place = semantics.key_of(obj)
        self._write(place, semantics.deleted(self._find(place), NOW), None)

    async def status(self) -> Object:
        return self.state

    async def recording(self, namespace: str, name: str) -> Sequence[Object]:
        try:
            return self.recordings[namespace, name]
        except KeyError:
            raise NotFound(f"there is no recording of experiment '{name}' in namespace '{namespace}'") from None

    async def history(self, experiment: Object) -> Sequence[Object]:
        return self.counted

    async def logs(
        self, namespace: str, pod: str, *, follow: bool = False, tail: int | None = None, previous: bool = False
    ) -> AsyncIterator[str]:
        lines = self.printed.get((pod, previous), [])
        for line in lines if tail is None else lines[len(lines) - tail :]:
            yield line

    async def _watch(self, *kinds: Kind, namespace: str | None = None) -> AsyncIterator[Event]:
        synced = False
        async for event in super().watch(*kinds, namespace=namespace):
            yield event
            synced = synced or event.change is Change.SYNCED
            if synced and self.scenario:
                self.scenario.pop(0)()
            elif synced and not self.stays:
                return

    def watch(self, *kinds: Kind, namespace: str | None = None) -> AsyncIterator[Event]:  # type: ignore[override]
        return self._watch(*kinds, namespace=namespace)


@dataclass
class Result:
    code: int
    out: str
    err: str


@dataclass
class Cli:
    """Runs command lines and counts the connections made."""

    home: FakeHome
    capture: pytest.CaptureFixture[str]
    connections: int = 0
    scopes: list[Scope] = field(default_factory=list)

    def __call__(self, *arguments: str) -> Result:
        scope = Scope(connect=self.connect, now=lambda: NOW)
        self.scopes.append(scope)
        code = run(arguments, scope)
        out, err = self.capture.readouterr()
        return Result(code, out, err)

    @asynccontextmanager
    async def connect(self, scope: Scope) -> AsyncIterator[Home]:
        self.connections += 1
        yield self.home


@pytest.fixture
def home() -> FakeHome:
    return FakeHome(FakeClock(NOW))


@pytest.fixture
def cli(home: FakeHome, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(home, capsys)
