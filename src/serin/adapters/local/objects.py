"""The objects of a home in one sqlite file: the port `Objects` without an API server.

One process owns the file and one loop in it writes, so the connection is used inline: a write costs less than handing
it to a thread would. Watches are told in the same turn of the loop in which a write is committed. WAL with
`synchronous=NORMAL`: a killed process loses nothing; a power cut may lose the last moments, never the file.
"""

from __future__ import annotations

import json
import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from serin.control import semantics
from serin.control.semantics import Key, Outcome
from serin.control.watching import Watch, Watches
from serin.errors import StorageError
from serin.ports import Change, Clock, Kind, Object

Result = TypeVar("Result")
Listing = list[Object]

FORMAT = 1
_PATIENCE = 5.0
_RETRY = 0.02

_SCHEMA = f"""
BEGIN;
CREATE TABLE objects (
  id INTEGER PRIMARY KEY, kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL,
  UNIQUE (kind, namespace, name)
);
CREATE TABLE labels (
  object INTEGER NOT NULL REFERENCES objects ON DELETE CASCADE, name TEXT NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY (object, name)
) WITHOUT ROWID;
CREATE INDEX labelled ON labels (name, value, object);
CREATE TABLE counter (only INTEGER PRIMARY KEY CHECK (only = 1), version INTEGER NOT NULL);
INSERT INTO counter VALUES (1, 0);
PRAGMA user_version = {FORMAT};
COMMIT;
"""


class SqliteObjects:
    """The port `Objects` in a sqlite file, with the semantics of Kubernetes (`serin.control.semantics`).

    path     the file; made when it is not there, readable by its owner only
    new_uid  gives the `metadata.uid` of each new object

    Raises StorageError, from every method too, when the disk, the folder or the file refuses; nothing is changed then.
    A lock that another process holds is waited for, for some seconds, without holding up the loop.
    """

    def __init__(self, path: Path, clock: Clock, new_uid: Callable[[], str] = lambda: str(uuid.uuid4())) -> None:
        self._path = path
        self._clock = clock
        self._new_uid = new_uid
        self._watches = Watches()
        self._database = _open(path)
        self._inode = path.stat().st_ino

    def close(self) -> None:
        """End all watches and give the file back."""
        self._watches.close()
        self._database.close()

    async def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """As `Objects.get`."""
        return await self._patiently(lambda: self._load(semantics.key(kind, namespace, name))[1])

    async def list(
        self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> list[Object]:
        """As `Objects.list`."""
        return await self._patiently(lambda: self._present((kind,), namespace, labels))

    def watch(self, *kinds: Kind, namespace: str | None = None) -> Watch:
        """As `Objects.watch`."""

        def snapshot() -> Listing:
            with self._explained():
                return self._present(kinds, namespace)

        return self._watches.open(snapshot, kinds, namespace)

    async def create(self, obj: Object) -> Object:
        """As `Objects.create`."""
        place = semantics.key_of(obj)
        new = semantics.fresh(obj, uid=self._new_uid(), now=self._clock.now())

        def write() -> Outcome:
            if self._row(place):
                raise place.already_exists()
            return self._store(place, None, Outcome(Change.ADDED, new))

        return await self._transaction(write)

    async def replace(self, obj: Object) -> Object:
        """As `Objects.replace`."""
        return await self._change(semantics.key_of(obj), lambda current: semantics.replaced(current, obj))

    async def patch(self, kind: Kind, namespace: str, name: str, patch: Object, *, status: bool = False) -> Object:
        """As `Objects.patch`."""
        place = semantics.key(kind, namespace, name)
        return await self._change(place, lambda current: semantics.patched(current, patch, status=status))

    async def delete(self, kind: Kind, namespace: str, name: str) -> None:
        """As `Objects.delete`."""
        place = semantics.key(kind, namespace, name)
        await self._change(place, lambda current: semantics.deleted(current, self._clock.now()))

    async def _change(self, place: Key, decide: Callable[[Object], Outcome]) -> Object:
        def write() -> Outcome:
            row, current = self._load(place)
            return self._store(place, row, decide(current))

        return await self._transaction(write)

    async def _transaction(self, write: Callable[[], Outcome]) -> Object:
        """Do it in one transaction and tell the watches; all or nothing."""

        def attempt() -> Object:
            self._refuse_if_taken_away()
            self._database.execute("BEGIN IMMEDIATE")
            try:
                outcome = write()
                self._database.execute("COMMIT")
            finally:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
            if outcome.change is not None:
                self._watches.tell(outcome.change, outcome.object)
            return semantics.copy(outcome.object)

        return await self._patiently(attempt)

    async def _patiently(self, attempt: Callable[[], Result]) -> Result:
        """Try until no other process holds the file, or until patience is over."""
        deadline = self._clock.now() + _PATIENCE
        while True:
            try:
                with self._explained():
                    return attempt()
            except _Locked:
                if self._clock.now() >= deadline:
                    raise
            await self._clock.sleep(_RETRY)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _explain(self._path, error) from error

    def _refuse_if_taken_away(self) -> None:
        # sqlite goes on in a file that has been deleted under it: every write would be lost in the end.
        try:
            if self._path.stat().st_ino == self._inode:
                return
        except OSError:
            pass
        raise StorageError(f"{self._path} was moved or deleted while the home ran; end the home, then start it again")

    def _row(self, place: Key) -> tuple[int, str] | None:
        where = "kind = ? AND namespace = ? AND name = ?"
        found = self._database.execute(f"SELECT id, body FROM objects WHERE {where}", _columns(place))
        row: tuple[int, str] | None = found.fetchone()
        return row

    def _load(self, place: Key) -> tuple[int, Object]:
        row = self._row(place)
        if row is None:
            raise place.not_found()
        return row[0], json.loads(row[1])

    def _present(
        self, kinds: Sequence[Kind], namespace: str | None, labels: Mapping[str, str] | None = None
    ) -> Listing:
        where, values = "kind = ?", []
        if namespace is not None:
            where, values = f"{where} AND namespace = ?", [namespace]
        for label in (labels or {}).items():
            where += " AND id IN (SELECT object FROM labels WHERE name = ? AND value = ?)"
            values.extend(label)
        select = f"SELECT body FROM objects WHERE {where} ORDER BY namespace, name"
        rows = (row for kind in kinds for row in self._database.execute(select, [_column(kind), *values]))
        return [json.loads(body) for (body,) in rows]

    def _store(self, place: Key, row: int | None, outcome: Outcome) -> Outcome:
        """Write what is decided under the next resourceVersion; `row` is where the object is kept already."""
        if outcome.change is None:
            return outcome
        database = self._database
        (version,) = database.execute("UPDATE counter SET version = version + 1 RETURNING version").fetchone()
        new = {**outcome.object, "metadata": {**outcome.object["metadata"], "resourceVersion": str(version)}}
        if outcome.change is Change.DELETED:
            database.execute("DELETE FROM objects WHERE id = ?", (row,))
            return Outcome(outcome.change, new)
        body = semantics.encode(new)
        if row is None:
            insert = "INSERT INTO objects (kind, namespace, name, body) VALUES (?, ?, ?, ?)"
            row = database.execute(insert, (*_columns(place), body)).lastrowid
        else:
            database.execute("UPDATE objects SET body = ? WHERE id = ?", (body, row))
            database.execute("DELETE FROM labels WHERE object = ?", (row,))
        labels = (new["metadata"].get("labels") or {}).items()
        database.executemany("INSERT INTO labels VALUES (?, ?, ?)", [(row, *label) for label in labels])
        return Outcome(outcome.change, new)


class _Locked(StorageError):  # noqa: N818
    """Another process holds the file."""


def _column(kind: Kind) -> str:
    return f"{kind.name}.{kind.group}" if kind.group else kind.name


def _columns(place: Key) -> tuple[str, str, str]:
    return (_column(place.kind), place.namespace, place.name)


def _open(path: Path) -> sqlite3.Connection:
    """The file, made or checked. Raises StorageError."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StorageError(f"{path} cannot be opened for writing ({error.strerror}); choose another --home") from error
    database = sqlite3.connect(path, isolation_level=None, timeout=_PATIENCE)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA foreign_keys = ON")
        (found,) = database.execute("PRAGMA user_version").fetchone()
        if found == 0:
            database.executescript(_SCHEMA)
        elif found > FORMAT:
            raise StorageError(
                f"{path} was written by a newer serin (format {found}); update serin, or use another --home"
            )
        (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise StorageError(f"{path} is damaged ({verdict}); move it away, and apply your manifests again")
        database.execute("PRAGMA busy_timeout = 0")  # from now on it is waited for without holding up the loop
    except sqlite3.Error as error:
        database.close()
        raise _explain(path, error) from error
    except StorageError:
        database.close()
        raise
    return database


def _explain(path: Path, error: sqlite3.Error) -> StorageError:
    """What a person can do about it."""
    code = getattr(error, "sqlite_errorname", "")
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return _Locked(f"{path} is locked by another process; end that process and try again")
    if code == "SQLITE_FULL" or code == "SQLITE_IOERR_WRITE":
        return StorageError(f"the disk that holds {path} is full; nothing was changed; free some space and try again")
    if code in ("SQLITE_CORRUPT", "SQLITE_NOTADB"):
        return StorageError(f"{path} is damaged ({error}); move it away, and apply your manifests again")
    if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return StorageError(f"{path} or its folder is not writable ({error}); change its permissions")
    return StorageError(f"{path} cannot be read or written ({error}); look at the disk, then try again")
