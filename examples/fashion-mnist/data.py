"""The Fashion-MNIST data: 70,000 pictures of clothes, 28 by 28, in ten classes; `python data.py` puts it into `data/`.

They come from Debian's package `dataset-fashion-mnist`: from where it is installed, or fetched and unpacked without
root; where there is no Debian, from the download that Keras knows. What came is compared with the digests below.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

PACKAGE = "dataset-fashion-mnist"
INSTALLED = Path("/usr/share/datasets/fashion-mnist")
KERAS_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"

DIGESTS = {
    "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
"""SHA-256 of the unpacked content: archives of the same data differ in how they were compressed."""

CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


class DataError(Exception):
    """The data cannot be had; `str(error)` says what to do."""


def cache() -> Path:
    """The folder in which this example keeps what is costly to get."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "serin" / "fashion-mnist"


def fetch(folder: Path, say: Callable[[str], None] = print) -> Path:
    """Make `folder` hold the four files, verified, and return it. Raises DataError."""
    if _complete(folder):
        return folder
    kept = cache() / "data"
    if not _complete(kept):
        _collect(kept, say)
    _copy(kept, folder)
    return folder


def images(folder: Path, part: str = "t10k") -> np.ndarray:
    """The pictures of a part, `train` or `t10k`: (n, 28, 28, 1), float32, 0 to 1."""
    raw = _idx(folder / f"{part}-images-idx3-ubyte.gz")
    return raw[..., np.newaxis].astype(np.float32) / 255


def labels(folder: Path, part: str = "t10k") -> np.ndarray:
    """The classes of a part: (n,), 0 to 9, indexes of CLASSES."""
    return _idx(folder / f"{part}-labels-idx1-ubyte.gz")


def _collect(kept: Path, say: Callable[[str], None]) -> None:
    """Try one source after the other until one gives the data into `kept`."""
    failures = []
    for name, source in (("installed package", _installed), ("Debian package", _debian), ("Keras", _keras)):
        with _scratch() as scratch:
            try:
                found = source(scratch)
                _verify(found)
            except (DataError, OSError, subprocess.SubprocessError) as error:
                failures.append(f"{name}: {_reason(error)}")
                continue
            _copy(found, kept)
            say(f"data: Fashion-MNIST from {name}, verified")
            return
    raise DataError(
        f"the Fashion-MNIST data cannot be had ({'; '.join(failures)}); install Debian's {PACKAGE}, or put "
        f"{', '.join(DIGESTS)} into {kept}"
    )


def _installed(_scratch: Path) -> Path:
    if not INSTALLED.is_dir():
        raise DataError("not installed")
    return INSTALLED


def _debian(scratch: Path) -> Path:
    """The package's content, by apt's ordinary client; package lists of our own where the system has none."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise DataError("no apt here")
    try:
        _run(["apt-get", "download", PACKAGE], scratch)
    except subprocess.SubprocessError:
        for name in ("lists/partial", "cache/archives/partial"):
            (scratch / name).mkdir(parents=True)
        own = [f"-oDir::State::lists={scratch}/lists", f"-oDir::Cache={scratch}/cache", "-oAPT::Sandbox::User="]
        _run(["apt-get", *own, "update"], scratch)
        _run(["apt-get", *own, "download", PACKAGE], scratch)
    archive = next(scratch.glob(f"{PACKAGE}_*.deb"), None)
    if archive is None:
        raise DataError("apt-get gave no package")
    _run(["dpkg-deb", "-x", archive.name, "unpacked"], scratch)
    return scratch / "unpacked" / INSTALLED.relative_to("/")


def _keras(scratch: Path) -> Path:
    """The files that `keras.datasets.fashion_mnist` downloads."""
    from urllib.request import urlopen

    for name in DIGESTS:
        with urlopen(KERAS_URL + name, timeout=60) as answer, (scratch / name).open("wb") as file:
            shutil.copyfileobj(answer, file)
    return scratch


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=600)


def _verify(folder: Path) -> None:
    for name, digest in DIGESTS.items():
        file = folder / name
        if not file.is_file():
            raise DataError(f"{name} is missing")
        try:
            content = gzip.decompress(file.read_bytes())
        except (OSError, EOFError):
            raise DataError(f"{name} is damaged") from None
        if hashlib.sha256(content).hexdigest() != digest:
            raise DataError(f"{name} is not the data that it should be")


def _complete(folder: Path) -> bool:
    try:
        _verify(folder)
    except DataError:
        return False
    return True


def _copy(source: Path, target: Path) -> None:
    """Copy file by file, each at once: nobody ever sees half of one."""
    target.mkdir(parents=True, exist_ok=True)
    for name in DIGESTS:
        half = target / f".{name}.{os.getpid()}"
        shutil.copyfile(source / name, half)
        half.replace(target / name)


@contextmanager
def _scratch() -> Iterator[Path]:
    cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache(), prefix="fetch-") as folder:
        yield Path(folder)


def _idx(file: Path) -> np.ndarray:
    """An IDX file of bytes: two zeros, the type 8, the number of dimensions, their sizes, then the values."""
    content = gzip.decompress(file.read_bytes())
    rank = content[3]
    shape = np.frombuffer(content, dtype=">i4", count=rank, offset=4)
    return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * rank).reshape(shape)


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        lines = (error.stderr or error.stdout or "").strip().splitlines()
        return lines[-1] if lines else f"{error.cmd[0]} ended with {error.returncode}"
    return " ".join(str(error).split()) or type(error).__name__


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Fetch and verify the Fashion-MNIST data.")
    parser.add_argument("--out", type=Path, default=Path("data"), help="the folder for the four files (default: data)")
    given = parser.parse_args()
    try:
        fetch(given.out)
    except (DataError, OSError) as error:
        print(f"data.py: {error}", file=sys.stderr)
        return 1
    print(f"data: {given.out} is complete")
    return 0


if __name__ == "__main__":
    sys.exit(main())
