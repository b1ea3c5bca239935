"""A home's folder and its paths: whose it is, which it is, and what is refused."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from serin.errors import AlreadyExists, StorageError
from serin.home import folder
from serin.home.folder import Settings
from serin.home.paths import Paths, default_folder


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"SERIN_HOME": "/srv/home", "XDG_STATE_HOME": "/state"}, "/srv/home"),
        ({"XDG_STATE_HOME": "/state"}, "/state/serin"),
        ({"XDG_STATE_HOME": "relative"}, "~/.local/state/serin"),
        ({"SERIN_HOME": ""}, "~/.local/state/serin"),
        ({"SERIN_HOME": "~/other"}, "~/other"),
    ],
)
def test_the_default_folder_follows_the_environment(environment: dict[str, str], expected: str) -> None:
    assert default_folder(environment) == Path(expected).expanduser()


def test_a_relative_serin_home_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_folder({"SERIN_HOME": "here"}) == tmp_path / "here"


def test_a_new_folder_is_made_for_the_owner_only(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "some" / "home")
    folder.prepare(paths)
    assert stat.S_IMODE(paths.folder.stat().st_mode) == 0o700
    folder.prepare(paths)


def test_an_empty_folder_is_taken_and_closed_to_others(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o755)
    folder.prepare(Paths(tmp_path / "home"))
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700


def test_a_folder_with_other_files_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear all")
    before = tmp_path.stat().st_mode
    with pytest.raises(StorageError, match="holds other files and is no home; choose an empty or a new folder"):
        folder.prepare(Paths(tmp_path))
    assert tmp_path.stat().st_mode == before
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_folder_that_becomes_a_home_while_it_is_looked_at_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two `serin up` at once: the other one's files appear between two looks."""
    paths, iterdir = Paths(tmp_path), Path.iterdir

    def meanwhile(folder: Path) -> Iterator[Path]:
        paths.lock.touch()
        paths.printed.touch()
        return iterdir(folder)

    monkeypatch.setattr(Path, "iterdir", meanwhile)
    folder.prepare(paths)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    with pytest.raises(StorageError, match="home is a file; choose a folder with --home"):
        folder.prepare(Paths(tmp_path / "home"))
    with pytest.raises(StorageError, match="choose another folder with --home"):
        folder.prepare(Paths(tmp_path / "home" / "below"))


@pytest.mark.parametrize("place", ["/proc/serin", "/sys/serin"])
def test_a_folder_that_cannot_be_made_is_said(place: str) -> None:
    with pytest.raises(
        StorageError, match=rf"{place} cannot be made or used \(.*\); choose another folder with --home"
    ):
        folder.prepare(Paths(Path(place)))


def test_a_folder_has_one_owner(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    folder.prepare(paths)
    assert folder.owner(paths) is None
    with folder.owned(paths) as before:
        assert not before.unclean
        assert folder.owner(paths) == os.getpid()
        with pytest.raises(AlreadyExists, match=r"a home runs in .* already \(pid \d+\); 'serin status' shows it"):
            folder.owned(paths).__enter__()
    assert folder.owner(paths) is None
    with folder.owned(paths) as before:
        assert not before.unclean


@pytest.mark.real
def test_the_folder_of_a_killed_owner_is_free_and_says_so(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    folder.prepare(paths)
    program = (
        "import sys, time; from pathlib import Path\n"
        "from serin.home import folder; from serin.home.paths import Paths\n"
        "with folder.owned(Paths(Path(sys.argv[1]))):\n    print('owned', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        owner.stdout.readline()
        assert folder.owner(paths) == owner.pid
        owner.kill()
    with folder.owned(paths) as before:
        assert before.unclean


def test_what_up_was_told_is_remembered(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    assert folder.remembered(paths) == Settings()
    folder.remember(paths, Settings("/images.yaml", 8123))
    assert folder.remembered(paths) == Settings("/images.yaml", 8123)
    for broken in ("", "[]", "{", '{"gateway_port": 7, "other": 1}'):
        paths.settings.write_text(broken)
        assert folder.remembered(paths) in (Settings(), Settings(None, 7))
