"""The sqlite store: the contract, a model to compare with, and what disks and other processes do to it."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from serin.adapters.local.objects import SqliteObjects
from serin.errors import SerinError, StorageError
from serin.fakes import FakeClock, InMemoryObjects, settle
from serin.ports import CONFIG_MAP, DEPLOYMENT, Change, Object
from tests.objects_contract import ObjectsContract, config_map, deployment, take, until_synced


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "objects.db"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(path: Path, clock: FakeClock) -> Iterator[SqliteObjects]:
    objects = SqliteObjects(path, clock)
    yield objects
    objects.close()


class TestSqliteObjects(ObjectsContract):
    """The contract of the port."""


@contextmanager
def opened(path: Path) -> Iterator[SqliteObjects]:
    objects = SqliteObjects(path, FakeClock())
    try:
        yield objects
    finally:
        objects.close()


async def test_everything_is_there_when_the_file_is_opened_again(path: Path) -> None:
    with opened(path) as before:
        made = await before.create(deployment(labels={"app": "x"}))
        last = await before.patch(DEPLOYMENT, "default", "web", {"status": {"replicas": 1}}, status=True)
        await before.create(config_map())
        await before.delete(CONFIG_MAP, "default", "cm")
    with opened(path) as after:
        assert await after.list(DEPLOYMENT, labels={"app": "x"}) == [last]
        new = await after.create(config_map())
        assert int(new["metadata"]["resourceVersion"]) == int(made["metadata"]["resourceVersion"]) + 4


async def test_only_the_owner_can_read_the_file(path: Path, store: SqliteObjects) -> None:
    await store.create(config_map())
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_a_full_disk_is_said_and_changes_nothing(path: Path, store: SqliteObjects) -> None:
    made = await store.create(config_map())
    (pages,) = store._database.execute("PRAGMA page_count").fetchone()
    store._database.execute(f"PRAGMA max_page_count = {pages}")
    events = store.watch(CONFIG_MAP)
    await until_synced(events)
    with pytest.raises(StorageError, match="full; nothing was changed; free some space"):
        await store.patch(CONFIG_MAP, "default", "cm", {"data": {"a": "x" * 100_000}})
    assert await store.get(CONFIG_MAP, "default", "cm") == made
    store._database.execute("PRAGMA max_page_count = 100000")
    healed = await store.patch(CONFIG_MAP, "default", "cm", {"data": {"a": "y"}})
    assert [event.object for event in await take(events, 1)] == [healed]


@pytest.mark.real
def test_a_disk_that_fills_up_in_mid_write_corrupts_nothing(path: Path) -> None:
    """A process that may write no file larger than 1 MB sees what a full disk shows: short writes."""
    program = """
import asyncio, resource, sys
from pathlib import Path
from serin.adapters.local.objects import SqliteObjects
from serin.errors import StorageError
from serin.fakes import FakeClock
async def main():
    objects = SqliteObjects(Path(sys.argv[1]), FakeClock())
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
    for n in range(1000):
        try:
            config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"cm-{n}"}}
            await objects.create({**config_map, "data": {"a": "x" * 50_000}})
        except StorageError as error:
            print(n, error)
            return
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, timeout=60, check=True)
    stored, _, sentence = done.stdout.partition(" ")
    assert sentence.strip() == f"the disk that holds {path} is full; nothing was changed; free some space and try again"
    with opened(path) as objects:
        found = asyncio.run(objects.list(CONFIG_MAP))
    assert len(found) == int(stored) > 3


async def test_a_lock_is_waited_for_without_holding_up_the_loop(
    path: Path, store: SqliteObjects, clock: FakeClock
) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.ensure_future(store.create(config_map()))
    await clock.advance(1.0)
    assert not writing.done()
    assert await store.list(CONFIG_MAP) == []
    other.execute("ROLLBACK")
    await clock.advance(1.0)
    assert (await writing)["metadata"]["name"] == "cm"
    other.close()


async def test_a_lock_that_stays_is_an_error(path: Path, store: SqliteObjects, clock: FakeClock) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    writing = asyncio.ensure_future(store.create(config_map()))
    await clock.advance(6.0)
    with pytest.raises(StorageError, match="is locked by another process; end that process"):
        await writing
    other.close()
    assert await store.list(CONFIG_MAP) == []
    await store.create(config_map())


@pytest.mark.parametrize(
    "content", [b"this is no database, but a text of some length\n" * 100, b"SQLite format 3\x00" + b"\xff" * 5000]
)
def test_a_file_that_is_no_database_is_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"objects\.db is damaged .*; move it away"):
        SqliteObjects(path, FakeClock())
    assert path.read_bytes() == content


def test_a_damaged_page_is_found_at_the_start(path: Path) -> None:
    with opened(path) as objects, asyncio.Runner() as runner:
        for n in range(200):
            runner.run(objects.create(deployment(f"web-{n}", {"app": "x"})))
    content = bytearray(path.read_bytes())
    content[8192:16384] = b"\x7f" * 8192
    path.write_bytes(content)
    with pytest.raises(StorageError, match="is damaged"):
        SqliteObjects(path, FakeClock())


def test_a_file_of_a_newer_format_is_left_alone(path: Path) -> None:
    with opened(path) as objects:
        objects._database.execute("PRAGMA user_version = 99")
    with pytest.raises(StorageError, match="newer serin"):
        SqliteObjects(path, FakeClock())


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot be opened for writing \(No such file or directory\)"):
        SqliteObjects(tmp_path / "away" / "objects.db", FakeClock())


async def test_a_file_that_is_taken_away_is_said(path: Path, store: SqliteObjects) -> None:
    await store.create(config_map())
    for file in list(path.parent.iterdir()):
        file.unlink()
    with pytest.raises(StorageError, match="was moved or deleted"):
        await store.create(config_map("other"))


async def test_watchers_that_nobody_holds_are_forgotten(store: SqliteObjects) -> None:
    events = store.watch(CONFIG_MAP)
    await until_synced(events)
    assert len(store._watches._all) == 1
    del events
    await settle()
    assert len(store._watches._all) == 0


@pytest.mark.real
@pytest.mark.parametrize("after", [0.05, 0.2, 0.35])
def test_a_killed_writer_leaves_whole_objects(path: Path, after: float) -> None:
    """Each write puts one number into three places; whatever the moment of the kill, they agree."""
    program = """
import asyncio, sys
from pathlib import Path
from serin.adapters.local.objects import SqliteObjects
from serin.fakes import FakeClock
from serin.ports import DEPLOYMENT
async def main():
    objects = SqliteObjects(Path(sys.argv[1]), FakeClock())
    await objects.create({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}})
    print("ready", flush=True)
    n = 0
    while True:
        n += 1
        patch = {"metadata": {"labels": {"n": str(n)}}, "spec": {"n": n, "pad": "x" * 20_000}}
        await objects.patch(DEPLOYMENT, "default", "web", patch)
        print(n, flush=True)
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        try:
            writer.wait(after)
        except subprocess.TimeoutExpired:
            writer.kill()
        said = int((writer.stdout.read().split() or ["0"])[-1])
    with opened(path) as objects:
        web = asyncio.run(objects.get(DEPLOYMENT, "default", "web"))
        n = web.get("spec", {}).get("n", 0)
        assert n in (said, said + 1)
        assert web["metadata"].get("labels", {}) == ({"n": str(n)} if n else {})
        assert asyncio.run(objects.list(DEPLOYMENT, labels={"n": str(n)})) == ([web] if n else [])


NAMES = st.sampled_from(["a", "b", "c"])
LABELS = st.dictionaries(st.sampled_from(["app", "tier"]), st.sampled_from(["x", "y"]), max_size=2)
FINALIZERS = st.sampled_from([None, [], ["one"], ["one", "two"]])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)
SPECS = st.dictionaries(NAMES, VALUES, max_size=3)


class SqliteLikeTheModel(RuleBasedStateMachine):
    """Any history of calls gives the same answers from the file as from memory, with the file reopened at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = FakeClock()
        self.count = 0
        self.runner = asyncio.Runner()
        self.model = InMemoryObjects(self.clock)
        self.store = self.open()

    def open(self) -> SqliteObjects:
        return SqliteObjects(self.folder / "objects.db", self.clock, self.uid)

    def uid(self) -> str:
        self.count += 1
        return f"uid-{self.count}"

    def both(self, verb: str, *args: Any, **options: Any) -> None:
        """The same call on both; the answers differ in uid only."""
        answers = []
        for store in (self.model, self.store):
            try:
                answers.append(self.plain(self.runner.run(getattr(store, verb)(*args, **options))))
            except SerinError as error:
                answers.append((type(error), str(error)))
        assert answers[0] == answers[1]

    def plain(self, answer: Any) -> Any:
        if isinstance(answer, list):
            return [self.plain(obj) for obj in answer]
        if isinstance(answer, dict):
            return {**answer, "metadata": {k: v for k, v in answer["metadata"].items() if k != "uid"}}
        return answer

    @rule(name=NAMES, labels=LABELS, finalizers=FINALIZERS, spec=SPECS)
    def create(self, name: str, labels: dict[str, str], finalizers: Any, spec: Object) -> None:
        self.both("create", {**deployment(name, labels, finalizers=finalizers), "spec": spec})

    @rule(name=NAMES, labels=LABELS, finalizers=FINALIZERS, spec=SPECS, version=st.none() | st.integers(1, 12))
    def replace(self, name: str, labels: dict[str, str], finalizers: Any, spec: Object, version: int | None) -> None:
        given = {"finalizers": finalizers, "resourceVersion": str(version) if version else None}
        self.both("replace", {**deployment(name, labels, **given), "spec": spec})

    @rule(name=NAMES, patch=st.fixed_dictionaries({}, optional={"spec": SPECS, "status": SPECS}), status=st.booleans())
    def patch(self, name: str, patch: Object, status: bool) -> None:
        self.both("patch", DEPLOYMENT, "default", name, patch, status=status)

    @rule(name=NAMES, labels=LABELS, finalizers=FINALIZERS)
    def patch_metadata(self, name: str, labels: dict[str, str], finalizers: Any) -> None:
        metadata = {"labels": labels, "finalizers": finalizers}
        self.both("patch", DEPLOYMENT, "default", name, {"metadata": metadata})

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        self.both("delete", DEPLOYMENT, "default", name)

    @rule(labels=LABELS)
    def select(self, labels: dict[str, str]) -> None:
        self.both("list", DEPLOYMENT, None, labels)

    @rule()
    def open_again(self) -> None:
        self.store.close()
        self.store = self.open()

    @rule()
    def start_watching(self) -> None:
        self.watch = self.store.watch(DEPLOYMENT)
        self.seen: dict[str, Object] = {}
        self.drain()

    def drain(self) -> None:
        """Read all that the watch has, without waiting."""

        async def read() -> None:
            while True:
                step = asyncio.ensure_future(anext(self.watch))
                await settle()
                if not step.done():
                    step.cancel()
                    return
                event = step.result()
                if event.change is Change.DELETED:
                    del self.seen[event.object["metadata"]["name"]]
                elif event.change is not Change.SYNCED:
                    self.seen[event.object["metadata"]["name"]] = event.object

        self.runner.run(read())

    @precondition(lambda self: hasattr(self, "watch"))
    @rule()
    def a_watcher_knows_the_truth(self) -> None:
        if self.watch._closed:
            return
        self.drain()
        assert list(dict(sorted(self.seen.items())).values()) == self.runner.run(self.store.list(DEPLOYMENT))

    @invariant()
    def both_hold_the_same(self) -> None:
        self.both("list", DEPLOYMENT)

    def teardown(self) -> None:
        self.store.close()
        self.runner.close()
        for file in self.folder.iterdir():
            file.unlink()
        self.folder.rmdir()


TestSqliteLikeTheModel = SqliteLikeTheModel.TestCase
TestSqliteLikeTheModel.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
