"""PDF: the text of each page, with the bookmarks as headings."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import pypdfium2
import pypdfium2.raw as pdfium

from app.services.loaders.annotations import annotation_texts
from app.services.loaders.bookmarks import Bookmark, split_at_bookmarks
from app.services.loaders.document import MAX_CHARACTERS, LoadError, LoadErrorCode, ParsedDocument, Section
from app.services.loaders.encodings import clean
from app.services.loaders.media import PDF
from app.services.loaders.outline import MAX_HEADING
from app.services.loaders.picture import Recognise
from app.services.loaders.wrapping import join_wrapped_lines

_FAILURES: Final[dict[int, LoadErrorCode]] = {
    pdfium.FPDF_ERR_PASSWORD: "encrypted",
    pdfium.FPDF_ERR_SECURITY: "encrypted",
}
# PDFium marks a hyphen at the end of a line by one of these. It belongs to the word when a capital or a digit follows.
_HYPHENATED: Final = re.compile("[\x02\ufffe](?:\r?\n)?([A-Z0-9]?)")
# Ligatures and the shapes of Arabic and Hebrew letters, which stand for the letters that people search for.
_PRESENTATION_FORMS: Final = re.compile("[\ufb00-\ufdff\ufe70-\ufefc]")
# A file that was cut off may still open, with the pages that came through.
_END_MARK: Final = b"%%EOF"
_END_WITHIN: Final = 1024
# What programs write when nobody has given a title.
_NO_TITLES: Final = frozenset({"", "untitled", "anonymous", "unspecified", "unknown"})
# Dots an inch at which pages are drawn for recognition, and the most dots along a side.
_RESOLUTION: Final = 200
_MOST_PIXELS: Final = 4_000
_MAX_BOOKMARKS: Final = 20_000
_MISSING: Final = re.compile("[\ufffd\ue000-\uf8ff\x00-\x08]")


def load_pdf(data: bytes, *, recognise: Recognise | None = None) -> ParsedDocument:
    """Sections by page and, inside a page, by bookmark; a warning for each page that has no text.

    `recognise` reads pages that have something drawn on them and no text; a warning says which.

    Raises:
        LoadError: `encrypted`, `corrupt`; without any text `no_text_needs_ocr` when something is drawn on a page,
            `empty` when nothing is.
    """
    document = _open(data)
    pages: list[str] = []
    characters, drawn = 0, False
    recognised: list[int] = []
    for number, (text, has_drawing) in enumerate(_pages(document), start=1):
        if not text and has_drawing and recognise is not None:
            text = clean(recognise(_draw(document, number - 1)))  # noqa: PLW2901  (the text of this page after all)
            recognised += [number] * bool(text)
        pages.append(text)
        characters, drawn = characters + len(text), drawn or has_drawing
        if characters > MAX_CHARACTERS:
            raise LoadError("too_large")
    if not any(pages):
        raise LoadError("no_text_needs_ocr" if drawn else "empty")
    return ParsedDocument(
        title=_title(document),
        media_type=PDF,
        sections=tuple(_sections(pages, bookmarks=_bookmarks_by_page(document))),
        warnings=(*_warnings(data, pages=pages), *(f"recognised_page:{number}" for number in recognised)),
    )


def _sections(pages: Sequence[str], *, bookmarks: Mapping[int, Sequence[Bookmark]]) -> Iterator[Section]:
    heading: tuple[str, ...] = ()
    for number, page in enumerate(pages, start=1):
        for path, text in split_at_bookmarks(page, bookmarks=bookmarks.get(number, ()), heading=heading):
            heading = path
            if text:
                yield Section(text=text, page=number, heading=path)


def _warnings(data: bytes, *, pages: Sequence[str]) -> Iterator[str]:
    if _END_MARK not in data[-_END_WITHIN:]:
        yield "truncated"
    for number, page in enumerate(pages, start=1):
        if not page:
            yield f"no_text_on_page:{number}"


def _open(data: bytes) -> pypdfium2.PdfDocument:
    try:
        document = pypdfium2.PdfDocument(data)
        if len(document) == 0:
            raise LoadError("corrupt")
    except pypdfium2.PdfiumError as error:
        raise LoadError(_FAILURES.get(error.err_code or 0, "corrupt")) from None
    return document


def _pages(document: pypdfium2.PdfDocument) -> Iterator[tuple[str, bool]]:
    """The text of each page, and whether anything is drawn on it. A page that cannot be read has no text."""
    for index in range(len(document)):
        try:
            page = document[index]
        except pypdfium2.PdfiumError:
            yield "", True
            continue
        text_page = page.get_textpage()
        # A box that leaves all of the text outside is an error of whoever wrote it.
        text = _readable(text_page.get_text_bounded()) or _readable(text_page.get_text_range())
        text = "\n".join(filter(None, (text, *annotation_texts(page))))
        has_objects = next(page.get_objects(max_depth=1), None) is not None
        text_page.close()
        page.close()
        yield text, has_objects


def _draw(document: pypdfium2.PdfDocument, index: int) -> bytes:
    """The page in grey, as a PGM picture (netpbm's `P5`); nothing if it cannot be drawn."""
    try:
        page = document[index]
        scale = min(_RESOLUTION / 72, _MOST_PIXELS / max(page.get_size()))
        bitmap = page.render(scale=scale, grayscale=True)
    except pypdfium2.PdfiumError:
        return b""
    pixels: bytes = bitmap.to_numpy().tobytes()
    return b"P5 %d %d 255\n" % (bitmap.width, bitmap.height) + pixels


def _readable(text: str) -> str:
    """The text of a page as it was meant, or nothing when its fonts do not tell which letters their shapes are."""
    text = _HYPHENATED.sub(lambda match: f"-{match[1]}" if match[1] else "", text)
    if 2 * len(_MISSING.findall(text)) > len(text) - sum(map(str.isspace, text)):
        return ""
    text = _PRESENTATION_FORMS.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)
    return join_wrapped_lines(text).strip()


def _title(document: pypdfium2.PdfDocument) -> str | None:
    title = document.get_metadata_value("Title").strip()
    return title if title.lower().strip("()") not in _NO_TITLES else None


def _bookmarks_by_page(document: pypdfium2.PdfDocument) -> dict[int, list[Bookmark]]:
    bookmarks: dict[int, list[Bookmark]] = {}
    for entry in itertools.islice(document.get_toc(), _MAX_BOOKMARKS):
        destination = entry.get_dest()
        index = destination.get_index() if destination is not None else None
        title = " ".join(clean(entry.get_title()).split())[:MAX_HEADING]
        if index is not None and title:
            bookmarks.setdefault(index + 1, []).append(Bookmark(level=entry.level, title=title))
    return bookmarks
