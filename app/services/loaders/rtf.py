"""Rich Text Format."""

from __future__ import annotations

import re
from typing import Final

from striprtf.striprtf import rtf_to_text

from app.services.loaders.document import ParsedDocument, Section
from app.services.loaders.encodings import join_surrogates
from app.services.loaders.media import RTF

# Notes, headers and footers stand in groups that the parser takes for settings and leaves out.
_LEFT_OUT: Final = re.compile(r"\\(?:footnote|header[lrf]?|footer[lrf]?)(?![a-z])")


def load_rtf(data: bytes) -> ParsedDocument:
    """One section; the format is ASCII, with the code page for other characters named inside it."""
    source = _LEFT_OUT.sub(" ", data.decode("latin-1"))
    text: str = rtf_to_text(source, encoding="cp1252", errors="replace")  # type: ignore[no-untyped-call]  # half typed
    return ParsedDocument(title=None, media_type=RTF, sections=(Section(text=join_surrogates(text)),))
