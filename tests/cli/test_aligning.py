from serin.cli.aligning import Aligner


def test_columns_are_three_spaces_apart_and_the_last_is_not_padded() -> None:
    lines = Aligner().lines([["NAME", "AGE"], ["fashionmnist-v1", "5s"]])
    assert lines == ["NAME              AGE", "fashionmnist-v1   5s"]


def test_a_narrow_column_is_six_wide_as_in_kubectl() -> None:
    assert Aligner().lines([["A", "B"]]) == ["A     B"]


def test_later_lines_keep_the_widths_and_widen_them_only_when_they_must() -> None:
    aligner = Aligner()
    aligner.lines([["NAME", "PHASE", "STATUS"], ["short", "Pause", "x"]])
    assert aligner.lines([["a-much-longer-name", "Pause", "x"]]) == ["a-much-longer-name   Pause   x"]
    assert aligner.lines([["short", "Progressing", "x"]]) == ["short                Progressing   x"]


def test_an_empty_cell_keeps_its_place() -> None:
    assert Aligner().lines([["A", "WINNER FOUND", "STATUS"], ["x", "", "y"]])[1] == "x     " + " " * 15 + "y"


def test_a_cell_ends_at_its_first_line_break() -> None:
    assert Aligner().lines([["first\nsecond"]]) == ["first..."]


def test_a_cell_cannot_draw_on_the_terminal() -> None:
    assert Aligner().lines([["\x1b[2J red"]]) == ["\\x1b[2J red"]
