"""Bodies for a model server from the Fashion-MNIST test images (IDX files, plain or gzipped), and their true labels.

Each body holds one image of 28 by 28 by 1 numbers from 0 to 1, to four decimals:
`{"signature_name":"serving_default","instances":[[[[0],[0.0039],…],…]]}`.
"""

from __future__ import annotations

import gzip
import random
import struct
import zlib
from pathlib import Path

from serin.errors import InvalidInput

NAMES = ("t10k-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte")
LABELS = ("t10k-labels-idx1-ubyte.gz", "t10k-labels-idx1-ubyte")
_MAGIC, _MAGIC_OF_LABELS = 0x00000803, 0x00000801
_LARGEST = 200_000_000
_PIXELS = tuple(f"[{value / 255:.4g}]" if value in (0, 255) else f"[{value / 255:.4f}]" for value in range(256))


def bodies(path: Path, seed: int = 0, most: int = 1000) -> list[bytes]:
    """Bodies of at most `most` images, drawn by the seed. `path` is the file or its folder. Raises InvalidInput."""
    return [body for body, _ in _chosen(path, seed, most)]


def labelled(path: Path, seed: int = 0, most: int = 1000) -> dict[bytes, int]:
    """The same bodies, each with the class that its image has in truth, 0 to 9. Raises InvalidInput."""
    labels = _labels(_file(path.parent if path.is_file() else path, LABELS))
    chosen = _chosen(path, seed, most)
    if any(index >= len(labels) for _, index in chosen):
        raise InvalidInput(f"{path}: there are fewer labels than images; fetch both anew")
    return {body: labels[index] for body, index in chosen}


def _chosen(path: Path, seed: int, most: int) -> list[tuple[bytes, int]]:
    """Bodies of the images that the seed draws, and where in the file they stand."""
    file = _file(path, NAMES)
    pixels, count, rows, columns = _read(file)
    chosen = random.Random(f"{seed}/images").sample(range(count), min(most, count))
    size = rows * columns
    return [(_body(pixels[index * size : (index + 1) * size], columns), index) for index in chosen]


def _file(path: Path, names: tuple[str, ...]) -> Path:
    if path.is_file():
        return path
    for name in names:
        if (path / name).is_file():
            return path / name
    if path.is_dir():
        raise InvalidInput(f"{path}: there is no {names[0]} in this folder; name the folder with the test images")
    raise InvalidInput(f"{path} is not there; name the file {names[0]} or its folder")


def _read(file: Path) -> tuple[memoryview, int, int, int]:
    """Pixels, number of images, rows, columns."""
    raw = _raw(file)
    if len(raw) < 16 or struct.unpack_from(">I", raw)[0] != _MAGIC:
        raise InvalidInput(f"{file}: no IDX file of images; name {NAMES[0]}")
    _, count, rows, columns = struct.unpack_from(">IIII", raw)
    if not count or not rows * columns or len(raw) != 16 + count * rows * columns:
        raise InvalidInput(f"{file}: the file is cut off or damaged; fetch it again")
    return memoryview(raw)[16:], count, rows, columns


def _labels(file: Path) -> memoryview:
    raw = _raw(file)
    if len(raw) < 8 or struct.unpack_from(">I", raw)[0] != _MAGIC_OF_LABELS:
        raise InvalidInput(f"{file}: no IDX file of labels; name {LABELS[0]}")
    if len(raw) != 8 + struct.unpack_from(">II", raw)[1]:
        raise InvalidInput(f"{file}: the file is cut off or damaged; fetch it again")
    return memoryview(raw)[8:]


def _raw(file: Path) -> bytes:
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as opened:
            return opened.read(_LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(f"cannot read {file}: {getattr(error, 'strerror', None) or error}") from None


def _body(pixels: memoryview, columns: int) -> bytes:
    words = [_PIXELS[value] for value in pixels]
    rows = ",".join(f"[{','.join(words[start : start + columns])}]" for start in range(0, len(words), columns))
    return f'{{"signature_name":"serving_default","instances":[[{rows}]]}}'.encode()
