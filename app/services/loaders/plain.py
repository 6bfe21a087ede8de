"""Plain text in any encoding."""

from __future__ import annotations

from app.services.loaders.document import ParsedDocument, Section
from app.services.loaders.encodings import decode
from app.services.loaders.media import PLAIN


def load_plain(data: bytes) -> ParsedDocument:
    """One section that is the whole text."""
    text, warnings = decode(data)
    return ParsedDocument(title=None, media_type=PLAIN, sections=(Section(text=text),), warnings=warnings)
