"""Recordings in sqlite: whole chunks, bounded, and never a reason to stop."""

import sqlite3

import pytest

from serin.adapters.local.recordings import SqliteRecordings
from serin.errors import NotFound, StorageError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "recordings.db"


def test_steps_come_back_in_order_over_a_restart(path):
    first = SqliteRecordings(path)
    first.begin("default", "rollout")
    first.add("default", "rollout", [{"a": 1}, {"b": "ü"}])
    first.close()
    second = SqliteRecordings(path)
    second.add("default", "rollout", [{"c": 0.1}])
    assert second.read("default", "rollout") == [{"a": 1}, {"b": "ü"}, {"c": 0.1}]
    second.close()


def test_a_new_experiment_of_the_same_name_begins_a_new_recording(path):
    recordings = SqliteRecordings(path)
    for _ in range(2):
        recordings.begin("default", "rollout")
        recordings.add("default", "rollout", [{"a": 1}])
    recordings.begin("other", "rollout")
    assert recordings.read("default", "rollout") == [{"a": 1}]
    for namespace in ("other", "nowhere"):
        with pytest.raises(NotFound, match="there is no recording of experiment 'rollout' in namespace"):
            recordings.read(namespace, "rollout")
    recordings.close()


def test_what_was_never_begun_is_not_recorded(path):
    recordings = SqliteRecordings(path)
    recordings.add("default", "rollout", [{"a": 1}])
    with pytest.raises(NotFound):
        recordings.read("default", "rollout")
    recordings.close()


def test_a_recording_that_becomes_too_large_ends_and_says_so(path):
    recordings = SqliteRecordings(path, largest=100)
    recordings.begin("default", "rollout")
    for i in range(10):
        recordings.add("default", "rollout", [{"i": i, "x": [j * 0.1 for j in range(5)]}])
    steps = recordings.read("default", "rollout")
    assert 1 <= len(steps) < 10
    assert steps[-1]["ended"].startswith("the recording ends here: it is as large as it may be")
    assert [s["i"] for s in steps[:-1]] == list(range(len(steps) - 1))
    recordings.close()


def test_the_oldest_recordings_go(path):
    recordings = SqliteRecordings(path, kept=2)
    for name in ("a", "b", "c"):
        recordings.begin("default", name)
        recordings.add("default", name, [{"name": name}])
    with pytest.raises(NotFound):
        recordings.read("default", "a")
    assert recordings.read("default", "c") == [{"name": "c"}]
    recordings.close()


def test_a_damaged_file_is_put_aside_and_begun_anew(path):
    path.write_bytes(b"no database at all" * 100)
    recordings = SqliteRecordings(path)
    recordings.begin("default", "rollout")
    recordings.add("default", "rollout", [{"a": 1}])
    assert recordings.read("default", "rollout") == [{"a": 1}]
    assert path.with_suffix(".damaged").exists()
    recordings.close()


def test_a_file_that_cannot_be_had_stops_nobody(tmp_path):
    recordings = SqliteRecordings(tmp_path / "away" / "recordings.db")
    recordings.begin("default", "rollout")
    recordings.add("default", "rollout", [{"a": 1}])
    with pytest.raises(StorageError):
        recordings.read("default", "rollout")
    recordings.close()


def test_a_file_that_another_process_has_locked_stops_nobody(path):
    recordings = SqliteRecordings(path)
    recordings.begin("default", "rollout")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    recordings.add("default", "rollout", [{"a": 1}])
    other.execute("ROLLBACK")
    other.close()
    recordings.close()
