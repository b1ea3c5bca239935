"""Where the data comes from, and what is said when it does not come."""

import gzip
import struct
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write(folder: Path, data: ModuleType, content: bytes = b"") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in data.DIGESTS:
        (folder / name).write_bytes(gzip.compress(content or name.encode()))


@pytest.fixture
def small(data: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, with the digests of tiny files."""
    import hashlib

    monkeypatch.setattr(data, "DIGESTS", {name: hashlib.sha256(name.encode()).hexdigest() for name in data.DIGESTS})
    return data


def test_an_idx_file_is_read_with_its_shape(data: ModuleType, tmp_path: Path) -> None:
    pictures = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28)
    header = struct.pack(">HBB3i", 0, 8, 3, *pictures.shape)
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + pictures.tobytes()))
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(struct.pack(">HBBi", 0, 8, 1, 2) + b"\x09\x03"))
    images = data.images(tmp_path)
    assert images.shape == (2, 28, 28, 1)
    assert images.dtype == np.float32
    np.testing.assert_allclose(images[..., 0], pictures / 255, rtol=1e-6)
    assert data.labels(tmp_path).tolist() == [9, 3]


def test_the_installed_package_is_taken_first(
    small: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small, "INSTALLED", tmp_path / "installed")
    write(tmp_path / "installed", small)
    said: list[str] = []
    assert small.fetch(tmp_path / "data", said.append) == tmp_path / "data"
    assert said == ["data: Fashion-MNIST from installed package, verified"]
    assert sorted(file.name for file in (tmp_path / "data").iterdir()) == sorted(small.DIGESTS)
    said.clear()
    small.fetch(tmp_path / "data", said.append)
    small.fetch(tmp_path / "elsewhere", said.append)  # from the cache
    assert said == []


def test_data_that_is_not_what_it_should_be_is_not_taken(
    small: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small, "INSTALLED", tmp_path / "installed")
    write(tmp_path / "installed", small, b"something else")

    def refuse(*_: Any, **__: Any) -> None:
        raise subprocess.CalledProcessError(100, ["apt-get"], stderr="W: warned\nE: no network")

    monkeypatch.setattr(small, "_run", refuse)
    monkeypatch.setattr(small, "KERAS_URL", (tmp_path / "nowhere").as_uri() + "/")
    with pytest.raises(small.DataError) as caught:
        small.fetch(tmp_path / "data", print)
    sentence = str(caught.value)
    assert "installed package: train-images-idx3-ubyte.gz is not the data that it should be" in sentence
    assert "Debian package: E: no network" in sentence
    assert "Keras: " in sentence
    assert "install Debian's dataset-fashion-mnist, or put" in sentence
    assert not (tmp_path / "data").exists()


def test_a_damaged_copy_is_replaced(small: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small, "INSTALLED", tmp_path / "installed")
    write(tmp_path / "installed", small)
    small.fetch(tmp_path / "data", print)
    damaged = tmp_path / "data" / "t10k-images-idx3-ubyte.gz"
    damaged.write_bytes(damaged.read_bytes()[:10])
    small.fetch(tmp_path / "data", print)
    assert gzip.decompress(damaged.read_bytes()) == damaged.name.encode()


@pytest.mark.real
def test_the_real_data_is_the_real_data(data: ModuleType, trained: Path) -> None:
    assert data.images(trained / "data").shape == (10_000, 28, 28, 1)
    assert np.bincount(data.labels(trained / "data")).tolist() == [1000] * 10
    assert data.images(trained / "data", "train").shape == (60_000, 28, 28, 1)
