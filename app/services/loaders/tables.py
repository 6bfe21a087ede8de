"""Tables as lines of text that each say what their cells mean, so that a row is understood on its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

_SEPARATOR: Final = " | "
_NUMBER: Final = re.compile(r"[-+(]?[\d.,:/%\s$€£-]+\)?")
# Names are repeated in each row, so they have to be short, one by one and together.
_MAX_NAME: Final = 60
_MAX_NAMES: Final = 400


def render_rows(rows: Iterable[Sequence[str]]) -> str:
    """One line for each row that is not blank.

    When the first row names the columns, the others read `name: value | name: value`, without their empty cells.
    """
    return "\n".join(render_lines(rows))


def render_lines(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of `render_rows`, for tables too large to be held in memory."""
    header: Sequence[str] = ()
    for row in rows:
        cells = [_one_line(cell) for cell in row]
        filled = [cell for cell in cells if cell]
        if not filled:
            continue
        yield _SEPARATOR.join(_named_cells(cells, names=header) if _names_columns(header) else filled)
        # A single cell above the table is its title.
        header = header if sum(map(bool, header)) > 1 else cells


def _named_cells(row: Sequence[str], *, names: Sequence[str]) -> Iterator[str]:
    for column, cell in enumerate(row):
        name = names[column].rstrip(":") if column < len(names) else ""
        if cell:
            yield f"{name}: {cell}" if name else cell


def _names_columns(header: Sequence[str]) -> bool:
    """Whether a first row looks like names: two or more, all different, short, and none of them a number."""
    names = [cell for cell in header if cell]
    return (
        len(names) > 1
        and len(names) >= len(header) - 1
        and len(set(names)) == len(names)
        and sum(map(len, names)) <= _MAX_NAMES
        and all(len(name) <= _MAX_NAME and not _NUMBER.fullmatch(name) for name in names)
    )


def _one_line(cell: str) -> str:
    return " ".join(cell.split())
