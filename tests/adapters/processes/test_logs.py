from __future__ import annotations

import os

import pytest

from serin.adapters.local.processes import logs
from serin.adapters.local.processes.logs import PodLog


@pytest.fixture
def log(tmp_path):
    log = PodLog(tmp_path, "default", "web-1", limit=100)
    yield log
    log.close()


def read(log_dir, *, previous=False):
    return b"".join(path.read_bytes() for path in logs.files(log_dir, "default", "web-1", previous=previous))


def test_what_is_printed_is_kept_and_the_run_before_too(log, tmp_path):
    log.begin()
    log.write(b"first\n")
    log.begin()
    log.write(b"second\n")
    assert read(tmp_path) == b"second\n"
    assert read(tmp_path, previous=True) == b"first\n"


def test_a_log_never_grows_beyond_two_files(log, tmp_path):
    log.begin()
    lines = [b"line %03d\n" % number for number in range(200)]
    for line in lines:
        log.write(line)
    kept = read(tmp_path)
    assert 100 < len(kept) <= 200
    assert b"".join(lines).endswith(kept)


def test_one_write_larger_than_a_file_leaves_its_end(log, tmp_path):
    log.begin()
    log.write(b"x" * 1000 + b"end")
    assert len(read(tmp_path)) == 100
    assert read(tmp_path).endswith(b"end")


def test_a_rotated_run_is_not_mixed_with_the_next(log, tmp_path):
    for name in (b"a", b"b", b"c"):
        log.begin()
        log.write(name * (90 if name == b"a" else 10))
        log.write(name * 20)
    assert read(tmp_path) == b"c" * 30
    assert read(tmp_path, previous=True) == b"b" * 30


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        (b"", ""),
        (b"starting\nValueError:  no such\tmodel\n\n  \n", "ValueError: no such model"),
        (b"no newline", "no newline"),
        (b"\xff\x1b[31mred\n", "?[31mred".rjust(9, "\ufffd")),
        (b"x" * 500, "x" * 199 + "…"),
    ],
)
def test_the_last_words_are_the_last_line_that_says_something(log, printed, words):
    log.begin()
    log.write(printed)
    assert log.last_words == words


def test_a_folder_that_refuses_costs_lines_only(tmp_path):
    (tmp_path / "default").write_text("a file where the folder should be")
    log = PodLog(tmp_path, "default", "web-1")
    log.begin()
    log.write(b"hello\n")
    assert log.last_words == "hello"


def test_logs_of_pods_that_are_gone_are_kept_but_not_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "KEPT", 2)
    for age, name in enumerate(["living", "newest", "newer", "old", "older"]):
        folder = tmp_path / "default" / name
        folder.mkdir(parents=True)
        os.utime(folder, (1000 - age, 1000 - age))
    logs.prune(tmp_path, "default", {"living"})
    assert sorted(path.name for path in (tmp_path / "default").iterdir()) == ["living", "newer", "newest"]
    logs.prune(tmp_path, "elsewhere", set())
