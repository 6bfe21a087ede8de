"""Rich Text Format."""

from __future__ import annotations

from striprtf.striprtf import rtf_to_text

from app.services.loaders.document import ParsedDocument, Section
from app.services.loaders.media import RTF


def load_rtf(data: bytes) -> ParsedDocument:
    """One section; the format is ASCII, with the code page for other characters named inside it."""
    text: str = rtf_to_text(data.decode("latin-1"), encoding="cp1252", errors="replace")  # type: ignore[no-untyped-call]  # half typed
    return ParsedDocument(title=None, media_type=RTF, sections=(Section(text=text),))
