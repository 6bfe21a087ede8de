"""OpenDocument texts, presentations and spreadsheets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from app.services.loaders.document import SECTION_SEPARATOR, LoadError, ParsedDocument, Section
from app.services.loaders.media import ODP, ODS, ODT
from app.services.loaders.ooxml import read_part
from app.services.loaders.outline import Outline
from app.services.loaders.packages import Package
from app.services.loaders.tables import render_rows
from app.services.loaders.xml import Element, attribute, descendants, local_name

_MANIFEST: Final = "META-INF/manifest.xml"
_KINDS: Final = {"text": ODT, "presentation": ODP, "spreadsheet": ODS}
_CONTAINERS: Final = frozenset(
    {
        *("list", "list-item", "list-header", "section", "index-body", "frame", "text-box", "g", "custom-shape", "a"),
        *("table-of-content", "illustration-index", "table-index", "object-index", "user-index", "alphabetical-index"),
        *("bibliography", "index-title", "numbered-paragraph", "notes", "note-body", "rect", "ellipse"),
    }
)
# A spreadsheet repeats its last cell to the edge of the sheet.
_MAX_REPEATED: Final = 256


def load_opendocument(data: bytes) -> ParsedDocument:
    """Sections by heading, slide or sheet."""
    package = Package(data)
    manifest = read_part(package, _MANIFEST)
    if manifest is not None and next(descendants(manifest, "encryption-data"), None) is not None:
        raise LoadError("encrypted")
    content = read_part(package, "content.xml")
    body = next(descendants(content, "body"), None) if content is not None else None
    if body is None or len(body) == 0:
        raise LoadError("corrupt")
    outline = Outline()
    _read_blocks(body[0], outline=outline)
    sections = (*outline.sections(), *_edge_sections(package))
    if not sections and any(name.startswith("Pictures/") for name in package.names):
        raise LoadError("no_text_needs_ocr")
    media_type = _KINDS.get(local_name(body[0]), ODT)
    return ParsedDocument(title=_title(package) or outline.title(), media_type=media_type, sections=sections)


def _edge_sections(package: Package) -> Iterator[Section]:
    """The headers and footers of pages, which are a part of the styles."""
    styles = read_part(package, "styles.xml")
    edges = styles.iter("{*}header", "{*}header-left", "{*}footer", "{*}footer-left") if styles is not None else ()
    texts = (_text(paragraph) for edge in edges for paragraph in edge.iter("{*}p", "{*}h"))
    if text := SECTION_SEPARATOR.join(dict.fromkeys(filter(None, texts))):
        yield Section(text=text)


def _title(package: Package) -> str | None:
    meta = read_part(package, "meta.xml")
    title = next(descendants(meta, "title"), None) if meta is not None else None
    return title.text if title is not None else None


def _read_blocks(container: Element, *, outline: Outline) -> None:
    page = 0
    for block in container:
        match local_name(block):
            case "h":
                level = attribute(block, "outline-level") or ""
                outline.add_heading(_text(block), level=int(level) if level.isdecimal() else 1)
            case "p":
                is_item = local_name(container) == "list-item"
                text = _text(block)
                outline.add_paragraph(f"- {text}" if is_item and text else text)
                _read_frames(block, outline=outline)
            case "table":
                _read_table(block, outline=outline, named=local_name(container) == "spreadsheet")
            case "page":
                page += 1
                outline.start_page(page)
                _read_blocks(block, outline=outline)
            case name if name in _CONTAINERS:
                _read_blocks(block, outline=outline)


def _read_frames(paragraph: Element, *, outline: Outline) -> None:
    """Text boxes and notes that hang on a paragraph are blocks of their own, and so are those inside them."""
    for box in paragraph.iter("{*}text-box", "{*}note-body", "{*}annotation"):
        if next(box.iterancestors("{*}p", "{*}h"), None) is paragraph:
            _read_blocks(box, outline=outline)


def _read_table(table: Element, *, outline: Outline, named: bool) -> None:
    if named:
        outline.add_heading(attribute(table, "name") or "", level=1)
    rows = [list(_cells(row)) for row in descendants(table, "table-row")]
    outline.add_paragraph(render_rows(rows))


def _cells(row: Element) -> Iterator[str]:
    for cell in row.iterchildren("{*}table-cell", "{*}covered-table-cell"):
        text = " ".join(_text(paragraph) for paragraph in cell.iterchildren("{*}p", "{*}h", "{*}list"))
        repeated = attribute(cell, "number-columns-repeated") or ""
        count = min(int(repeated), _MAX_REPEATED) if repeated.isdecimal() else 1
        yield from [text] * count


def _text(paragraph: Element) -> str:
    """The text of a paragraph without the boxes and notes that hang on it."""
    pieces = [paragraph.text or ""]
    for inner in paragraph:
        pieces.extend((_inner_text(inner), inner.tail or ""))
    return "".join(pieces).strip()


def _inner_text(element: Element) -> str:
    match local_name(element):
        case "s":
            count = attribute(element, "c") or ""
            return " " * (min(int(count), _MAX_REPEATED) if count.isdecimal() else 1)
        case "tab":
            return " "
        case "line-break":
            return "\n"
        case "frame" | "note" | "annotation" | "text-box" | "tracked-changes":
            return ""
    return _text(element)
