import pytest

from app.services.loaders.tables import render_rows


def test_rows_name_their_cells_after_the_first_row() -> None:
    """A row is understood without the header; empty cells and rows take no room."""
    rows = [["Name", "City"], ["Ann", "Oslo"], ["", ""], ["Bob", ""]]
    assert render_rows(rows) == "Name | City\nName: Ann | City: Oslo\nName: Bob"


@pytest.mark.parametrize("first", [["1", "2"], ["x", "x"], ["a long sentence, " * 10, "City"], ["Name"]])
def test_a_first_row_that_names_nothing_is_a_row_like_the_others(first: list[str]) -> None:
    """Numbers, repetitions and whole sentences are not names of columns."""
    assert render_rows([first, ["Ann", "Oslo"]]).endswith("\nAnn | Oslo")


def test_ragged_rows_lose_nothing() -> None:
    """Cells beyond the header stand without a name."""
    assert render_rows([["a", "b"], ["1", "2", "3"], ["4"]]) == "a | b\na: 1 | b: 2 | 3\na: 4"


def test_a_cell_stays_on_its_line() -> None:
    """Line breaks inside a cell do not look like rows."""
    assert render_rows([["one\ntwo", "three"]]) == "one two | three"
