"""Word documents: body, tables, text boxes, notes, comments, headers and footers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from app.services.loaders.document import LoadError, ParsedDocument, Section
from app.services.loaders.media import DOCX
from app.services.loaders.ooxml import core_title, main_part, read_part
from app.services.loaders.outline import Outline
from app.services.loaders.packages import Package
from app.services.loaders.tables import render_rows
from app.services.loaders.xml import Element, attribute, child, descendants, inline_text, local_name

_STYLES: Final = "word/styles.xml"
# Parts beside the body, whose text is appended to it; headers and footers repeat, one part for each kind of page.
_SIDE_PARTS: Final = re.compile(
    r"word/(?:header|footer|footnotes|endnotes|comments|diagrams/data|charts/chart)\d*\.xml"
)
_HEADING_NAME: Final = re.compile(r"heading ([1-9])", re.IGNORECASE)
_TITLE_LEVEL: Final = 0
_BODY_LEVEL: Final = 9
_MAX_STYLE_DEPTH: Final = 20

# Deleted or moved text, a second rendering of the same drawing, instructions of fields, blocks of their own.
_SKIPPED: Final = frozenset({"del", "moveFrom", "Fallback", "instrText", "delText", "pPr", "rPr", "txbxContent"})
_CHARACTERS: Final = {"tab": " ", "br": "\n", "cr": "\n", "noBreakHyphen": "-", "footnoteReference": "", "ptab": " "}


def load_docx(data: bytes) -> ParsedDocument:
    """Sections by heading style; text of pages' edges and notes is the last section."""
    package = Package(data)
    body = child(_required(read_part(package, main_part(package))), "body")
    outline = Outline()
    _Reader(outline, levels=_heading_levels(read_part(package, _STYLES))).read(_required(body))
    side_parts = list(_side_parts(package))
    sections = (*outline.sections(), *_side_sections(side_parts))
    if not sections and any(name.startswith("word/media/") for name in package.names):
        raise LoadError("no_text_needs_ocr")
    return ParsedDocument(
        title=core_title(package) or outline.title(),
        media_type=DOCX,
        sections=sections,
        warnings=tuple("unreadable_part" for part in side_parts if part is None),
    )


def _required(element: Element | None) -> Element:
    if element is None:
        raise LoadError("corrupt")
    return element


def _side_parts(package: Package) -> Iterator[Element | None]:
    """The parts beside the body, `None` for one that is damaged: the body is still worth reading."""
    for name in package.names:
        if _SIDE_PARTS.fullmatch(name):
            try:
                yield read_part(package, name)
            except LoadError:
                yield None


def _side_sections(parts: Sequence[Element | None]) -> Iterator[Section]:
    paragraphs = (
        _paragraph_text(paragraph) for part in parts if part is not None for paragraph in descendants(part, "p")
    )
    text = "\n\n".join(dict.fromkeys(paragraph for paragraph in paragraphs if paragraph))
    if text:
        yield Section(text=text)


class _Reader:
    """Walks the blocks of a document into an outline."""

    def __init__(self, outline: Outline, *, levels: Mapping[str, int]) -> None:
        self._outline = outline
        self._levels = levels

    def read(self, container: Element) -> None:
        for block in container:
            match local_name(block):
                case "p":
                    self._read_paragraph(block)
                case "tbl":
                    self._read_table(block)
                case "sdt" | "sdtContent" | "customXml" | "ins" | "moveTo" | "smartTag" | "AlternateContent" | "Choice":
                    self.read(block)

    def _read_paragraph(self, paragraph: Element) -> None:
        text = _paragraph_text(paragraph)
        level = self._level(paragraph)
        if level < _BODY_LEVEL:
            self._outline.add_heading(text, level=level)
        else:
            is_item = child(paragraph, "pPr", "numPr") is not None
            self._outline.add_paragraph(f"- {text}" if is_item and text else text)
        for box in _text_boxes(paragraph):
            self.read(box)

    def _read_table(self, table: Element) -> None:
        """A table with tables or headings inside it is layout: its cells are read one after the other."""
        cells = [cell for row in _rows(table) for cell in _cells(row)]
        if any(child(cell, "tbl") is not None or self._has_heading(cell) for cell in cells):
            for cell in cells:
                self.read(cell)
        else:
            self._outline.add_paragraph(
                render_rows([[_cell_text(cell) for cell in _cells(row)] for row in _rows(table)])
            )

    def _has_heading(self, cell: Element) -> bool:
        return any(self._level(paragraph) < _BODY_LEVEL for paragraph in cell.iterchildren("{*}p"))

    def _level(self, paragraph: Element) -> int:
        """0 for the title, 1 for a heading of the first level and so on, 9 for text."""
        own = child(paragraph, "pPr", "outlineLvl")
        if own is not None:
            return _outline_level(own)
        style = child(paragraph, "pPr", "pStyle")
        return self._levels.get(attribute(style, "val") or "", _BODY_LEVEL) if style is not None else _BODY_LEVEL


def _heading_levels(styles: Element | None) -> dict[str, int]:
    """The level of each style that is one of a heading, by the style's name, outline level or parent."""
    if styles is None:
        return {}
    by_id = {attribute(style, "styleId") or "": style for style in descendants(styles, "style")}
    levels = {identity: _style_level(style, by_id=by_id) for identity, style in by_id.items()}
    return {identity: level for identity, level in levels.items() if level < _BODY_LEVEL}


def _style_level(style: Element, *, by_id: Mapping[str, Element]) -> int:
    current: Element | None = style
    for _ in range(_MAX_STYLE_DEPTH):
        if current is None:
            break
        level = _own_style_level(current)
        if level is not None:
            return level
        parent = child(current, "basedOn")
        current = by_id.get(attribute(parent, "val") or "") if parent is not None else None
    return _BODY_LEVEL


def _own_style_level(style: Element) -> int | None:
    name_element = child(style, "name")
    name = (attribute(name_element, "val") or "") if name_element is not None else ""
    if name.lower() == "title":
        return _TITLE_LEVEL
    if heading := _HEADING_NAME.fullmatch(name):
        return int(heading[1])
    level = child(style, "pPr", "outlineLvl")
    return _outline_level(level) if level is not None else None


def _outline_level(element: Element) -> int:
    """`w:outlineLvl` counts headings from 0 and writes 9 for text."""
    value = attribute(element, "val") or ""
    return min(int(value) + 1, _BODY_LEVEL) if value.isdecimal() else _BODY_LEVEL


def _rows(table: Element) -> Iterator[Element]:
    return (row for row in descendants(table, "tr") if _table_of(row) is table)


def _cells(row: Element) -> Iterator[Element]:
    return (cell for cell in descendants(row, "tc") if next(cell.iterancestors("{*}tr"), None) is row)


def _table_of(row: Element) -> Element | None:
    return next(row.iterancestors("{*}tbl"), None)


def _cell_text(cell: Element) -> str:
    texts = (_paragraph_text(paragraph) for paragraph in descendants(cell, "p"))
    return " ".join(text for text in texts if text)


def _paragraph_text(paragraph: Element) -> str:
    """The text of a paragraph itself; text boxes that hang on it are blocks of their own."""

    def render(element: Element) -> str | None:
        name = local_name(element)
        if name == "t":
            return element.text or ""
        if name in _SKIPPED:
            return ""
        return _CHARACTERS.get(name)

    return inline_text(paragraph, render=render).strip()


def _text_boxes(paragraph: Element) -> Iterator[Element]:
    """Text boxes, each once: drawings come with a second rendering for older programs."""
    return (
        box
        for box in descendants(paragraph, "txbxContent")
        if next(box.iterancestors("{*}Fallback"), None) is None and next(box.iterancestors("{*}p"), None) is paragraph
    )
