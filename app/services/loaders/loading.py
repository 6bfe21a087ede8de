"""Which loader reads which media type, and the bounds that hold for all of them."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from app.services.loaders import media
from app.services.loaders.archive import load_zip
from app.services.loaders.delimited import load_csv
from app.services.loaders.document import MAX_CHARACTERS, MAX_SECTIONS, LoadError, ParsedDocument, Section
from app.services.loaders.encodings import clean
from app.services.loaders.epub import load_epub
from app.services.loaders.html import load_html
from app.services.loaders.jsontext import load_json
from app.services.loaders.mail import load_mail
from app.services.loaders.markdown import load_markdown
from app.services.loaders.opendocument import load_opendocument
from app.services.loaders.pdf import load_pdf
from app.services.loaders.picture import Recognise, load_picture
from app.services.loaders.plain import load_plain
from app.services.loaders.recognition import Recogniser
from app.services.loaders.rtf import load_rtf
from app.services.loaders.slides import load_pptx
from app.services.loaders.sniffing import sniff
from app.services.loaders.spreadsheet import load_xlsx
from app.services.loaders.word import load_docx

_LOADERS: Final[Mapping[str, Callable[[bytes], ParsedDocument]]] = {
    media.PLAIN: load_plain,
    media.MARKDOWN: load_markdown,
    media.HTML: load_html,
    media.CSV: load_csv,
    media.JSON: load_json,
    media.RTF: load_rtf,
    media.EPUB: load_epub,
    media.DOCX: load_docx,
    media.PPTX: load_pptx,
    media.XLSX: load_xlsx,
    media.ODT: load_opendocument,
    media.ODP: load_opendocument,
    media.ODS: load_opendocument,
}
_CONTAINERS: Final[Mapping[str, Callable[..., ParsedDocument]]] = {media.ZIP: load_zip, media.MAIL: load_mail}
# A mail in an archive in a mail is read; what is deeper than that is a trap.
_MAX_DEPTH: Final = 3
_MAX_TITLE: Final = 500
# Blanks of every width, joiners and marks of direction are no text, however many of them there are.
_SEEN: Final = re.compile(r"[^\s\u200b-\u200f\u202a-\u202e\u2060-\u206f]")


def load(data: bytes, *, media_type: str, filename: str | None, recogniser: Recogniser | None = None) -> ParsedDocument:
    """Read a document of the type that `sniff` found.

    What is broken in unforeseen ways makes its parser raise anything; use `Sandbox`, which tells that from the rest.

    Raises:
        LoadError: there is no text, or more of it than one document may hold.
    """
    del filename
    recognise = None if recogniser is None else recogniser.start()
    return _load(data, media_type=media_type, depth=0, recognise=recognise)


def _load(data: bytes, *, media_type: str, depth: int, recognise: Recognise | None) -> ParsedDocument:
    if not data:
        raise LoadError("empty")
    if media_type == media.ENCRYPTED_OFFICE:
        raise LoadError("encrypted")
    if media_type == media.PDF:
        return _bounded(load_pdf(data, recognise=recognise))
    if media_type in media.PICTURES:
        return _bounded(load_picture(data, media_type=media_type, recognise=recognise))
    if media_type in _LOADERS:
        return _bounded(_LOADERS[media_type](data))
    if media_type not in _CONTAINERS:
        raise LoadError("unsupported")
    if depth == _MAX_DEPTH:
        raise LoadError("too_large")
    load_member = functools.partial(_load_member, depth=depth + 1, recognise=recognise)
    return _bounded(_CONTAINERS[media_type](data, load_member=load_member))


def _load_member(data: bytes, *, filename: str | None, depth: int, recognise: Recognise | None) -> ParsedDocument:
    media_type = sniff(data, filename=filename, declared=None)
    return _load(data, media_type=media_type, depth=depth, recognise=recognise)


def _bounded(document: ParsedDocument) -> ParsedDocument:
    sections = tuple(_cleaned(document.sections))
    if not sections:
        raise LoadError("empty")
    if len(sections) > MAX_SECTIONS or sum(len(section.text) for section in sections) > MAX_CHARACTERS:
        raise LoadError("too_large")
    title = " ".join(clean(document.title or "").split())[:_MAX_TITLE] or None
    return dataclasses.replace(document, title=title, sections=sections)


def _cleaned(sections: tuple[Section, ...]) -> Iterator[Section]:
    for section in sections:
        text = clean(section.text)
        if _SEEN.search(text):
            yield dataclasses.replace(section, text=text, heading=tuple(filter(None, map(clean, section.heading))))
