"""Rich Text Format."""

from __future__ import annotations

import re
from typing import Final

from striprtf.striprtf import rtf_to_text

from app.services.loaders.document import ParsedDocument, Section
from app.services.loaders.media import RTF

# A note stands in the text where it is referred to, in a group that the parser takes for settings and leaves out.
_NOTE: Final = re.compile(r"\\footnote(?![a-z])")


def load_rtf(data: bytes) -> ParsedDocument:
    """One section; the format is ASCII, with the code page for other characters named inside it."""
    source = _NOTE.sub(" ", data.decode("latin-1"))
    text: str = rtf_to_text(source, encoding="cp1252", errors="replace")  # type: ignore[no-untyped-call]  # half typed
    return ParsedDocument(title=None, media_type=RTF, sections=(Section(text=text),))
