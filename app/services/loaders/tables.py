"""Tables as lines of text that each say what their cells mean, so that a row is understood on its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

_SEPARATOR: Final = " | "
_NUMBER: Final = re.compile(r"[-+(]?[\d.,:/%\s$€£-]+\)?")
_MAX_COLUMN_NAME: Final = 60


def render_rows(rows: Sequence[Sequence[str]]) -> str:
    """One line for each row that is not blank.

    When the first row names the columns, the others read `name: value | name: value`, without their empty cells.
    """
    return "\n".join(render_lines(rows))


def render_lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of `render_rows`."""
    filled = [cells for row in rows if any(cells := [_one_line(cell) for cell in row])]
    if not filled:
        return
    header = filled[0]
    yield _SEPARATOR.join(cell for cell in header if cell)
    named = _names_columns(header) and len(filled) > 1
    for row in filled[1:]:
        yield _SEPARATOR.join(_named_cells(row, header=header) if named else [cell for cell in row if cell])


def _named_cells(row: Sequence[str], *, header: Sequence[str]) -> Iterator[str]:
    for column, cell in enumerate(row):
        name = header[column] if column < len(header) else ""
        if cell:
            yield f"{name}: {cell}" if name and name != cell else cell


def _names_columns(header: Sequence[str]) -> bool:
    """Whether a first row looks like names: two or more, all different, short, and none of them a number."""
    names = [cell for cell in header if cell]
    return (
        len(names) > 1
        and len(names) >= len(header) - 1
        and len(set(names)) == len(names)
        and all(len(name) <= _MAX_COLUMN_NAME and not _NUMBER.fullmatch(name) for name in names)
    )


def _one_line(cell: str) -> str:
    return " ".join(cell.split())
