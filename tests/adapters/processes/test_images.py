from __future__ import annotations

import os

import pytest

from serin.adapters.local.processes.images import Image, Images
from serin.errors import InvalidInput

FILE = """
images:
  "shop:v1": {entrypoint: [serin, serve], cmd: ["--port", 8501], env: {DEBUG: true, N: 3}, directory: models}
  "registry.example.com/*": {entrypoint: [run]}
  "*": {entrypoint: [other]}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "images.yaml"
    path.write_text(FILE)
    return path


def test_an_image_is_found_by_name_then_by_glob_in_order(file, tmp_path):
    images = Images(file)
    found = images.find("shop:v1")
    assert found == Image(tmp_path / "models", ("serin", "serve"), ("--port", "8501"), {"DEBUG": "true", "N": "3"})
    assert images.find("registry.example.com/a/b:v2") == Image(tmp_path, ("run",))
    assert images.find("shop:v2") == Image(tmp_path, ("other",))


def test_a_missing_image_names_the_file_and_what_to_add(file):
    file.write_text("images: {a: {entrypoint: [b]}}")
    images = Images(file)
    assert images.find("shop:v1") is None
    assert images.unknown("shop:v1") == (
        f"image 'shop:v1' is not in {file}; add '\"shop:v1\": {{entrypoint: [PROGRAM, ARGUMENT]}}' to its 'images'"
    )


def test_a_home_without_images_says_how_to_give_them():
    images = Images()
    assert images.find("shop:v1") is None
    assert "start the home with 'serin up --images FILE'" in images.unknown("shop:v1")


def test_a_file_that_was_changed_is_read_again(file):
    images = Images(file)
    file.write_text("images: {a: {entrypoint: [b]}}")
    os.utime(file, ns=(1, 1))
    assert images.find("a") == Image(file.parent, ("b",))
    file.write_text("images: [")
    with pytest.raises(InvalidInput):
        images.find("a")


REFUSED = [
    ("", "'images' is missing"),
    ("[]", "'images' is missing"),
    ("images: 3", "'images' is missing"),
    ("images: {a: [", "images.yaml:1: no YAML"),
    ("images: {}\nimage: {}", "'image' is unknown here"),
    ("images: {a: run}", "images[a]: write a mapping"),
    ("images: {a: {entry: [x]}}", "images[a].entry: unknown field; known are entrypoint, cmd, env, directory"),
    ("images: {a: {entrypoint: run}}", "images[a].entrypoint: write a list of words"),
    ("images: {a: {cmd: [[x]]}}", "images[a].cmd: write a list of words"),
    ("images: {a: {env: [x]}}", "images[a].env: write names and values"),
    ("images: {a: {directory: 3}}", "images[a].directory: write a folder's name"),
    ("#" * 1_000_001, "larger than 1,000,000 bytes"),
]


@pytest.mark.parametrize(("text", "sentence"), REFUSED, ids=range(len(REFUSED)))
def test_a_refused_file_says_where_and_what(text, sentence, file):
    file.write_text(text)
    with pytest.raises(InvalidInput) as refusal:
        Images(file)
    assert str(refusal.value).startswith(str(file))
    assert sentence in str(refusal.value)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match=r"cannot read the images file .*: No such file"):
        Images(tmp_path / "none.yaml")


def test_bytes_that_are_no_text_are_refused(file):
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInput, match="no UTF-8 text"):
        Images(file)
