"""Which loader reads which media type, and the bounds that hold for all of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from app.services.loaders.document import MAX_CHARACTERS, MAX_SECTIONS, LoadError, ParsedDocument, Section
from app.services.loaders.encodings import clean
from app.services.loaders.html import load_html
from app.services.loaders.markdown import load_markdown
from app.services.loaders.media import HTML, MARKDOWN, PDF, PLAIN
from app.services.loaders.pdf import load_pdf
from app.services.loaders.plain import load_plain

Loader = Callable[[bytes], ParsedDocument]

_LOADERS: Final[Mapping[str, Loader]] = {
    PLAIN: load_plain,
    MARKDOWN: load_markdown,
    HTML: load_html,
    PDF: load_pdf,
}
_MAX_TITLE: Final = 500


def load(data: bytes, *, media_type: str, filename: str | None) -> ParsedDocument:
    """Read a document of the type that `sniff` found.

    What is broken in unforeseen ways makes its parser raise anything; use `Sandbox`, which tells that from the rest.

    Raises:
        LoadError: there is no text, or more of it than one document may hold.
    """
    del filename
    loader = _LOADERS.get(media_type)
    if loader is None:
        raise LoadError("unsupported")
    if not data:
        raise LoadError("empty")
    return _bounded(loader(data))


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
        if text:
            yield dataclasses.replace(section, text=text, heading=tuple(map(clean, section.heading)))
