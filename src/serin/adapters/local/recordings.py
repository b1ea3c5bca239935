"""Recordings of experiments in a sqlite file of their own: bounded, compressed, and never a reason to stop.

Apart from the objects, so that a full or damaged recording harms nobody. A chunk holds the steps that led to one
decision; it is written whole or not at all.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import structlog

from serin.errors import NotFound, StorageError

log = structlog.get_logger()

KEPT = 100
"""Recordings; when there are more, the ones that began first go."""

LARGEST = 4 * 1024 * 1024
"""Bytes of one recording, compressed: a day of readings every second of two versions."""

_SCHEMA = """
BEGIN;
CREATE TABLE recordings (
  id INTEGER PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL, full INTEGER NOT NULL,
  UNIQUE (namespace, name)
);
CREATE TABLE chunks (
  recording INTEGER NOT NULL REFERENCES recordings ON DELETE CASCADE, number INTEGER NOT NULL, steps BLOB NOT NULL,
  PRIMARY KEY (recording, number)
) WITHOUT ROWID;
PRAGMA user_version = 1;
COMMIT;
"""

_PATIENCE = 0.2
"""Seconds that a lock of another process may hold up the loop."""

_READS_WITHIN = 5.0

Line = Mapping[str, Any]


class SqliteRecordings:
    """The port `Recorder` (`serin.control.recording`) in a sqlite file, and what `serin replay` reads of it.

    path             the file; made when it is not there. What is no such file is put aside and begun anew
    kept, largest    how many recordings, and how many bytes of one
    """

    def __init__(self, path: Path, *, kept: int = KEPT, largest: int = LARGEST) -> None:
        self._path = path
        self._kept = kept
        self._largest = largest
        self._database = _opened(path)

    def close(self) -> None:
        """Give the file back."""
        if self._database is not None:
            self._database.close()

    def begin(self, namespace: str, name: str) -> None:
        """As `Recorder.begin`."""
        self._attempt(lambda database: self._begin(database, namespace, name))

    def add(self, namespace: str, name: str, lines: Sequence[Line]) -> None:
        """As `Recorder.add`. The last step of a recording that has become too large says so."""
        self._attempt(lambda database: self._add(database, namespace, name, lines))

    def read(self, namespace: str, name: str) -> list[dict[str, Any]]:
        """All steps of a recording; from any thread, since a long one takes a second. Raises NotFound, StorageError."""
        if self._database is None:
            raise StorageError(f"{self._path} cannot be opened; the log of the home says why")
        select = "SELECT steps FROM chunks JOIN recordings ON recording = id WHERE namespace = ? AND name = ?"
        try:
            with closing(sqlite3.connect(self._path, timeout=_READS_WITHIN)) as database:
                rows = database.execute(f"{select} ORDER BY number", (namespace, name)).fetchall()
            steps = [json.loads(line) for (body,) in rows for line in zlib.decompress(body).splitlines()]
        except (sqlite3.Error, zlib.error, ValueError) as error:
            raise StorageError(f"{self._path} cannot be read ({error}); what it has recorded is lost") from error
        if not steps:
            raise NotFound(
                f"there is no recording of experiment '{name}' in namespace '{namespace}'; one is made while it runs"
            )
        return steps

    def _attempt(self, write: Any) -> None:
        if self._database is None:
            return
        try:
            with self._database:
                write(self._database)
        except sqlite3.Error as error:
            log.warning("cannot record", file=str(self._path), error=str(error))

    def _begin(self, database: sqlite3.Connection, namespace: str, name: str) -> None:
        database.execute("DELETE FROM recordings WHERE namespace = ? AND name = ?", (namespace, name))
        database.execute("INSERT INTO recordings (namespace, name, size, full) VALUES (?, ?, 0, 0)", (namespace, name))
        database.execute(
            "DELETE FROM recordings WHERE id NOT IN (SELECT id FROM recordings ORDER BY id DESC LIMIT ?)", (self._kept,)
        )

    def _add(self, database: sqlite3.Connection, namespace: str, name: str, lines: Sequence[Line]) -> None:
        found = database.execute(
            "SELECT id, size, full FROM recordings WHERE namespace = ? AND name = ?", (namespace, name)
        ).fetchone()
        if found is None or found[2]:
            return
        recording, size, _ = found
        body = _packed(lines)
        full = size + len(body) > self._largest
        if full:
            why = f"the recording ends here: it is as large as it may be, {self._largest / 1024**2:g} MiB"
            body = _packed([{"ended": why}])
        insert = "INSERT INTO chunks SELECT ?, COALESCE(MAX(number), 0) + 1, ? FROM chunks WHERE recording = ?"
        database.execute(insert, (recording, body, recording))
        database.execute("UPDATE recordings SET size = size + ?, full = ? WHERE id = ?", (len(body), full, recording))


def _packed(lines: Sequence[Line]) -> bytes:
    text = "\n".join(json.dumps(line, separators=(",", ":"), allow_nan=False) for line in lines)
    return zlib.compress(text.encode(), 6)


def _opened(path: Path) -> sqlite3.Connection | None:
    """The file, made or checked; None when it cannot be had, which the log says."""
    for attempt in range(2):
        try:
            database = sqlite3.connect(path, timeout=_PATIENCE)
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute("PRAGMA foreign_keys = ON")
            if database.execute("PRAGMA user_version").fetchone()[0] == 0:
                database.executescript(_SCHEMA)
            path.chmod(0o600)
            return database
        except (sqlite3.Error, OSError) as error:
            log.warning("recordings cannot be opened", file=str(path), error=str(error))
            if attempt or not isinstance(error, sqlite3.DatabaseError) or isinstance(error, sqlite3.OperationalError):
                return None
            path.replace(path.with_suffix(".damaged"))
    return None
