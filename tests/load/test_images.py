from __future__ import annotations

import gzip
import json
import struct

import pytest

from serin.errors import InvalidInput
from serin.load.images import bodies, labelled


def idx(images, rows=2, columns=3):
    return struct.pack(">IIII", 0x803, len(images), rows, columns) + b"".join(images)


IMAGES = [bytes([number, 0, 255, 128, 1, number]) for number in range(10)]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(IMAGES)))
    return tmp_path


def test_a_body_holds_one_image_in_the_servers_form(folder):
    found = [json.loads(body) for body in bodies(folder)]
    assert len(found) == 10
    for body in found:
        assert body.keys() == {"signature_name", "instances"}
        assert body["signature_name"] == "serving_default"
        ((top, bottom),) = body["instances"]
        assert top[1:] == [[0], [1]]
        assert bottom[:2] == [[0.502], [0.0039]]
    assert sorted(round(body["instances"][0][0][0][0] * 255) for body in found) == list(range(10))


def test_which_images_and_in_which_order_comes_from_the_seed(folder):
    assert bodies(folder, 1, 5) == bodies(folder, 1, 5)
    assert bodies(folder, 1, 5) != bodies(folder, 2, 5)
    assert len(set(bodies(folder, 1, 5))) == 5


def test_a_file_may_be_named_itself_and_be_plain(tmp_path):
    file = tmp_path / "images"
    file.write_bytes(idx(IMAGES))
    assert len(bodies(file)) == 10


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "no IDX file of images"),
        (idx(IMAGES)[:-1], "cut off or damaged"),
        (struct.pack(">IIII", 0x803, 0, 28, 28), "cut off or damaged"),
        (struct.pack(">II", 0x801, 3) + b"abc" * 10, "no IDX file of images"),
    ],
)
def test_a_damaged_file_is_refused(data, sentence, tmp_path):
    file = tmp_path / "t10k-images-idx3-ubyte"
    file.write_bytes(data)
    with pytest.raises(InvalidInput, match=sentence):
        bodies(tmp_path)


def test_a_file_that_is_no_gzip_or_cut_off_is_refused(folder):
    file = folder / "t10k-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(InvalidInput, match="cannot read"):
        bodies(folder)
    file.write_bytes(b"plain")
    with pytest.raises(InvalidInput, match="cannot read"):
        bodies(folder)


def test_a_folder_without_images_says_what_is_missing(tmp_path):
    with pytest.raises(InvalidInput, match=r"there is no t10k-images-idx3-ubyte.gz in this folder"):
        bodies(tmp_path)
    with pytest.raises(InvalidInput, match="is not there"):
        bodies(tmp_path / "nowhere")


def labels_file(count):
    return struct.pack(">II", 0x801, count) + bytes(number % 10 for number in range(count))


def test_each_image_has_its_true_label(folder):
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels_file(10)))
    found = labelled(folder, 3, 5)
    assert list(found) == bodies(folder, 3, 5)
    for body, label in found.items():
        assert round(json.loads(body)["instances"][0][0][0][0] * 255) == label
    assert labelled(folder / "t10k-images-idx3-ubyte.gz", 3, 5) == found


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (None, "there is no t10k-labels-idx1-ubyte.gz in this folder"),
        (labels_file(5), "there are fewer labels than images"),
        (labels_file(10)[:-1], "cut off or damaged"),
        (b"nonsense", "no IDX file of labels"),
    ],
)
def test_labels_that_are_missing_or_broken_are_said(folder, labels, sentence):
    if labels is not None:
        (folder / "t10k-labels-idx1-ubyte").write_bytes(labels)
    with pytest.raises(InvalidInput, match=sentence):
        labelled(folder)
