"""The rows of a sheet by what its cells hold: the size that a sheet states, or gives to blank cells, costs nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from openpyxl.worksheet._reader import WorkSheetParser

# Wider rows that are mostly blank are given without their gaps: no table has so many columns that it leaves out.
_WIDEST: Final = 256
_FORMULA: Final = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}f"


class _Parser(WorkSheetParser):
    """Openpyxl's parser, which gives a formula without a value as `None`, with the formula instead."""

    found_formula_without_value = False

    def parse_cell(self, element: Any) -> dict[str, Any]:
        cell: dict[str, Any] = super().parse_cell(element)
        if cell["value"] is None and (formula := element.findtext(_FORMULA)):
            cell["value"] = f"={formula}"
            self.found_formula_without_value = True
        return cell


class SheetReader:
    """Reads the sheets of a workbook that openpyxl has opened for reading only, with values instead of formulas."""

    def __init__(self) -> None:
        self.found_formula_without_value = False

    def read(self, sheet: Any) -> Iterator[Sequence[object]]:
        """The values of each row; one blank row stands for all that follow each other."""
        # Its public methods make up the missing cells of each row: a thousand rows with one in the last column are
        # sixteen million.
        workbook = sheet.parent
        with sheet._get_source() as source:  # noqa: SLF001  (as above)
            parser = _Parser(
                source,
                sheet._shared_strings,  # noqa: SLF001  (the same)
                data_only=True,
                epoch=workbook.epoch,
                date_formats=workbook._date_formats,  # noqa: SLF001  (the same)
                timedelta_formats=workbook._timedelta_formats,  # noqa: SLF001  (the same)
            )
            last = 0
            for number, cells in parser.parse():
                filled = {cell["column"]: cell["value"] for cell in cells if cell["value"] is not None}
                if number > last + 1 or not filled:
                    yield ()
                if filled:
                    yield _row(filled)
                last = number
            self.found_formula_without_value |= parser.found_formula_without_value


def _row(filled: dict[int, object]) -> list[object]:
    width = max(filled)
    if width > max(_WIDEST, 2 * len(filled)):
        return [filled[column] for column in sorted(filled)]
    return [filled.get(column) for column in range(1, width + 1)]
