"""Pictures: the text that recognition finds in them."""

from __future__ import annotations

from collections.abc import Callable

from app.services.loaders.document import LoadError, ParsedDocument, Section

Recognise = Callable[[bytes], str]


def load_picture(data: bytes, *, media_type: str, recognise: Recognise | None) -> ParsedDocument:
    """One section with what is written in the picture.

    Raises:
        LoadError: `no_text_needs_ocr` without recognition, `empty` when it finds nothing.
    """
    if recognise is None:
        raise LoadError("no_text_needs_ocr")
    text = recognise(data)
    if not text:
        raise LoadError("empty")
    return ParsedDocument(title=None, media_type=media_type, sections=(Section(text=text),), warnings=("recognised",))
