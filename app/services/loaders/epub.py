"""EPUB books: the chapters in the order of the spine."""

from __future__ import annotations

import posixpath
import urllib.parse
from collections.abc import Iterator
from typing import Final

from app.services.loaders.document import LoadError, ParsedDocument
from app.services.loaders.encodings import decode
from app.services.loaders.html import read_markup
from app.services.loaders.media import EPUB
from app.services.loaders.ooxml import read_part
from app.services.loaders.outline import Outline
from app.services.loaders.packages import Package
from app.services.loaders.xml import Element, descendants

_CONTAINER: Final = "META-INF/container.xml"
_PAGES: Final = frozenset({"application/xhtml+xml", "text/html"})
_PAGE_NAMES: Final = (".xhtml", ".html", ".htm")
_ENCRYPTION: Final = "META-INF/encryption.xml"


def load_epub(data: bytes) -> ParsedDocument:
    """Sections by heading; a warning for each chapter that is listed but missing.

    Of a book whose list leads nowhere all pages are read, in the order of the archive.
    """
    package = Package(data)
    book_name, book = _book(package)
    encrypted = set(_encrypted(package))
    outline = Outline()
    warnings: list[str] = []
    chapters = list(dict.fromkeys(_chapters(book, folder=posixpath.dirname(book_name))))
    if not any(name in package for name in chapters):
        chapters += [name for name in package.names if name.lower().endswith(_PAGE_NAMES)]
    for number, name in enumerate(chapters, start=1):
        if name in encrypted:
            raise LoadError("encrypted")
        if name not in package:
            warnings.append(f"missing_chapter:{number}")
            continue
        source, _ = decode(package.read(name))
        read_markup(source, outline=outline)
    title = next(descendants(book, "title"), None)
    return ParsedDocument(
        title=title.text if title is not None else outline.title(),
        media_type=EPUB,
        sections=outline.sections(),
        warnings=tuple(warnings),
    )


def _book(package: Package) -> tuple[str, Element]:
    """The name and the root of the package document, which lists what the book is made of."""
    container = read_part(package, _CONTAINER)
    rootfile = next(descendants(container, "rootfile"), None) if container is not None else None
    name = rootfile.get("full-path", "") if rootfile is not None else ""
    book = read_part(package, name)
    if book is None:
        raise LoadError("corrupt")
    return name, book


def _chapters(book: Element, *, folder: str) -> Iterator[str]:
    """In the order of the spine; of a book without one, the pages in the order of the manifest."""
    items = {item.get("id", ""): item for item in descendants(book, "item")}
    spine = [reference.get("idref", "") for reference in descendants(book, "itemref")]
    pages = (id for id, item in items.items() if item.get("media-type", "") in _PAGES)
    for id in spine or pages:
        href = items[id].get("href", "") if id in items else ""
        yield posixpath.normpath(posixpath.join(folder, urllib.parse.unquote(href)))


def _encrypted(package: Package) -> Iterator[str]:
    """The files that a reader needs a key for. Fonts may be among them without harm."""
    encryption = read_part(package, _ENCRYPTION)
    if encryption is not None:
        yield from (reference.get("URI", "") for reference in descendants(encryption, "CipherReference"))
