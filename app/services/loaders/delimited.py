"""Tables in text: values separated by commas, semicolons, tabs or bars."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections import Counter
from typing import Final

from app.services.loaders.document import ParsedDocument, Section
from app.services.loaders.encodings import decode
from app.services.loaders.media import CSV
from app.services.loaders.tables import render_lines

_SEPARATORS: Final = (",", ";", "\t", "|")
# A first line for Excel, which writes it too.
_STATED_SEPARATOR: Final = re.compile(r"sep=([,;\t|])\r?\n", re.IGNORECASE)
_SAMPLE_LINES: Final = 50
_NOT_A_TABLE: Final = "not_a_table"


def load_csv(data: bytes) -> ParsedDocument:
    """One section with a line for each row; text that no quoting makes sense of is kept as it is."""
    text, warnings = decode(data)
    text = text.removeprefix("\ufeff").replace("\x00", "")
    if "\n" not in text:
        text = text.replace("\r", "\n")
    stated = _STATED_SEPARATOR.match(text)
    try:
        rows = csv.reader(
            io.StringIO(text[stated.end() :] if stated else text, newline=""),
            delimiter=stated[1] if stated else _separator(text),
        )
        text = "\n".join(render_lines(rows))
    except csv.Error:
        warnings = (*warnings, _NOT_A_TABLE)
    return ParsedDocument(title=None, media_type=CSV, sections=(Section(text=text),), warnings=warnings)


def _separator(text: str) -> str:
    """The separator by which most of the first rows have the same number of values, and more than one."""
    sample = list(itertools.islice(io.StringIO(text), _SAMPLE_LINES))
    return max(_SEPARATORS, key=lambda separator: _agreement(sample, separator=separator))


def _agreement(sample: list[str], *, separator: str) -> tuple[int, int]:
    widths = Counter(len(row) for row in csv.reader(sample, delimiter=separator) if len(row) > 1)
    (width, rows) = widths.most_common(1)[0] if widths else (0, 0)
    return rows, width
