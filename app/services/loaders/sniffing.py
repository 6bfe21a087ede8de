"""What kind of document some bytes are, told by the bytes; name and declared type only decide between kinds of text."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Final

from app.services.loaders.document import LoadError
from app.services.loaders.encodings import decode, marked_encoding, unmarked_utf16
from app.services.loaders.media import HTML, MARKDOWN, PDF, PLAIN

_SAMPLE: Final = 64 * 1024
_PDF_HEADER_WITHIN: Final = 1024

_HTML_START: Final = re.compile(
    r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.{0,4000}?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
_HTML_TAG: Final = re.compile(r"<(?:p|div|h[1-6]|table|ul|ol|span|br|a)\b[^>]*>", re.IGNORECASE)
_CONTROL: Final = re.compile("[\x00-\x06\x0e-\x1a\x1c-\x1f]")
# Text has a stray control character at times; compressed or compiled data has one in ten.
_MAX_CONTROL_SHARE: Final = 0.01

_NAMED: Final = {
    ".md": MARKDOWN,
    ".markdown": MARKDOWN,
    ".mdown": MARKDOWN,
    ".html": HTML,
    ".htm": HTML,
    ".xhtml": HTML,
}


def sniff(data: bytes, *, filename: str | None, declared: str | None) -> str:
    """The media type of `data`; `declared` is the one that the client states.

    Raises:
        LoadError: `empty` without any bytes, `unsupported` when nothing here reads such bytes.
    """
    if not data:
        raise LoadError("empty")
    if b"%PDF-" in data[:_PDF_HEADER_WITHIN]:
        return PDF
    return _kind_of_text(_text_sample(data), hint=_hint(filename, declared=declared))


def _text_sample(data: bytes) -> str:
    sample = data[:_SAMPLE]
    if marked_encoding(sample) is None and unmarked_utf16(sample) is None and _is_binary(sample.decode("latin-1")):
        raise LoadError("unsupported")
    text, _ = decode(sample)
    if _is_binary(text):
        raise LoadError("unsupported")
    return text


def _is_binary(text: str) -> bool:
    return len(_CONTROL.findall(text)) > _MAX_CONTROL_SHARE * len(text)


def _kind_of_text(text: str, *, hint: str | None) -> str:
    if _HTML_START.match(text) or (hint == HTML and _HTML_TAG.search(text)):
        return HTML
    if hint == MARKDOWN:
        return MARKDOWN
    return PLAIN


def _hint(filename: str | None, *, declared: str | None) -> str | None:
    """The kind of text that the name says, else the one that the client states."""
    named = _NAMED.get(PurePath(filename or "").suffix.lower())
    return named or (declared or "").partition(";")[0].strip().lower() or None
