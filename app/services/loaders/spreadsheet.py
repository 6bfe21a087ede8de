"""Excel workbooks: the tables of each sheet, then comments and text boxes."""

from __future__ import annotations

import datetime as dt
import io
import re
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, Final

import openpyxl

from app.services.loaders.document import MAX_CHARACTERS, LoadError, ParsedDocument, Section
from app.services.loaders.media import XLSX
from app.services.loaders.ooxml import core_title, read_part
from app.services.loaders.packages import Package
from app.services.loaders.sheets import SheetReader
from app.services.loaders.tables import render_lines
from app.services.loaders.xml import descendants

_WITHOUT_VALUES: Final = "formulas_without_values"
_ASIDE: Final = re.compile(r"xl/(?:threadedComments/|drawings/|comments)[^/]*\.xml")


def load_xlsx(data: bytes) -> ParsedDocument:
    """One section for each table, under the name of its sheet; blank rows stand between tables.

    A formula whose value the file does not have, as many programs write it, stands there as itself; a warning says so.
    """
    package, reader = Package(data), SheetReader()
    sections = (*_sheet_sections(data, reader=reader), *_aside_sections(package))
    return ParsedDocument(
        title=core_title(package),
        media_type=XLSX,
        sections=sections,
        warnings=(_WITHOUT_VALUES,) if reader.found_formula_without_value else (),
    )


def _sheet_sections(data: bytes, *, reader: SheetReader) -> Iterator[Section]:
    with warnings.catch_warnings():
        # About extensions that are not read, such as the colours of conditional formats.
        warnings.simplefilter("ignore")
        workbook = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        characters = 0
        for sheet in workbook.worksheets:
            for text in _tables(_rows(sheet, reader=reader)):
                characters += len(text)
                if characters > MAX_CHARACTERS:
                    raise LoadError("too_large")
                yield Section(text=text, heading=(sheet.title,))


def _rows(sheet: Any, *, reader: SheetReader) -> Iterator[list[str]]:
    return ([_cell_text(value) for value in row] for row in reader.read(sheet))


def _tables(rows: Iterable[list[str]]) -> Iterator[str]:
    table: list[list[str]] = []
    for row in rows:
        if any(row):
            table.append(row)
        elif table:
            yield "\n".join(render_lines(table))
            table = []
    if table:
        yield "\n".join(render_lines(table))


def _cell_text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).upper()
        case float() if value.is_integer():
            return str(int(value))
        case dt.datetime() if value.time() == dt.time():
            return value.date().isoformat()
        case dt.datetime():
            return value.isoformat(sep=" ")
    return str(value)


def _aside_sections(package: Package) -> Iterator[Section]:
    parts = (read_part(package, name) for name in package.names if _ASIDE.fullmatch(name))
    texts = [text.text or "" for part in parts if part is not None for text in descendants(part, "t")]
    if any(texts):
        yield Section(text="\n".join(texts))
