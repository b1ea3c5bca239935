"""Reading files, folders and texts, with the place of every field."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from serin.api import manifest
from serin.errors import InvalidInput


def test_every_field_knows_its_line() -> None:
    (found,) = manifest.parse("a: 1\nb:\n- c: x\n  d.e/f:\n    g: y\n\n- z\n", "f.yaml")
    assert found.object == {"a": 1, "b": [{"c": "x", "d.e/f": {"g": "y"}}, "z"]}
    assert found.lines == {
        "": 1, "a": 1, "b": 2, "b[0]": 3, "b[0].c": 3, "b[0][d.e/f]": 4, "b[0][d.e/f].g": 5, "b[1]": 7,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("b[0].c", "f.yaml:3: "),
        ("b[0].missing", "f.yaml:3: "),
        ("b[0][d.e/f].missing.deeper[3]", "f.yaml:4: "),
        ("b[9]", "f.yaml:2: "),
        ("spec.unheard.of", "f.yaml:1: "),
        ("", "f.yaml:1: "),
    ],
)
def test_what_is_missing_has_the_place_of_its_nearest_parent(path: str, place: str) -> None:
    (found,) = manifest.parse("a: 1\nb:\n- c: x\n  d.e/f: {}\n", "f.yaml")
    assert found.place.place(path) == place


def test_documents_are_separate_and_empty_ones_are_skipped() -> None:
    found = manifest.parse("---\n# first\n---\nkind: A\n---\n~\n---\nkind: B\n...\n", "f.yaml")
    assert [(m.object, m.lines["kind"]) for m in found] == [({"kind": "A"}, 4), ({"kind": "B"}, 8)]


def test_a_list_is_its_items() -> None:
    found = manifest.parse("kind: List\nitems:\n- kind: A\n- kind: ServiceList\n  items:\n  - kind: B\n    x: 1\n", "f")
    assert [(m.object, m.lines.get("x")) for m in found] == [({"kind": "A"}, None), ({"kind": "B", "x": 1}, 7)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e3", 1000.0), ("-.5", -0.5), ("1_000", 1000), ("0x1F", 31), ("010", 8), ("0o10", 8), ("0b11", 3), ("+5", 5),
        ("yes", True), ("off", False), ("~", None), ("null", None), ("'15'", "15"), ("15s", "15s"), ("1:30", "1:30"),
        ("2021-05-03", "2021-05-03"), ("2021-05-03T10:00:00Z", "2021-05-03T10:00:00Z"), ("0", 0), ("-0", 0),
        ("!!str 5", "5"), ("!!float 5", 5.0), ("-.inf", -math.inf), ("1.", 1.0), ("1.2.3", "1.2.3"), ("v1", "v1"),
        ("=", "="),
    ],
)  # fmt: skip
def test_scalars_are_what_kubernetes_reads(text: str, value: object) -> None:
    (found,) = manifest.parse(f"a: {text}", "f.yaml")
    assert (found.object["a"], type(found.object["a"])) == (value, type(value))


def test_json_is_read_also_where_it_is_not_yaml() -> None:
    (plain,) = manifest.parse('{\n\t"a": [1, {"b": true}]\n}', "f.json")
    assert (plain.object, plain.lines["a[1].b"]) == ({"a": [1, {"b": True}]}, 2)
    (escaped,) = manifest.parse('{"kind": "List", "items": [{"a": "\\ud83d\\ude00"}]}', "f.json")
    assert (escaped.object, escaped.place.place("a")) == ({"a": "😀"}, "f.json: ")
    with pytest.raises(InvalidInput, match=r"f\.json: 'a' stands twice in one object; remove one of the two"):
        manifest.parse('{"a": "\\ud83d\\ude00", "a": 1}', "f.json")


def test_aliases_and_merges_are_written_out() -> None:
    (found,) = manifest.parse("a: &a {x: 1, y: 2}\nb: *a\nc:\n  <<: [*a, {z: 3}]\n  y: 4\n", "f.yaml")
    assert found.object == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 2}, "c": {"y": 4, "x": 1, "z": 3}}
    found.object["a"]["x"] = 5
    assert found.object["b"]["x"] == 1


def test_a_folder_is_its_manifests_by_name(tmp_path: Path) -> None:
    for name, kind in (("b.yaml", "B"), ("a.json", '"A"'), ("c.yml", "C"), ("notes.txt", "D")):
        (tmp_path / name).write_text(f"{{kind: {kind}}}")
    (tmp_path / "deeper.yaml").mkdir()
    assert [m.object["kind"] for m in manifest.read(tmp_path)] == ["A", "B", "C"]
    assert [m.source for m in manifest.read(tmp_path / "b.yaml")] == [str(tmp_path / "b.yaml")]


def test_a_byte_order_mark_is_no_character(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_bytes(b"\xef\xbb\xbfkind: A")
    assert [m.object for m in manifest.read(tmp_path / "f.yaml")] == [{"kind": "A"}]


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"nowhere\.yaml: there is no such file$"):
        manifest.read(tmp_path / "nowhere.yaml")
    with pytest.raises(InvalidInput, match=r"the folder holds no manifest \(\*\.yaml, \*\.yml, \*\.json\)$"):
        manifest.read(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match=r"cannot be read: Not a directory$"):
        manifest.read(tmp_path / "file" / "x.yaml")


def test_of_a_large_file_no_more_than_the_limit_is_read(tmp_path: Path) -> None:
    with (tmp_path / "f.yaml").open("wb") as file:
        file.truncate(50 * 1024**2)
    with pytest.raises(InvalidInput, match=r"f\.yaml: is larger than 3 MiB; a manifest is a few kilobytes$"):
        manifest.read(tmp_path / "f.yaml")
