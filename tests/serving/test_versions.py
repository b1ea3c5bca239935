"""Which versions of a folder are served."""

from pathlib import Path

import pytest

from serin.errors import InvalidInput, NotFound, SerinError, UsageError
from serin.serving.versions import choose


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("1", "2", "10", "notes", "7"):
        (tmp_path / name).mkdir()
        if name not in ("7", "notes"):
            (tmp_path / name / "saved_model.pb").touch()
    return tmp_path


@pytest.mark.parametrize(("policy", "versions"), [("latest", [10]), ("all", [1, 2, 10]), ("2", [2]), ("1,10", [1, 10])])
def test_a_policy_chooses_among_the_numbered_saved_models(folder: Path, policy: str, versions: list[int]) -> None:
    served = choose(folder, policy)
    assert list(served.folders) == versions
    assert served.latest == versions[-1]
    assert served.folders[versions[0]] == folder / str(versions[0])


def test_a_label_means_a_served_version(folder: Path) -> None:
    assert choose(folder, "all", ["stable=1", "canary=10"]).labels == {"stable": 1, "canary": 10}


REFUSED: list[tuple[str, list[str], type[SerinError], str]] = [
    ("newest", [], UsageError, "neither 'latest' nor 'all' nor versions like '1,2'"),
    ("3", [], NotFound, "has no version 3; it has 1, 2, 10"),
    ("latest", ["stable"], UsageError, "not of the form LABEL=VERSION"),
    ("latest", ["stable=x"], UsageError, "not of the form LABEL=VERSION"),
    ("latest", ["stable=1"], UsageError, "names a version that is not served; served are 10"),
]


@pytest.mark.parametrize(("policy", "labels", "kind", "sentence"), REFUSED)
def test_what_cannot_be_served_is_said(
    folder: Path, policy: str, labels: list[str], kind: type[SerinError], sentence: str
) -> None:
    with pytest.raises(kind, match=sentence):
        choose(folder, policy, labels)


def test_a_folder_without_versions_is_refused(folder: Path) -> None:
    with pytest.raises(NotFound, match="is not there"):
        choose(folder / "nowhere")
    with pytest.raises(NotFound, match="holds no version"):
        choose(folder / "notes")
    with pytest.raises(InvalidInput, match="is a SavedModel itself; give --model-path the folder above it"):
        choose(folder / "1")
